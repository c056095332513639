"""Reading records whose headers have names that are no text.

A header's name is UTF-8 by Kafka's protocol, and no broker checks it: librdkafka's producers, for one, send any bytes.
aiokafka raises ``UnicodeDecodeError`` at such a record, each time it is asked for more, so one of them would end
whatever reads its partition. Here its batch is read again, with what is no text in a name spelled out (``\\xff``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_AT, _OVERHEAD = 8, 12  # a batch begins with its first offset and the number of bytes that follow


class Records:
    """What a fetch brought: stands where aiokafka's ``MemoryRecords`` does, and reads by it."""

    def __init__(self, data: bytes) -> None:
        self._records: Any = MemoryRecords(data)
        self.data, self._at = memoryview(data), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> _Batch:
        """As ``MemoryRecords``."""
        start = self._at
        self._at += _OVERHEAD + int.from_bytes(self.data[start + _LENGTH_AT : start + _OVERHEAD], "big")
        return _Batch(self._records.next_batch(), self.data[start : self._at])


class _Batch:
    """A batch as aiokafka has it, but that its records can be read."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch, self._data = batch, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:  # the reader passes over the records that it has had
            batch: Any = _DefaultRecordBatchPy(bytes(self._data))
            iter(batch)  # unpacks what is compressed
            batch._buffer = _Spelled(batch._buffer)
            yield from batch


class _Spelled(bytearray):
    """Bytes whose pieces can all be decoded."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Spelled(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self).decode(encoding, "backslashreplace")


def read_any_header() -> None:
    """From now on aiokafka's consumers read records with any header names."""
    fetcher.MemoryRecords = Records
