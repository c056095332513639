"""Which row an account has: an open-addressing table over 128-bit digests, and whom it forgets when.

The table is a function of the log alone: the same records in the same order find, make and forget the same accounts,
however they are cut into batches. Slots are not: one that was given back is given again with the next batch, so that no
kernel meets two accounts in one row. An account is forgotten

- when a day (UTC) of the partition's event time begins and the account's latest payment is beyond the horizon;
- when there are ``limit`` accounts and a new one comes: the longest idle in the order of the log go, one in
  ``EVICTED_SHARE`` at once. Its next payment finds a stranger.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.siphash import Key, siphash128
from services.contract.units import DAY_MS
from services.scorer.path.features.tables import FREE, USED, Pool, Table

EVICTED_SHARE = 64
ACCOUNT_ROW = np.dtype([("low", "u8"), ("high", "u8"), ("order", "i8"), ("seen_ms", "i8")])
"""The digest, in two halves, both 0 in a free row; the number of its latest record in the order of the log; the latest
event time of its payments."""
_ORDER, _SWEPT_DAY, _LIVE, _EVICTED, _GONE = range(5)
_TABLE_MIN = 1024
_SEPARATOR = np.uint8(0x1F)


class _Limits(NamedTuple):
    accounts: int
    idle_ms: int


class _Log(NamedTuple):
    """Records of a batch and, in their places among them, labels (``Accounts.find``)."""

    digests: Any
    event_ms: Any
    now_ms: Any
    makes: Any
    labelled: Any
    before: Any


class Accounts:
    """The accounts of one partition of one hop.

    Parameters
    ----------
    limit
        Accounts remembered at most.
    idle_ms
        Retention horizon in event time.
    """

    def __init__(self, limit: int, idle_ms: int) -> None:
        self.table = Table(ACCOUNT_ROW)
        self._limits = _Limits(limit, idle_ms)
        self._slots: NDArray[np.int32] = np.zeros(_TABLE_MIN, dtype=np.int32)
        self._counts: NDArray[np.int64] = np.array([0, -1, 0, 0, 0], dtype=np.int64)
        self._gone: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._counts[_LIVE])

    @property
    def nbytes(self) -> int:
        """Bytes of memory, spare rows and the table included."""
        return self.table.nbytes + int(self._slots.nbytes)

    @property
    def evicted(self) -> int:
        """Accounts that had to make room since this object was made."""
        return int(self._counts[_EVICTED])

    @property
    def clock(self) -> NDArray[np.int64]:
        """int64[2]: the number of the latest record, and the day of the latest sweep."""
        return self._counts[: _SWEPT_DAY + 1]

    def find(
        self,
        digests: NDArray[np.uint64],
        event_ms: NDArray[np.int64],
        now_ms: NDArray[np.int64],
        makes: NDArray[np.bool_],
        labelled: NDArray[np.uint64],
        before: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The slots of the next n records of the log, and of k labels among them.

        Parameters
        ----------
        digests
            uint64[n, 2], of the records' accounts.
        event_ms, now_ms
            int64[n], ms: of the records, and the partition's as of each.
        makes
            bool[n]: whether the record makes an account that is not known.
        labelled, before
            uint64[k, 2], of the labels' accounts, and int64[k]: how many of the n stand before each. A label neither
            makes an account nor keeps it.

        Returns
        -------
        int64[n] and int64[k]; -1 where there is none.
        """
        n = len(digests)
        slots, label_slots = np.empty(n, dtype=np.int64), np.empty(len(labelled), dtype=np.int64)
        pool = self.table.pool(n)
        self._make_room(n)
        self._gone = np.empty(self.table.used + n, dtype=np.int64)
        self._counts[_GONE] = 0
        log = _Log(digests, event_ms, now_ms, makes, labelled, before)
        _find(self._slots, pool, self._gone, self._counts, self._limits, log, slots, label_slots)
        return slots, label_slots

    def known(self, digests: NDArray[np.uint64]) -> NDArray[np.int64]:
        """int64[n]: the slots of the accounts uint64[n, 2] as they are now; -1 where an account has none."""
        slots = np.empty(len(digests), dtype=np.int64)
        _known(self._slots, self.table.rows, digests, slots)
        return slots

    def take_gone(self) -> NDArray[np.int64]:
        """Give back the slots of those forgotten in the latest ``find``, and return them."""
        gone = self._gone[: self._counts[_GONE]]
        self._gone, self._counts[_GONE] = np.empty(0, dtype=np.int64), 0
        self.table.release(gone)
        self.table.changed[gone] = True  # a free row says that the account is gone
        return gone

    def settle(self) -> NDArray[np.bool_]:
        """After rows were put back: find them again. Returns bool[used]: the slots in use."""
        rows = self.table.rows[: self.table.used]
        in_use: NDArray[np.bool_] = (rows["low"] != 0) | (rows["high"] != 0)
        free_homes = self.table.homes[: self.table.used][~in_use]
        self.table.settle(in_use)
        self.table.homes[: self.table.used][~in_use] = free_homes
        self._counts[_LIVE] = np.count_nonzero(in_use)
        self._slots = np.zeros(0, dtype=np.int32)
        self._make_room(0)
        return in_use

    def _make_room(self, count: int) -> None:
        """Have the table at most two thirds full with ``count`` further accounts."""
        wanted = max(len(self), min(len(self) + count, self._limits.accounts)) * 3 // 2
        size = max(_TABLE_MIN, len(self._slots))
        while size <= wanted:
            size *= 2
        if size > len(self._slots):
            self._slots = np.zeros(size, dtype=np.int32)
            _fill(self._slots, self.table.rows[: self.table.used])


