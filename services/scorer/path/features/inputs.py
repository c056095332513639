"""What the kernels read of a batch: an array of NumPy records, filled column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.contract.codes import COUNTRIES, CURRENCY_EXPONENT
from services.contract.label import PaymentLabel
from services.contract.payment import Payment
from services.contract.remembered import remembered
from services.scorer.path.features.corridors import Corridors
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.private import PrivateLists
from services.scorer.path.features.references import Reference

UNKNOWN_OFFSET = -100_000
"""Stands for an unknown UTC offset in ``offset_minutes``."""
STATUS_CODE = {"attempted": 0, "accepted": 1, "rejected": 2, "returned": 3}
ATTEMPTED = STATUS_CODE["attempted"]
"""The status of a payment of which it is not told yet whether it was refused."""
REFUSED = STATUS_CODE["rejected"]
"""A payment with this status or a later one was refused: no money moved."""
COUNTRY_CODE: dict[str | None, int] = {
    None: -1,
    **{code: (ord(code[0]) - 65) * 26 + ord(code[1]) - 65 for code in COUNTRIES},
}


CURRENCY_CODE = {code: at for at, code in enumerate(sorted(CURRENCY_EXPONENT))}
NO_MERCHANT, ADULT, TRAVEL, OTHER_MERCHANT, UNTOLD_MERCHANT = range(5)
CARD = "card"
"""The rail on which every payment has a merchant category, told or not."""
_ADULT = frozenset({"5967", "7273"})
_TRAVEL = frozenset({"4511", "4722", "7011", *map(str, range(3000, 4000))})
_MONEY_TRANSFER = "4829"
"""The remitter itself is the merchant of a card: who is paid is not."""


_NO_REFERENCE = Reference(kind=-1, is_handle=False, digest=0)


def merchant_class(category: str) -> int:
    """Which of the classes that features ask for a merchant category (ISO 18245) is in."""
    if category == _MONEY_TRANSFER:
        return NO_MERCHANT
    return ADULT if category in _ADULT else TRAVEL if category in _TRAVEL else OTHER_MERCHANT


_class_of = remembered(merchant_class, 4_096)


def _merchant_of(payment: Payment) -> int:
    if payment.merchant_category is not None:
        return _class_of(payment.merchant_category)
    return UNTOLD_MERCHANT if payment.rail == CARD else NO_MERCHANT


PAYER_INPUT = np.dtype(
    [
        ("event_ms", "i8"),
        ("amount", "f8"),  # EUR; NaN where the currency has no rate
        ("amount_minor", "i8"),
        ("received_minor", "i8"),  # -1, like any integer that was not told
        ("currency", "i8"),
        ("status", "i8"),
        ("payer_country", "i8"),
        ("payee_country", "i8"),
        ("cross_border", "f8"),  # 1, 0, or NaN: not told; like all flags with a missing value
        ("offset_minutes", "i8"),
        ("opened_ms", "i8"),
        ("payee_opened_ms", "i8"),
        ("excuse", "i8"),  # kind of benign reason that the reference gives
        ("merchant", "i8"),  # NO_MERCHANT and the like
        ("payee_minor", "f8"),
        ("unrelated", "f8"),
        ("confirmed", "f8"),  # whether the payee stands in the deployer's list; NaN while there is none
        (
            "in_lexicon",
            "f8",
        ),  # whether the reference holds a term of the private lexicon; NaN while there is none, or no text
        ("reference_absent", "f8"),  # whether the text that is told is empty; NaN where none is
        ("rail", "u8"),  # digest, like all that follow; 0 where none is told
        ("payer_device", "u8"),  # 0 where none is told
        ("payment", "u8"),
        ("payer", "u8"),
        ("payee", "u8"),
        ("text", "u8"),  # of the reference, 0 for one that is too short to tell
        ("is_handle", "?"),
        ("first_refused", "?"),  # whether a status says for the first time that it was refused
        ("verdict", "u1"),  # of ``identities``, like the one before
        ("content", "u8"),  # digest of all that it says
        ("now_ms", "i8"),  # the partition's event time as of it
    ],
    align=True,
)
"""A payment as the payer hop reads it."""
PAYEE_INPUT = np.dtype(
    [
        ("event_ms", "i8"),
        ("amount", "f8"),
        ("status", "i8"),
        ("payer_country", "i8"),
        ("opened_ms", "i8"),
        ("payer", "u8"),  # digest
        ("text", "u8"),
        ("confirmed", "f8"),
        ("in_lexicon", "f8"),
        ("recent_payees", "u2", (RECENT_PAYEES,)),  # marks of the payer's others
        # Features of the payer hop, by their names.
        ("amount_roundness", "f8"),
        ("amount_is_small", "f8"),
        ("is_cross_border", "f8"),
        ("is_remittance", "f8"),
        ("remit_signs", "f8"),
        ("payer_amount_over_cleared", "f8"),
        ("now_ms", "i8"),  # the partition's event time as of it
        ("outflow", "?"),  # the account paid money out: no payment to it, and only time and amount mean anything
    ],
    align=True,
)
"""A record as the payee hop reads it."""
LABEL_INPUT = np.dtype(
    [
        ("before", "i8"),  # how many of the batch's other records stand before it
        ("event_ms", "i8"),  # of the payment, like all that follows
        ("value", "f8"),  # its amount (EUR), at the payee hop its amount over cleared; NaN where missing
        ("digest", "u8"),  # of its id, at the payer hop; 0 at the payee hop
        ("now_ms", "i8"),  # the partition's event time as of it
        ("confirmed", "?"),
    ],
    align=True,
)
"""A label as either hop reads it among the records of a batch."""
for _layout in (PAYER_INPUT, PAYEE_INPUT, LABEL_INPUT):
    assert not set(_layout.names or ()) & set(dir(np.record)), "run as Python, a kernel would read NumPy's attribute"


def rows_of(layout: np.dtype[Any], count: int, **columns: Iterable[Any]) -> NDArray[Any]:
    """``layout[count]``, of one column for each of its fields, none missing and none besides."""
    assert columns.keys() == set(layout.names or ()), "every field has its column"
    rows = np.empty(count, dtype=(np.record, layout))
    for name, column in columns.items():
        is_array = isinstance(column, np.ndarray)
        rows[name] = column if is_array else np.fromiter(column, dtype=layout[name], count=count)
    return rows


def payer_rows(payments: Sequence[Payment], eur_per_minor: dict[str, float], private: PrivateLists) -> NDArray[Any]:
    """``PAYER_INPUT[n]`` of n payments; ``eur_per_minor`` is what one minor unit of a currency is worth, ``private``
    are the deployer's lists and its key of digests. What other payments say of them (``verdict``, ``first_refused``,
    ``now_ms``) is not known yet, and their ``content`` is not digested."""
    n, texts = len(payments), private.texts
    digest, rail, reference = texts.digest, texts.rail, texts.reference
    told = [reference(p.reference) if p.reference else _NO_REFERENCE for p in payments]
    return rows_of(
        PAYER_INPUT,
        n,
        event_ms=(p.event_time_ms for p in payments),
        # Rounded, or an amount that stands exactly on a bound could fall beside it by the last bit of its rate.
        amount=np.round([p.amount_minor * eur_per_minor.get(p.currency, np.nan) for p in payments], 9),
        amount_minor=(p.amount_minor for p in payments),
        received_minor=_or_minus_one(p.received_amount_minor for p in payments),
        currency=(CURRENCY_CODE[p.currency] for p in payments),
        status=(STATUS_CODE[p.status] for p in payments),
        payer_country=(COUNTRY_CODE[p.payer.country] for p in payments),
        payee_country=(COUNTRY_CODE[p.payee.country] for p in payments),
        cross_border=_or_nan(_crosses_border(p) for p in payments),
        offset_minutes=(UNKNOWN_OFFSET if p.utc_offset_minutes is None else p.utc_offset_minutes for p in payments),
        opened_ms=_or_minus_one(p.payer.opened_ms for p in payments),
        payee_opened_ms=_or_minus_one(p.payee.opened_ms for p in payments),
        excuse=(each.kind for each in told),
        merchant=(_merchant_of(p) for p in payments),
        payee_minor=_or_nan(p.payee.minor for p in payments),
        unrelated=_or_nan(None if p.relationship is None else p.relationship == "none" for p in payments),
        confirmed=private.are_confirmed([p.payee.account for p in payments]),
        in_lexicon=private.hold_terms([p.reference for p in payments]),
        rail=(0 if p.rail is None else rail(p.rail) for p in payments),
        payer_device=(0 if p.device is None else digest(p.device) for p in payments),
        payment=(digest(f"{p.tenant}\x1f{p.payer.account}\x1f{p.payment_id}") for p in payments),
        payer=(digest(p.payer.account) for p in payments),
        payee=(digest(p.payee.account) for p in payments),
        text=(each.digest for each in told),
        reference_absent=_or_nan(None if p.reference is None else not p.reference.strip() for p in payments),
        is_handle=(each.is_handle for each in told),
        first_refused=repeat(False, n),
        verdict=repeat(0, n),
        content=repeat(0, n),
        now_ms=repeat(0, n),
    )


def label_rows(labels: Sequence[PaymentLabel], before: Iterable[int], digest: Callable[[str], int]) -> NDArray[Any]:
    """``LABEL_INPUT[k]`` of the labels of a batch at the payer hop; ``digest`` is the deployment's."""
    return rows_of(
        LABEL_INPUT,
        len(labels),
        before=before,
        event_ms=(label.event_time_ms for label in labels),
        value=known_or_nan(label.amount_eur for label in labels),
        digest=(digest(f"{label.tenant}\x1f{label.payment_id}") for label in labels),
        now_ms=repeat(0, len(labels)),
        confirmed=(label.confirmed for label in labels),
    )


