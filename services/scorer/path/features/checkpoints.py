"""The changelog of tables: rows that changed, in columns, in numbered records; and its cleaning.

A record holds rows of one table, and its number is never used again. When the log holds more than about twice what the
state does, its oldest records go: rows that are still where they were written last are written again, and a tombstone
follows with the *next* checkpoint, when that one is whole. So the topic may be compacted at any time and does not grow
for ever. docs/internals/state.md has the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.scorer.path.features.state_format import refused
from services.scorer.path.features.tables import NOWHERE, Table

RECORD_PREFIX = b"\x03"
"""What keys of records begin with; the number follows, four bytes, big-endian."""
RECORD_BYTES_MAX = 1_000_000
"""Of a record before compression: below what brokers take, with room for key and frame."""
NUMBERS_MAX = 2**31 - 2**16
"""No log has as many records, and no number beyond has room in a row's home."""
_SLOTS_MAX = 2**25
_SPARE_BYTES = 4 * RECORD_BYTES_MAX
"""What the log may hold besides twice the state."""
_HEAD = np.dtype([("format", "<u8"), ("table", "<u4"), ("rows", "<u4")])


class Checkpoints:
    """Writes ``tables`` and takes them back.

    Parameters
    ----------
    tables
        In an order that is part of ``form``.
    form
        Eight bytes that name the layout.
    """

    def __init__(self, tables: Sequence[Table], form: bytes) -> None:
        self._tables, self._form = tables, form
        self.next_number = 0
        """Of the record that is written next."""
        self._bytes: dict[int, int] = {}
        """What the log holds, by record."""
        self._retired: list[int] = []

    @property
    def log_bytes(self) -> int:
        """Bytes that the records of the log have, before compression."""
        return sum(self._bytes.values())

    def write(self) -> list[tuple[bytes, bytes | None]]:
        """The entries of what changed since the last call."""
        entries: list[tuple[bytes, bytes | None]] = [(_key(number), None) for number in self._retired]
        self._retired = self._retire()
        for at, table in enumerate(self._tables):
            changed = np.flatnonzero(table.changed[: table.used])
            table.changed[changed] = False
            size = max(1, RECORD_BYTES_MAX // (table.rows.dtype.itemsize + 4))
            for start in range(0, len(changed), size):
                slots = changed[start : start + size]
                value = self._record(at, table, slots)
                table.homes[slots] = self.next_number
                self._bytes[self.next_number] = len(value)
                entries.append((_key(self.next_number), value))
                self.next_number += 1
        return entries

    def _record(self, at: int, table: Table, slots: NDArray[np.int64]) -> bytes:
        head = np.array([(int.from_bytes(self._form, "little"), at, len(slots))], dtype=_HEAD)
        columns = _columns(_words(table.rows), slots)
        return b"".join((head.tobytes(), columns.tobytes(), slots.astype("<u4").tobytes()))

    def _retire(self) -> list[int]:
        """Records that are to go; what they alone hold counts as changed from here on."""
        held, whole = self._held()
        log = self.log_bytes + sum(
            int(np.count_nonzero(table.changed[: table.used])) * table.rows.dtype.itemsize for table in self._tables
        )
        retired = [number for number in self._bytes if held[number] == 0]
        for number in retired:
            log -= self._bytes.pop(number)
        first_kept = 0
        for number in sorted(self._bytes):
            if log <= 2 * whole + _SPARE_BYTES:
                break
            log += held[number] - self._bytes.pop(number)
            retired.append(number)
            first_kept = number + 1
        for table in self._tables if first_kept else ():
            homes = table.homes[: table.used]
            table.changed[: table.used] |= (homes != NOWHERE) & (homes < first_kept)
        return retired

    def _held(self) -> tuple[dict[int, int], int]:
        """Bytes of rows that each record alone holds, and of all rows. Rows whose record is gone, which only a forged
        log has, count as changed."""
        numbers = np.array([*sorted(self._bytes), NUMBERS_MAX], dtype=np.int64)
        held, whole = np.zeros(len(numbers), dtype=np.int64), 0
        for table in self._tables:
            homes, changed = table.homes[: table.used], table.changed[: table.used]
            size = table.rows.dtype.itemsize
            settled = np.flatnonzero((homes != NOWHERE) & ~changed)
            at = np.searchsorted(numbers, homes[settled])
            is_gone = numbers[at] != homes[settled]
            changed[settled[is_gone]] = True
            held += size * np.bincount(at[~is_gone], minlength=len(numbers))
            whole += size * int(np.count_nonzero((homes != NOWHERE) | changed))
        return dict(zip(numbers.tolist(), held.tolist(), strict=True)), whole

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Apply one entry, oldest first.

        Raises
        ------
        StateFormatError
            When it is none that this code wrote.
        """
        number = int.from_bytes(key[len(RECORD_PREFIX) :], "big")
        if value is None:
            self._bytes.pop(number, None)
            return
        if len(value) < _HEAD.itemsize or len(key) != len(_key(0)) or number >= NUMBERS_MAX:
            raise refused("the changelog holds a record without a head")
        head = np.frombuffer(value, dtype=_HEAD, count=1)[0]
        if head["table"] >= len(self._tables):
            raise refused("the changelog holds a record of an unknown table")
        table, count = self._tables[head["table"]], int(head["rows"])
        words = table.rows.dtype.itemsize // 8
        if not count or len(value) != _HEAD.itemsize + count * (8 * words + 4) or len(value) > RECORD_BYTES_MAX + 64:
            raise refused("the changelog holds a record that is not as long as its rows")
        columns = np.frombuffer(value, dtype=np.uint64, offset=_HEAD.itemsize, count=count * words)
        slots = np.frombuffer(value, dtype="<u4", offset=_HEAD.itemsize + 8 * words * count).astype(np.int64)
        if slots[-1] >= _SLOTS_MAX or (np.diff(slots) <= 0).any():
            raise refused("the changelog holds a record whose rows have no places of their own")
        rows = np.ascontiguousarray(columns.reshape(words, count).T)
        table.place(slots, rows.view(table.rows.dtype).reshape(count), number)
        self._bytes[number] = len(value)
        self.next_number = max(self.next_number, number + 1)


def _key(number: int) -> bytes:
    return RECORD_PREFIX + number.to_bytes(4, "big")


def _words(rows: NDArray[Any]) -> NDArray[np.uint64]:
    return rows.view(np.uint64).reshape(len(rows), rows.dtype.itemsize // 8)


@njit(cache=True)
def _columns(words: Any, slots: Any) -> Any:
    """uint64[w, n]: the rows ``slots`` (int64[n]) of ``words`` (uint64[m, w]), column by column."""
    columns = np.empty((words.shape[1], len(slots)), dtype=np.uint64)
    for i in range(len(slots)):
        for at in range(words.shape[1]):
            columns[at, i] = words[slots[i], at]
    return columns