def digests_of_keys(keys: Sequence[bytes], key: Key) -> NDArray[np.uint64]:
    """uint64[n, 2]: the digests of account keys (``state.account_key``) under the deployment's ``key``."""
    ends = np.cumsum([0, *map(len, keys)], dtype=np.int64)
    digests = np.empty((len(keys), 2), dtype=np.uint64)
    _digest_keys(np.frombuffer(b"".join(keys), dtype=np.uint8), ends, key, digests)
    return digests


@njit(cache=True)
def digests_of_spans(data: Any, tenants: Any, accounts: Any, key: Key) -> Any:
    """uint64[n, 2]: the digests of tenant, U+001F and account, each from a span (start, end) of ``data`` (uint8[m]).

    ``tenants`` and ``accounts`` are int64[n, 2]. The same as ``digests_of_keys`` of ``state.account_key``.
    """
    n = len(tenants)
    digests = np.empty((n, 2), dtype=np.uint64)
    longest = 0
    for i in range(n):
        longest = max(longest, tenants[i, 1] - tenants[i, 0] + accounts[i, 1] - accounts[i, 0])
    text = np.empty(longest + 1, dtype=np.uint8)
    for i in range(n):
        length = 0
        for at in range(tenants[i, 0], tenants[i, 1]):
            text[length] = data[at]
            length += 1
        text[length] = _SEPARATOR
        length += 1
        for at in range(accounts[i, 0], accounts[i, 1]):
            text[length] = data[at]
            length += 1
        _digest(text, 0, length, key, digests[i])
    return digests


@njit(cache=True)
def _digest_keys(data: Any, ends: Any, key: Key, digests: Any) -> None:
    for i in range(len(digests)):
        _digest(data, ends[i], ends[i + 1] - ends[i], key, digests[i])


@njit(cache=True)
def _digest(data: Any, start: int, length: int, key: Key, out: Any) -> None:
    """Never 0 in its lower half, which means *free*."""
    low, high = siphash128(data, start, length, key)
    out[0] = low if low != 0 else np.uint64(1)
    out[1] = high


