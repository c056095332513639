"""The compressions of record batches, by the number that a batch names them by."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
import numpy as np
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from services.wire.varints import Bytes, frozen

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
NUMBERS = {"none": NONE, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
"""As the setting ``TOCSIN_COMPRESSION`` calls them, and gzip, which it does not offer."""

_XERIAL = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
"""Java's clients read snappy in blocks only: this, then of each block its length (int32) and bytes."""
_BLOCK_BYTES = 64 * 1024
"""What snappy looks back over: larger blocks pack no better."""
_EXPANSION_MAX = 22
"""Snappy writes at most 64 bytes for three. What says that it holds more is not believed."""


def compressed(payload: Any, codec: int) -> Any:
    """``payload``, a buffer of bytes, by ``codec``; itself if that is none."""
    return _COMPRESS[codec](memoryview(payload))


def decompressed(payload: memoryview, codec: int) -> Bytes:
    """What was compressed by ``codec``; over the same bytes if that is none.

    Raises
    ------
    UnsupportedCodecError
        When no codec has this number.
    CorruptRecordException
        When it was not made by that codec.
    """
    if codec not in _DECOMPRESS:
        raise UnsupportedCodecError(f"Unknown compression codec {codec:#04x}")
    try:
        return frozen(_DECOMPRESS[codec](payload))
    except (cramjam.DecompressionError, OSError, EOFError, ValueError, zlib.error) as error:
        raise CorruptRecordException(f"no data of compression codec {codec}") from error


def _snappy(payload: memoryview) -> bytes:
    pieces: list[Any] = [_XERIAL]
    for start in range(0, len(payload), _BLOCK_BYTES):
        block = cramjam.snappy.compress_raw(payload[start : start + _BLOCK_BYTES])
        pieces += (len(block).to_bytes(4, "big"), block)
    return b"".join(pieces)


def _of_snappy(payload: memoryview) -> Any:
    blocks = [payload] if payload[: len(_XERIAL)] != _XERIAL else _blocks(payload)
    lengths = [cramjam.snappy.decompress_raw_len(block) for block in blocks]
    if any(length > _EXPANSION_MAX * len(block) for length, block in zip(lengths, blocks, strict=True)):
        raise ValueError("snappy cannot hold that much")
    out: Any = np.empty(sum(lengths), dtype=np.uint8)
    at = 0
    for block, length in zip(blocks, lengths, strict=True):
        if length:
            cramjam.snappy.decompress_raw_into(block, out[at : at + length])
        at += length
    return out


def _blocks(payload: memoryview) -> list[memoryview]:
    blocks, at = [], len(_XERIAL)
    while at < len(payload):
        start = at + 4
        at = start + int.from_bytes(payload[at:start], "big")
        if at > len(payload) or at == start:
            raise ValueError("a block of snappy ends beyond its batch")
        blocks.append(payload[start:at])
    return blocks


def _lz4(payload: memoryview) -> Any:
    compressor = cramjam.lz4.Compressor(level=1, content_checksum=False, block_linked=False)  # all that brokers read
    compressor.compress(payload.tobytes())
    return compressor.finish()


_COMPRESS: dict[int, Callable[[memoryview], Any]] = {
    NONE: lambda payload: payload,
    GZIP: lambda payload: gzip.compress(payload, 6),
    SNAPPY: _snappy,
    LZ4: _lz4,
    ZSTD: lambda payload: cramjam.zstd.compress(payload, level=3),
}
_DECOMPRESS: dict[int, Callable[[memoryview], Any]] = {
    NONE: lambda payload: payload,
    GZIP: gzip.decompress,
    SNAPPY: _of_snappy,
    LZ4: cramjam.lz4.decompress,
    ZSTD: cramjam.zstd.decompress,
}
