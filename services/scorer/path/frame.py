"""Frames: how a payment travels from the payer hop to the payee hop (``payments.by-payee.v1``, internal).

Little-endian. A header, then for a payment its payer-hop features (float64 each), marks of its payer's recent payees
(uint16 each) and its original JSON; for an outflow its event time (int64, ms), amount (float64, EUR) and tenant. The
record's key is the account.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.contract.codec import Rejection, decode_payment
from services.contract.types import Origin, Payment
from services.scorer.path.features import PAYER_HOP, RECENT_PAYEES
from services.scorer.path.records import Inbound

PAYMENT, OUTFLOW = 0, 1
_MAGIC = b"TOC1"
_HEADER = struct.Struct("<4sB3x8siq")  # magic, kind, feature schema (first 8 bytes), origin partition and offset
_OUTFLOW = struct.Struct("<qd")
_FEATURES_END = _HEADER.size + 8 * len(PAYER_HOP)
_PAYEES_END = _FEATURES_END + 2 * RECENT_PAYEES
_decoder = msgspec.json.Decoder(Payment)


def payment_frame(
    schema: bytes, partition: int, offset: int, features: bytes, recent_payees: bytes, payment: bytes
) -> bytes:
    """Frame of a payment. ``schema`` is 8 bytes, ``features`` float64[len(PAYER_HOP)] and ``recent_payees``
    uint16[RECENT_PAYEES] as bytes."""
    return _HEADER.pack(_MAGIC, PAYMENT, schema, partition, offset) + features + recent_payees + payment


def outflow_frame(schema: bytes, partition: int, offset: int, event_ms: int, amount: float, tenant: str) -> bytes:
    """Frame of a note that the account in the record's key paid ``amount`` EUR out."""
    header = _HEADER.pack(_MAGIC, OUTFLOW, schema, partition, offset)
    return header + _OUTFLOW.pack(event_ms, amount) + tenant.encode()


def is_payment_from(frame: bytes, origin: Origin) -> bool:
    """Whether ``frame`` carries the payment that was read at ``origin``."""
    if len(frame) < _HEADER.size or not frame.startswith(_MAGIC):
        return False
    _, kind, _, partition, offset = _HEADER.unpack_from(frame)
    return bool(kind == PAYMENT and partition == origin.partition and offset == origin.offset)


@dataclass(slots=True)
class Frames:
    """A batch of ``payments.by-payee.v1``, read: n entries, and the records that could not be read."""

    records: list[Inbound] = field(default_factory=list)
    payments: list[Payment | None] = field(default_factory=list)
    """``None`` for an outflow."""
    raw_payments: list[bytes] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    tenants: list[str] = field(default_factory=list)
    outflows: list[tuple[int, float]] = field(default_factory=list)
    """Event time and amount, of outflows in order."""
    feature_bytes: list[bytes] = field(default_factory=list)
    recent_payee_bytes: list[bytes] = field(default_factory=list)
    """Of payments in order, as their frames carry them."""
    duplicates: int = 0
    rejected: list[tuple[Inbound, Rejection]] = field(default_factory=list)

    def payer_features(self) -> NDArray[np.float64]:
        """float64[payments, len(PAYER_HOP)] of the batch's payments, in order."""
        return np.frombuffer(b"".join(self.feature_bytes), dtype=np.float64).reshape(-1, len(PAYER_HOP))

    def recent_payees(self) -> NDArray[np.uint16]:
        """uint16[payments, RECENT_PAYEES] of the batch's payments, in order."""
        return np.frombuffer(b"".join(self.recent_payee_bytes), dtype=np.uint16).reshape(-1, RECENT_PAYEES)


def read_frames(records: Sequence[Inbound], schema: bytes, seen: NDArray[np.int64]) -> Frames:
    """Read a batch. A frame at or before what ``seen`` (int64, by origin partition) says is a repeat.

    ``seen`` is updated. With exactly-once delivery nothing repeats; with at-least-once a crash makes the payer hop
    write some frames again, and they must not count twice.
    """
    frames = Frames()
    for record in records:
        value = record.value or b""
        rejection = _check(value, schema, len(seen))
        if rejection is not None or record.key is None:
            frames.rejected.append((record, rejection or Rejection("frame_invalid", "key", "The frame has no key")))
            continue
        _, kind, _, partition, offset = _HEADER.unpack_from(value)
        position = 2 * offset + kind
        if position <= seen[partition]:
            frames.duplicates += kind == PAYMENT
            continue
        seen[partition] = position
        frames.records.append(record)
        frames.origins.append(Origin(partition, offset))
        if kind == OUTFLOW:
            _read_outflow(frames, value)
        else:
            _read_payment(frames, value)
    return frames


def _read_payment(frames: Frames, value: bytes) -> None:
    raw = value[_PAYEES_END:]
    payment = _payment(raw)
    frames.payments.append(payment)
    frames.tenants.append(payment.tenant)
    frames.raw_payments.append(raw)
    frames.feature_bytes.append(value[_HEADER.size : _FEATURES_END])
    frames.recent_payee_bytes.append(value[_FEATURES_END:_PAYEES_END])


def _payment(raw: bytes) -> Payment:
    """The payment that the payer hop read. Where a name comes twice the last counts, as it did there, and the fast
    decoder refuses what the contract's does not: an earlier value of the wrong type."""
    try:
        return _decoder.decode(raw)
    except msgspec.ValidationError:
        payment = decode_payment(raw)
        assert isinstance(payment, Payment), "the payer hop sends on only what it could read"
        return payment


def _read_outflow(frames: Frames, value: bytes) -> None:
    frames.payments.append(None)
    frames.outflows.append(_OUTFLOW.unpack_from(value, _HEADER.size))
    frames.tenants.append(value[_HEADER.size + _OUTFLOW.size :].decode())


def _check(value: bytes, schema: bytes, partitions: int) -> Rejection | None:
    """Why ``value`` is not a frame of this code's, if it is not."""
    if len(value) < _HEADER.size + _OUTFLOW.size or not value.startswith(_MAGIC):
        return Rejection("frame_invalid", "", "Not a frame of the payer hop")
    _, kind, written, partition, _ = _HEADER.unpack_from(value)
    if written != schema:
        return Rejection("feature_schema_mismatch", "", f"Written under feature schema {written.hex()}")
    if not 0 <= partition < partitions or kind > OUTFLOW or (kind == PAYMENT and len(value) <= _PAYEES_END):
        return Rejection("frame_invalid", "", "Its header cannot be right")
    return None
