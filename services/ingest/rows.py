"""What a row of input becomes: a payment ready to send, a bad row with its original bytes, or a counted exclusion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import orjson

from services.contract.codec import Rejection, decode_payment, encode
from services.contract.label import Label


class Ready(NamedTuple):
    """A payment that the contract accepts, encoded."""

    line: int
    """Where it stood in its source, from 1: a line of text, or a row of Parquet."""
    account: str
    """The payer's: the key."""
    value: bytes
    payment_id: str
    event_time_ms: int
    label: Label | None = None


class Bad(NamedTuple):
    """A row that cannot become a payment."""

    line: int
    rejection: Rejection
    original: bytes


class Filtered(NamedTuple):
    """A row that is left out on purpose; ``name`` says on whose."""

    line: int
    name: str


MappedRow: TypeAlias = Ready | Bad | Filtered | Label
"""What can be sent. A ``Label`` on its own is held until event time reaches its ``label_time_ms``."""

SKIPPED, BEFORE, AFTER, BLANK = "skipped by --skip", "before --from", "not before --until", "blank line"


def ready_of_bytes(line: int, value: bytes) -> Ready | Rejection:
    """A payment that is already encoded, checked and otherwise left as it is."""
    payment = decode_payment(value)
    if isinstance(payment, Rejection):
        return payment
    return Ready(line, payment.payer.account, value, payment.payment_id, payment.event_time_ms)


def ready_of_document(line: int, document: dict[str, object]) -> Ready | Rejection:
    """A payment given as the dictionary of its fields, checked by the contract's own decoder, encoded canonically."""
    try:
        written = orjson.dumps(document)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, or text that UTF-8 cannot write
        return Rejection("field_invalid", "", "A value cannot be written as JSON")
    payment = decode_payment(written)
    if isinstance(payment, Rejection):
        return payment
    return Ready(line, payment.payer.account, encode(payment), payment.payment_id, payment.event_time_ms)


def share_of(rows: Iterable[MappedRow]) -> float | None:
    """How much of ``rows`` has been read, 0 to 1; ``None`` where they cannot tell."""
    share = getattr(rows, "share", None)
    return None if share is None else float(share())


@dataclass(slots=True)
class Windowed:
    """``rows`` without the first ``skip``, up to and including the ``limit``-th payment, within event-time bounds.

    ``from_ms`` is included, ``until_ms`` is not. What is left out before the end is ``Filtered`` under a name.
    """

    rows: Iterable[MappedRow]
    skip: int = 0
    limit: int | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    payments: int = field(default=0, init=False)
    """How many have come out."""

    def __iter__(self) -> Iterator[MappedRow]:
        if self.limit == 0:
            return
        for index, row in enumerate(self.rows):
            if index < self.skip:
                yield row if isinstance(row, Label) else Filtered(row.line, SKIPPED)
                continue
            kept = self._bounded(row) if isinstance(row, Ready) else row
            yield kept
            self.payments += isinstance(kept, Ready)
            if self.payments == self.limit:
                return

    def share(self) -> float | None:
        """How much has been read, 0 to 1: of the source, or of ``limit`` where that comes first."""
        read = share_of(self.rows)
        return max(read or 0.0, self.payments / self.limit) if self.limit else read

    def _bounded(self, row: Ready) -> MappedRow:
        if self.from_ms is not None and row.event_time_ms < self.from_ms:
            return Filtered(row.line, BEFORE)
        if self.until_ms is not None and row.event_time_ms >= self.until_ms:
            return Filtered(row.line, AFTER)
        return row
