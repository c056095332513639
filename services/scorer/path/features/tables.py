"""Rows by slot: arrays that grow, that know which of their rows changed, and in which record each was written last."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

USED, FREE = 0, 1
"""Places in ``Pool.counts``: slots given out so far, and how many of them are free again."""
NOWHERE = -1
"""Stands in ``homes`` for a row that no record of the log has to hold."""
_ROWS_MIN = 64


class Pool(NamedTuple):
    """A table as compiled code takes it."""

    rows: Any
    changed: Any
    homes: Any
    free: Any
    counts: Any


class Table:
    """Rows of one layout.

    Parameters
    ----------
    row
        Layout of a row, whole 64-bit words.
    reserved
        How many slots nobody is given: 1 where slot 0 stands for *none*.
    slots_max
        How many there can be; growth ahead of need stops there.
    """

    def __init__(self, row: np.dtype[Any], reserved: int = 0, slots_max: int = 2**31) -> None:
        assert row.itemsize % 8 == 0, "rows travel as columns of 64-bit words"
        self.rows: NDArray[Any] = np.zeros(_ROWS_MIN, dtype=(np.record, row))
        self.changed: NDArray[np.bool_] = np.zeros(_ROWS_MIN, dtype=np.bool_)
        """Rows that were written since the last checkpoint."""
        self.homes: NDArray[np.int32] = np.full(_ROWS_MIN, NOWHERE, dtype=np.int32)
        """The record of the log in which each row was written last."""
        self._free: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._counts: NDArray[np.int64] = np.array([reserved, 0], dtype=np.int64)
        self._reserved, self._slots_max = reserved, slots_max

    @property
    def used(self) -> int:
        """Slots given out so far, free ones included."""
        return int(self._counts[USED])

    @property
    def nbytes(self) -> int:
        """Bytes of memory. Spare rows take none: they are zeros that nobody has written."""
        rows = self.used * self.rows.dtype.itemsize
        return int(rows + self.changed.nbytes + self.homes.nbytes + self._free.nbytes)

    def pool(self, room: int = 0, freed: int = 0) -> Pool:
        """The table for compiled code, with room for ``room`` further rows, and as many or ``freed`` further free ones.
        Valid until the next call."""
        self.reserve(self.used + room)
        self._free = _grown(self._free, int(self._counts[FREE]) + max(room, freed), 0)
        return Pool(self.rows, self.changed, self.homes, self._free, self._counts)

    def reserve(self, slots: int) -> None:
        """Have rows for ``slots`` slots. New rows are zero."""
        size = len(self.rows)
        if slots <= size:
            return
        size = max(slots, min(2 * size, self._slots_max))
        self.rows = _grown(self.rows, size, 0)
        self.changed = _grown(self.changed, size, False)
        self.homes = _grown(self.homes, size, NOWHERE)

    def clear(self, slots: NDArray[np.int64]) -> None:
        """Zero the rows ``slots``; no record has to hold them."""
        self.rows[slots] = np.zeros((), dtype=self.rows.dtype)
        self.changed[slots] = False
        self.homes[slots] = NOWHERE

    def release(self, slots: NDArray[np.int64]) -> None:
        """Clear ``slots``, none of them twice, to be given out again."""
        self.clear(slots)
        count = int(self._counts[FREE])
        self._free = _grown(self._free, count + len(slots), 0)
        self._free[count : count + len(slots)] = slots
        self._counts[FREE] += len(slots)

    def place(self, slots: NDArray[np.int64], rows: NDArray[Any], home: int) -> None:
        """Put back ``rows`` as record ``home`` of the log holds them."""
        self.extend(int(slots.max()) + 1)
        self.rows[slots] = rows
        self.homes[slots] = home

    def extend(self, used: int) -> None:
        """Give out the slots below ``used``."""
        self.reserve(used)
        self._counts[USED] = max(self.used, used)

    def settle(self, in_use: NDArray[np.bool_]) -> None:
        """After ``place``: every slot that is not ``in_use`` (bool[used]) is free."""
        self._counts[FREE] = 0
        idle = ~in_use
        idle[: self._reserved] = False
        self.release(np.flatnonzero(idle))


def _grown(array: NDArray[Any], size: int, fill: int) -> NDArray[Any]:
    """``array``, and ``fill`` up to ``size`` where it is shorter; zeros take no memory before they are written."""
    if size <= len(array):
        return array
    grown = np.zeros(size, dtype=array.dtype)
    grown[: len(array)] = array
    if fill:
        grown[len(array) :] = fill
    return grown


@njit(cache=True)
def own(pool: Pool, at: int) -> int:
    """The slot ``at`` to be written, or a fresh one where that is 0; it counts as changed."""
    slot = int(at)
    if slot == 0:
        if pool.counts[FREE] > 0:
            pool.counts[FREE] -= 1
            slot = int(pool.free[pool.counts[FREE]])
        else:
            slot = int(pool.counts[USED])
            pool.counts[USED] += 1
    pool.changed[slot] = True
    return slot


@njit(cache=True)
def disown(pool: Pool, at: int) -> None:
    """Free the slot ``at``, if it is one (as ``Table.release``)."""
    if at == 0:
        return
    zero = np.zeros(1, pool.rows.dtype)
    pool.rows[at] = zero[0]
    pool.changed[at] = False
    pool.homes[at] = NOWHERE
    pool.free[pool.counts[FREE]] = at
    pool.counts[FREE] += 1
