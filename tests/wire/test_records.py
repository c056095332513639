"""Records are framed and read as aiokafka frames and reads them; what is no record is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.wire.columns import Columns, Outgoing, joined
from services.wire.framing import framed
from services.wire.headers import Header, header_column
from services.wire.reading import RecordsCorrupt, read_records
from services.wire.texts import Texts
from services.wire.varints import read_varint, varint_size, write_varint

SEEDED = settings(derandomize=True, deadline=None, max_examples=200)
Row = tuple[int, bytes | None, bytes | None, list[Header]]
TIMES = st.integers(-(2**40), 2**41)
TEXT = st.one_of(st.none(), st.binary(max_size=9), st.binary(min_size=60, max_size=200))
ROWS = st.lists(st.tuples(TIMES, TEXT, TEXT, st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=3)))))
HEADER_BYTES = 61


def theirs(rows: list[Row], base: int = 0) -> bytearray:
    """The batch that aiokafka builds."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 2**30)
    for at, (timestamp, key, value, headers) in enumerate(rows):
        builder.append(at, timestamp, key, value, headers)
    batch = bytearray(builder.build())
    batch[:8] = base.to_bytes(8, "big")
    return batch


def outgoing(rows: list[Row]) -> Outgoing:
    times, keys, values, headers = zip(*rows, strict=True) if rows else ((), (), (), ())
    column = header_column(headers)
    return Outgoing(np.array(times, dtype=np.int64), Texts.of(keys), Texts.of(values), column)


def rows_of(columns: Columns) -> list[Any]:
    """Offset, timestamp, key, value and headers of each record."""
    data = columns.data.tobytes()
    return [
        (offset, timestamp, *(None if n < 0 else data[at : at + n] for at, n in (key, value)), list(headers))
        for offset, timestamp, key, value, headers in zip(
            *(column.tolist() for column in columns[1:5]), columns.headers, strict=True
        )
    ]


def read(data: bytes, rows: list[Row], position: int = 0) -> Columns:
    first = rows[0][0] if rows else 0
    return read_records(np.frombuffer(data, dtype=np.uint8), len(rows), 0, first, position)


@SEEDED
@given(st.integers(-(2**63), 2**63 - 1))
@example(-(2**63))
@example(2**63 - 1)
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    out = np.zeros(12, dtype=np.uint8)
    end = write_varint(out, 1, number)
    assert end - 1 == varint_size(number) <= 10
    assert read_varint(out, 1, end) == (number, end)
    assert read_varint(out, 1, end - 1)[1] == -1, "its last byte is missing"


def test_a_number_of_more_than_ten_bytes_is_none() -> None:
    assert read_varint(np.full(12, 0x80, dtype=np.uint8), 0, 12)[1] == -1


@SEEDED
@given(ROWS)
def test_records_are_framed_as_aiokafka_frames_them(rows: list[Row]) -> None:
    batches = list(framed(outgoing(rows), 2**30))
    assert b"".join(each.data.tobytes() for each in batches) == bytes(theirs(rows)[HEADER_BYTES:])
    if rows:
        times = [row[0] for row in rows]
        assert batches[0][1:] == (len(rows), times[0], max(times))


@SEEDED
@given(ROWS, st.integers(0, 400))
def test_batches_hold_every_record_once_and_each_could_take_no_more(rows: list[Row], bytes_max: int) -> None:
    rest = rows
    for batch in framed(outgoing(rows), bytes_max):
        held, rest = rest[: batch.record_count], rest[batch.record_count :]
        assert batch.data.tobytes() == bytes(theirs(held)[HEADER_BYTES:])
        assert len(batch.data) <= bytes_max or batch.record_count == 1
        assert not rest or len(theirs([*held, rest[0]])) - HEADER_BYTES > bytes_max
    assert rest == []


@SEEDED
@given(ROWS, st.integers(-2, 12))
def test_records_are_read_from_a_position_on(rows: list[Row], position: int) -> None:
    found = rows_of(read(bytes(theirs(rows)[HEADER_BYTES:]), rows, position))
    assert found == [(at, *row) for at, row in enumerate(rows) if at >= position]


@SEEDED
@given(ROWS.filter(bool), st.data())
def test_changed_bytes_are_what_aiokafka_reads_or_are_refused(rows: list[Row], data: st.DataObject) -> None:
    batch = theirs(rows)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(HEADER_BYTES, len(batch) - 1))
        batch[at] = data.draw(st.integers(0, 255))
    payload = bytes(batch[HEADER_BYTES : data.draw(st.integers(HEADER_BYTES, len(batch)))])
    # Bytes of a neighbour around it, which nothing may reach into.
    around = np.frombuffer(b"\x00" * 9 + payload + b"\x00" * 9, dtype=np.uint8)
    try:
        ours: Any = rows_of(read_records(around[9 : 9 + len(payload)], len(rows), 0, rows[0][0], -(2**62)))
    except RecordsCorrupt:
        ours = None
    try:
        read_by_them = list(DefaultRecordBatch(bytes(batch[:HEADER_BYTES]) + payload))
        expected: Any = [(x.offset, x.timestamp, x.key, x.value, list(x.headers)) for x in read_by_them]
    except CorruptRecordException:
        expected = None
    except UnicodeDecodeError:  # they cannot read such a header, which is why services.kafka.records is
        return
    if expected is not None:
        expected = [each for at, each in enumerate(expected) if all(each[0] > one[0] for one in expected[:at])]
    assert ours == expected


@SEEDED
@given(st.binary(max_size=60), st.integers(-1, 9))
def test_any_bytes_are_read_or_refused(data: bytes, count: int) -> None:
    try:
        columns = read_records(np.frombuffer(data, dtype=np.uint8), count, 0, 0, 0)
    except RecordsCorrupt:
        return
    assert len(rows_of(columns)) <= count


@pytest.mark.parametrize("count", [-1, 2**31 - 1])
def test_a_count_that_cannot_be_is_refused_before_room_is_made(count: int) -> None:
    with pytest.raises(RecordsCorrupt):
        read_records(np.zeros(70, dtype=np.uint8), count, 0, 0, 0)


@SEEDED
@given(st.lists(ROWS, min_size=1, max_size=4), st.integers(0, 9), st.integers(0, 9))
def test_parts_are_joined_and_cut_without_losing_a_byte(parts: list[list[Row]], start: int, stop: int) -> None:
    columns = [read(bytes(theirs(rows)[HEADER_BYTES:]), rows) for rows in parts]
    whole = joined(columns)
    expected = [row for part in columns for row in rows_of(part)]
    assert rows_of(whole) == expected
    assert rows_of(whole.rows(start, stop)) == expected[start:stop]
