"""SipHash-2-4: short digests under a key, in compiled code.

Aumasson and Bernstein, *SipHash: a fast short-input PRF* (2012); the 128-bit form is that of their reference code.
Made for tables whose keys strangers choose: without the key nobody can find two texts with one digest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Key = tuple[np.uint64, np.uint64]

_SHIFT8, _MASK = np.uint64(8), np.uint64(0xFF)


def key_of(secret: bytes) -> Key:
    """The key in the first 16 bytes of ``secret``, little-endian."""
    first, second = np.frombuffer(secret[:16], dtype="<u8")
    return np.uint64(first), np.uint64(second)


def digests_of(data: bytes, key: Key) -> tuple[int, int]:
    """The 128-bit digest of ``data``, as its two halves.

    >>> [half.to_bytes(8, "little").hex() for half in digests_of(b"", key_of(bytes(range(16))))]
    ['a3817f04ba25a8e6', '6df67214c7550293']
    """
    low, high = siphash128(np.frombuffer(data, dtype=np.uint8), 0, len(data), key)
    return int(low), int(high)


def digest_of(data: bytes, key: Key) -> int:
    """The 64-bit digest of ``data``.

    >>> hex(digest_of(bytes(range(15)), key_of(bytes(range(16)))))
    '0xa129ca6149be45e5'
    """
    return int(siphash64(np.frombuffer(data, dtype=np.uint8), 0, len(data), key))


@njit(cache=True)
def siphash64(data: NDArray[np.uint8], start: int, length: int, key: Key) -> Any:
    """uint64: the digest of ``data[start : start + length]``."""
    a, b, c, d = _absorbed(data, start, length, key, np.uint64(0))
    a, b, c, d = _finished(a, b, c ^ _MASK, d)
    return a ^ b ^ c ^ d


@njit(cache=True)
def siphash128(data: NDArray[np.uint8], start: int, length: int, key: Key) -> Any:
    """uint64, uint64: the same in 128 bits."""
    a, b, c, d = _absorbed(data, start, length, key, np.uint64(0xEE))
    a, b, c, d = _finished(a, b, c ^ np.uint64(0xEE), d)
    low = a ^ b ^ c ^ d
    a, b, c, d = _finished(a, b ^ np.uint64(0xDD), c, d)
    return low, a ^ b ^ c ^ d


@njit(cache=True, inline="always")
def _absorbed(data: Any, start: int, length: int, key: Any, wide: Any) -> Any:
    """The four words of the state after all of the text."""
    a, b = key[0] ^ np.uint64(0x736F6D6570736575), key[1] ^ np.uint64(0x646F72616E646F6D) ^ wide
    c, d = key[0] ^ np.uint64(0x6C7967656E657261), key[1] ^ np.uint64(0x7465646279746573)
    stop = start + (length & ~7)
    for at in range(start, stop, 8):
        word = np.uint64(0)
        for place in range(7, -1, -1):
            word = (word << _SHIFT8) | np.uint64(data[at + place])
        d ^= word
        a, b, c, d = _round(a, b, c, d)
        a, b, c, d = _round(a, b, c, d)
        a ^= word
    word = np.uint64(length & 0xFF)
    for place in range(6, -1, -1):
        byte = np.uint64(data[stop + place]) if place < (length & 7) else np.uint64(0)
        word = (word << _SHIFT8) | byte
    d ^= word
    a, b, c, d = _round(a, b, c, d)
    a, b, c, d = _round(a, b, c, d)
    return a ^ word, b, c, d


@njit(cache=True, inline="always")
def _finished(a: Any, b: Any, c: Any, d: Any) -> Any:
    for _ in range(4):
        a, b, c, d = _round(a, b, c, d)
    return a, b, c, d


@njit(cache=True, inline="always")
def _round(a: Any, b: Any, c: Any, d: Any) -> Any:
    a += b
    b = _rotated(b, 13) ^ a
    a = _rotated(a, 32)
    c += d
    d = _rotated(d, 16) ^ c
    a += d
    d = _rotated(d, 21) ^ a
    c += b
    b = _rotated(b, 17) ^ c
    c = _rotated(c, 32)
    return a, b, c, d


@njit(cache=True, inline="always")
def _rotated(word: Any, places: int) -> Any:
    return (word << np.uint64(places)) | (word >> np.uint64(64 - places))
