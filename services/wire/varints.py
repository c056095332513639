"""Zigzag varints, as Kafka's records and Protocol Buffers have them, and texts behind their length."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def frozen(data: Any) -> Bytes:
    """A buffer of bytes as an array that nobody writes to: kernels are compiled for such, and only once."""
    array = np.frombuffer(data, dtype=np.uint8)
    array.flags.writeable = False
    return array


_MORE, _LOW, _ONE, _SEVEN = np.uint64(0x80), np.uint64(0x7F), np.uint64(1), np.uint64(7)


@njit(cache=True)
def read_varint(data: Bytes, at: int, end: int) -> Any:
    """int64, int64: the number at ``at`` and where it ends; the latter is -1 where no number ends before ``end``."""
    raw, shift = np.uint64(0), np.uint64(0)
    while at < end and shift < np.uint64(64):
        byte = np.uint64(data[at])
        at += 1
        raw |= (byte & _LOW) << shift
        if byte < _MORE:
            return np.int64(raw >> _ONE) ^ -np.int64(raw & _ONE), at
        shift += _SEVEN
    return np.int64(0), -1


@njit(cache=True)
def write_varint(out: Bytes, at: int, number: int) -> int:
    """Write ``number`` at ``at``; returns where it ends."""
    raw = np.uint64((number << 1) ^ (number >> 63))
    while raw >= _MORE:
        out[at] = np.uint8((raw & _LOW) | _MORE)
        at += 1
        raw >>= _SEVEN
    out[at] = np.uint8(raw)
    return at + 1


@njit(cache=True)
def varint_size(number: int) -> int:
    """Bytes that ``write_varint`` takes for it."""
    raw = np.uint64((number << 1) ^ (number >> 63))
    size = 1
    while raw >= _MORE:
        raw >>= _SEVEN
        size += 1
    return size


@njit(cache=True)
def write_text(out: Bytes, at: int, data: Bytes, start: int, length: int) -> int:
    """Write a text of ``data`` behind its length, which is negative where there is none; returns where it ends."""
    at = write_varint(out, at, length)
    size = max(length, 0)
    copy(out, at, data, start, size)
    return at + size


@njit(cache=True)
def copy(out: Bytes, at: int, data: Bytes, start: int, length: int) -> None:
    """Copy ``length`` bytes from ``start`` of ``data`` to ``at`` of ``out``; none of the three is negative."""
    to, begin = np.uint64(at), np.uint64(start)  # numba turns negative indices round, which keeps loops from being fast
    for i in range(np.uint64(length)):
        out[to + i] = data[begin + i]
