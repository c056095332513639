"""Keys go to the partitions that Kafka's own producers would choose."""

from __future__ import annotations

import random

import numpy as np
import pytest
from aiokafka.partitioner import DefaultPartitioner, murmur2
from hypothesis import given
from hypothesis import strategies as st

from services.contract.partitioner import KEY_BYTES_MAX, partition_of, partitions_of

KAFKA_UTILS_TEST = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]
"""From org.apache.kafka.common.utils.UtilsTest#testMurmur2; hashes are Java's signed 32-bit integers."""


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


@pytest.mark.parametrize(("key", "signed_hash"), KAFKA_UTILS_TEST)
@pytest.mark.parametrize("partition_count", [1, 2, 12, 97, 2**31])
def test_a_key_goes_where_kafkas_published_hash_sends_it(key: bytes, signed_hash: int, partition_count: int) -> None:
    """With 2**31 partitions the partition is the whole positive hash."""
    assert partitions_of([key], partition_count).tolist() == [(signed_hash & 0x7FFFFFFF) % partition_count]


def test_random_keys_of_every_length_go_where_aiokafka_sends_them() -> None:
    source = random.Random(20_261_101)
    keys = [source.randbytes(length % 70) for length in range(3_000)]
    expected = [murmur2(key) & 0x7FFFFFFF for key in keys]
    assert partitions_of(keys, 2**31).tolist() == expected
    assert partitions_of(keys, 7).tolist() == [each % 7 for each in expected]


@pytest.mark.parametrize("text", ["ä", "日本語口座", "a\x1fb", "🏦", "\x00"])
def test_keys_beyond_ascii_and_bytes_above_127_are_hashed_as_bytes(text: str) -> None:
    key = text.encode()
    assert partitions_of([key], 2**31).tolist() == [murmur2(key) & 0x7FFFFFFF]


def test_no_keys_and_empty_keys_are_fine() -> None:
    assert partitions_of([], 12).tolist() == []
    assert partitions_of([b"", b"21", b""], 12).tolist() == [(murmur2(b"") & 0x7FFFFFFF) % 12, 0, 9]


def test_partitions_are_int64_within_the_count() -> None:
    found = partitions_of([str(at).encode() for at in range(1_000)], 5)
    assert found.dtype == np.int64
    assert set(found.tolist()) == {0, 1, 2, 3, 4}


@given(st.lists(st.binary(max_size=200)))
def test_partitions_equal_those_of_the_naive_twin(keys: list[bytes]) -> None:
    assert partitions_of(keys, 2**31).tolist() == [naive_murmur2(key) & 0x7FFFFFFF for key in keys]


@given(st.binary(max_size=2 * KEY_BYTES_MAX), st.integers(1, 1_024))
def test_one_key_goes_where_other_producers_send_it(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)
