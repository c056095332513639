"""The headers of records in columns: left in their bytes until somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.wire.varints import Bytes, read_varint

Header = tuple[str, bytes]
NO_HEADERS = b"\x00"
"""What a record has for its headers if there are none: their number."""


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
        name, value = (np.frombuffer(text, dtype=np.uint8) for text in (header[0].encode(), header[1]))
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
