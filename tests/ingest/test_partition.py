"""A key goes to the partition that Kafka's own producers would choose."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.partition import murmur2, partition_of


def naive_murmur2(data: bytes) -> int:
    """Java's loop, byte by byte, after Appleby's reference: independent of the word-wise one under test."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    position = 0
    while len(data) - position >= 4:
        k = sum(data[position + i] << 8 * i for i in range(4))
        k = (k * m) & mask
        k ^= k >> 24
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
        position += 4
    left = len(data) - position
    if left == 3:
        h ^= data[position + 2] << 16
    if left >= 2:
        h ^= data[position + 1] << 8
    if left >= 1:
        h ^= data[position]
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    return h ^ (h >> 15)


@pytest.mark.parametrize(
    ("key", "expected"),  # from Kafka's UtilsTest
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_kafkas_published_values(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected % 2**32


@given(st.binary(max_size=200))
def test_murmur2_equals_its_naive_twin(key: bytes) -> None:
    assert murmur2(key) == naive_murmur2(key)


@given(st.binary(max_size=128), st.integers(1, 1_024))
def test_the_partition_is_the_one_that_other_producers_choose(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)
