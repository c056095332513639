"""Columnar state: one fixed-size row per account, and a dict from account to row.

Rows are NumPy records, so a row's bytes are its changelog entry, and restoring is copying bytes back. Growth doubles
the arrays; accounts idle beyond the retention horizon are evicted and leave a tombstone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.identity import hash_of
from services.contract.units import DAY_MS
from services.scorer.path.features.corridors import CORRIDOR_ROW, Corridors, doubled
from services.scorer.path.features.definitions.feature import HALF_LIFE_MS
from services.scorer.path.features.rows import PAYMENT_IDS
from services.scorer.path.features.state_format import refused
from services.scorer.path.features.tokens import TOKEN_ROW, Tokens


class AccountState:
    """The rows of one partition of one hop.

    Parameters
    ----------
    row
        ``PAYER_ROW`` or ``PAYEE_ROW``.
    idle_ms
        Retention horizon in event time.
    schema
        What else the rows' meaning depends on (the feature schema, the key of digests); part of the format of the
        changelog.
    sources
        Number of partitions of the topic whose records may repeat (see ``origins``).
    """

    def __init__(self, row: np.dtype[Any], idle_ms: int, sources: int = 0, schema: bytes = b"") -> None:
        self.rows: NDArray[Any] = np.zeros(1024, dtype=(np.record, row))
        self.watermark: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        """Latest event time of the partition, ms."""
        self.origins: NDArray[np.int64] = np.full(sources, -1, dtype=np.int64)
        """Position up to which each source partition has been seen."""
        self.corridors = Corridors()
        self.tokens = Tokens()
        self.generation = 0
        """How often another input log has taken this one's place."""
        self._idle_ms = idle_ms
        self._slots: dict[bytes, int] = {}
        self._keys: list[bytes | None] = []
        self._free: list[int] = []
        self._swept_ms = 0
        layout = repr((row.descr, CORRIDOR_ROW.descr, TOKEN_ROW.descr, HALF_LIFE_MS, schema))
        self._format = bytes.fromhex(hash_of(layout.encode())[:16])

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the rows occupy, spare ones included."""
        return int(self.rows.nbytes + self.corridors.rows.nbytes + self.tokens.rows.nbytes)

    @property
    def latest_event_ms(self) -> int:
        """Latest event time of the partition."""
        return int(self.watermark[0])

    def begin_at(self, offset: int, generation: int) -> None:
        """The log goes on at ``offset``, and is the ``generation``-th that people accepted in another's place."""
        self.generation = generation

    def times(self, event_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64[n]: the partition's event time as of each of the payments that come next."""
        return np.maximum.accumulate(np.maximum(event_ms, self.watermark[0]))

    def slots(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """int64[n]: the rows of ``keys``, in order; an unknown account gets a fresh row."""
        known = self._slots
        return np.array([known[key] if key in known else self._allocate(key) for key in keys], dtype=np.int64)

    def known_slots(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """int64[n]: the rows of ``keys``, in order; -1 where an account has none."""
        return np.array([self._slots.get(key, -1) for key in keys], dtype=np.int64)

    def payee_slots(self, keys: Sequence[bytes], outflow: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The same for a batch with outflows: an outflow makes no row, and is -1 while its account has none."""
        known = self._slots
        return np.array(
            [
                known.get(key, -1) if is_outflow else known[key] if key in known else self._allocate(key)
                for key, is_outflow in zip(keys, outflow.tolist(), strict=True)
            ],
            dtype=np.int64,
        )

    def _allocate(self, key: bytes) -> int:
        if self._free:
            slot = self._free.pop()
            self._keys[slot] = key
            self.rows[slot] = np.zeros((), dtype=self.rows.dtype)
        else:
            slot = len(self._keys)
            if slot == len(self.rows):
                self.rows = doubled(self.rows)
            self._keys.append(key)
        self._slots[key] = slot
        return slot

    def evict_idle(self) -> list[bytes]:
        """Free the rows that are beyond the horizon, at most once per day of event time; returns their keys.

        When this runs changes no result: the kernels treat such a row as fresh anyway.
        """
        now_ms = int(self.watermark[0])
        if now_ms < self._swept_ms + DAY_MS:
            return []
        self._swept_ms = now_ms
        used = self.rows[: len(self._keys)]
        # A row without payments was forgotten by a kernel (an outflow that found its account idle).
        idle = np.flatnonzero((now_ms - used["last_ms"] > self._idle_ms) | (used["payments"] == 0))
        return [self._release(int(slot)) for slot in idle if self._keys[slot] is not None]

    def _release(self, slot: int) -> bytes:
        key = self._keys[slot]
        assert key is not None, "only rows in use are released"
        del self._slots[key]
        self._keys[slot] = None
        self.rows[slot] = np.zeros((), dtype=self.rows.dtype)
        self._free.append(slot)
        return key

    def changelog(self, touched: NDArray[np.int64]) -> list[tuple[bytes, bytes | None]]:
        """Changelog entries of the rows in ``touched`` (repeats allowed), of evicted accounts, of corridors, of
        shared tokens and of the partition."""
        evicted = self.evict_idle()
        entries: list[tuple[bytes, bytes | None]] = [(key, None) for key in evicted]
        unique = np.unique(touched[touched >= 0])
        size = self.rows.dtype.itemsize
        starts, ends = unique * size, _ends(self.rows.view(np.uint64).reshape(len(self.rows), size // 8), unique)
        packed = self.rows.view(np.uint8).data
        for slot, start, stop in zip(unique.tolist(), starts.tolist(), (starts + ends).tolist(), strict=True):
            key = self._keys[slot]
            if key is not None:
                entries.append((key, b"".join((self._format, packed[start:stop]))))
        entries += [(CORRIDOR_PREFIX + key, self._format + row) for key, row in self.corridors.changelog()]
        shared = self.tokens.changelog(int(self.watermark[0]))
        entries += [(TOKEN_PREFIX + key, None if row is None else self._format + row) for key, row in shared]
        entries.append((PARTITION_KEY, self._format + self.watermark.tobytes() + self.origins.tobytes()))
        return entries

    def restore(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Apply changelog entries, oldest first.

        Raises
        ------
        StateFormatError
            When an entry has another layout than this code's; it must be rebuilt from the input topic.
        """
        restored: set[int] = set()
        for key, value in entries:
            if value is not None and value[:8] != self._format:
                raise refused(
                    f"state was written as {value[:8].hex()}, under another layout, feature schema or TOCSIN_HASH_KEY "
                    f"than this one's {self._format.hex()}"
                )
            content = None if value is None else value[8:]
            if key.startswith(TOKEN_PREFIX):
                self.tokens.restore(key[len(TOKEN_PREFIX) :], content)
            elif content is None:
                if key in self._slots:
                    self._release(self._slots[key])
            elif key == PARTITION_KEY:
                self._restore_partition(content)
            elif key.startswith(CORRIDOR_PREFIX):
                self.corridors.restore(key[len(CORRIDOR_PREFIX) :], content)
            else:
                restored.add(self._restore_row(key, content))
        self._check_rows(np.array(sorted(restored), dtype=np.int64))

    def _restore_row(self, key: bytes, content: bytes) -> int:
        size = self.rows.dtype.itemsize
        if len(content) > size:
            raise refused("an entry of the changelog is longer than an account's row")
        slot = self._slots[key] if key in self._slots else self._allocate(key)
        self.rows[slot] = np.frombuffer(content.ljust(size, b"\0"), dtype=self.rows.dtype)[0]
        return slot

    def _restore_partition(self, value: bytes) -> None:
        numbers = np.frombuffer(value[: len(value) // 8 * 8], dtype=np.int64)
        if len(value) % 8 or not 1 <= len(numbers) <= 1 + len(self.origins):
            raise refused("the partition's entry of the changelog has another length than this code's")
        if not 0 <= numbers[0] <= EVENT_TIME_MS_MAX or (numbers[1:] < -1).any():
            raise refused("the partition's entry of the changelog tells of no time, or of no offset")
        self.watermark[0] = numbers[0]
        self.origins[: len(numbers) - 1] = numbers[1:]

    def _check_rows(self, slots: NDArray[np.int64]) -> None:
        """Refuse what a kernel would take as an index beyond its row, or as a time that no payment has."""
        rows = self.rows[slots]
        sound = (rows["first_ms"] >= 0) & (rows["last_ms"] >= 0) & (rows["last_ms"] <= EVENT_TIME_MS_MAX)
        if "payment_ids_next" in (rows.dtype.names or ()):
            sound &= (rows["payment_ids_next"] >= 0) & (rows["payment_ids_next"] < PAYMENT_IDS)
        if not sound.all():
            raise refused("the changelog holds a row that no kernel of this code has written")


PARTITION_KEY = b"\x00partition"
"""Changelog key of the partition's own entry. No account has it: account keys start with a tenant."""
CORRIDOR_PREFIX = b"\x01"
"""What changelog keys of corridors begin with; no tenant does."""
TOKEN_PREFIX = b"\x02"
"""The same of shared tokens."""


@njit(cache=True)
def _ends(words: Any, slots: Any) -> Any:
    """int64[n]: up to which byte each row ``slots`` (int64[n]) of ``words`` (uint64[m, w]) holds anything."""
    ends = np.zeros(len(slots), dtype=np.int64)
    for i in range(len(slots)):
        last = words.shape[1]
        while last > 0 and words[slots[i], last - 1] == 0:
            last -= 1
        ends[i] = 8 * last
    return ends


def account_key(tenant: bytes, account: bytes) -> bytes:
    """Key of an account (both in UTF-8) in state and changelog. Tenants never share a row."""
    return b"%b\x1f%b" % (tenant, account)
