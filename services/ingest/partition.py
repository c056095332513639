"""Which partition a key belongs to: the choice of Kafka's own default partitioner, so that any producer agrees."""

from __future__ import annotations

from functools import lru_cache
from struct import unpack_from

KEYS_REMEMBERED = 262_144
KEY_BYTES_MAX = 64
"""Of a key that is remembered, as ordinary ones are: all of them take at most 80 MiB."""

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 of ``data``, unsigned (``org.apache.kafka.common.utils.Utils``, seed ``9747b28c``).

    >>> murmur2(b"foobar") - 2**32
    -790332482
    """
    length = len(data)
    h = 0x9747B28C ^ length
    words = length >> 2
    for k in unpack_from(f"<{words}I", data):
        k = k * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = h * _M & _MASK ^ k
    tail = data[words << 2 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of ``key`` among ``partitions`` (at least 1). Remembered for the keys seen last."""
    return _remembered(key, partitions) if len(key) <= KEY_BYTES_MAX else _partition_of(key, partitions)


def _partition_of(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


_remembered = lru_cache(maxsize=KEYS_REMEMBERED)(_partition_of)
