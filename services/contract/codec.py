"""Bytes to records and back. Reading is strict; an error is a value that names the field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import orjson

from services.contract.types import ModelAnnouncement, Payment, PaymentLabel, Promotion

T = TypeVar("T", bound=msgspec.Struct)

RECORD_BYTES_MAX = 262_144
"""A larger payment record is refused: real ones are below 4 KiB, and one giant must not starve the rest."""

NESTING_MAX = 250
"""A record whose unknown fields are nested deeper is refused: readers of its decision would run out of stack."""

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"required field `([^`]+)`")
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a record cannot be processed.

    Parameters
    ----------
    reason
        One of a small, fixed set of codes; safe as a metric label.
    field
        The offending field as a path (``payer.account``), or ``""`` when the record as a whole is at fault.
    detail
        A sentence for people. It never repeats a value of the record.
    """

    reason: str
    field: str
    detail: str


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
        if len(value) > 2 * NESTING_MAX and _nesting(value) > NESTING_MAX:
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
    if not value:
        return Rejection("payment_label_invalid", "", "The record has no value")
    if len(value) > RECORD_BYTES_MAX:
        return Rejection("payment_label_invalid", "", f"{len(value)} bytes, and {RECORD_BYTES_MAX} are allowed")
    try:
        return msgspec.convert(orjson.loads(value), PaymentLabel)
    except orjson.JSONDecodeError as error:
        return Rejection("payment_label_invalid", "", str(error))
    except msgspec.ValidationError as error:
        found = rejection_of(error)
        return Rejection("payment_label_invalid", found.field, found.detail)


def _nesting(value: bytes) -> int:
    """How deep ``value``, which is JSON, is nested; an upper bound where that is within the limit already."""
    opened = value.count(b"[") + value.count(b"{")
    if opened <= NESTING_MAX:
        return opened
    deepest = depth = 0
    for byte in _STRINGS.sub(b"", value):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def rejection_of(error: msgspec.ValidationError) -> Rejection:
    """The rejection that an error of msgspec means, with the path of the field."""
    message = str(error)
    path = _PATH.search(message)
    parent = path.group(1) if path else ""
    detail = message[: path.start()] if path else message
    if detail.startswith("Invalid enum value"):
        return Rejection("field_invalid", parent, "Not one of the allowed codes")
    missing = _MISSING.search(detail)
    if missing:
        field = f"{parent}.{missing.group(1)}" if parent else missing.group(1)
        return Rejection("field_missing", field, detail)
    if not path:
        return Rejection("not_a_payment", "", detail)
    return Rejection("field_invalid", parent, detail)


def encode(record: msgspec.Struct) -> bytes:
    """Write a record as JSON, fields in the order of its type."""
    return _encoder.encode(record)


def decode(value: bytes, kind: type[T]) -> T:
    """Read a record that Tocsin wrote, or that people send on a low-rate topic.

    Raises
    ------
    msgspec.ValidationError
        When a field is missing or of the wrong type; the message names it.
    msgspec.DecodeError
        When the bytes are not JSON.
    """
    return msgspec.json.decode(value, type=kind)


CHAMPION = b"champion"
"""Key of the promotion among announcements in ``models.v1``; theirs hold a slash."""


def decode_announcement(key: bytes | None, value: bytes) -> ModelAnnouncement:
    """The model that a record of ``models.v1`` carries, be it an announcement or the promotion.

    Raises
    ------
    msgspec.MsgspecError
        As ``decode``.
    """
    return decode(value, Promotion).champion if key == CHAMPION else decode(value, ModelAnnouncement)
