"""Which payments of a partition were seen before: a window of digests, stated in payments and in days of event time.

A payment is its tenant, its payer's account and its payment id. Of each the window holds, in 14 bytes, 64 bits of the
digest of these, 28 of its content's (``decoding.content``), the statuses that it came with, and where its first record
stands. Payments stand in the order of the log in *chunks* of ``CHUNK``, which leave whole, the oldest first: when there
are too many, or when the partition's event time is more than so many days beyond a chunk's last payment. All of it is a
function of the log, however that is cut into batches.

An open-addressing index of 32-bit entries finds a digest: the upper eight bits are the lower ones of its home, the rest
says where it stands. So hardly a search looks at a chunk in vain, and an entry can move up when one before it leaves
(Knuth 6.4, R) without one, unless some entry was ever 256 places from home.

Two ids share a digest with a chance of 2**-64 a pair: with ten million payments remembered once in 2 * 10**12 payments.
The one that comes second is then refused as a conflict (or, once in 2**28 of these, dropped as a repeat).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.units import DAY_MS
from services.scorer.path.features.inputs import REFUSED, STATUS_CODE
from services.scorer.path.features.state_format import refused
from services.scorer.path.features.tables import Pool, Table, disown, own

FORWARD, DUPLICATE, STATUS_UPDATE, CONFLICT = range(4)
"""Verdicts: a payment goes on; a repeat is dropped; a repeat with another status only updates state; another content
under the id of a payment is refused."""
CHUNK = 128
CHUNK_ROW = np.dtype(
    [
        ("number", "i8"),  # counted from 1 in the order of the log; 0 in a free row
        ("first_offset", "i8"),  # of its first payment
        ("now_ms", "i8"),  # the partition's event time as of its last payment
        ("generation", "u4"),  # of the log that they stand in
        ("count", "u4"),
        ("ids", "u8", (CHUNK,)),
        ("contents", "u4", (CHUNK,)),  # 28 bits of the digest, then one for each status
        ("behind", "u2", (CHUNK,)),  # offset, less that of the first
    ],
    align=True,
)
WINDOW_PAYMENTS_MAX = 16_000_000
"""More cannot be remembered in a partition: positions have 24 bits."""
_BEHIND_MAX = 65_535
_LOAD_MAX = 0.72
"""Of the index. With ten million payments it takes 56 MB, and the chunks 143."""
_INDEX_MIN = 1_024
_POSITION = np.uint32((1 << 24) - 1)
_HOME_BITS = np.uint32(24)
_NEAR = 256
_STATUSES = len(STATUS_CODE)
_REFUSED_BITS = np.uint32(1 << STATUS_CODE["rejected"] | 1 << STATUS_CODE["returned"])
_OLDEST, _NEXT, _LIVE, _FAR = range(4)
"""Places of the counts: number of the oldest chunk and of the next, payments remembered, and whether some entry of the
index was ever far from home."""


class _Limits(NamedTuple):
    chunks: int
    ms: int


class _Log(NamedTuple):
    rows: Any
    """``PAYER_INPUT[n]``, of which the verdicts are written."""
    offsets: Any
    generation: int


class First(NamedTuple):
    """Where the first record of each of n payments stands, its own where it is the first."""

    offset: NDArray[np.int64]
    generation: NDArray[np.int64]


class Identities:
    """The payments of one partition that are remembered.

    Parameters
    ----------
    payments_max
        Payments remembered when it is full, at least; up to ``WINDOW_PAYMENTS_MAX``. Less if chunks begin anew because
        more than 65,535 other records stand between.
    days
        Event time after which they are forgotten.
    """

    def __init__(self, payments_max: int = 10_000_000, days: int = 400) -> None:
        chunks = -(-payments_max // CHUNK) + 1
        self.table = Table(CHUNK_ROW, reserved=1, slots_max=chunks + 1)
        self._limits = _Limits(chunks, days * DAY_MS)
        self._order: NDArray[np.int32] = np.zeros(chunks, dtype=np.int32)
        """Slots of chunks, by their number modulo the length."""
        self._index: NDArray[np.uint32] = np.zeros(_INDEX_MIN, dtype=np.uint32)
        self._index_most = max(_INDEX_MIN, int(chunks * CHUNK / _LOAD_MAX) + 1)
        self._counts: NDArray[np.int64] = np.array([1, 1, 0, 0], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._counts[_LIVE])

    @property
    def nbytes(self) -> int:
        """Bytes of memory, spare rows and the index included."""
        return self.table.nbytes + int(self._index.nbytes + self._order.nbytes)

    @property
    def oldest(self) -> int:
        """Number of the oldest chunk."""
        return int(self._counts[_OLDEST])

    def items(self) -> list[bytes]:
        """Every chunk as bytes, the oldest first."""
        numbers = np.arange(self._counts[_OLDEST], self._counts[_NEXT])
        return [self.table.rows[slot].tobytes() for slot in self._order[numbers % len(self._order)]]

    def recognise(self, rows: NDArray[Any], offsets: NDArray[np.int64], generation: int) -> First:
        """Write the verdicts on the next n payments of the log, and remember those that are new.

        Parameters
        ----------
        rows
            ``PAYER_INPUT[n]``: ``payment``, ``content``, ``status`` and ``now_ms`` are read, ``verdict`` and
            ``first_refused`` written.
        offsets, generation
            int64[n]: where they stand in the ``generation``-th log.
        """
        n = len(rows)
        first = First(offsets.copy(), np.full(n, generation, dtype=np.int64))
        done = 0
        while done < n:  # the index grows between parts that it has room for
            self._make_room()
            part = slice(done, min(n, done + self._room()))
            pool = self._pool(offsets[part])
            log = _Log(rows[part], offsets[part], generation)
            found = First(first.offset[part], first.generation[part])
            _recognise(self._index, pool, self._order, self._counts, self._limits, log, found)
            done = part.stop
        return first

    def _room(self) -> int:
        """For how many further payments the index is large enough."""
        size = len(self._index)
        return WINDOW_PAYMENTS_MAX if size == self._index_most else int(size * _LOAD_MAX) - len(self)

    def _pool(self, offsets: NDArray[np.int64]) -> Pool:
        """The chunks, with room for those that payments at ``offsets`` can begin."""
        begun = 3 + len(offsets) // CHUNK + int(offsets[-1] - offsets[0]) // _BEHIND_MAX
        room = min(begun, self._limits.chunks + 1 - self.table.used)
        return self.table.pool(max(0, room), freed=self._limits.chunks + 1)

    def _make_room(self) -> None:
        """Have room in the index for what comes next."""
        size = len(self._index)
        if len(self) + CHUNK > size * _LOAD_MAX and size < self._index_most:
            self._index = np.zeros(min(2 * size, self._index_most), dtype=np.uint32)
            _fill(self._index, self.table.rows, self._order, self._counts)

    def settle(self, oldest: int) -> None:
        """After rows were put back: find them again. ``oldest`` is the number of the oldest chunk.

        Raises
        ------
        StateFormatError
            When they are none that this code wrote.
        """
        rows = self.table.rows[: self.table.used]
        slots = np.flatnonzero((rows["number"] >= oldest) & (np.arange(len(rows)) > 0))
        slots = slots[np.argsort(rows["number"][slots])]
        chunks = rows[slots]
        sound = (
            (np.diff(chunks["number"]) == 1).all()
            and (len(chunks) == 0 or chunks["number"][0] == oldest)
            and ((chunks["count"] >= 1) & (chunks["count"] <= CHUNK)).all()
            and (chunks["first_offset"] >= 0).all()
            and ((chunks["now_ms"] >= 0) & (chunks["now_ms"] <= EVENT_TIME_MS_MAX)).all()
        )
        if oldest < 1 or not sound:
            raise refused("the changelog holds a window of payments that no kernel of this code has written")
        slots = slots[max(0, len(slots) - self._limits.chunks) :]
        in_use = np.zeros(self.table.used, dtype=np.bool_)
        in_use[slots] = True
        self.table.settle(in_use)
        numbers, counts = self.table.rows["number"][slots], self.table.rows["count"][slots]
        self._order[numbers % len(self._order)] = slots
        following = oldest + len(chunks)
        self._counts[:] = following - len(slots), following, counts.sum(), 0
        size = _INDEX_MIN
        while len(self) + CHUNK > size * _LOAD_MAX and size < self._index_most:
            size = min(2 * size, self._index_most)
        self._index = np.zeros(size, dtype=np.uint32)
        _fill(self._index, self.table.rows, self._order, self._counts)


@njit(cache=True)
def _recognise(
    index: Any, pool: Pool, order: Any, counts: Any, limits: _Limits, log: _Log, first: First
) -> None:  # fmt: skip
    for i in range(len(log.offsets)):
        row = log.rows[i]
        while counts[_OLDEST] < counts[_NEXT]:
            if row.now_ms - pool.rows[order[counts[_OLDEST] % len(order)]].now_ms <= limits.ms:
                break
            _leave(index, pool, order, counts)
        row.first_refused = False
        content = np.uint32(row.content >> np.uint64(64 - 32 + _STATUSES)) << np.uint32(_STATUSES)
        seen = np.uint32(1) << np.uint32(row.status)
        at = _place(index, pool.rows, row.payment)
        if index[at] == 0:
            row.verdict = FORWARD
            _add(index, pool, order, counts, limits, log, i, content | seen)
            continue
        position = np.int64(index[at] & _POSITION)
        slot, place = position // CHUNK, position % CHUNK
        chunk = pool.rows[slot]
        first.offset[i] = chunk.first_offset + chunk.behind[place]
        first.generation[i] = chunk.generation
        known = chunk.contents[place]
        if known >> np.uint32(_STATUSES) != content >> np.uint32(_STATUSES):
            row.verdict = CONFLICT
        elif known & seen:
            row.verdict = DUPLICATE
        else:
            row.verdict = STATUS_UPDATE
            row.first_refused = row.status >= REFUSED and known & _REFUSED_BITS == 0
            chunk.contents[place] = known | seen
            pool.changed[slot] = True


@njit(cache=True)
def _add(
    index: Any, pool: Pool, order: Any, counts: Any, limits: _Limits, log: _Log, i: int, content: Any
) -> None:  # fmt: skip
    """Remember a payment that is new, in the latest chunk or one more."""
    offset, row = log.offsets[i], log.rows[i]
    slot = 0
    if counts[_OLDEST] < counts[_NEXT]:
        slot = order[(counts[_NEXT] - 1) % len(order)]
        chunk = pool.rows[slot]
        behind = offset - chunk.first_offset
        if chunk.count == CHUNK or chunk.generation != log.generation or not 0 <= behind <= _BEHIND_MAX:
            slot = 0
    if slot == 0:
        if counts[_NEXT] - counts[_OLDEST] >= limits.chunks:
            _leave(index, pool, order, counts)
        slot = own(pool, 0)
        order[counts[_NEXT] % len(order)] = slot
        chunk = pool.rows[slot]
        chunk.number = counts[_NEXT]
        chunk.first_offset = offset
        chunk.generation = log.generation
        counts[_NEXT] += 1
    chunk = pool.rows[slot]
    place = np.int64(chunk.count)
    chunk.ids[place] = row.payment
    chunk.contents[place] = content
    chunk.behind[place] = offset - chunk.first_offset
    chunk.now_ms = row.now_ms
    chunk.count = place + 1
    pool.changed[slot] = True
    counts[_LIVE] += 1
    _insert(index, counts, row.payment, slot * CHUNK + place)


@njit(cache=True)
def _leave(index: Any, pool: Pool, order: Any, counts: Any) -> None:
    """Forget the oldest chunk."""
    slot = np.int64(order[counts[_OLDEST] % len(order)])
    chunk = pool.rows[slot]
    for place in range(np.int64(chunk.count)):
        _remove(index, pool.rows, counts, chunk.ids[place], slot * CHUNK + place)
    counts[_LIVE] -= np.int64(chunk.count)
    counts[_OLDEST] += 1
    disown(pool, slot)


@njit(cache=True)
def _fill(index: Any, rows: Any, order: Any, counts: Any) -> None:
    counts[_FAR] = 0
    for number in range(counts[_OLDEST], counts[_NEXT]):
        slot = np.int64(order[number % len(order)])
        for place in range(np.int64(rows[slot].count)):
            _insert(index, counts, rows[slot].ids[place], slot * CHUNK + place)


@njit(cache=True)
def _home(digest: Any, size: int) -> int:
    """Where in an index of ``size`` entries the search for a digest begins."""
    return int(np.int64((digest >> np.uint64(32)) * np.uint64(size) >> np.uint64(32)))


@njit(cache=True)
def _place(index: Any, rows: Any, digest: Any) -> int:
    """Where in the index a digest stands, or would stand."""
    at = home = _home(digest, len(index))
    while index[at] != 0:
        if index[at] >> _HOME_BITS == np.uint32(home & 0xFF):
            position = np.int64(index[at] & _POSITION)
            if rows[position // CHUNK].ids[position % CHUNK] == digest:
                break
        at = _after(at, len(index))
    return int(at)


@njit(cache=True)
def _insert(index: Any, counts: Any, digest: Any, position: int) -> None:
    """Enter a digest that is not in the index yet."""
    at = home = _home(digest, len(index))
    while index[at] != 0:
        at = _after(at, len(index))
    index[at] = np.uint32(home & 0xFF) << _HOME_BITS | np.uint32(position)
    if _distance(home, at, len(index)) >= _NEAR:
        counts[_FAR] = 1


@njit(cache=True)
def _remove(index: Any, rows: Any, counts: Any, digest: Any, position: int) -> None:
    """Take a digest out; what stands behind it moves up, so that no search meets a gap."""
    size = len(index)
    gap = _home(digest, size)
    while np.int64(index[gap] & _POSITION) != position:
        gap = _after(gap, size)
    at = gap
    while True:
        at = _after(at, size)
        if index[at] == 0:
            break
        if _from_home(index, rows, counts, at) >= _distance(gap, at, size):
            index[gap] = index[at]
            gap = at
    index[gap] = 0


@njit(cache=True)
def _from_home(index: Any, rows: Any, counts: Any, at: int) -> int:
    """How far from its home the entry at ``at`` stands."""
    size, entry = len(index), index[at]
    if counts[_FAR] == 0 and at >= _NEAR:
        return int((at - np.int64(entry >> _HOME_BITS)) & 0xFF)
    position = np.int64(entry & _POSITION)
    return int(_distance(_home(rows[position // CHUNK].ids[position % CHUNK], size), at, size))


@njit(cache=True)
def _after(at: int, size: int) -> int:
    return at + 1 if at + 1 < size else 0


@njit(cache=True)
def _distance(start: int, stop: int, size: int) -> int:
    return stop - start if stop >= start else stop - start + size