@njit(cache=True)
def _find(
    table: Any, pool: Pool, gone: Any, counts: Any, limits: _Limits, log: _Log, slots: Any, label_slots: Any,
) -> None:  # fmt: skip
    k = 0
    for i in range(len(slots)):
        while k < len(label_slots) and log.before[k] <= i:
            label_slots[k] = table[_place(table, pool.rows, log.labelled[k])] - 1
            k += 1
        now_ms = log.now_ms[i]
        if now_ms // DAY_MS > counts[_SWEPT_DAY]:
            counts[_SWEPT_DAY] = now_ms // DAY_MS
            _forget(table, pool, gone, counts, -1, now_ms - limits.idle_ms)
        counts[_ORDER] += 1
        at = _place(table, pool.rows, log.digests[i])
        slot = table[at] - 1
        if slot < 0 and log.makes[i]:
            if counts[_LIVE] >= limits.accounts:
                beyond = counts[_LIVE] - limits.accounts
                _evict(table, pool, gone, counts, beyond + max(1, limits.accounts // EVICTED_SHARE))
                at = _place(table, pool.rows, log.digests[i])
            slot = _make(table, pool, at, log.digests[i])
            counts[_LIVE] += 1
        if slot >= 0:
            row = pool.rows[slot]
            row.order = counts[_ORDER]
            if log.makes[i]:
                row.seen_ms = max(row.seen_ms, log.event_ms[i])
            pool.changed[slot] = True
        slots[i] = slot
    while k < len(label_slots):
        label_slots[k] = table[_place(table, pool.rows, log.labelled[k])] - 1
        k += 1


@njit(cache=True)
def _known(table: Any, rows: Any, digests: Any, slots: Any) -> None:
    for i in range(len(slots)):
        slots[i] = table[_place(table, rows, digests[i])] - 1


@njit(cache=True)
def _place(table: Any, rows: Any, digest: Any) -> int:
    """Where in the table the account stands, or would stand."""
    mask = len(table) - 1
    at = np.int64(digest[0] & np.uint64(mask))
    while table[at] != 0:
        row = rows[table[at] - 1]
        if row.low == digest[0] and row.high == digest[1]:
            break
        at = (at + 1) & mask
    return int(at)


@njit(cache=True)
def _make(table: Any, pool: Pool, at: int, digest: Any) -> int:
    if pool.counts[FREE] > 0:
        pool.counts[FREE] -= 1
        slot = int(pool.free[pool.counts[FREE]])
    else:
        slot = int(pool.counts[USED])
        pool.counts[USED] += 1
    table[at] = slot + 1
    row = pool.rows[slot]
    row.low = digest[0]
    row.high = digest[1]
    row.seen_ms = 0
    return slot


@njit(cache=True)
def _evict(table: Any, pool: Pool, gone: Any, counts: Any, count: int) -> None:
    """Forget the ``count`` accounts whose latest record is the longest ago."""
    orders = np.empty(counts[_LIVE], dtype=np.int64)
    found = 0
    for slot in range(pool.counts[USED]):
        if pool.rows[slot].low != 0:
            orders[found] = pool.rows[slot].order
            found += 1
    _forget(table, pool, gone, counts, np.partition(orders, count - 1)[count - 1], -1)
    counts[_EVICTED] += count


@njit(cache=True)
def _forget(table: Any, pool: Pool, gone: Any, counts: Any, order_max: int, before_ms: int) -> None:
    """Forget whose order is at most ``order_max``, or whose latest payment stands before ``before_ms``."""
    for slot in range(pool.counts[USED]):
        row = pool.rows[slot]
        if row.low != 0 and (row.order <= order_max or row.seen_ms < before_ms):
            _remove(table, pool.rows, slot)
            row.low = 0
            row.high = 0
            gone[counts[_GONE]] = slot
            counts[_GONE] += 1
            counts[_LIVE] -= 1


@njit(cache=True)
def _remove(table: Any, rows: Any, slot: int) -> None:
    """Take a slot out of the table; what stands behind it moves up, so that no search meets a gap (Knuth 6.4, R)."""
    mask = len(table) - 1
    gap = np.int64(rows[slot].low & np.uint64(mask))
    while table[gap] != slot + 1:
        gap = (gap + 1) & mask
    at = gap
    while True:
        at = (at + 1) & mask
        if table[at] == 0:
            break
        home = np.int64(rows[table[at] - 1].low & np.uint64(mask))
        if ((at - home) & mask) >= ((at - gap) & mask):
            table[gap] = table[at]
            gap = at
    table[gap] = 0


@njit(cache=True)
def _fill(table: Any, rows: Any) -> None:
    mask = len(table) - 1
    for slot in range(len(rows)):
        if rows[slot].low != 0:
            at = np.int64(rows[slot].low & np.uint64(mask))
            while table[at] != 0:
                at = (at + 1) & mask
            table[at] = slot + 1
