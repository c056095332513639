"""What is usual: velocity, value, counterparties and corridors of a payer, a payee and a pair."""

from __future__ import annotations

from typing import Literal

from services.scorer.path.features.definitions.feature import (
    BORDER,
    CLOCK,
    FAN,
    FATF_ROUND,
    HALF_LIFE_NAMES,
    NIGHT,
    RETRY,
    ROTATION,
    TEXT,
    Feature,
    Side,
)

_HANDBOOK = "Fraud Detection Handbook, chapter 3.3 (RFM features)"
_CORRIDOR = "an established customer opens a new corridor (indicator R4)"
_DORMANT = "FATF: dormant account suddenly active"
_BELOW = "structuring under a reporting threshold, FATF"


def payment() -> list[Feature]:
    """What is asked of this payment."""
    return [
        Feature("amount", "EUR", "Amount of this payment", "payment", "log", source=_HANDBOOK),
        Feature("amount_roundness", "share", "1 / significant decimal digits of the amount: 500 is 1, 250 is 1/2, 251 is 1/3; "
                "0 for an amount of zero", "payment", source=FATF_ROUND),
        Feature("received_roundness", "share", "The same of the amount in the payee's currency: as told, or the amount "
                "paid where the payee's country has its currency", "payment", needs=("received_amount_minor or payee.country",), source=FATF_ROUND),
        Feature("amount_is_small", "flag", "1 when the amount is in the ruleset's small band, bounds included", "payment",
                source="AUSTRAC, FATF: individual payments are small (indicator A1)"),
        Feature("amount_is_near_threshold", "flag", "1 when the amount is at or above near_threshold_from and below "
                "near_threshold_to", "payment", source=_BELOW),
        Feature("is_cross_border", "flag", "1 when payer and payee are in different countries; where one is not told, 1 when the "
                "money is received in another currency than it is paid in, else missing", "payment", needs=BORDER),
        Feature("local_hour_sin", "1", "sin(2 pi h / 24), h the payer's local hour with its fraction", "payment",
                needs=CLOCK, source=NIGHT),
        Feature("local_hour_cos", "1", "cos(2 pi h / 24)", "payment", needs=CLOCK, source=NIGHT),
        Feature("local_is_night", "flag", "1 from 22:00 to before 05:00 in the payer's local time", "payment",
                needs=CLOCK, source=NIGHT),
        Feature("local_time_is_implied", "flag", "1 when the payment does not tell the payer's offset from UTC, and the one that the "
                "payer told last, or else the usual one of its country, stands for it; 0 when it does", "payment",
                needs=CLOCK, source="marks what is filled in; Tocsin's assumption"),
        Feature("payer_account_age", "days", "Event time less the payer account's opening; 0 when opened later", "payment",
                "log", needs=("payer.opened_ms",)),
        Feature("is_refused", "flag", "1 when the payment was rejected or returned", "payment", source=RETRY),
        Feature("reference_is_absent", "flag", "1 when the reference text is told to be empty, but for white space, or is not told by a "
                "payer of whom a payment told one before", "payment", needs=TEXT,
                source="AUSTRAC: little or no description (indicator X3)"),
    ]  # fmt: skip