def known_or_nan(values: Iterable[float | None]) -> NDArray[np.float64]:
    """NaN for what is not known."""
    return np.fromiter(_or_nan(values), dtype=np.float64)


class CorridorNames(NamedTuple):
    """What names a corridor; ``None`` where it is not told."""

    payer_country: str | None
    payee_country: str | None
    currency: str | None
    received_currency: str | None
    rail: str | None

    @classmethod
    def of(cls, payment: Payment) -> CorridorNames:
        """That of a payment."""
        countries = payment.payer.country, payment.payee.country
        return cls(*countries, payment.currency, payment.received_currency, payment.rail)


def corridor_slots(
    rows: NDArray[Any], names: Callable[[int], CorridorNames], corridors: Corridors
) -> NDArray[np.int64]:
    """int64[n]: the rows of the payments' corridors in ``corridors``; -1 for payments that are no remittance.

    ``rows`` are ``PAYER_INPUT[n]``; ``names`` tells of a row what names its corridor. A currency stands for a country
    that is not told.
    """
    out = np.full(len(rows), -1, dtype=np.int64)
    for at in np.flatnonzero((rows["cross_border"] == 1.0) & (rows["merchant"] == NO_MERCHANT)).tolist():
        payer, payee, currency, received, rail = names(at)
        out[at] = corridors.slot(payer or str(currency), payee or str(received), rail)
    return out


def _crosses_border(payment: Payment) -> bool | None:
    payer, payee = payment.payer.country, payment.payee.country
    if payer is not None and payee is not None:
        return payer != payee
    return True if payment.received_currency not in (None, payment.currency) else None


def _or_nan(values: Iterable[float | None]) -> Iterator[float]:
    return (np.nan if value is None else value for value in values)


def _or_minus_one(values: Iterable[int | None]) -> Iterator[int]:
    return (-1 if value is None else value for value in values)
