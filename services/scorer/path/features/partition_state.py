"""What every hop's state of one partition has in common: tables and a few numbers, written as checkpoints.

A checkpoint stands for the log up to an offset; whoever restores it takes the log since into it, and has the state of a
worker that never died.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.identity import hash_of
from services.scorer.path.features.accounts import Accounts
from services.scorer.path.features.checkpoints import NUMBERS_MAX, RECORD_PREFIX, Checkpoints
from services.scorer.path.features.event_time import CLOCK_SIZE
from services.scorer.path.features.state_format import refused
from services.scorer.path.features.tables import Table

PARTITION_KEY = b"\x00partition"
"""Changelog key of the partition's own entry."""
_HEAD = 3
_CLOCKS = CLOCK_SIZE + 2


class Clocks(NamedTuple):
    """What time it is for some accounts, and in the order of their log."""

    clock: NDArray[np.int64]
    """int64[CLOCK_SIZE], of event time (``event_time``)."""
    accounts: Accounts

    def numbers(self) -> list[int]:
        """All of them."""
        return [*self.clock.tolist(), *self.accounts.clock.tolist()]

    def take(self, numbers: Sequence[int]) -> bool:
        """Put ``numbers`` back; whether they can be what ``numbers()`` gave."""
        self.clock[:], self.accounts.clock[:] = numbers[:CLOCK_SIZE], numbers[CLOCK_SIZE:]
        watermark_ms, ahead_ms = numbers[:2]
        order, day = numbers[CLOCK_SIZE:]
        times = 0 <= watermark_ms <= EVENT_TIME_MS_MAX and 0 <= ahead_ms <= EVENT_TIME_MS_MAX
        return times and order >= 0 and day >= -1


class PartitionState(ABC):
    """The state of one partition of one hop.

    Parameters
    ----------
    clocks
        Those of the partition first, then of whatever else is kept beside.
    tables
        In an order that is part of the format.
    layout
        What else the tables' meaning depends on; part of the format of the changelog.
    sources
        Number of partitions of the topic whose records may repeat (see ``origins``).
    """

    is_written_each_batch = False

    def __init__(self, clocks: Sequence[Clocks], tables: Sequence[Table], layout: object, sources: int) -> None:
        self.clock = clocks[0].clock
        """Of event time (``event_time``)."""
        self.accounts = clocks[0].accounts
        self.origins: NDArray[np.int64] = np.full(sources, -1, dtype=np.int64)
        """Position up to which each source partition has been seen."""
        self.generation = 0
        """How often another input log has taken this one's place."""
        self._clocks = tuple(clocks)
        self._format = bytes.fromhex(hash_of(repr(layout).encode())[:16])
        self._checkpoints = Checkpoints(tables, self._format)
        self._stands_for: tuple[int, int] | None = None
        self._oldest = 1

    def __len__(self) -> int:
        return len(self.accounts)

    @property
    def log_bytes(self) -> int:
        """Bytes of the changelog's records, before compression."""
        return self._checkpoints.log_bytes

    @property
    def evicted(self) -> int:
        """Accounts that had to make room for others since this object was made."""
        return sum(each.accounts.evicted for each in self._clocks)

    @property
    def latest_event_ms(self) -> int:
        """The partition's event time."""
        return int(self.clock[0])

    @abstractmethod
    def _let_go(self) -> None:
        """Give back the rows of accounts that are gone."""

    @abstractmethod
    def _settle(self) -> None:
        """Find what was put back into the tables again.

        Raises
        ------
        StateFormatError
            When it is not whole, or nothing that a kernel wrote.
        """

    @property
    def _oldest_number(self) -> int:
        """Of the window of payments, where the state has one."""
        return 1

    def beyond_log(self, with_checkpoint: bool = False) -> list[tuple[bytes, bytes | None]]:
        """Changelog entries of what the state took since the last call that its log does not hold; ``with_checkpoint``
        those that the checkpoint does not replace."""
        return []

    def _restore_beyond_log(self, key: bytes, value: bytes | None) -> bool:
        """Take an entry of ``beyond_log``; ``False`` where it is none."""
        return False

    def checkpoint(self, next_offset: int) -> list[tuple[bytes, bytes | None]]:
        """Changelog entries of what changed since the last call: with them, the log stands for the input before
        ``next_offset``. The partition's own entry comes last."""
        self._let_go()
        entries = [*self.beyond_log(with_checkpoint=True), *self._checkpoints.write()]
        numbers = [self._checkpoints.next_number, next_offset, self.generation]
        for each in self._clocks:
            numbers += each.numbers()
        numbers += [self._oldest_number, *self.origins.tolist()]
        entries.append((PARTITION_KEY, self._format + np.array(numbers, dtype="<i8").tobytes()))
        return entries

    def restore(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Apply changelog entries, oldest first; ``begin_at`` follows the last.

        Raises
        ------
        StateFormatError
            When an entry has another layout than this code's; it must be rebuilt from the input topic.
        """
        for key, value in entries:
            if value is not None and value[:8] != self._format:
                raise refused(
                    f"state was written as {value[:8].hex()}, under another layout, feature schema or TOCSIN_HASH_KEY "
                    f"than this one's {self._format.hex()}"
                )
            if key == PARTITION_KEY and value is not None:
                self._restore_partition(value[8:])
            elif key.startswith(RECORD_PREFIX):
                self._checkpoints.restore(key, value)
            elif not self._restore_beyond_log(key, None if value is None else value[8:]):
                raise refused("the changelog holds an entry of no kind that this code writes")

    def _restore_partition(self, value: bytes) -> None:
        numbers = np.frombuffer(value[: len(value) // 8 * 8], dtype="<i8")
        oldest_at = _HEAD + _CLOCKS * len(self._clocks)
        if len(value) % 8 or not oldest_at < len(numbers) <= oldest_at + 1 + len(self.origins):
            raise refused("the partition's entry of the changelog has another length than this code's")
        number, offset, generation = numbers[:_HEAD].tolist()
        sound = 0 <= number <= NUMBERS_MAX and offset >= 0 and generation >= 0 and numbers[oldest_at] >= 1
        for at, each in enumerate(self._clocks):
            start = _HEAD + _CLOCKS * at
            sound = each.take(numbers[start : start + _CLOCKS].tolist()) and sound
        if not sound or (numbers[oldest_at + 1 :] < -1).any():
            raise refused("the partition's entry of the changelog tells of no time, or of no offset")
        self._checkpoints.next_number = max(self._checkpoints.next_number, number)
        self._stands_for = offset, generation
        self._oldest = int(numbers[oldest_at])
        self.origins[: len(numbers) - oldest_at - 1] = numbers[oldest_at + 1 :]

    def begin_at(self, offset: int, generation: int) -> int:
        """All of the changelog is restored: the log goes on, and is the ``generation``-th that people accepted in
        another's place. Returns from which offset on it is to be taken into the state; ``offset``, unless a checkpoint
        of this log says better.

        Raises
        ------
        StateFormatError
            When what was restored is not whole, or nothing that a kernel wrote.
        """
        self._settle()
        self.generation = generation
        if self._stands_for is not None and self._stands_for[1] == generation:
            return self._stands_for[0]
        return offset
