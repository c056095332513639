"""JSON (RFC 8259, UTF-8) walked in compiled code, so that what a payment has no use for costs two nanoseconds a byte.

Whoever sends a quarter of a megabyte chooses what is in it, and objects that are made of it only to be thrown away take
ten times as long, or more while the collector counts them. The walk is one loop over one table: a call for each text or
number would take most of the time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.json_grammar import (
    AFTER,
    BAD,
    BEGIN_NAME,
    BEGIN_NUMBER,
    BEGIN_POWER,
    CLOSE,
    COLON,
    COMMA,
    END_NAME,
    ESCAPE_IN_NAME,
    ESCAPED,
    EVENTS,
    FINAL,
    FIRST_ELEMENT,
    FIRST_NAME,
    GRAMMAR,
    IN_NAME,
    INTEGER,
    MINUS,
    NAME,
    OPEN,
    POWER,
    VALUE,
    ZERO,
)
from services.contract.payment import Party, Payment

DEPTH_MAX = 1_024
"""What is nested deeper is no JSON, as ``orjson`` has it."""

_QUOTE, _COMMA, _BACKSLASH = b'",\\'
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_ARRAY, _CLOSE_ARRAY = b"{}[]"
_ZERO, _NINE, _POINT, _MINUS, _PLUS = b"09.-+"
_OBJECT, _TOLD, _READ, _FILLED = 1, 2, 4, 8
"""What is known of an open array or object: which of them it is; whether it is told at all; whether its fields are;
whether any of those was."""
_PLAIN_BYTES_MAX = 200
"""A number that is written in so many, with at most two digits of exponent, is finite."""
_EXPONENT_MAX = 308
_EXPONENT_ENOUGH = 10**9
"""More digits than a record can have."""
_INFINITE = np.frombuffer(str(2**1024 - 2**970).encode(), dtype=np.uint8)
"""The least number that rounds to infinity in 64 bits: halfway from the largest of them to 2**1024."""


class _Names(NamedTuple):
    """Names of fields of a payment, [0, n], and of a party, [1, n]."""

    texts: NDArray[np.uint8]
    """[2, n, longest]."""
    lengths: NDArray[np.int64]
    is_party: NDArray[np.bool_]
    """[n]: which fields of a payment are parties."""


def _names() -> _Names:
    kinds = [msgspec.structs.fields(kind) for kind in (Payment, Party)]
    encoded = [[field.encode_name.encode() for field in fields] for fields in kinds]
    longest, most = max(len(name) for names in encoded for name in names), max(map(len, encoded))
    texts = np.zeros((2, most, longest), dtype=np.uint8)
    lengths, is_party = np.full((2, most), -1, dtype=np.int64), np.array([field.type is Party for field in kinds[0]])
    for kind, names in enumerate(encoded):
        for at, name in enumerate(names):
            texts[kind, at, : len(name)], lengths[kind, at] = np.frombuffer(name, dtype=np.uint8), len(name)
    return _Names(texts, lengths, is_party)


_NAMES = _names()


class Outline(NamedTuple):
    """JSON that was walked."""

    value: bytes
    """What the decoder of payments would look at, and no more; nothing where there is a fault."""
    nesting: int
    fault: int
    """The place of the byte at which it ceases to be JSON; -1: nowhere."""


def outline_of(value: bytes) -> Outline:
    """What a decoder of payments looks at in ``value``: its known fields, with arrays and objects empty where a payment
    has none. Decoded it is the same payment, or refused for the same reason; and it is JSON where ``value`` is.

    >>> outline_of(b'{"rail":[1, {}],"x":[[2]],"payer":{"account":"a","y":{}},"device":null}')
    Outline(value=b'{"rail":[],"payer":{"account":"a"},"device":null}', nesting=3, fault=-1)
    >>> outline_of(b'{"x": 01}')
    Outline(value=b'', nesting=1, fault=7)
    """
    out = np.empty(len(value), dtype=np.uint8)
    size, nesting, fault = _outline(np.frombuffer(value, dtype=np.uint8), out, _NAMES)
    return Outline(out[:size].tobytes(), nesting, fault)


@njit(cache=True)
def depth_of(data: Any) -> int:
    """How deep brackets stand in each other in ``data`` (uint8), besides those in texts; of any bytes, JSON or not."""
    depth = deepest = 0
    at, end = 0, len(data)
    while at < end:
        byte = data[at]
        if byte in (_OPEN_OBJECT, _OPEN_ARRAY):
            depth += 1
            deepest = max(deepest, depth)
        elif byte in (_CLOSE_OBJECT, _CLOSE_ARRAY):
            depth -= 1
        elif byte == _QUOTE:
            at += 1
            while at < end and data[at] != _QUOTE:
                at += 2 if data[at] == _BACKSLASH else 1
        at += 1
    return deepest


@njit(cache=True)
def _outline(data: Any, out: Any, names: _Names) -> Any:
    """Bytes written to ``out``, nesting and fault, as ``Outline`` has them.

    What is told is copied byte by byte as it comes; a name only at its end, when it is known, and a comma before it.
    """
    marks = np.zeros(DEPTH_MAX + 1, dtype=np.uint8)
    size = depth = deepest = 0
    name = number = power = -1
    is_told, is_party, is_escaped = True, True, False
    state, end = VALUE, len(data)
    for at in range(end):
        byte = data[at]
        state = int(GRAMMAR[state, byte])
        if state < EVENTS or state in (BEGIN_NUMBER, BEGIN_POWER):
            if state == BEGIN_NUMBER:
                number, state = at, MINUS if byte == _MINUS else (ZERO if byte == _ZERO else INTEGER)
            elif state == BEGIN_POWER:
                power, state = at, POWER
            if is_told:
                out[size] = byte
                size += 1
            continue
        if state == BAD:
            return 0, deepest, at
        if state == BEGIN_NAME:
            name, is_escaped, state = at, False, IN_NAME
            continue
        if state == ESCAPE_IN_NAME:
            is_escaped, state = True, IN_NAME + ESCAPED
            continue
        if state == END_NAME:
            state = COLON
            if marks[depth] & _READ:
                field = _field(data, name + 1, at, names, depth - 1)
                is_told = is_escaped or field >= 0
                is_party = depth == 1 and (is_escaped or (is_told and names.is_party[field]))
            if is_told:
                if marks[depth] & _FILLED:
                    out[size] = _COMMA
                    size += 1
                marks[depth] |= _FILLED
                for place in range(name, at + 1):
                    out[size] = data[place]
                    size += 1
            continue
        if state == OPEN:
            if depth == DEPTH_MAX:
                return 0, deepest, at
            depth += 1
            deepest = max(deepest, depth)
            is_object = byte == _OPEN_OBJECT
            marks[depth] = _OBJECT if is_object else 0
            if is_told:
                marks[depth] |= _TOLD | (_READ if is_object and is_party else 0)
                out[size] = byte
                size += 1
            is_told = is_party = False
            state = FIRST_NAME if is_object else FIRST_ELEMENT
            continue
        if number >= 0:
            if _may_be_infinite(number, power, at) and _is_infinite(data, number, power, at):
                return 0, deepest, at
            number = power = -1
        is_told, is_object = is_told and depth == 0, marks[depth] & _OBJECT != 0
        if state == CLOSE:
            if depth == 0 or is_object != (byte == _CLOSE_OBJECT):
                return 0, deepest, at
            if marks[depth] & _TOLD:
                out[size] = byte
                size += 1
            depth -= 1
        elif state == COMMA and depth == 0:
            return 0, deepest, at
        state = (NAME if is_object else VALUE) if state == COMMA else AFTER
    if number >= 0 and _may_be_infinite(number, power, end) and _is_infinite(data, number, power, end):
        return 0, deepest, end
    return (size, deepest, -1) if depth == 0 and FINAL[state] else (0, deepest, end)


@njit(cache=True)
def _field(data: Any, start: int, stop: int, names: _Names, kind: int) -> int:
    """Which field of a payment (``kind`` 0) or of a party (1) is named there; -1: none."""
    for field in range(names.lengths.shape[1]):
        if names.lengths[kind, field] == stop - start and data[start] == names.texts[kind, field, 0]:
            place = 1
            while place < stop - start and data[start + place] == names.texts[kind, field, place]:
                place += 1
            if place == stop - start:
                return field
    return -1


@njit(cache=True)
def _may_be_infinite(start: int, power: int, end: int) -> bool:
    """Whether the number from ``start`` on is long, or has an exponent of more than two digits, from ``power`` on."""
    return end - start > _PLAIN_BYTES_MAX or (power >= 0 and end - power > 3)


@njit(cache=True)
def _is_infinite(data: Any, start: int, power: int, end: int) -> bool:
    """Whether a number rounds to infinity."""
    digits_end = power if power >= 0 else end
    exponent = _exponent(data, power + 1, end) if power >= 0 else 0
    leading = start + 1 if data[start] == _MINUS else start
    point = leading
    while point < digits_end and data[point] != _POINT:
        point += 1
    while leading < digits_end and (data[leading] == _ZERO or leading == point):
        leading += 1
    if leading == digits_end:
        return False
    exponent += point - leading - (1 if leading < point else 0)
    if exponent != _EXPONENT_MAX:
        return exponent > _EXPONENT_MAX
    at = leading
    for digit in _INFINITE:
        if at == point:
            at += 1
        mine = data[at] if at < digits_end else _ZERO
        if mine != digit:
            return bool(mine > digit)
        at += 1
    return True


@njit(cache=True)
def _exponent(data: Any, start: int, end: int) -> int:
    """The number after the letter E, with a sign or without, as far as it can matter."""
    first = start + 1 if data[start] == _MINUS or data[start] == _PLUS else start
    number = 0
    for place in range(first, end):
        number = min(10 * number + int(data[place]) - _ZERO, _EXPONENT_ENOUGH)
    return -number if data[start] == _MINUS else number
