"""What is remembered of an account at either hop: a row that every account has, and rows of pools for what few have.

A field that ends with ``_at`` is a slot of the pool of that name (``POOLS``); 0 is the pool's zero row, which is read
like any other and never written, so that an account without one needs no branch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from services.scorer.path.features.definitions.feature import HALF_LIFE_MS, RECENT_PAYEES

HALF_LIVES = len(HALF_LIFE_MS)
PARTNERS = 12
"""Counterparties remembered per account, least recently used first forgotten."""
NEAR_PAYEES, NEAR_PAYERS = 8, 4
"""Of these, how many stand in a payer's and in a payee's own row: most have no more."""
NEAR_COUNTRIES = 4
"""Countries that an account's own row holds one by one, before its set of bits."""
NEAR_RANKS = 12
"""Ranks of its two HyperLogLogs that it holds one by one, before their registers."""
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
DEVICES = 4
"""Devices remembered per payer."""
RAILS = 8
"""Kinds of rail told apart."""
TEXTS, MERCHANTS, OUTCOMES = 1, 2, 4
"""What some payment of a payer has told: a reference text, a merchant category, whether it was refused."""
LABEL_IDS = 8
"""Labelled payments remembered per payer: a label that comes again is a repeat."""


def _all(kind: str, *names: str) -> list[tuple[str, str]]:
    """Fields of one type."""
    return [(name, kind) for name in names]


