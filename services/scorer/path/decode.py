"""The first stage: bytes of ``payments.v1`` to payments, or to dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.contract import dead_letter as dead_letters
from services.contract.codec import Rejection, decode_payment, decode_payment_label
from services.contract.events import PAYMENT_LABEL, type_header
from services.contract.label import PaymentLabel
from services.contract.payment import Payment
from services.contract.units import DAY_MS
from services.scorer.path.records import Inbound, Outbound

FUTURE_MS_MAX = DAY_MS
"""A payment dated more than a day after its record was appended is refused: one wrong clock would age every account."""
_LABEL = type_header(PAYMENT_LABEL)


@dataclass(slots=True)
class Decoded:
    """The payments of a batch with the records they came in, the labels likewise, and the dead letters, in order."""

    payments: list[Payment] = field(default_factory=list)
    records: list[Inbound] = field(default_factory=list)
    labels: list[PaymentLabel] = field(default_factory=list)
    label_records: list[Inbound] = field(default_factory=list)
    payments_before: list[int] = field(default_factory=list)
    """How many of the payments stand before each label."""
    dead: list[Outbound] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def decode(records: Iterable[Inbound], topic: str, partition: int) -> Decoded:
    """Read a batch of ``payments.v1``. Whatever cannot be processed becomes a dead letter; nothing raises."""
    decoded = Decoded()
    for record in records:
        found = _read(record)
        if isinstance(found, Payment):
            decoded.payments.append(found)
            decoded.records.append(record)
        elif isinstance(found, Rejection):
            decoded.dead.append(dead_letter(record, found, topic, partition))
            decoded.reasons.append(found.reason)
        else:
            decoded.labels.append(found)
            decoded.label_records.append(record)
            decoded.payments_before.append(len(decoded.payments))
    return decoded


def _read(record: Inbound) -> Payment | PaymentLabel | Rejection:
    found = decode_payment_label(record.value) if _LABEL in record.headers else decode_payment(record.value)
    if isinstance(found, Rejection):
        return found
    payer = found.payer if isinstance(found, PaymentLabel) else found.payer.account
    if record.key != payer.encode():
        return Rejection("key_mismatch", "key", "The record's key must be the payer's account, in UTF-8")
    if isinstance(found, Payment) and is_in_future(found.event_time_ms, record.timestamp):
        return Rejection("event_time_in_future", "event_time_ms", "More than a day after the record was appended")
    return found


def is_in_future(event_time_ms: int, appended_ms: int) -> bool:
    """Whether a payment is dated too far after its append; nothing is said of one whose append is not known (-1)."""
    return appended_ms >= 0 and event_time_ms > appended_ms + FUTURE_MS_MAX


def dead_letter(record: Inbound, rejection: Rejection, topic: str, partition: int) -> Outbound:
    """The record as it came, with what was wrong and where it stood in its headers."""
    origin = (topic, partition, record.offset)
    letter = dead_letters.dead_letter(rejection, origin, record.key, record.value, record.headers)
    return Outbound(partition, record.timestamp, letter.key, letter.value or b"", letter.headers)
