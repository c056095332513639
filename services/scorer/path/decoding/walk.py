"""A payment's JSON (RFC 8259), walked once: where each text stands, and what each number is.

Whatever is not plain is left to the typed decoder (``services.contract.codec``), whose word on any input is the last:
escapes, a name that comes twice, nested values of unknown names, numbers that are no plain integers, a text that is too
long, bytes that are no UTF-8. What passes here is a payment in every respect but its codes, and what codes mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from services.scorer.path.decoding.fields import (
    AT,
    FLAG,
    NUMBER,
    PARTY,
    PARTY_LOOKUP,
    PAYEE_FIRST,
    PAYER_FIRST,
    PAYMENT_LOOKUP,
    RULES,
    TEXT,
    Lookup,
    place_of,
)

DIGITS_MAX = 16
"""Of a number: none that a payment can hold has more."""
_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _MINUS = 0x22, 0x2C, 0x3A, 0x7B, 0x7D, 0x2D
_PAYER = AT.payer
_PLAIN, _END, _OTHER, _WIDE = range(4)
_KINDS = np.full(256, _PLAIN, dtype=np.uint8)
"""Of bytes in a text."""
_KINDS[:0x20] = _KINDS[0x5C] = _KINDS[0x7F] = _OTHER
_KINDS[_QUOTE] = _END
_KINDS[0x80:] = _WIDE
_TOP = -1


@njit(cache=True)
def walk(data: Any, start: int, end: int, spans: Any, numbers: Any) -> bool:
    """Whether ``data[start:end]`` is plain. ``spans`` (int32[COUNT, 2]) tells where texts begin, and their lengths in
    bytes: -1 of any field that is not told. ``numbers`` (int64[COUNT]) holds numbers, and flags as 0 or 1."""
    spans[:, 1] = -1
    at = _over_blanks(data, start, end)
    if at >= end or data[at] != _OPEN:
        return False
    at, first, is_first = at + 1, _TOP, True
    while True:
        at = _over_blanks(data, at, end)
        if at >= end:
            return False
        if data[at] == _CLOSE:
            at += 1
            if first == _TOP:
                break
            if spans[first, 1] < 0:  # a party without its account
                return False
            first, is_first = _TOP, False
            continue
        if not is_first:
            if data[at] != _COMMA:
                return False
            at = _over_blanks(data, at + 1, end)
        is_first = False
        if at >= end or data[at] != _QUOTE:
            return False
        name = at + 1
        stop, _ = _text(data, name, end)
        if stop <= name:
            return False
        at = _over_blanks(data, stop + 1, end)
        if at >= end or data[at] != _COLON:
            return False
        at = _over_blanks(data, at + 1, end)
        if at >= end:
            return False
        if first == _TOP:
            field = _which(data, name, stop - name, PAYMENT_LOOKUP)
        else:
            field = _which(data, name, stop - name, PARTY_LOOKUP)
            field = field + first if field >= 0 else field
        if field < 0:
            at = _over_unknown(data, at, end)
        elif spans[field, 1] >= 0:
            return False
        elif RULES.kind[field] == PARTY:
            if data[at] != _OPEN:
                return False
            spans[field, 1] = 0
            at, first, is_first = at + 1, PAYER_FIRST if field == _PAYER else PAYEE_FIRST, True
        else:
            at = _take(data, at, end, field, spans, numbers)
        if at < 0:
            return False
    for field in range(PAYER_FIRST):
        if RULES.required[field] and spans[field, 1] < 0:
            return False
    return bool(_over_blanks(data, at, end) == end)


@njit(cache=True)
def _take(data: Any, at: int, end: int, field: int, spans: Any, numbers: Any) -> int:
    """Take the value of a known field; returns where it ends, or -1."""
    if data[at] == 0x6E:  # n
        if not RULES.nullable[field] or not _is(data, at, end, (0x6E, 0x75, 0x6C, 0x6C)):
            return -1
        return at + 4  # as if it were not told; told again it is not noticed, and the later value holds, as it should
    kind = RULES.kind[field]
    if kind == TEXT:
        if data[at] != _QUOTE:
            return -1
        stop, characters = _text(data, at + 1, end)
        if stop < 0 or not RULES.least[field] <= characters <= RULES.most[field]:
            return -1
        spans[field, 0], spans[field, 1] = at + 1, stop - at - 1
        return int(stop) + 1
    if kind == NUMBER:
        number, at = _integer(data, at, end)
        if at < 0 or not RULES.least[field] <= number <= RULES.most[field]:
            return -1
        numbers[field] = number
    elif kind == FLAG and _is(data, at, end, (0x74, 0x72, 0x75, 0x65)):
        numbers[field] = 1
        at += 4
    elif kind == FLAG and _is(data, at, end, (0x66, 0x61, 0x6C, 0x73, 0x65)):
        numbers[field] = 0
        at += 5
    else:
        return -1
    spans[field, 1] = 0
    return at


@njit(cache=True)
def _over_unknown(data: Any, at: int, end: int) -> int:
    """Where the value of a name that nobody knows ends; -1 for one that is nested, or no plain one."""
    byte = data[at]
    if byte == _QUOTE:
        stop, _ = _text(data, at + 1, end)
        return stop + 1 if stop >= 0 else -1
    if byte == 0x74 and _is(data, at, end, (0x74, 0x72, 0x75, 0x65)):
        return at + 4
    if byte == 0x66 and _is(data, at, end, (0x66, 0x61, 0x6C, 0x73, 0x65)):
        return at + 5
    if byte == 0x6E and _is(data, at, end, (0x6E, 0x75, 0x6C, 0x6C)):
        return at + 4
    stop = int(_integer(data, at, end)[1])
    if stop < 0 or stop >= end or data[stop] != 0x2E:
        return stop
    at = stop + 1
    while at < end and 0x30 <= data[at] <= 0x39 and at - stop <= DIGITS_MAX:
        at += 1
    return at if at > stop + 1 else -1


@njit(cache=True)
def _integer(data: Any, at: int, end: int) -> Any:
    """A number without fraction, and where it ends; -1 where it has none of JSON's forms, or too many digits. What
    stands behind it is looked at by whoever goes on."""
    is_negative = data[at] == _MINUS
    first = at + 1 if is_negative else at
    at, number = first, 0
    while at < end and 0x30 <= data[at] <= 0x39 and at - first < DIGITS_MAX:
        number = 10 * number + (data[at] - 0x30)
        at += 1
    if at == first or (data[first] == 0x30 and (at > first + 1 or is_negative)):
        return 0, -1
    return -number if is_negative else number, at


@njit(cache=True)
def _text(data: Any, start: int, end: int) -> Any:
    """Where the text that begins at ``start`` ends, and its characters; -1 unless it is UTF-8 (RFC 3629) without
    escapes and control characters."""
    at, beside = start, 0
    while at < end:
        kind = _KINDS[data[at]]
        if kind == _PLAIN:
            at += 1
        elif kind == _END:
            return at, at - start - beside
        elif kind == _OTHER:
            return -1, 0
        else:
            size = _wide(data, at, end)
            if size == 0:
                return -1, 0
            at += size
            beside += size - 1
    return -1, 0


@njit(cache=True)
def _wide(data: Any, at: int, end: int) -> int:
    """How many bytes the character beyond ASCII has that begins at ``at``; 0 where none does."""
    byte = data[at]
    low, high = 0x80, 0xBF
    if 0xC2 <= byte <= 0xDF:
        size = 2
    elif 0xE0 <= byte <= 0xEF:
        size = 3
        low = 0xA0 if byte == 0xE0 else low
        high = 0x9F if byte == 0xED else high
    elif 0xF0 <= byte <= 0xF4:
        size = 4
        low = 0x90 if byte == 0xF0 else low
        high = 0x8F if byte == 0xF4 else high
    else:
        return 0
    if at + size > end or not low <= data[at + 1] <= high:
        return 0
    for place in range(at + 2, at + size):
        if not 0x80 <= data[place] <= 0xBF:
            return 0
    return size


@njit(cache=True)
def _which(data: Any, at: int, length: int, lookup: Lookup) -> int:
    """Which of the lookup's names the ``length`` bytes from ``at`` on are; -1: none."""
    which = lookup.slots[place_of(data, at, length, lookup.multiplier)]
    if which < 0 or lookup.lengths[which] != length:
        return -1
    for place in range(length):
        if data[at + place] != lookup.texts[which, place]:
            return -1
    return int(which)


@njit(cache=True)
def _is(data: Any, at: int, end: int, text: Any) -> bool:
    if at + len(text) > end:
        return False
    for place in range(len(text)):  # noqa: SIM110 - numba compiles no all() over a generator
        if data[at + place] != text[place]:
            return False
    return True


@njit(cache=True)
def _over_blanks(data: Any, at: int, end: int) -> int:
    while at < end and (data[at] == 0x20 or data[at] == 0x0A or data[at] == 0x0D or data[at] == 0x09):
        at += 1
    return at
