"""Which partition a key belongs to: the choice of Kafka's own default partitioner, so that any producer agrees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

KEYS_REMEMBERED = 262_144
KEY_BYTES_MAX = 64
"""Of a key that is remembered, as ordinary ones are: all of them take at most 80 MiB."""


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of ``key`` among ``partitions`` (at least 1). Remembered for the keys seen last.

    >>> partition_of(b"foobar", 12)
    6
    """
    return _remembered(key, partitions) if len(key) <= KEY_BYTES_MAX else _partition_of(key, partitions)


def _partition_of(key: bytes, partitions: int) -> int:
    return int(partitions_of([key], partitions)[0])


_remembered = lru_cache(maxsize=KEYS_REMEMBERED)(_partition_of)


def partitions_of(keys: Sequence[bytes], partition_count: int) -> NDArray[np.int64]:
    """Partition of each key among ``partition_count``, as Kafka's default partitioner chooses it (murmur2).

    >>> partitions_of([b"21", b"foobar"], 12).tolist()
    [0, 6]
    """
    lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
    data = np.frombuffer(b"".join(keys), dtype=np.uint8)
    out = np.empty(len(keys), dtype=np.int64)
    _partitions_kernel(data, lengths, partition_count, out)
    return out


def partitions_of_spans(
    data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], partition_count: int
) -> NDArray[np.int64]:
    """The same of keys that stand anywhere in ``data``."""
    out = np.empty(len(starts), dtype=np.int64)
    _spans_kernel(data, starts, lengths, partition_count, out)
    return out


@njit(cache=True)
def _spans_kernel(data: Any, starts: Any, lengths: Any, partition_count: int, out: Any) -> None:
    for i in range(len(starts)):
        out[i] = partition_of_span(data, starts[i], lengths[i], partition_count)


@njit(cache=True)
def partition_of_span(data: Any, start: int, length: int, partition_count: int) -> int:
    """The same of one, for compiled code."""
    return int((_murmur2(data, start, length) & 0x7FFFFFFF) % partition_count)


@njit(cache=True)
def _partitions_kernel(data: Any, lengths: Any, partition_count: int, out: Any) -> None:
    start = 0
    for i in range(len(lengths)):
        out[i] = partition_of_span(data, start, lengths[i], partition_count)
        start += lengths[i]


@njit(cache=True)
def _murmur2(data: Any, start: int, length: int) -> int:
    """Austin Appleby's MurmurHash2, 32 bits, with Kafka's seed (org.apache.kafka.common.utils.Utils#murmur2)."""
    mask = 0xFFFFFFFF
    m = 0x5BD1E995
    h = (0x9747B28C ^ length) & mask
    whole = length // 4
    for i in range(whole):
        at = start + 4 * i
        k = int(data[at]) | int(data[at + 1]) << 8 | int(data[at + 2]) << 16 | int(data[at + 3]) << 24
        k = (k * m) & mask
        k ^= k >> 24
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
    at = start + 4 * whole
    rest = length - 4 * whole
    if rest == 3:
        h ^= int(data[at + 2]) << 16
    if rest >= 2:
        h ^= int(data[at + 1]) << 8
    if rest >= 1:
        h = ((h ^ int(data[at])) * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    h ^= h >> 15
    return h
