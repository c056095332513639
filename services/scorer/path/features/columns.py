"""A batch of payments as columns: what the kernels read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.contract.codes import COUNTRIES, CURRENCY_EXPONENT
from services.contract.remembered import remembered
from services.contract.types import Payment, PaymentLabel
from services.scorer.path.features.corridors import Corridors
from services.scorer.path.features.private import PrivateLists
from services.scorer.path.features.references import Reference

UNKNOWN_OFFSET = -100_000
"""Stands for an unknown UTC offset in ``offset_minutes``."""
STATUS_CODE = {"attempted": 0, "accepted": 1, "rejected": 2, "returned": 3}
COUNTRY_CODE: dict[str | None, int] = {
    None: -1,
    **{code: (ord(code[0]) - 65) * 26 + ord(code[1]) - 65 for code in COUNTRIES},
}


CURRENCY_CODE = {code: at for at, code in enumerate(sorted(CURRENCY_EXPONENT))}
NO_MERCHANT, ADULT, TRAVEL, OTHER_MERCHANT = range(4)
_ADULT = frozenset({"5967", "7273"})
_TRAVEL = frozenset({"4511", "4722", "7011", *map(str, range(3000, 4000))})
_MONEY_TRANSFER = "4829"
"""The remitter itself is the merchant of a card: who is paid is not."""


_NO_REFERENCE = Reference(kind=-1, is_handle=False, digest=0)


def _merchant_class(category: str) -> int:
    """Which of the classes that features ask for a merchant category (ISO 18245) is in."""
    if category == _MONEY_TRANSFER:
        return NO_MERCHANT
    return ADULT if category in _ADULT else TRAVEL if category in _TRAVEL else OTHER_MERCHANT


_class_of = remembered(_merchant_class, 4_096)


@dataclass(frozen=True, slots=True)
class PayerColumns:
    """n payments as the payer hop reads them: arrays of length n. -1 stands for an integer that was not told."""

    event_ms: NDArray[np.int64]
    amount: NDArray[np.float64]
    """EUR; NaN where the currency has no rate."""
    amount_minor: NDArray[np.int64]
    received_minor: NDArray[np.int64]
    status: NDArray[np.int64]
    payer_country: NDArray[np.int64]
    payee_country: NDArray[np.int64]
    cross_border: NDArray[np.float64]
    offset_minutes: NDArray[np.int64]
    opened_ms: NDArray[np.int64]
    reference_absent: NDArray[np.bool_]
    is_handle: NDArray[np.bool_]
    excuse: NDArray[np.int64]
    """Kind of benign reason that the reference gives, or -1."""
    currency: NDArray[np.int64]
    merchant: NDArray[np.int64]
    """Merchant category: ``NO_MERCHANT``, ``ADULT``, ``TRAVEL`` or ``OTHER_MERCHANT``."""
    payee_minor: NDArray[np.float64]
    unrelated: NDArray[np.float64]
    rail: NDArray[np.uint64]
    device: NDArray[np.uint64]
    """Digest of the payer's device, 0 where none is told."""
    payment_digest: NDArray[np.uint64]
    payer_digest: NDArray[np.uint64]
    payee_digest: NDArray[np.uint64]
    payee_opened_ms: NDArray[np.int64]
    text: NDArray[np.uint64]
    """Digest of the reference, 0 for one that is too short to tell."""
    confirmed: NDArray[np.float64]
    """Whether the payee stands in the deployer's list."""
    in_lexicon: NDArray[np.float64]
    """Whether the reference holds a term of the private lexicon; NaN while there is none."""