def activity(who: Literal["payer", "payee"], other: str) -> list[Feature]:
    """The features that payer and payee have in common, from the account's own earlier payments."""
    side: Side = who
    verb = "made" if who == "payer" else "received"
    return [
        *(
            Feature(f"{who}_payments_{h}", "payments", f"Decayed count of payments {verb}", side, "log", source=_HANDBOOK)
            for h in HALF_LIFE_NAMES
        ),
        *(
            Feature(f"{who}_value_{h}", "EUR", f"Decayed sum of money {verb}; missing while no amount is known", side, "log",
                    source=_HANDBOOK)
            for h in HALF_LIFE_NAMES
        ),
        Feature(f"{who}_small_share_30d", "share", "Share whose amount was small", side),
        Feature(f"{who}_cross_border_share_30d", "share", "Share that crossed a border", side, needs=BORDER),
        Feature(f"{who}_round_share_30d", "share", "Share whose amount_roundness was at least 1/2", side, source=FATF_ROUND),
        Feature(f"{who}_gap", "hours", f"Effective time since the account last {verb} a payment; 0 for its first", side, "log",
                source=_DORMANT),
        Feature(f"{who}_gap_mean", "hours", "Exponentially weighted mean of the gaps between earlier payments (weight 1/8 for "
                "the newest, started at the first gap); 0 before there are two", side, "log"),
        Feature(f"{who}_gap_variation", "1", "Exponentially weighted standard deviation of the same gaps over their mean; "
                "missing until there are two gaps, and when the mean is 0", side),
        Feature(f"{who}_age", "days", "Effective time since the account's first payment here", side, "log"),
        Feature(f"{who}_payments_total", "payments", f"Payments {verb} since first seen", side, "log"),
        Feature(f"{who}_{other}s_60d", f"{other}s", f"Distinct {other}s in this 30-day block of event time and the one before "
                "(HyperLogLog, 64 registers)", side, "log", source=FAN),
        Feature(f"{who}_new_{other}s_1d", "payments", f"Decayed count of payments with a {other} not among the 12 most recent",
                side, "log", source=ROTATION),
        Feature(f"{who}_new_{other}s_7d", "payments", f"Decayed count of payments with a {other} not among the 12 most recent",
                side, "log", source=ROTATION),
        Feature(f"{who}_corridors", "countries", f"Distinct countries of its {other}s so far; missing while none is told",
                side, "log",
                source=_CORRIDOR if who == "payer" else FAN),
        Feature(f"{who}_amount_deviation", "standard deviations", "log(1 + amount) less its decayed mean (30 d) over its decayed "
                "standard deviation, the latter at least 0.1; 0 until three payments with money known, missing while no "
                "amount is", side,
                source=_HANDBOOK),
    ]  # fmt: skip


def payer_only() -> list[Feature]:
    """What is asked of the payer alone."""
    return [
        Feature("payer_night_share_30d", "share", "Share made at night, local time", "payer",
                needs=CLOCK, source=NIGHT),
        Feature("corridor_is_new", "flag", "1 when the payer has not yet paid into the payee's country; missing while its earlier "
                "payments tell none", "payer",
                needs=("payee.country",), source=_CORRIDOR),
        Feature("payer_amount_over_last", "ratio", "Amount over the payer's latest known amount, the latter at least 0.01 EUR; "
                "1 for its first payment, missing when none of the earlier amounts is known", "payer", "log", source="card testing: a small payment, then a large one"),
        Feature("payer_near_threshold_7d", "payments", "Decayed count of payments near the threshold; missing while no "
                "amount is known", "payer", source=_BELOW),
        Feature("payer_refused_1d", "payments", "Decayed count of payments rejected or returned; a later change of status "
                "counts as of the payer's latest payment; missing while all are only attempted", "payer", source=RETRY),
    ]  # fmt: skip


def pair() -> list[Feature]:
    """Payer and payee together."""
    return [
        Feature("pair_is_new", "flag", "1 when the payee is not among the payer's 12 most recently paid", "pair", source=ROTATION),
        Feature("pair_payments", "payments", "Earlier payments of the pair, while remembered", "pair", "log"),
        Feature("pair_age", "days", "Effective time since the pair's first payment; 0 for a new pair", "pair", "log"),
        Feature("pair_gap", "days", "Effective time since the pair's last payment; 0 for a new pair", "pair", "log"),
    ]  # fmt: skip


def payee_only() -> list[Feature]:
    """What is asked of the payee alone."""
    return [
        Feature("payee_passed_on_share_1d", "share", "Decayed sum of money the payee paid out after first receiving, over that "
                "received, at most 10; 0 while nothing was received, missing while no amount is known", "payee",
                source="FATF, mule accounts: rapid movement in and out"),
        Feature("payee_account_age", "days", "Event time less the payee account's opening; 0 when opened later", "payee", "log",
                needs=("payee.opened_ms",)),
    ]  # fmt: skip
