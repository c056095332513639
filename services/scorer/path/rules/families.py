"""Which family of behaviour each feature tells of, as indicators of packs have families.

Corridor and rail are channel: like text, they never carry an alert by themselves. A feature without a family tells of
no behaviour.
"""

from __future__ import annotations

from services.contract.decision import Family
from services.scorer.path.features.registry import NAMES

_OF: dict[Family, str] = {
    "amount": """
        amount amount_roundness received_roundness amount_is_small amount_is_near_threshold payer_value_1h
        payer_value_1d payer_value_7d payer_value_30d payer_small_share_30d payer_round_share_30d payer_amount_deviation
        payer_amount_over_last payer_near_threshold_7d amount_against_corridor round_against_corridor
        remit_small_share_180d remit_amount_against_corridor_180d remit_round_share_180d remit_round_excess_180d
        remit_amount_slope remit_price_point_payees payer_cleared_amount payer_amount_over_cleared
        payer_amount_from_cleared payer_excess_1d payer_excess_7d payer_excess_30d
    """,
    "temporal": """
        local_hour_sin local_hour_cos local_is_night payer_payments_1h payer_payments_1d payer_payments_7d
        payer_payments_30d payer_gap payer_gap_mean payer_gap_variation payer_night_share_30d remit_payments_30d
        remit_payments_180d remit_gap_median remit_gap_trend remit_night_share_180d remit_night_excess_180d
        remit_sessions_180d remit_rhythm
    """,
    "relationship": """
        payer_payees_60d payer_new_payees_1d payer_new_payees_7d pair_is_new pair_payments pair_age pair_gap
        is_unrelated remit_new_payees_180d remit_top_payee_share remit_dropped_payees remit_relation_life
    """,
    "beneficiary": """
        payee_is_minor payee_linked_payees payee_linked_payers payee_payments_1h payee_payments_1d payee_payments_7d
        payee_payments_30d payee_value_1h payee_value_1d payee_value_7d payee_value_30d payee_small_share_30d
        payee_round_share_30d payee_gap payee_gap_mean payee_gap_variation payee_age payee_payments_total
        payee_payers_60d payee_new_payers_1d payee_new_payers_7d payee_amount_deviation payee_account_age
        payee_remit_180d payee_small_new_payers_180d payee_small_remit_share_180d payee_excess_1d payee_excess_7d
        payee_usual_matured_30d payee_cleared_gap
    """,
    "network": """
        payer_refused_1d payer_retries_7d payer_travel_180d remit_signs payee_passed_on_share_1d
        payee_risky_payers_360d payee_shared_payees_360d payee_is_confirmed payer_confirmed_share_30d
        payer_confirmed_gap payee_confirmed_share_1d payee_confirmed_share_7d payee_confirmed_share_30d
        payee_usual_confirmed_share_7d payee_confirmed_run payee_confirmed_run_age payee_confirmed_run_gap
    """,
    "channel": """
        is_cross_border is_refused payer_cross_border_share_30d payer_corridors corridor_is_new is_remittance
        is_to_merchant remit_rails_90d payer_adult_merchants_180d device_is_new payee_cross_border_share_30d
        payee_corridors payee_country_entropy_180d
    """,
    "text": """
        reference_is_absent reference_is_handle reference_is_excuse remit_excuse_kinds remit_absent_share_180d
        payee_text_collisions_180d reference_in_lexicon
    """,
}
FAMILY_OF: dict[str, Family] = {name: family for family, names in _OF.items() for name in names.split()}
NO_FAMILY: tuple[str, ...] = tuple(name for name in NAMES if name not in FAMILY_OF)
"""How long an account is known, and how its clock was."""