# Times in 48 bits, the lower 32 and the upper 16: exact in ms, and a third smaller where there are twelve a payer.
_PARTNER = np.dtype(
    [
        ("digest", "u8"), *_all("u4", "first_low", "last_low", "payments"), *_all("u2", "first_high", "last_high")
    ],
    align=True,
)  # fmt: skip
_REMIT_PAYEE = np.dtype(
    [("digest", "u8"), ("first_ms", "i8"), ("last_ms", "i8"), ("payments", "i4"), ("used", "i4")], align=True
)
_PRICE = np.dtype([("amount_minor", "i8"), ("currency", "i8"), ("payees", "u8"), ("used", "i8")], align=True)
_REFUSED = np.dtype(
    [("known", "i8"), ("ms", "i8"), ("payee", "u8"), ("rail", "u8"), ("amount_minor", "i8"), ("currency", "i8")]
)
_COUNTRY = np.dtype([("country", "i8"), ("count", "f8"), ("used", "i8")], align=True)
_TEXT = np.dtype([("digest", "u8"), ("payer", "u8"), ("ms", "i8"), ("used", "i8")], align=True)
_RISKY = np.dtype([("payer", "u8"), ("ms", "i8"), ("used", "i8"), ("payees", "u2", (RECENT_PAYEES,))], align=True)
_COMMON = [
    *_all("i8", "first_ms", "last_ms"),
    ("count", "f8", (HALF_LIVES,)),
    ("value", "f8", (HALF_LIVES,)),
    *_all("f8", "small_30d", "small_known_30d", "cross_border_30d", "cross_border_known_30d", "round_30d"),
    *_all("f8", "log_amount_weight", "log_amount_sum", "log_amount_squares"),
    *_all("f8", "gap_mean", "gap_variance", "new_partners_1d", "new_partners_7d"),
    *_all("u4", "payments", "log_amounts"),
    ("block", "i4"),
    ("near_countries", "u2", (NEAR_COUNTRIES,)),  # one more than the country, 0 for none
    ("near_ranks", "u2", (NEAR_RANKS,)),  # as ``kernels.add_distinct`` packs them, 0 for none
    ("partners_used", "u1", (PARTNERS,)),  # ranks: PARTNERS for the one used last, 0 where there is none
    *_all("u4", "crowd_at", "labels_at", "remits_at", "further_at"),
]
FURTHER_PAYEES = np.dtype([("partners", _PARTNER, (PARTNERS - NEAR_PAYEES,))], align=True)
FURTHER_PAYERS = np.dtype([("partners", _PARTNER, (PARTNERS - NEAR_PAYERS,))], align=True)
CROWD_ROW = np.dtype([("countries", "u8", (COUNTRY_WORDS,)), ("registers", "u1", (2, REGISTERS))], align=True)
"""Of an account with more countries or counterparties than its own row holds one by one: all of them."""
# What labels say (``confirmed.py``): all zero while an account has none.
PAYER_LABELS = np.dtype(
    [
        ("excess_ms", "i8"),
        ("excess", "f8", (3,)),  # half-lives 1, 7 and 30 d, as of excess_ms
        *_all("i8", "labels", "label_ms"),
        *_all("f8", "confirmed_30d", "matured_30d"),  # as of label_ms, like all that follows
        *_all("i8", "confirmations", "confirmed_ms", "cleared"),
        *_all("f8", "weight", "amount", "squares"),  # half-life 90 d, of cleared payments with a known amount
        ("ids", "u8", (LABEL_IDS,)),
    ],
    align=True,
)
PAYEE_LABELS = np.dtype(
    [
        ("excess_ms", "i8"),
        ("excess", "f8", (2,)),  # half-lives 1 and 7 d, as of excess_ms
        *_all("i8", "labels", "label_ms"),
        ("confirmed", "f8", (3,)),  # half-lives 1, 7 and 30 d, as of label_ms, like all that follows
        ("matured", "f8", (3,)),
        *_all("f8", "usual_confirmed_7d", "usual_matured_7d", "usual_matured_30d"),
        *_all("i8", "run", "run_ms"),
        ("run_gap_ms", "i8"),  # -1 where nothing was cleared before the run
        *_all("i8", "usual_cleared", "cleared_ms"),
    ],
    align=True,
)
PAYER_ROW = np.dtype(
    [
        *_COMMON,
        ("partners", _PARTNER, (NEAR_PAYEES,)),
        *_all("f8", "night_30d", "night_known_30d", "near_threshold_7d", "refused_1d", "last_amount"),
        ("other_ms", "i8"),
        *_all("f8", "other_night", "other_night_known"),  # of other payments, as of ``other_ms``
        ("devices", "u8", (DEVICES,)),
        ("rare_at", "u4"),
        ("last_offset", "u2"),  # as ``local.remember_offset`` writes it, 0 for none
        ("told", "u2"),  # bits: ``TEXTS``, ``MERCHANTS``, ``OUTCOMES``
    ],
    align=True,
)
PAYEE_ROW = np.dtype(
    [
        *_COMMON,
        ("partners", _PARTNER, (NEAR_PAYERS,)),
        ("out_value_1d", "f8"),
        ("out_ms", "i8"),
    ],
    align=True,
)
RARE_ROW = np.dtype(
    [("retries_7d", "f8"), ("refused", _REFUSED), *_all("f8", "adult_180d", "travel_180d")],
    align=True,
)
"""What few payers have: all sums as of the account's latest payment."""
# Sums over remittances are as of ``remit_ms``, and decay when they are read.
PAYER_REMITS = np.dtype(
    [
        *_all("i8", "remit_ms", "remits"),
        *_all(
            "f8", "remit_30d", "remit_180d", "remit_small", "remit_small_known", "remit_amount", "remit_amount_known"
        ),
        *_all("f8", "remit_round", "remit_round_told", "remit_round_excess", "remit_round_known"),
        *_all("f8", "remit_night", "remit_night_known", "remit_sessions", "remit_new_payees"),
        *_all("f8", "remit_absent", "remit_absent_known"),
        ("remit_phases", "f8", (3, 2)),
        ("remit_times", "i8", (REMIT_TIMES,)),
        ("slope_n", "i8"),
        *_all("f8", "slope_x", "slope_xx", "slope_y", "slope_xy"),
        ("prices", _PRICE, (PRICES,)),
        ("rail_ms", "i8", (RAILS,)),
        *_all("u8", "excuse_kinds", "excuse_payees"),
        ("remit_payees", _REMIT_PAYEE, (REMIT_PAYEES,)),
    ],
    align=True,
)
PAYEE_REMITS = np.dtype(
    [
        *_all("i8", "remits", "remit_ms"),
        *_all("f8", "remit_180d", "remit_small", "remit_small_known", "small_new_payers", "collisions"),
        ("payer_countries", _COUNTRY, (PRICES,)),
        ("texts", _TEXT, (PRICES,)),
        ("risky_payers", _RISKY, (PRICES,)),
    ],
    align=True,
)
POOLS: dict[np.dtype[Any], dict[str, np.dtype[Any]]] = {
    PAYER_ROW: {
        "crowd": CROWD_ROW,
        "labels": PAYER_LABELS,
        "remits": PAYER_REMITS,
        "rare": RARE_ROW,
        "further": FURTHER_PAYEES,
    },
    PAYEE_ROW: {"crowd": CROWD_ROW, "labels": PAYEE_LABELS, "remits": PAYEE_REMITS, "further": FURTHER_PAYERS},
}
"""The pools that a row's ``_at`` fields point into."""
