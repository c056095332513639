"""Batches of columns, for machines: one Kafka record holds many rows, as an Arrow IPC stream.

``pyarrow.ipc.open_stream(value).read_all()`` and ``polars.read_ipc_stream(value)`` open it. A ``Layout`` names the
columns of a record; what holds for all rows stands in the schema's metadata.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as arrow
from numpy.typing import NDArray

from services.contract.codec import TOPIC_BYTES_MAX, Rejection

Kind = Literal["f8", "i8", "i4", "u2", "u1", "text", "uuid"]
BATCH_BYTES = 917_504
"""What the rows of one record come to at most, as a rule: below 1 MiB, whatever stands around them."""
_TYPES = {
    "f8": arrow.float64(), "i8": arrow.int64(), "i4": arrow.int32(), "u2": arrow.uint16(), "u1": arrow.uint8()
}  # fmt: skip
_LAYOUT = "layout"


class Column(NamedTuple):
    """A column. ``each`` says what a row holds several numbers of (``feature``), where it does; where they are ``some``
    rows only, the others hold none."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    each: str = ""
    named_by: str = ""
    """The entry of the metadata that names them in order, with a comma between."""
    codes: tuple[str, ...] = ()
    """What the numbers 0, 1, ... stand for."""
    some: bool = False


class Texts(NamedTuple):
    """n texts as one: ``data`` is all of them in UTF-8, ``ends`` int32[n + 1] where each begins and the last ends."""

    data: Any
    ends: NDArray[np.int32]

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Texts:
        """Of texts in UTF-8."""
        ends = np.zeros(len(texts) + 1, dtype=np.int32)
        np.cumsum(np.fromiter(map(len, texts), dtype=np.int32, count=len(texts)), out=ends[1:])
        return cls(b"".join(texts), ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64[n], bytes."""
        return np.diff(self.ends).astype(np.int64)

    def at(self, row: int) -> bytes:
        """The text of ``row``."""
        return bytes(self.data[self.ends[row] : self.ends[row + 1]])

    def part(self, rows: slice) -> Texts:
        """Those of some neighbouring rows."""
        ends = self.ends[rows.start : rows.stop + 1]
        return Texts(self.data[ends[0] : ends[-1]], ends - ends[0])

    def chosen(self, rows: Sequence[int]) -> list[str]:
        """Those of ``rows``, as texts."""
        whole, ends = bytes(self.data), self.ends.tolist()
        return [whole[ends[row] : ends[row + 1]].decode() for row in rows]


class Some(NamedTuple):
    """Numbers of some of n rows: ``values`` [m, k] of the m rows that are ``present``, bool[n]."""

    present: NDArray[np.bool_]
    values: NDArray[Any]

    def part(self, rows: slice) -> Some:
        """Those of some neighbouring rows."""
        before, among = int(self.present[: rows.start].sum()), int(self.present[rows].sum())
        return Some(self.present[rows], self.values[before : before + among])


@dataclass(frozen=True, slots=True)
class Columns:
    """What a record holds: n rows, by column, and what holds for all of them.

    Numbers are arrays, [n] or [n, m], or ``Some``; ids uint8[n, 16]; texts are ``Texts``, or lists of them through
    ``texts``.
    """

    rows: int
    arrays: Mapping[str, Any]
    said: Mapping[str, str] = field(default_factory=dict)

    def part(self, rows: slice) -> Columns:
        """Some neighbouring rows, from ``rows.start`` to before ``rows.stop``."""
        arrays = {
            name: values.part(rows) if isinstance(values, Texts | Some) else values[rows]
            for name, values in self.arrays.items()
        }
        return Columns(rows.stop - rows.start, arrays, self.said)

    def texts(self, name: str) -> list[str]:
        """The texts of a column."""
        data, ends = self.arrays[name]
        places = ends.tolist()
        whole = bytes(data)
        return [whole[start:stop].decode() for start, stop in pairwise(places)]


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one kind of record, ``name`` with its version (``served-features.v1``)."""

    name: str
    columns: tuple[Column, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What each entry of the metadata means."""

    def write(self, rows: int, arrays: Mapping[str, Any], said: Mapping[str, str]) -> bytes:
        """A record. ``arrays`` are as ``Columns`` has them, one for each column; ``said`` for each entry of
        ``metadata``."""
        assert said.keys() == self.metadata.keys(), "every entry is told"
        made = [_array(column, rows, arrays[column.name]) for column in self.columns]
        fields = [
            arrow.field(each.name, array.type, nullable=False) for each, array in zip(self.columns, made, strict=True)
        ]
        schema = arrow.schema(fields, {_LAYOUT: self.name, **said})
        out = arrow.BufferOutputStream()
        with arrow.ipc.new_stream(out, schema) as stream:
            stream.write_batch(arrow.RecordBatch.from_arrays(made, schema=schema))
        whole: bytes = out.getvalue().to_pybytes()
        return whole

    def read(self, value: bytes | None, reason: str) -> Columns | Rejection:
        """What ``write`` made, or why it is none; no input raises. ``reason`` is that of the rejection."""
        if not value or len(value) > TOPIC_BYTES_MAX:
            return Rejection(reason, "", "The record has no value, or is larger than any of ours")
        try:
            batch = _only_batch(value)
        except (arrow.ArrowException, OSError, StopIteration):
            batch = None
        if batch is None:
            return Rejection(reason, "", "Not an Arrow IPC stream of one batch, uncompressed")
        metadata = batch.schema.metadata or {}
        if metadata.get(_LAYOUT.encode()) != self.name.encode():
            return Rejection(reason, "layout", f"Not a batch of {self.name}")
        said = {name: metadata.get(name.encode()) for name in self.metadata}
        absent = [name for name, text in said.items() if text is None or not _is_text(text)]
        if absent:
            return Rejection(reason, absent[0], "It stands in no metadata")
        arrays = {}
        for column in self.columns:
            at = batch.schema.get_field_index(column.name)
            found = None if at < 0 else _values(column, batch.column(at))
            if found is None:
                return Rejection(reason, column.name, f"No column of {column.kind}")
            arrays[column.name] = found
        return Columns(batch.num_rows, arrays, {name: (text or b"").decode() for name, text in said.items()})


def ids_of(uuids: NDArray[np.uint8]) -> list[str]:
    """uint8[n, 16] as texts.

    >>> ids_of(np.zeros((1, 16), dtype=np.uint8))
    ['00000000-0000-0000-0000-000000000000']
    """
    return [str(UUID(bytes=each)) for each in uuids.view("V16").ravel().tolist()]


def parts(sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Neighbouring rows that go into one record, of rows of ``sizes`` bytes each: as many as fit, and one at least."""
    ends = np.cumsum(sizes)
    start = written = 0
    while start < len(sizes):
        stop = max(start + 1, int(np.searchsorted(ends, written + BATCH_BYTES, side="right")))
        yield slice(start, stop)
        start, written = stop, int(ends[stop - 1])


def _only_batch(value: bytes) -> Any:
    """The batch of a stream that holds a schema and one batch, checked; ``None`` of another stream. A compressed batch
    is left unread: a few kilobytes can be gigabytes."""
    messages = arrow.ipc.MessageReader.open_stream(value)
    schema, batch = messages.read_next_message(), messages.read_next_message()
    if (schema.type, batch.type) != ("schema", "record batch") or _is_compressed(batch.metadata):
        return None
    try:
        messages.read_next_message()
    except StopIteration:
        found = arrow.ipc.read_record_batch(batch, arrow.ipc.read_schema(schema))
        found.validate(full=True)
        return found
    return None


def _is_compressed(metadata: Any) -> bool:
    """Whether a batch's message, a flatbuffer that Arrow has verified, names a compression: ``Message.header``, the
    third field, is a ``RecordBatch``, whose fourth field that is (``format/Message.fbs``). A message may lack its
    header, and is no batch then, which Arrow says when it reads it."""
    (message,) = struct.unpack_from("<I", metadata)
    at = _field_at(metadata, message, 2)
    if not at:
        return False
    header = message + at
    (batch,) = struct.unpack_from("<I", metadata, header)
    return _field_at(metadata, header + batch, 3) > 0


def _field_at(metadata: Any, table: int, number: int) -> int:
    """Where in a flatbuffer's table a field begins; 0 where it is absent."""
    (back,) = struct.unpack_from("<i", metadata, table)
    (size,) = struct.unpack_from("<H", metadata, table - back)
    entry = 4 + 2 * number
    at: int = struct.unpack_from("<H", metadata, table - back + entry)[0] if entry < size else 0
    return at


def _array(column: Column, rows: int, values: Any) -> Any:
    if column.kind == "text":
        data, ends = values
        assert len(ends) == rows + 1, column.name
        return arrow.StringArray.from_buffers(rows, arrow.py_buffer(ends), arrow.py_buffer(data))
    if column.kind == "uuid":
        assert values.shape == (rows, 16), column.name
        return _flat(arrow.binary(16), rows, values)
    kind = _TYPES[column.kind]
    if column.some:
        return _some(arrow.list_(arrow.field(column.each, kind, nullable=False)), rows, values)
    assert len(values) == rows, column.name
    if not column.each:
        return _flat(kind, rows, values)
    width = values.shape[1]
    inner = _flat(kind, rows * width, values)
    listed = arrow.list_(arrow.field(column.each, kind, nullable=False), width)
    return arrow.Array.from_buffers(listed, rows, [None], children=[inner])


def _some(kind: Any, rows: int, values: Some) -> Any:
    ends = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(values.present * np.int32(values.values.shape[1]), out=ends[1:])
    inner = _flat(kind.value_type, values.values.size, values.values)
    return arrow.Array.from_buffers(kind, rows, [None, arrow.py_buffer(ends)], children=[inner])


def _flat(kind: Any, count: int, values: NDArray[Any]) -> Any:
    assert values.nbytes * 8 == count * kind.bit_width, "Arrow would read beyond them"
    return arrow.Array.from_buffers(kind, count, [None, arrow.py_buffer(np.ascontiguousarray(values))])


def _values(column: Column, array: Any) -> Any:
    """The array's numbers as ``Columns`` has them; ``None`` where they are of another kind, or some are missing."""
    if array.null_count:
        return None
    if column.kind == "text":
        return _texts_of(array) if array.type == arrow.string() else None
    if column.kind == "uuid":
        if array.type != arrow.binary(16):
            return None
        return np.frombuffer(array.buffers()[1], dtype=np.uint8, count=16 * len(array)).reshape(-1, 16)
    kind = _TYPES[column.kind]
    if not column.each:
        return array.to_numpy() if array.type == kind else None
    if column.some:
        return _some_of(array) if arrow.types.is_list(array.type) and array.type.value_type == kind else None
    if not arrow.types.is_fixed_size_list(array.type) or array.type.value_type != kind:
        return None
    inner = array.flatten()
    return None if inner.null_count else inner.to_numpy().reshape(len(array), array.type.list_size)


def _some_of(array: Any) -> Some | None:
    inner = array.flatten()
    ends = array.offsets.to_numpy()
    lengths = ends[1:] - ends[:-1]
    width = int(lengths.max(initial=0))
    present = lengths > 0
    if inner.null_count or (lengths[present] != width).any():
        return None
    return Some(present, inner.to_numpy().reshape(-1, max(width, 1)))


def _texts_of(array: Any) -> Texts:
    _, ends, data = array.buffers()
    if not len(array):
        return Texts(b"", np.zeros(1, dtype=np.int32))
    return Texts(data or b"", np.frombuffer(ends, dtype=np.int32, count=len(array) + 1))


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
