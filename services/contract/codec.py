"""Bytes to records and back: the one place where a record of any topic is read.

Whatever its bytes are, a value comes out, never an exception. What is wrong with a record is a ``Rejection``, which
repeats nothing of it. ``decode`` is for bytes that are ours, and raises the one exception that carries it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import numpy as np
import orjson

from services.contract.errors import TocsinError
from services.contract.fields import EVENT_TIME_MS_MAX, EVENT_TIME_MS_MIN
from services.contract.label import PaymentLabel
from services.contract.outline import depth_of, outline_of
from services.contract.payment import Payment

T = TypeVar("T", bound=msgspec.Struct)

RECORD_BYTES_MAX = 262_144
"""A larger payment record is refused: real ones are below 4 KiB, and one giant must not starve the rest."""
DECISION_BYTES_MAX = 2 * RECORD_BYTES_MAX
"""The same of a decision, which holds its payment."""
TOPIC_BYTES_MAX = 2 * 1_048_576
"""No record of a topic is larger, unless it was compressed on its way: then it is refused unread."""
PLAIN_BYTES_MAX = 4_096
"""Of a payment that is read as it is; of a larger one only what a payment can hold (``outline_of``)."""
NESTING_MAX = 250
"""A record that is nested deeper is refused: readers of what is made of it would run out of stack. A number of ours,
since how deep a library can read depends on how deep its caller stands, and a replay must say the same."""

_TIME_INVALID = ("field_invalid", "event_time_ms")
_encoder = msgspec.json.Encoder()
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"required field `([^`]+)`")


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a record cannot be processed.

    >>> str(Rejection("label_invalid", "weight", "Expected `float` > 0.0"))
    'label_invalid: weight: Expected `float` > 0.0'
    """

    reason: str
    """One of a small, fixed set of codes; safe as a metric label."""
    field: str
    """The offending field as a path (``payer.account``), or ``""`` when the record as a whole is at fault."""
    detail: str
    """A sentence for people. It never repeats a value of the record."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.reason, self.field, self.detail) if part)


class RecordInvalid(TocsinError, ValueError):
    """Bytes are not what they should be. The message is that of ``rejection``: nothing of the record is in it."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(str(rejection))
        self.rejection = rejection


def read(value: bytes | None, kind: type[T], reason: str, bytes_max: int = RECORD_BYTES_MAX) -> T | Rejection:
    """The record of type ``kind`` in ``value``: JSON in UTF-8 (RFC 8259). No input raises.

    What is larger than ``bytes_max`` is refused unread. ``reason`` is that of the rejection, whatever is wrong.

    >>> from services.contract.decision import Origin
    >>> read(b'{"partition": 1, "offset": 2}', Origin, "origin_invalid")
    Origin(partition=1, offset=2)
    >>> read(b'{"partition": "x"}', Origin, "origin_invalid")
    Rejection(reason='origin_invalid', field='partition', detail='Expected `int`, got `str`')
    """
    if not value:
        return Rejection(reason, "", "The record has no value")
    if len(value) > bytes_max:
        return Rejection(reason, "", f"{len(value)} bytes, and {bytes_max} are allowed")
    if nesting(value) > NESTING_MAX:
        return Rejection(reason, "", f"Nested more than {NESTING_MAX} deep")
    try:
        if not value.isascii():
            value.decode()  # the decoder skips unknown fields unread
        found: T = _decoder(kind).decode(value)
        return found
    except msgspec.ValidationError as error:
        why = rejection_of(error)
        return Rejection(reason, why.field, why.detail)
    except UnicodeDecodeError:
        return Rejection(reason, "", "Not UTF-8")
    except (msgspec.DecodeError, RecursionError):
        return Rejection(reason, "", "Not valid JSON")


def encode(record: msgspec.Struct) -> bytes:
    """Write a record as JSON, fields in the order of its type."""
    return _encoder.encode(record)


def decode(value: bytes | None, kind: type[T]) -> T:
    """The record of type ``kind`` in bytes that Tocsin wrote, however many they are.

    Raises
    ------
    RecordInvalid
        When they are anything else. It names the field.
    """
    found = read(value, kind, "record_invalid", len(value or b""))
    if isinstance(found, Rejection):
        raise RecordInvalid(found)
    return found


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
    if len(value) > PLAIN_BYTES_MAX:
        outline = outline_of(value)
        if outline.fault >= 0:
            return Rejection("not_json", "", f"Not valid JSON from byte {outline.fault} on")
        deep, value = outline.nesting, outline.value
    else:
        deep = nesting(value)
    try:
        content = orjson.loads(value)
        if deep > NESTING_MAX:
            return Rejection("not_a_payment", "", f"Nested more than {NESTING_MAX} deep")
        payment = msgspec.convert(content, Payment)
    except orjson.JSONDecodeError as error:
        return Rejection("not_json", "", str(error))
    except msgspec.ValidationError as error:
        why = rejection_of(error)
        unit = _wrong_unit(content["event_time_ms"]) if (why.reason, why.field) == _TIME_INVALID else None
        return unit or why
    if (payment.received_amount_minor is None) != (payment.received_currency is None):
        absent = "received_currency" if payment.received_currency is None else "received_amount_minor"
        return Rejection("field_missing", absent, "received_amount_minor and received_currency come together")
    return payment


def _wrong_unit(event_time: Any) -> Rejection | None:
    """Why an event time cannot be milliseconds, if it looks like another unit."""
    if not isinstance(event_time, int) or isinstance(event_time, bool) or event_time < 0:
        return None
    if event_time < EVENT_TIME_MS_MIN:
        unit = "seconds"
    elif event_time <= EVENT_TIME_MS_MAX:
        return None
    else:
        unit = "microseconds" if event_time <= EVENT_TIME_MS_MAX * 1_000 else "nanoseconds"
    return Rejection(
        "event_time_unit", "event_time_ms", f"This looks like {unit} since 1970: milliseconds are asked for"
    )


def decode_payment_label(value: bytes | None) -> PaymentLabel | Rejection:
    """Read a payment's label; no input raises.

    >>> decode_payment_label(b'{"payment_id": "p-1"}')
    Rejection(reason='payment_label_invalid', field='payer', detail='Object missing required field `payer`')
    """
    return read(value, PaymentLabel, "payment_label_invalid")


def rejection_of(error: msgspec.ValidationError) -> Rejection:
    """The rejection that an error of msgspec means, with the path of the field.

    msgspec repeats a value where it says ``Invalid ...``, and nowhere else; keys of a mapping are ``...`` in its paths.
    """
    message = str(error)
    path = _PATH.search(message)
    parent = path.group(1) if path else ""
    detail = message[: path.start()] if path else message
    if detail.startswith("Invalid"):
        return Rejection("field_invalid", parent, "Not one of the allowed codes")
    missing = _MISSING.search(detail)
    if missing:
        field = f"{parent}.{missing.group(1)}" if parent else missing.group(1)
        return Rejection("field_missing", field, detail)
    if not path:
        return Rejection("not_a_payment", "", detail)
    return Rejection("field_invalid", parent, detail)


def nesting(value: bytes) -> int:
    """How deep ``value`` is nested as JSON; an upper bound where that is within the limit already.

    Linear in the length of any bytes, JSON or not. What is opened has to be closed, so half of the length is a bound.

    >>> nesting(b"[" * 300 + b"]" * 300), nesting(b'["' + b"[" * 500 + b'"]')
    (300, 1)
    """
    if len(value) <= 2 * NESTING_MAX:
        return len(value) // 2
    return int(depth_of(np.frombuffer(value, dtype=np.uint8)))


@lru_cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
