"""The headers of records in columns: left in their bytes until somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.wire.texts import Texts
from services.wire.varints import Bytes, copy, frozen, read_varint, write_text

Header = tuple[str, bytes]
NO_HEADERS = b"\x00"
"""What a record has for its headers if there are none: their number."""
_NUMBER_BYTES_MAX = 5
"""Of a length below 2 GiB, as a varint."""


@dataclass(frozen=True, slots=True)
class HeaderColumn(Sequence[Sequence[Header]]):
    """The headers of n records. ``spans`` is int64[n, 2]: where in ``data`` they begin, with their number, and their
    length in bytes. They are sound: whoever made the column walked through them."""

    data: Bytes
    spans: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return HeaderColumn(self.data, self.spans[at])
        start, length = self.spans[at].tolist()
        return _headers(self.data[start : start + length].tobytes())

    def __iter__(self) -> Iterator[Sequence[Header]]:
        data = memoryview(self.data)  # type: ignore[arg-type]
        starts, lengths = self.spans.T
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            yield _headers(bytes(data[start : start + length]))

    def having(self, header: Header) -> NDArray[np.bool_]:
        """bool[n]: which records have ``header`` among theirs."""
        name, value = frozen(header[0].encode()), frozen(header[1])
        out = np.empty(len(self.spans), dtype=np.bool_)
        _having(self.data, self.spans, name, value, out)
        return out


class LazyHeaders(Sequence[Header]):
    """The headers of one record, read when the first is asked for.

    A name that is no UTF-8 (Kafka asks for it, brokers do not check) is spelled out (``\\xff``). A value may be
    missing, ``None``, as with aiokafka.
    """

    __slots__ = ("_raw", "_read")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._read: list[Header] | None = None

    def __len__(self) -> int:
        return len(self._headers)

    def __getitem__(self, at: Any) -> Any:
        return self._headers[at]

    def __iter__(self) -> Iterator[Header]:
        return iter(self._headers)

    def __contains__(self, header: object) -> bool:
        if isinstance(header, tuple) and isinstance(header[-1], bytes) and header[-1] not in self._raw:
            return False
        return header in self._headers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._headers == list(other)

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return f"LazyHeaders({self._headers!r})"

    @property
    def _headers(self) -> list[Header]:
        if self._read is None:
            self._read = _read(self._raw)
        return self._read


def header_column(rows: Sequence[Sequence[Header]]) -> HeaderColumn:
    """The headers of each record in a column; quick where they differ in one value, as events do in their ids."""
    if not any(rows):
        return same_headers([], len(rows))
    if len(set(map(len, rows))) == 1:
        columns = list(zip(*rows, strict=True))
        varying = [at for at, column in enumerate(columns) if column.count(column[0]) < len(column)]
        if not varying:
            return same_headers(rows[0], len(rows))
        at = varying[0]
        names, values = zip(*columns[at], strict=True)
        if len(varying) == 1 and names.count(names[0]) == len(names):
            return headers_with(rows[0][:at], names[0], Texts.of(values), rows[0][at + 1 :])
    encoded = Texts.of([_number(len(headers)) + b"".join(map(_encoded, headers)) for headers in rows])
    return HeaderColumn(encoded.data, encoded.spans)


def same_headers(headers: Sequence[Header], count: int) -> HeaderColumn:
    """``headers`` for each of ``count`` records, kept once."""
    encoded = _number(len(headers)) + b"".join(map(_encoded, headers))
    spans = np.full((count, 2), [0, len(encoded)], dtype=np.int64)
    return HeaderColumn(frozen(encoded), spans)


def headers_with(before: Sequence[Header], name: str, values: Texts, after: Sequence[Header]) -> HeaderColumn:
    """Of each record the headers ``before``, then ``name`` with the record's own value, then those ``after``."""
    text = name.encode()
    start = _number(len(before) + 1 + len(after)) + b"".join(map(_encoded, before)) + _number(len(text)) + text
    end = b"".join(map(_encoded, after))
    count = len(values.spans)
    out = np.empty(count * (len(start) + _NUMBER_BYTES_MAX + len(end)) + values.bytes_in_all(), dtype=np.uint8)
    spans = np.empty((count, 2), dtype=np.int64)
    _write(frozen(start), Texts(frozen(values.data), values.spans), frozen(end), out, spans)
    return HeaderColumn(frozen(out), spans)


def _encoded(header: Header) -> bytes:
    name, value = header[0].encode(), header[1]
    return _number(len(name)) + name + _number(len(value)) + value


def _number(number: int) -> bytes:
    """As a zigzag varint."""
    raw = (number << 1) ^ (number >> 63)
    out = bytearray()
    while raw >= 0x80:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    out.append(raw)
    return bytes(out)


def _headers(raw: bytes) -> Sequence[Header]:
    return () if raw == NO_HEADERS else LazyHeaders(raw)


def _read(raw: bytes) -> list[Header]:
    count, at = _varint(raw, 0)
    headers: list[Any] = []
    for _ in range(count):
        length, at = _varint(raw, at)
        name = raw[at : at + length].decode("utf-8", "backslashreplace")
        at += length
        length, at = _varint(raw, at)
        headers.append((name, None if length < 0 else raw[at : at + length]))
        at += max(length, 0)
    return headers


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = raw[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
        shift += 7


@njit(cache=True)
def _write(start: Bytes, values: Texts, end: Bytes, out: Bytes, spans: NDArray[np.int64]) -> None:
    at = 0
    for row in range(len(spans)):
        spans[row, 0] = at
        copy(out, at, start, 0, len(start))
        at = write_text(out, at + len(start), values.data, values.spans[row, 0], values.spans[row, 1])
        copy(out, at, end, 0, len(end))
        at += len(end)
        spans[row, 1] = at - spans[row, 0]


@njit(cache=True)
def _having(data: Bytes, spans: NDArray[np.int64], name: Bytes, value: Bytes, out: NDArray[np.bool_]) -> None:
    for row in range(len(spans)):
        at = spans[row, 0]
        end = at + spans[row, 1]
        count, at = read_varint(data, at, end)
        out[row] = False
        for _ in range(count):
            name_length, name_at = read_varint(data, at, end)
            value_length, value_at = read_varint(data, name_at + name_length, end)
            if _is(data, name_at, name_length, name) and _is(data, value_at, value_length, value):
                out[row] = True
                break
            at = value_at + max(value_length, 0)


@njit(cache=True)
def _is(data: Bytes, at: int, length: int, text: Bytes) -> bool:
    if length != len(text):
        return False
    for i in range(length):  # noqa: SIM110 - numba compiles no any() over a generator
        if data[at + i] != text[i]:
            return False
    return True
