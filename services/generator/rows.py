"""Payments as rows of one table, before they are written: the columns, their codes, and how rows are put together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.void]

ROW = np.dtype(
    [
        ("time", "i8"),  # event time, ms
        ("arrival", "i8"),  # when the record is published, ms
        ("payer", "i8"),  # account, see accounts.py
        ("payee", "i8"),
        ("amount", "i8"),  # minor units
        ("received", "i8"),  # minor units; -1: not told
        ("pid", "u8"),
        ("device", "u8"),  # 0: not told
        ("reference", "i8"),  # see words.py; -1: none
        ("offset", "i2"),  # minutes; NOT_TOLD
        ("currency", "i1"),
        ("received_currency", "i1"),
        ("rail", "i1"),
        ("status", "i1"),
        ("purpose", "i1"),  # -1: none
        ("category", "i1"),  # -1: none
        ("relation", "i1"),  # -1: not told
        ("typology", "i1"),
        ("source", "i1"),
        ("kind", "i1"),
        ("system", "i1"),  # of the payer, see systems.py
    ]
)

NOT_TOLD = -32_768
RAILS = ("bank", "card", "wallet", "remitter", "voucher", "virtual_asset")
STATUSES = ("accepted", "rejected", "returned", "attempted")
PURPOSES = ("FAMI", "SALA", "CHAR", "OTHR")
RELATIONS = ("family", "friend", "partner", "work")
CATEGORIES = (
    "4829", "5999", "5967", "4816", "5734", "4511", "6010", "5411", "5812", "5814", "5541", "5912", "5651", "4111",
    "4722", "7011", "4900", "4814", "6300", "4899", "5816", "5815", "5818", "7273", "5732",
)  # fmt: skip
KINDS = ("payment", "repeat", "status_update", "malformed")
PAYMENT, REPEAT, STATUS_UPDATE, MALFORMED = range(4)

TYPOLOGIES = (
    "none", "lsac", "lsac_cash_out", "fsec", "romance_fraud", "structuring", "mule", "account_takeover",
    "card_testing", "gather_scatter", "cycle", "bipartite", "stack", "new_payee_burst", "dormant_wakes",
)  # fmt: skip
"""What a payment belongs to: truth, which is never written beside the payment."""

NONE, LSAC, LSAC_CASH_OUT, FSEC = range(4)

SOURCES = (
    "diaspora", "micro_remitter", "couple", "retiree_partner", "charity_sponsor", "freelancer_hire", "tutor_hire",
    "savings_circle", "salary", "card_retail", "bill", "domestic_p2p", "marketplace", "gaming_creator_tips",
    "lsac", "lsac_twin", "fsec_victim", "romance_victim", "case", "cash_out", "circle_payout", "side_signal",
    "look_alike",
)  # fmt: skip
"""Which process made a row."""

WORLD_SOURCES = (
    "habit", "seafarer", "shift_nurse", "student_parent", "several_households", "gift_sender", "gig_platform",
    "creator_customer", "gifter", "load_topper", "neighbour_courier", "household_staff", "dater", "friends_abroad",
    "agent_customer", "night_driver", "church_collector", "medical_donor", "holiday_renter", "small_importer",
    "paid_chat", "tourist", "hometown_club", "remote_family", "occasional_sender",
)  # fmt: skip
"""Which process or class of innocents made a row of a drawn world (``worlds.toml``), besides ``SOURCES``."""

ALL_SOURCES = SOURCES + WORLD_SOURCES
_CODES = {name: code for code, name in enumerate(ALL_SOURCES)}
_ROUTINES_END, _WORLD_ROUTINES = SOURCES.index("salary"), len(SOURCES) + 1


def source(name: str) -> int:
    """The code of a source."""
    return _CODES[name]


def of_routine(codes: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of ``codes`` are cross-border routines of innocent payers."""
    mask: NDArray[np.bool_] = ((codes >= 0) & (codes < _ROUTINES_END)) | (codes >= _WORLD_ROUTINES)
    return mask


def empty(n: int) -> Rows:
    """``n`` rows in which nothing is told yet."""
    rows = np.zeros(n, dtype=ROW)
    for name in ("received", "reference", "purpose", "category", "relation", "received_currency"):
        rows[name] = -1
    rows["offset"] = NOT_TOLD
    return rows


def joined(parts: Iterable[Rows]) -> Rows:
    """All rows of ``parts``, in their order."""
    return np.concatenate([empty(0), *parts])


def by_arrival(rows: Rows) -> Rows:
    """The rows in the order of arrival; ties keep their order, so that the order is one."""
    return rows[np.argsort(rows["arrival"], kind="stable")]
