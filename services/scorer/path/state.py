"""Columnar state: one fixed-size row per account, and a dict from account to row.

Rows are NumPy records, so a row's bytes are its changelog entry, and restoring is copying bytes back. Growth doubles
the arrays; accounts idle beyond the retention horizon are evicted and leave a tombstone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.scorer.path.features import HALF_LIFE_MS

HALF_LIVES = len(HALF_LIFE_MS)
PARTNERS = 12
"""Counterparties remembered per account, least recently used first forgotten."""
PAYMENT_IDS = 32
"""Recent payment ids remembered per payer: a repeat among them is a duplicate."""
REGISTERS = 64
"""Of each HyperLogLog: a standard error of 1.04 / sqrt(64) = 13 %."""
COUNTRY_WORDS = 11
"""64-bit words of a set of two-letter country codes: 26 * 26 bits."""

_PARTNER = np.dtype(
    [("digest", "u8"), ("first_ms", "i8"), ("last_ms", "i8"), ("payments", "i4"), ("used", "i4")], align=True
)
_COMMON = [
    ("first_ms", "i8"),
    ("last_ms", "i8"),
    ("payments", "i8"),
    ("count", "f8", (HALF_LIVES,)),
    ("value", "f8", (HALF_LIVES,)),
    ("small_30d", "f8"),
    ("small_known_30d", "f8"),
    ("cross_border_30d", "f8"),
    ("cross_border_known_30d", "f8"),
    ("round_30d", "f8"),
    ("log_amount_weight", "f8"),
    ("log_amount_sum", "f8"),
    ("log_amount_squares", "f8"),
    ("log_amounts", "i8"),
    ("gap_mean", "f8"),
    ("gap_variance", "f8"),
    ("new_partners_1d", "f8"),
    ("new_partners_7d", "f8"),
    ("block", "i8"),
    ("countries", "u8", (COUNTRY_WORDS,)),
    ("partners", _PARTNER, (PARTNERS,)),
    ("registers", "u1", (2, REGISTERS)),
]
PAYER_ROW = np.dtype(
    [
        *_COMMON,
        ("night_30d", "f8"),
        ("night_known_30d", "f8"),
        ("near_threshold_7d", "f8"),
        ("refused_1d", "f8"),
        ("last_amount", "f8"),
        ("payment_ids", "u8", (PAYMENT_IDS,)),
        ("payment_ids_next", "i8"),
    ],
    align=True,
)
PAYEE_ROW = np.dtype([*_COMMON, ("out_value_1d", "f8"), ("out_ms", "i8")], align=True)


class StateFormatError(ValueError):
    """A changelog entry was written by another layout of the state."""


class AccountState:
    """The rows of one partition of one hop.

    Parameters
    ----------
    row
        ``PAYER_ROW`` or ``PAYEE_ROW``.
    idle_ms
        Retention horizon in event time.
    schema
        What else the rows' meaning depends on (the feature schema); part of the format of the changelog.
    sources
        Number of partitions of the topic whose records may repeat (see ``origins``).
    """

    def __init__(self, row: np.dtype[Any], idle_ms: int, sources: int = 0, schema: bytes = b"") -> None:
        self.rows: NDArray[Any] = np.zeros(1024, dtype=row)
        self.watermark: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        """Latest event time of the partition, ms."""
        self.origins: NDArray[np.int64] = np.full(sources, -1, dtype=np.int64)
        """Position up to which each source partition has been seen."""
        self._idle_ms = idle_ms
        self._slots: dict[bytes, int] = {}
        self._keys: list[bytes | None] = []
        self._free: list[int] = []
        self._swept_ms = 0
        self._format = bytes.fromhex(hash_of(repr((row.descr, HALF_LIFE_MS, schema)).encode())[:16])

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the rows occupy, spare ones included."""
        return int(self.rows.nbytes)

    def slots(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """int64[n]: the rows of ``keys``, in order; an unknown account gets a fresh row."""
        known = self._slots
        return np.array([known[key] if key in known else self._allocate(key) for key in keys], dtype=np.int64)

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
                self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
            self._keys.append(key)
        self._slots[key] = slot
        return slot

    def evict_idle(self) -> list[bytes]:
        """Free the rows that are beyond the horizon, at most once per day of event time; returns their keys.

        When this runs changes no result: the kernels treat such a row as fresh anyway.
        """
        now_ms = int(self.watermark[0])
        if now_ms < self._swept_ms + 86_400_000:
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
        """Changelog entries of the rows in ``touched`` (repeats allowed), of evicted accounts, and of the partition."""
        evicted = self.evict_idle()
        entries: list[tuple[bytes, bytes | None]] = [(key, None) for key in evicted]
        unique = np.unique(touched[touched >= 0])
        packed = memoryview(self.rows[unique].tobytes())
        size = self.rows.dtype.itemsize
        for position, slot in enumerate(unique.tolist()):
            key = self._keys[slot]
            if key is not None:
                entries.append((key, self._format + packed[position * size : (position + 1) * size]))
        entries.append((PARTITION_KEY, self._format + self.watermark.tobytes() + self.origins.tobytes()))
        return entries

    def restore(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Apply changelog entries, oldest first.

        Raises
        ------
        StateFormatError
            When an entry has another layout than this code's; it must be rebuilt from the input topic.
        """
        for key, value in entries:
            if value is None:
                if key in self._slots:
                    self._release(self._slots[key])
                continue
            if value[:8] != self._format:
                raise StateFormatError(
                    f"state was written as {value[:8].hex()}, under another layout or feature schema than this code's "
                    f"{self._format.hex()}: "
                    "delete the changelog topic and the group's offsets to rebuild it from the input topic"
                )
            if key == PARTITION_KEY:
                numbers = np.frombuffer(value, dtype=np.int64, offset=8)
                self.watermark[0] = numbers[0]
                self.origins[: len(numbers) - 1] = numbers[1:]
                continue
            slot = self._slots.get(key, -1)
            if slot < 0:
                slot = self._allocate(key)
            self.rows[slot] = np.frombuffer(value, dtype=self.rows.dtype, offset=8)[0]


PARTITION_KEY = b"\x00partition"
"""Changelog key of the partition's own entry. No account has it: account keys start with a tenant."""


def account_key(tenant: str, account: str) -> bytes:
    """Key of an account in state and changelog. Tenants never share a row."""
    return f"{tenant}\x1f{account}".encode()
