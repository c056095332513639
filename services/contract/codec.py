"""Bytes to records and back. Reading is strict; an error is a value that names the field."""

from __future__ import annotations

import msgspec
import orjson

from services.contract.label import PaymentLabel
from services.contract.payment import Payment
from services.contract.reading import (
    DECISION_BYTES_MAX,
    NESTING_MAX,
    RECORD_BYTES_MAX,
    RecordInvalid,
    Rejection,
    decode,
    nesting,
    read,
    rejection_of,
)

__all__ = [
    "DECISION_BYTES_MAX",
    "NESTING_MAX",
    "RECORD_BYTES_MAX",
    "RecordInvalid",
    "Rejection",
    "decode",
    "decode_payment",
    "decode_payment_label",
    "encode",
    "read",
]

_encoder = msgspec.json.Encoder()


def decode_payment(value: bytes | None) -> Payment | Rejection:
    """Read one payment.

    Valid JSON (RFC 8259, UTF-8) and the types of ``Payment`` are both required; unknown fields are allowed.
    Anything else comes back as a ``Rejection``; no input raises.

    >>> decode_payment(b'{"payment_id": "p-1"}')
    Rejection(reason='field_missing', field='event_time_ms', detail='Object missing required field `event_time_ms`')
    """
    if not value:
        return Rejection("empty", "", "The record has no value")
    if len(value) > RECORD_BYTES_MAX:
        return Rejection("oversized", "", f"{len(value)} bytes, and {RECORD_BYTES_MAX} are allowed")
    try:
        content = orjson.loads(value)
        if nesting(value) > NESTING_MAX:
            return Rejection("not_a_payment", "", f"Nested more than {NESTING_MAX} deep")
        payment = msgspec.convert(content, Payment)
    except orjson.JSONDecodeError as error:
        return Rejection("not_json", "", str(error))
    except msgspec.ValidationError as error:
        return rejection_of(error)
    if (payment.received_amount_minor is None) != (payment.received_currency is None):
        absent = "received_currency" if payment.received_currency is None else "received_amount_minor"
        return Rejection("field_missing", absent, "received_amount_minor and received_currency come together")
    return payment


def decode_payment_label(value: bytes | None) -> PaymentLabel | Rejection:
    """Read a payment's label; no input raises.

    >>> decode_payment_label(b'{"payment_id": "p-1"}')
    Rejection(reason='payment_label_invalid', field='payer', detail='Object missing required field `payer`')
    """
    return read(value, PaymentLabel, "payment_label_invalid")


def encode(record: msgspec.Struct) -> bytes:
    """Write a record as JSON, fields in the order of its type."""
    return _encoder.encode(record)
