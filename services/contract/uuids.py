"""UUIDs of version 5 (RFC 9562) in compiled code: SHA-1 (RFC 3174) of a beginning that many names share, and a rest."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 64
_START = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0], dtype=np.uint32)
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_DASHES = (4, 6, 8, 10)
TEXT_BYTES = 36


class Begun(NamedTuple):
    """Names that begin alike, as far as SHA-1 has come with them."""

    state: NDArray[np.uint32]
    """uint32[5], after all whole blocks."""
    rest: NDArray[np.uint8]
    """The bytes of the beginning that fill no block."""
    length: int
    """Of the beginning, bytes."""


def begun(prefix: bytes) -> Begun:
    """Names that begin with ``prefix``."""
    state = _START.copy()
    whole = len(prefix) // BLOCK * BLOCK
    data = np.frombuffer(prefix, dtype=np.uint8)
    for at in range(0, whole, BLOCK):
        take_block(state, data[at : at + BLOCK], np.empty(80, dtype=np.uint32))
    return Begun(state, data[whole:].copy(), len(prefix))


@njit(cache=True)
def take_block(state: Any, block: Any, words: Any) -> None:
    """Take 64 bytes into ``state`` (uint32[5]); ``words`` (uint32[80]) is written over."""
    for i in range(16):
        word = np.uint32(0)
        for j in range(4):
            word = np.uint32(word << np.uint32(8)) | np.uint32(block[4 * i + j])
        words[i] = word
    for i in range(16, 80):
        words[i] = _turned(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1)
    a, b, c, d, e = state[0], state[1], state[2], state[3], state[4]
    for i in range(80):
        if i < 20:
            mixed, constant = (b & c) | (~b & d), np.uint32(0x5A827999)
        elif i < 40:
            mixed, constant = b ^ c ^ d, np.uint32(0x6ED9EBA1)
        elif i < 60:
            mixed, constant = (b & c) | (b & d) | (c & d), np.uint32(0x8F1BBCDC)
        else:
            mixed, constant = b ^ c ^ d, np.uint32(0xCA62C1D6)
        taken = np.uint32(_turned(a, 5) + mixed + e + constant + words[i])
        e, d, c, b, a = d, c, _turned(b, 30), a, taken
    state[0] = np.uint32(state[0] + a)
    state[1] = np.uint32(state[1] + b)
    state[2] = np.uint32(state[2] + c)
    state[3] = np.uint32(state[3] + d)
    state[4] = np.uint32(state[4] + e)


@njit(cache=True)
def finish(begun: Begun, message: Any, length: int, state: Any, words: Any, uuid: Any) -> None:
    """Write into ``uuid`` (uint8[16]) that of the name which begins as ``begun`` and goes on with the ``length`` first
    bytes of ``message``; it has room for 2 blocks more, which are written over, as are ``state`` and ``words``.

    ``message`` begins with ``begun.rest``, which counts in ``length``.
    """
    total = begun.length - len(begun.rest) + length
    state[:] = begun.state
    message[length] = 0x80
    stop = length + 1
    while stop % BLOCK != BLOCK - 8:
        message[stop] = 0
        stop += 1
    for place in range(8):
        message[stop + place] = (8 * total >> (56 - 8 * place)) & 0xFF
    for at in range(0, stop + 8, BLOCK):
        take_block(state, message[at : at + BLOCK], words)
    for i in range(16):
        uuid[i] = (state[i // 4] >> np.uint32(24 - 8 * (i % 4))) & np.uint32(0xFF)
    uuid[6] = uuid[6] & 0x0F | 0x50
    uuid[8] = uuid[8] & 0x3F | 0x80


@njit(cache=True)
def put_text(uuid: Any, out: Any, at: int) -> int:
    """Write ``uuid`` (uint8[16]) as text into ``out`` from ``at`` on; returns where it ends."""
    for i in range(16):
        if i in _DASHES:
            out[at] = 0x2D
            at += 1
        out[at] = _HEX[uuid[i] >> 4]
        out[at + 1] = _HEX[uuid[i] & 0x0F]
        at += 2
    return at


@njit(cache=True)
def _turned(word: Any, places: int) -> Any:
    return np.uint32((word << np.uint32(places)) | (word >> np.uint32(32 - places)))