def payer_columns(payments: Sequence[Payment], eur_per_minor: dict[str, float], private: PrivateLists) -> PayerColumns:
    """Columns of a batch of payments; ``eur_per_minor`` is what one minor unit of a currency is worth, ``private`` are
    the deployer's lists and its key of digests."""
    texts = private.texts
    digest, rail, reference = texts.digest, texts.rail, texts.reference
    told = [reference(p.reference) if p.reference else _NO_REFERENCE for p in payments]
    return PayerColumns(
        event_ms=_int64(p.event_time_ms for p in payments),
        # Rounded, or an amount that stands exactly on a bound could fall beside it by the last bit of its rate.
        amount=np.round([p.amount_minor * eur_per_minor.get(p.currency, np.nan) for p in payments], 9),
        amount_minor=_int64(p.amount_minor for p in payments),
        received_minor=_optional(p.received_amount_minor for p in payments),
        status=_int64(STATUS_CODE[p.status] for p in payments),
        payer_country=_int64(COUNTRY_CODE[p.payer.country] for p in payments),
        payee_country=_int64(COUNTRY_CODE[p.payee.country] for p in payments),
        cross_border=_flags(_crosses_border(p) for p in payments),
        offset_minutes=_int64(
            UNKNOWN_OFFSET if p.utc_offset_minutes is None else p.utc_offset_minutes for p in payments
        ),
        opened_ms=_optional(p.payer.opened_ms for p in payments),
        reference_absent=np.array([not (p.reference and p.reference.strip()) for p in payments], dtype=np.bool_),
        is_handle=np.array([each.is_handle for each in told], dtype=np.bool_),
        excuse=_int64(each.kind for each in told),
        currency=_int64(CURRENCY_CODE[p.currency] for p in payments),
        merchant=_int64(
            NO_MERCHANT if p.merchant_category is None else _class_of(p.merchant_category) for p in payments
        ),
        payee_minor=_flags(p.payee.minor for p in payments),
        unrelated=_flags(None if p.relationship is None else p.relationship == "none" for p in payments),
        rail=np.fromiter((rail(p.rail or "") for p in payments), dtype=np.uint64),
        device=np.fromiter((0 if p.device is None else digest(p.device) for p in payments), dtype=np.uint64),
        payment_digest=np.fromiter((digest(f"{p.tenant}\x1f{p.payment_id}") for p in payments), dtype=np.uint64),
        payer_digest=np.fromiter((digest(p.payer.account) for p in payments), dtype=np.uint64),
        payee_digest=np.fromiter((digest(p.payee.account) for p in payments), dtype=np.uint64),
        payee_opened_ms=_optional(p.payee.opened_ms for p in payments),
        text=np.fromiter((each.digest for each in told), dtype=np.uint64),
        confirmed=private.are_confirmed([p.payee.account for p in payments]),
        in_lexicon=private.hold_terms([p.reference for p in payments]),
    )


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """k labels as a hop reads them among the records of a batch: arrays of length k."""

    before: NDArray[np.int64]
    """How many of the batch's other records stand before each."""
    event_ms: NDArray[np.int64]
    """Of the payment, like all that follows."""
    value: NDArray[np.float64]
    """At the payer hop the amount (EUR), at the payee hop the amount over cleared; NaN where missing."""
    confirmed: NDArray[np.bool_]
    digest: NDArray[np.uint64]
    """Of the payment's id, at the payer hop; 0 at the payee hop."""


def label_columns(labels: Sequence[PaymentLabel], before: Sequence[int], digest: Callable[[str], int]) -> LabelColumns:
    """Columns of the labels of a batch at the payer hop; ``digest`` is the deployment's."""
    return LabelColumns(
        before=_int64(before),
        event_ms=_int64(label.event_time_ms for label in labels),
        value=known_or_nan(label.amount_eur for label in labels),
        confirmed=np.array([label.confirmed for label in labels], dtype=np.bool_),
        digest=np.fromiter((digest(f"{label.tenant}\x1f{label.payment_id}") for label in labels), dtype=np.uint64),
    )


def known_or_nan(values: Iterable[float | None]) -> NDArray[np.float64]:
    """NaN for what is not known."""
    return np.fromiter((np.nan if value is None else value for value in values), dtype=np.float64)


def corridor_slots(payments: Sequence[Payment], columns: PayerColumns, corridors: Corridors) -> NDArray[np.int64]:
    """int64[n]: the rows of the payments' corridors in ``corridors``; -1 for payments that are no remittance.

    ``columns`` are those of ``payments``. A currency stands for a country that is not told.
    """
    out = np.full(len(payments), -1, dtype=np.int64)
    for at in np.flatnonzero((columns.cross_border == 1.0) & (columns.merchant == NO_MERCHANT)).tolist():
        payment = payments[at]
        payer, payee = payment.payer.country, payment.payee.country
        out[at] = corridors.slot(payer or payment.currency, payee or str(payment.received_currency), payment.rail)
    return out


def _crosses_border(payment: Payment) -> bool | None:
    payer, payee = payment.payer.country, payment.payee.country
    if payer is not None and payee is not None:
        return payer != payee
    return True if payment.received_currency not in (None, payment.currency) else None


@dataclass(frozen=True, slots=True)
class PayeeColumns:
    """n records as the payee hop reads them: arrays of length n.

    Of an outflow only ``event_ms`` and ``amount`` mean anything.
    """

    outflow: NDArray[np.bool_]
    """The record says that the account paid money out; it is not a payment to it."""
    event_ms: NDArray[np.int64]
    amount: NDArray[np.float64]
    status: NDArray[np.int64]
    payer_country: NDArray[np.int64]
    opened_ms: NDArray[np.int64]
    payer_digest: NDArray[np.uint64]
    payer_signs: NDArray[np.float64]
    recent_payees: NDArray[np.uint16]
    """[n, RECENT_PAYEES]: marks of the payer's others."""
    is_remittance: NDArray[np.float64]
    text: NDArray[np.uint64]
    """Digest of the reference, 0 for one that is too short to tell."""
    confirmed: NDArray[np.float64]
    in_lexicon: NDArray[np.float64]
    over_cleared: NDArray[np.float64]
    """``payer_amount_over_cleared``."""
    is_small: NDArray[np.float64]
    cross_border: NDArray[np.float64]
    roundness: NDArray[np.float64]


def _flags(values: Iterable[bool | None]) -> NDArray[np.float64]:
    """1 for true, 0 for false, NaN for what was not told."""
    return np.fromiter((np.nan if value is None else float(value) for value in values), dtype=np.float64)


def _int64(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, dtype=np.int64)


def _optional(values: Iterable[int | None]) -> NDArray[np.int64]:
    return np.fromiter((-1 if value is None else value for value in values), dtype=np.int64)
