"""What is remembered of an account: the layout of its row at either hop."""

from __future__ import annotations

import numpy as np

from services.scorer.path.features.definitions.feature import HALF_LIFE_MS, RECENT_PAYEES

HALF_LIVES = len(HALF_LIFE_MS)
PARTNERS = 12
"""Counterparties remembered per account, least recently used first forgotten."""
PAYMENT_IDS = 32
"""Recent payment ids remembered per payer: a repeat among them is a duplicate."""
REGISTERS = 64
"""Of each HyperLogLog: a standard error of 1.04 / sqrt(64) = 13 %."""
COUNTRY_WORDS = 11
"""64-bit words of a set of two-letter country codes: 26 * 26 bits."""

REMIT_PAYEES = 16
"""Payees of remittances remembered per payer."""
REMIT_TIMES = 11
"""Latest remittances whose times are remembered: ten gaps."""
PRICES = 8
"""Prices, countries, texts and risky payers remembered, each the ones used last."""

_PARTNER = np.dtype(
    [("digest", "u8"), ("first_ms", "i8"), ("last_ms", "i8"), ("payments", "i4"), ("used", "i4")], align=True
)
DEVICES = 4
"""Devices remembered per payer."""
RAILS = 8
"""Kinds of rail told apart."""
LABEL_IDS = 8
"""Labelled payments remembered per payer: a label that comes again is a repeat."""

_PRICE = np.dtype([("amount_minor", "i8"), ("currency", "i8"), ("payees", "u8"), ("used", "i8")], align=True)
_REFUSED = np.dtype(
    [("known", "i8"), ("ms", "i8"), ("payee", "u8"), ("rail", "u8"), ("amount_minor", "i8"), ("currency", "i8")]
)
_COUNTRY = np.dtype([("country", "i8"), ("count", "f8"), ("used", "i8")], align=True)
_TEXT = np.dtype([("digest", "u8"), ("payer", "u8"), ("ms", "i8"), ("used", "i8")], align=True)
_RISKY = np.dtype([("payer", "u8"), ("ms", "i8"), ("used", "i8"), ("payees", "u2", (RECENT_PAYEES,))], align=True)
_COMMON = [
    ("first_ms", "i8"),
    ("last_ms", "i8"),
    ("payments", "i8"),
    ("count", "f8", (HALF_LIVES,)),
    ("value", "f8", (HALF_LIVES,)),
    ("small_30d", "f8"),
    ("small_known_30d", "f8"),
    ("cross_border_30d", "f8"),
    ("cross_border_known_30d", "f8"),
    ("round_30d", "f8"),
    ("log_amount_weight", "f8"),
    ("log_amount_sum", "f8"),
    ("log_amount_squares", "f8"),
    ("log_amounts", "i8"),
    ("gap_mean", "f8"),
    ("gap_variance", "f8"),
    ("new_partners_1d", "f8"),
    ("new_partners_7d", "f8"),
    ("block", "i8"),
    ("countries", "u8", (COUNTRY_WORDS,)),
    ("partners", _PARTNER, (PARTNERS,)),
    ("registers", "u1", (2, REGISTERS)),
]
# What labels say (``confirmed.py``): all zero while an account has none.
PAYER_LABELS = np.dtype(
    [
        ("excess_ms", "i8"),
        ("excess", "f8", (3,)),  # half-lives 1, 7 and 30 d, as of excess_ms
        ("labels", "i8"),
        ("label_ms", "i8"),
        ("confirmed_30d", "f8"),  # as of label_ms, like all that follows
        ("matured_30d", "f8"),
        ("confirmations", "i8"),
        ("confirmed_ms", "i8"),
        ("cleared", "i8"),
        ("weight", "f8"),  # half-life 90 d, of cleared payments with a known amount
        ("amount", "f8"),
        ("squares", "f8"),
        ("ids", "u8", (LABEL_IDS,)),
    ],
    align=True,
)
PAYEE_LABELS = np.dtype(
    [
        ("excess_ms", "i8"),
        ("excess", "f8", (2,)),  # half-lives 1 and 7 d, as of excess_ms
        ("labels", "i8"),
        ("label_ms", "i8"),
        ("confirmed", "f8", (3,)),  # half-lives 1, 7 and 30 d, as of label_ms, like all that follows
        ("matured", "f8", (3,)),
        ("usual_confirmed_7d", "f8"),
        ("usual_matured_7d", "f8"),
        ("usual_matured_30d", "f8"),
        ("run", "i8"),
        ("run_ms", "i8"),
        ("run_gap_ms", "i8"),  # -1 where nothing was cleared before the run
        ("usual_cleared", "i8"),
        ("cleared_ms", "i8"),
    ],
    align=True,
)
# Entries of the changelog end with the last word that is not zero, so what most accounts lack stands last.
PAYER_ROW = np.dtype(
    [
        *_COMMON,
        ("night_30d", "f8"),
        ("night_known_30d", "f8"),
        ("near_threshold_7d", "f8"),
        ("refused_1d", "f8"),
        ("last_amount", "f8"),
        ("payment_ids", "u8", (PAYMENT_IDS,)),
        ("payment_ids_next", "i8"),
        # Other payments, as of ``other_ms``.
        ("other_ms", "i8"),
        ("other_night", "f8"),
        ("other_night_known", "f8"),
        ("retries_7d", "f8"),
        ("refused", _REFUSED),
        ("adult_180d", "f8"),
        ("travel_180d", "f8"),
        ("devices", "u8", (DEVICES,)),
        # Remittances. Their sums are as of ``remit_ms``, and decay when they are read.
        ("remit_ms", "i8"),
        ("remits", "i8"),
        ("remit_30d", "f8"),
        ("remit_180d", "f8"),
        ("remit_small", "f8"),
        ("remit_small_known", "f8"),
        ("remit_amount", "f8"),
        ("remit_amount_known", "f8"),
        ("remit_round", "f8"),
        ("remit_round_excess", "f8"),
        ("remit_round_known", "f8"),
        ("remit_night", "f8"),
        ("remit_night_known", "f8"),
        ("remit_sessions", "f8"),
        ("remit_new_payees", "f8"),
        ("remit_absent", "f8"),
        ("remit_phases", "f8", (3, 2)),
        ("remit_times", "i8", (REMIT_TIMES,)),
        ("slope_n", "i8"),
        ("slope_x", "f8"),
        ("slope_xx", "f8"),
        ("slope_y", "f8"),
        ("slope_xy", "f8"),
        ("prices", _PRICE, (PRICES,)),
        ("rail_ms", "i8", (RAILS,)),
        ("excuse_kinds", "u8"),
        ("excuse_payees", "u8"),
        ("remit_payees", _PARTNER, (REMIT_PAYEES,)),
        ("labels", PAYER_LABELS),
    ],
    align=True,
)
PAYEE_ROW = np.dtype(
    [
        *_COMMON,
        ("out_value_1d", "f8"),
        ("out_ms", "i8"),
        ("remits", "i8"),
        ("remit_ms", "i8"),
        ("remit_180d", "f8"),
        ("remit_small", "f8"),
        ("remit_small_known", "f8"),
        ("small_new_payers", "f8"),
        ("collisions", "f8"),
        ("payer_countries", _COUNTRY, (PRICES,)),
        ("texts", _TEXT, (PRICES,)),
        ("risky_payers", _RISKY, (PRICES,)),
        ("labels", PAYEE_LABELS),
    ],
    align=True,
)
