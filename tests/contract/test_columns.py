"""Batches of columns come back as they were written, and whatever else the bytes are is a rejection."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as arrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.codec import TOPIC_BYTES_MAX, Rejection
from services.contract.columns import BATCH_BYTES, Columns, Texts, parts
from tests.contract.batches import EVERY_KIND, any_columns, texts
from tests.contract.payloads import SEEDED


def written(columns: Columns) -> bytes:
    return EVERY_KIND.write(columns.rows, columns.arrays, columns.said)


def same(one: Any, other: Any) -> bool:
    """To the bit, of one type and shape."""
    if isinstance(one, Texts):
        return bytes(one.data) == bytes(other.data) and same(one.ends, other.ends)
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@SEEDED
@given(columns=any_columns())
def test_any_rows_come_back_to_the_bit(columns: Columns) -> None:
    found = EVERY_KIND.read(written(columns), "invalid")
    assert isinstance(found, Columns)
    assert (found.rows, found.said) == (columns.rows, columns.said)
    assert found.arrays.keys() == columns.arrays.keys()
    for name, values in columns.arrays.items():
        assert same(found.arrays[name], values), name


@SEEDED
@given(columns=any_columns())
def test_the_same_rows_are_the_same_bytes(columns: Columns) -> None:
    assert written(columns) == written(columns)


@SEEDED
@given(columns=any_columns(), data=any_columns())
def test_rows_of_neighbours_are_theirs(columns: Columns, data: Columns) -> None:
    """Texts of a part of the rows, wherever it begins and ends: beyond the last, too."""
    names = columns.texts("name")
    start, stop = min(data.rows, columns.rows), columns.rows + 1
    for part in (slice(0, start), slice(start, stop), slice(start, start)):
        cut = columns.arrays["name"].part(part)
        assert Columns(0, {"name": cut}).texts("name") == names[part]


ROWS = 2
ONE = Columns(
    ROWS,
    {
        "id": np.zeros((ROWS, 16), dtype=np.uint8), "name": texts(["SECRET-å", "b"]), "real": np.ones(ROWS),
        "long": np.ones(ROWS, dtype=np.int64), "short": np.ones(ROWS, dtype=np.int32),
        "code": np.ones(ROWS, dtype=np.uint8), "reals": np.ones((ROWS, 3)), "codes": np.ones((ROWS, 2), dtype=np.uint8),
        "note": texts(["", "SECRET"]),
    },
    {"said": "SECRET", "names": "y"},
)  # fmt: skip


def test_pyarrow_opens_a_record_in_one_line() -> None:
    table = arrow.ipc.open_stream(written(ONE)).read_all()
    assert table.column_names == [column.name for column in EVERY_KIND.columns]
    assert table["name"].to_pylist() == ["SECRET-å", "b"]
    assert table["id"].to_pylist() == [bytes(16)] * ROWS
    assert table["reals"].to_pylist() == [[1.0] * 3] * ROWS
    assert table.schema.metadata == {b"layout": b"every-kind.v1", b"said": b"SECRET", b"names": b"y"}
    listed = table.schema.field("reals").type.value_field
    assert (listed.name, listed.nullable) == ("real", False)
    assert not any(field.nullable for field in table.schema)


def other(**changes: Any) -> bytes:
    """``ONE`` as Arrow itself writes it, some columns others (``None``: absent); a name in ``metadata`` likewise."""
    batch = arrow.ipc.open_stream(written(ONE)).read_next_batch()
    metadata = {**batch.schema.metadata, **changes.pop("metadata", {})}
    columns = {name: changes.get(name, batch.column(name)) for name in batch.schema.names} | changes
    held = {name: values for name, values in columns.items() if values is not None}
    said = {name: text for name, text in metadata.items() if text is not None}
    made = arrow.RecordBatch.from_arrays([*held.values()], [*held])
    return streamed(made.replace_schema_metadata(said))


def streamed(*batches: Any, compression: str | None = None) -> bytes:
    out = arrow.BufferOutputStream()
    options = arrow.ipc.IpcWriteOptions(compression=compression)
    with arrow.ipc.new_stream(out, batches[0].schema, options=options) as stream:
        for batch in batches:
            stream.write_batch(batch)
    value: bytes = out.getvalue().to_pybytes()
    return value


def rejection(value: bytes | None) -> Rejection:
    found = EVERY_KIND.read(value, "invalid")
    assert isinstance(found, Rejection)
    assert found.reason == "invalid"
    assert "SECRET" not in str(found)
    return found


def test_what_arrow_itself_writes_of_the_same_columns_is_read() -> None:
    found = EVERY_KIND.read(other(), "invalid")
    assert isinstance(found, Columns)
    assert all(same(found.arrays[name], values) for name, values in ONE.arrays.items())


def test_columns_that_nobody_knows_and_another_order_are_harmless() -> None:
    batch = arrow.ipc.open_stream(other(more=arrow.array(["x", None]))).read_next_batch()
    turned = batch.select(list(reversed(batch.schema.names)))
    found = EVERY_KIND.read(streamed(turned), "invalid")
    assert isinstance(found, Columns)
    assert found.arrays.keys() == ONE.arrays.keys()


LISTS = arrow.list_(arrow.float64())
ANOTHER: list[tuple[str, Mapping[str, Any], str]] = [
    ("no layout", {"metadata": {b"layout": None}}, "layout"),
    ("another layout", {"metadata": {b"layout": b"every-kind.v2"}}, "layout"),
    ("nothing said", {"metadata": {b"said": None}}, "said"),
    ("what is said is no text", {"metadata": {b"names": b"\xff"}}, "names"),
    ("a column absent", {"short": None}, "short"),
    ("text for an id", {"id": arrow.array(["x" * 16] * ROWS)}, "id"),
    ("ids of another length", {"id": arrow.array([bytes(15)] * ROWS, arrow.binary(15))}, "id"),
    ("ids of any length", {"id": arrow.array([bytes(16)] * ROWS)}, "id"),
    ("numbers for text", {"name": arrow.array([1, 2])}, "name"),
    ("long texts", {"name": arrow.array(["a", "b"], arrow.large_string())}, "name"),
    ("bytes for text", {"name": arrow.array([b"a", b"b"])}, "name"),
    ("views of texts", {"name": arrow.array(["a", "b"], arrow.string_view())}, "name"),
    ("a dictionary of texts", {"name": arrow.array(["a", "b"]).dictionary_encode()}, ""),
    ("a text missing", {"name": arrow.array(["a", None])}, "name"),
    ("an id missing", {"id": arrow.array([bytes(16), None], arrow.binary(16))}, "id"),
    ("a number missing", {"real": arrow.array([1.0, None])}, "real"),
    ("floats of 32 bits", {"real": arrow.array([1.0, 2.0], arrow.float32())}, "real"),
    ("integers for floats", {"real": arrow.array([1, 2])}, "real"),
    ("times for integers", {"long": arrow.array([1, 2], arrow.timestamp("ms"))}, "long"),
    ("integers without sign", {"long": arrow.array([1, 2], arrow.uint64())}, "long"),
    ("truth for codes", {"code": arrow.array([True, False])}, "code"),
    ("lists of any length", {"reals": arrow.array([[1.0], [2.0]], LISTS)}, "reals"),
    ("a number for a list", {"reals": arrow.array([1.0, 2.0])}, "reals"),
    ("lists of other numbers", {"reals": arrow.array([[1], [2]], arrow.list_(arrow.int64(), 1))}, "reals"),
    ("lists of lists", {"reals": arrow.array([[[1.0]]] * 2, arrow.list_(arrow.list_(arrow.float64(), 1), 1))}, "reals"),
    ("a list missing", {"reals": arrow.array([[1.0], None], arrow.list_(arrow.float64(), 1))}, "reals"),
    ("a number of a list missing", {"reals": arrow.array([[1.0], [None]], arrow.list_(arrow.float64(), 1))}, "reals"),
    ("nothing at all", {"real": arrow.nulls(ROWS)}, "real"),
]


@pytest.mark.parametrize(("changes", "field"), [pytest.param(*rest, id=why) for why, *rest in ANOTHER])
def test_another_type_a_missing_value_or_another_layout_is_refused_by_its_column(
    changes: Mapping[str, Any], field: str
) -> None:
    assert rejection(other(**changes)).field == field


def test_a_column_that_stands_twice_is_none() -> None:
    batch = arrow.ipc.open_stream(written(ONE)).read_next_batch()
    twice = arrow.RecordBatch.from_arrays([*batch.columns, batch.column("real")], [*batch.schema.names, "real"])
    assert rejection(streamed(twice.replace_schema_metadata(batch.schema.metadata))).field == "real"


def test_a_record_is_one_batch_and_nothing_behind_it_is_passed_over() -> None:
    batch = arrow.ipc.open_stream(written(ONE)).read_next_batch()
    assert isinstance(EVERY_KIND.read(streamed(batch), "invalid"), Columns)
    assert rejection(streamed(batch, batch)).field == ""
    assert rejection(streamed(batch, batch.slice(0, 0))).field == ""
    no_batch = arrow.ipc.open_stream(written(ONE)).schema.serialize().to_pybytes()
    assert rejection(no_batch).field == ""


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_what_is_compressed_is_refused_before_it_takes_any_memory(compression: str) -> None:
    """A few kilobytes would be gigabytes: of a column that nobody asked for, too."""
    batch = arrow.RecordBatch.from_arrays([arrow.array(np.zeros(32_000_000))], ["x"])
    value = streamed(batch.replace_schema_metadata({b"layout": b"every-kind.v1"}), compression=compression)
    assert len(value) < batch.nbytes / 200
    pool = arrow.default_memory_pool()
    peak = pool.max_memory()
    assert rejection(value).field == ""
    assert pool.max_memory() == peak
    small = arrow.ipc.open_stream(written(ONE)).read_next_batch()
    assert rejection(streamed(small, compression=compression)) == rejection(value)


@SEEDED
@given(columns=any_columns())
def test_whatever_is_compressed_is_refused_and_the_same_uncompressed_is_read(columns: Columns) -> None:
    batch = arrow.ipc.open_stream(written(columns)).read_next_batch()
    assert isinstance(EVERY_KIND.read(streamed(batch), "invalid"), Columns)
    assert isinstance(EVERY_KIND.read(streamed(batch, compression="lz4"), "invalid"), Rejection)


@pytest.mark.parametrize("value", [None, b"", b"\0", b"junk", b"ARROW1\0\0" * 9, b"\xff" * 64, b"{}", bytes(4_096)])
def test_what_is_no_stream_is_a_rejection(value: bytes | None) -> None:
    assert rejection(value).field == ""


def test_what_is_larger_than_any_record_is_refused_unread() -> None:
    assert "larger" in rejection(written(ONE) + bytes(TOPIC_BYTES_MAX)).detail


def test_a_record_cut_off_anywhere_before_the_end_of_its_batch_is_a_rejection() -> None:
    value = written(ONE)
    end_of_stream = 8
    for length in range(len(value) - end_of_stream):
        rejection(value[:length])
    assert isinstance(EVERY_KIND.read(value[:-end_of_stream], "invalid"), Columns)


# --- texts -----------------------------------------------------------------------------------------------------------


def with_names(data: bytes, ends: list[int]) -> bytes:
    """``ONE`` whose names end where they are said to, true or not."""
    held = arrow.py_buffer(np.array(ends, dtype=np.int32))
    return other(name=arrow.StringArray.from_buffers(ROWS, held, arrow.py_buffer(data)))


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        (b"abcd", [0, 3, 2]),  # decreasing
        (b"abcd", [0, -1, 4]),
        (b"abcd", [-4, 0, 4]),
        (b"abcd", [0, 2, 5]),  # beyond the end
        (b"abcd", [0, 2, 2**31 - 1]),
        (b"abcd", [2**31 - 2, 2**31 - 1, 2**31 - 1]),
        ("åä".encode(), [0, 1, 4]),  # within a character
        (b"\xff\xfe", [0, 1, 2]),  # no UTF-8
        (b"\xed\xa0\x80", [0, 0, 3]),
    ],
)
def test_texts_that_end_before_they_begin_beyond_the_data_or_within_a_character_are_refused(
    data: bytes, ends: list[int]
) -> None:
    assert isinstance(EVERY_KIND.read(with_names(b"abcd", [0, 2, 4]), "invalid"), Columns)
    try:
        value = with_names(data, ends)
    except (arrow.ArrowException, OverflowError):
        value = patched(data, ends)
    assert rejection(value).field == ""


def patched(data: bytes, ends: list[int]) -> bytes:
    """The same where Arrow refuses to write it: the offsets are put in afterwards."""
    mark = np.array([0, 1, len(data)], dtype=np.int32).tobytes()
    value = with_names(data, [0, 1, len(data)])
    assert value.count(mark) == 1
    return value.replace(mark, np.array(ends, dtype=np.int32).tobytes())


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("name", Texts(b"", np.zeros(ROWS, dtype=np.int32))),
        ("id", np.zeros((ROWS, 15), dtype=np.uint8)),
        ("id", np.zeros((ROWS - 1, 16), dtype=np.uint8)),
        ("real", np.zeros(ROWS - 1)),
        ("real", np.zeros(ROWS, dtype=np.float32)),
        ("long", np.zeros(ROWS, dtype=np.int32)),
        ("reals", np.zeros((ROWS - 1, 2))),
        ("codes", np.zeros((ROWS, 2), dtype=np.int64)),
    ],
)
def test_arrays_of_another_length_are_never_written(name: str, values: Any) -> None:
    """Arrow would take what stands behind them in memory."""
    with pytest.raises(AssertionError):
        EVERY_KIND.write(ROWS, {**ONE.arrays, name: values}, ONE.said)


@pytest.mark.parametrize("said", [{}, {"said": "x"}, {"said": "x", "names": "y", "more": "z"}])
def test_every_entry_of_the_metadata_is_told_and_no_other(said: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="every entry"):
        EVERY_KIND.write(ROWS, ONE.arrays, said)


def test_rows_of_a_column_need_not_stand_side_by_side() -> None:
    wide = np.arange(20.0).reshape(ROWS, 10)
    arrays = {**ONE.arrays, "reals": wide[:, ::2], "real": wide[:, 3]}
    found = EVERY_KIND.read(EVERY_KIND.write(ROWS, arrays, ONE.said), "invalid")
    assert isinstance(found, Columns)
    assert found.arrays["reals"].tolist() == wide[:, ::2].tolist()
    assert found.arrays["real"].tolist() == wide[:, 3].tolist()


@SEEDED
@given(
    sizes=st.lists(st.sampled_from((0, 1, 1_000, 300_000, BATCH_BYTES - 1, BATCH_BYTES, BATCH_BYTES + 1)), max_size=30)
)
def test_a_record_takes_as_many_rows_as_fit_and_one_at_least(sizes: list[int]) -> None:
    cuts = [sizes[rows] for rows in parts(np.array(sizes, dtype=np.int64))]
    assert [size for each in cuts for size in each] == sizes
    assert all(len(each) == 1 or sum(each) <= BATCH_BYTES for each in cuts)
    for one, following in pairwise(cuts):
        assert sum(one) + following[0] > BATCH_BYTES, "another row would have fitted"


def test_each_text_has_its_length() -> None:
    assert texts(["", "ä", "abc"]).lengths.tolist() == [0, 2, 3]
    assert texts([]).lengths.tolist() == []


def test_a_batch_whose_message_lacks_its_header_is_a_rejection() -> None:
    value = written(ONE)
    messages = arrow.ipc.MessageReader.open_stream(value)
    messages.read_next_message()
    metadata = messages.read_next_message().metadata.to_pybytes()
    (message,) = struct.unpack_from("<I", metadata)
    (back,) = struct.unpack_from("<i", metadata, message)
    entry = value.index(metadata) + message - back + 4 + 2 * 2
    assert rejection(value[:entry] + bytes(2) + value[entry + 2 :]).field == ""
