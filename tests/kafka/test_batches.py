"""What a fetch brought is read in columns as aiokafka reads it record by record, wherever it begins."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kafka.batches import APPEND_TIME_BIT, CONTROL_BIT, CRC_FROM, Batches, Fetched
from services.kafka.records import Records
from services.scorer.path import records as hop_records
from tests.wire.test_records import rows_of

SEEDED = settings(derandomize=True, deadline=None, max_examples=150)
SOURCE = TopicPartition("payments.v1", 3)
CODECS = range(5)
ABORT, COMMIT = (struct.pack(">hh", 0, kind) for kind in (0, 1))
ROWS = st.lists(
    st.tuples(
        st.integers(-5, 2**41),
        st.one_of(st.none(), st.binary(max_size=5)),
        st.one_of(st.none(), st.binary(max_size=90)),
        st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=3)), max_size=2),
    ),
    min_size=1,
    max_size=5,
)
BATCH = st.tuples(
    ROWS, st.sampled_from(CODECS), st.integers(0, 2), st.sampled_from(["plain", "open", "abort", "commit"])
)


def batch(
    rows: list[Any], base: int, codec: int = 0, producer: int = -1, transactional: bool = False, bits: int = 0
) -> bytes:
    """As a broker has it: with its offset, and with ``bits`` that no producer sets."""
    builder = DefaultRecordBatchBuilder(2, codec, transactional, producer, 0, 0, 2**30)
    for at, row in enumerate(rows):
        builder.append(at, *row)
    return sealed(bytearray(builder.build()), base, bits)


def sealed(built: bytearray, base: int, bits: int = 0) -> bytes:
    """With the checksum of what it now is."""
    built[:8] = base.to_bytes(8, "big")
    built[22] |= bits
    built[CRC_FROM - 4 : CRC_FROM] = calc_crc32c(built[CRC_FROM:]).to_bytes(4, "big")
    return bytes(built)


def log_of(batches: list[Any]) -> tuple[bytes, list[tuple[int, int]], int]:
    """A log, its aborted transactions, and the offset behind it."""
    data, base, aborted = b"", 0, []
    first_of: dict[int, int] = {}
    for rows, codec, producer, kind in batches:
        if kind in ("plain", "open"):
            is_open = kind == "open"
            data += batch(rows, base, codec, producer, is_open, APPEND_TIME_BIT if producer == 2 else 0)
            if is_open:
                first_of.setdefault(producer, base)
            base += len(rows)
        else:
            key = ABORT if kind == "abort" else COMMIT
            data += batch([(0, key, b"", [])], base, 0, producer, True, CONTROL_BIT)
            if producer in first_of and kind == "abort":
                aborted.append((producer, first_of[producer]))
            first_of.pop(producer, None)
            base += 1
    return data, aborted, base


def items(batches: Batches) -> Iterator[Any]:
    """What a consumer gets, in turns of two items."""
    while True:
        turn = []
        for item in batches:
            turn.append(item)
            if len(turn) == 2:
                break
        if not turn:
            return
        assert turn[1:] in ([], [None])
        yield turn[0]
        if len(turn) == 1:
            return


def ours(data: bytes, aborted: Any, position: int, committed: bool, rows_max: int) -> Any:
    """Records and the position behind them, or the error after so many records."""
    batches = Batches(Fetched(SOURCE, memoryview(data), aborted, position, True, committed), rows_max)
    found: list[Any] = []
    try:
        for columns in items(batches):
            assert 0 < len(columns.offsets) <= rows_max
            found += rows_of(columns)
            assert batches.next_fetch_offset > found[-1][0]
    except KafkaError as error:
        return found, type(error)
    return found, batches.next_fetch_offset


def theirs(data: bytes, aborted: Any, position: int, committed: bool) -> Any:
    isolation = READ_COMMITTED if committed else READ_UNCOMMITTED
    records = PartitionRecords(SOURCE, Records(data), aborted, position, None, None, True, isolation)
    found: list[Any] = []
    try:
        found.extend((each.offset, each.timestamp, each.key, each.value, list(each.headers)) for each in records)
    except KafkaError as error:
        return found, type(error)
    return found, records.next_fetch_offset


@SEEDED
@given(st.lists(BATCH, max_size=6), st.integers(0, 20), st.booleans(), st.integers(1, 7))
def test_a_log_is_read_as_aiokafka_reads_it(batches: list[Any], position: int, committed: bool, rows_max: int) -> None:
    data, aborted, _ = log_of(batches)
    is_plain = bool(batches) and batches[0][3] in ("plain", "open")
    position = min(position, len(batches[0][0]) - 1) if is_plain else 0  # a broker begins with the batch that it is in
    expected = theirs(data, aborted, position, committed)
    assert ours(data, aborted, position, committed, rows_max) == expected


@SEEDED
@given(st.lists(BATCH, min_size=1, max_size=3), st.integers(0, 400), st.integers(1, 4))
def test_a_batch_that_the_broker_cut_off_is_left_for_the_next_fetch(
    batches: list[Any], cut: int, rows_max: int
) -> None:
    data, aborted, _ = log_of(batches)
    data = data[: max(0, len(data) - cut)]
    assert ours(data, aborted, 0, True, rows_max) == theirs(data, aborted, 0, True)


@SEEDED
@given(st.lists(BATCH, min_size=1, max_size=3), st.integers(0, 10_000), st.integers(1, 255), st.integers(1, 4))
def test_a_changed_byte_is_noticed_and_all_before_it_read(batches: list[Any], at: int, by: int, rows_max: int) -> None:
    data, aborted, _ = log_of(batches)
    changed = bytearray(data)
    changed[at % len(data)] ^= by
    found, end = ours(bytes(changed), aborted, 0, True, rows_max)
    whole, _ = theirs(data, aborted, 0, True)
    in_header = end is not CorruptRecordException  # offsets and lengths have no checksum
    assert in_header or found == whole[: len(found)]


@SEEDED
@given(ROWS, st.sampled_from(CODECS), st.data())
def test_hostile_records_under_a_sound_checksum_are_refused_or_read(
    rows: list[Any], codec: int, data: st.DataObject
) -> None:
    built = bytearray(batch(rows, 0, codec))
    for _ in range(data.draw(st.integers(1, 3))):
        built[data.draw(st.integers(CRC_FROM, len(built) - 1))] = data.draw(st.integers(0, 255))
    _, end = ours(sealed(built, 0), [], 0, True, 10)
    assert isinstance(end, int) or issubclass(end, CorruptRecordException | UnsupportedCodecError)


@pytest.mark.parametrize("codec", [6, 7])
def test_a_compression_that_does_not_exist_is_refused(codec: int) -> None:
    assert ours(sealed(bytearray(batch([(0, b"k", b"v", [])], 0)), 0, codec), [], 0, True, 9) == (
        [], UnsupportedCodecError
    )  # fmt: skip


def test_snappy_that_says_it_holds_gigabytes_is_not_believed() -> None:
    built = bytearray(batch([(0, b"k", b"v" * 999, [])], 0, 2))
    built[61:] = b"\xff\xff\xff\xff\x0f" + bytes(40)
    built[8:12] = (len(built) - 12).to_bytes(4, "big")
    assert ours(sealed(built, 0), [], 0, True, 9) == ([], CorruptRecordException)


@pytest.mark.parametrize("key", [b"", b"\0\0"])
def test_a_control_batch_that_says_nothing_is_refused(key: bytes) -> None:
    data = batch([(0, key, b"", [])], 0, 0, 1, True, CONTROL_BIT)
    assert ours(data, [], 0, True, 9) == ([], CorruptRecordException)


@pytest.mark.parametrize("length", [-(2**31), -12, 0, 4, 40])
def test_a_batch_with_a_length_that_cannot_be_is_refused(length: int) -> None:
    data = bytearray(batch([(0, b"k", b"v", [])], 0))
    data[8:12] = length.to_bytes(4, "big", signed=True)
    assert ours(bytes(data), [], 0, True, 9) == ([], CorruptRecordException)


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", [0, 1, 2])
def test_batches_from_before_kafka_0_11_are_read_too(magic: int, codec: int) -> None:
    builder = LegacyRecordBatchBuilder(magic, codec, 2**20)
    for at, (key, value) in enumerate([(b"k", b"v"), (None, b"w"), (b"l", None)]):
        builder.append(at, 7 + at, key, value)
    old = bytearray(builder.build())
    if codec:  # records inside another, which has the offset of the last
        old[:8] = (2).to_bytes(8, "big")
    expected, _ = theirs(bytes(old), [], 1, True)
    timed = [(offset, -1 if time is None else time, *rest) for offset, time, *rest in expected]
    new = batch([(9, b"k", b"new", [("h", b"x")])], 3)
    assert len(timed) == 2
    assert ours(bytes(old) + new, [], 1, True, 2) == ([*timed, (3, 9, b"k", b"new", [("h", b"x")])], 4)


@SEEDED
@given(ROWS, st.sampled_from(CODECS))
def test_a_hop_finds_the_same_records_one_by_one_and_in_columns(rows: list[Any], codec: int) -> None:
    fetched = Fetched(SOURCE, memoryview(batch(rows, 5, codec)), [], 5, True, True)
    (columns,) = (item for item in Batches(fetched, 100) if item is not None)
    records = hop_records.Records(*columns)
    expected = [(5 + at, *row) for at, row in enumerate(rows)]
    assert [(*each[:4], list(each.headers)) for each in records] == expected
    assert [(*records[at][:4], list(records[at].headers)) for at in range(len(records))] == expected
