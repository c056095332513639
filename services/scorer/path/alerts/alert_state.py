"""What the alerter remembers of each subject in a queue, and for how long.

Time here is the partition's clock: the latest event time of its reviews so far. It never goes back, so a late review
neither lapses an alert nor brings one back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from services.contract.alert import Alert
from services.contract.codec import TOPIC_BYTES_MAX, Rejection, decode, encode, read
from services.contract.fields import Count, EventTimeMs
from services.contract.units import DAY_MS
from services.scorer.path.alerts.alert import stub
from services.scorer.path.alerts.budget import Budget
from services.scorer.path.features.state import PARTITION_KEY
from services.scorer.path.features.state_format import refused

_NEVER = 2**63 - 1
T = TypeVar("T", bound=Struct)


class _Partition(Struct, frozen=True, array_like=True):
    next_offset: Count
    admitted: dict[str, list[tuple[EventTimeMs, float]]]
    """As of ``Budget.entries``."""
    clock_ms: EventTimeMs


class Standing(Struct, frozen=True, omit_defaults=True):
    """How a subject stands in a queue."""

    seen_ms: EventTimeMs
    """The clock when a review was last added; of a subject without one, when it was first snoozed."""
    alert: Alert | None = None
    """The open alert; its revision is 0 while nobody has seen it."""
    earlier: Alert | None = None
    """The stub of the lapsed alert that people know, until one in its place is published."""
    snoozed_until_ms: EventTimeMs = 0
    snooze_ids: tuple[str, ...] = ()
    """Of the latest snoozes."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """How long subjects are remembered: an alert for ``life_ms`` after its last review (0: for ever), then its stub for
    another ``idle_ms``."""

    life_ms: int = 0
    idle_ms: int = 800 * DAY_MS

    def at(self, standing: Standing, clock_ms: int) -> Standing | None:
        """What is left of ``standing``. What is left later does not depend on having looked earlier."""
        age_ms = clock_ms - standing.seen_ms
        if self.life_ms and age_ms > self.life_ms and standing.alert is not None:
            earlier = stub(standing.alert) if standing.alert.revision else standing.earlier
            standing = structs.replace(standing, alert=None, earlier=earlier)
        if standing.alert is not None:
            return standing
        if age_ms > self.life_ms + self.idle_ms:
            standing = structs.replace(standing, earlier=None)
        return standing if standing.earlier or standing.snoozed_until_ms > clock_ms else None

    def changes_ms(self, standing: Standing) -> int:
        """The first clock at which less is left of ``standing``."""
        if standing.alert is not None:
            return standing.seen_ms + self.life_ms + 1 if self.life_ms else _NEVER
        if standing.earlier is not None:
            return standing.seen_ms + self.life_ms + self.idle_ms + 1
        return standing.snoozed_until_ms


class AlertState:
    """How the subjects of one partition stand, and how far its log is in that.

    Once a day of event time what has lapsed is reduced to stubs, and old stubs leave tombstones. *When* that happens
    changes nothing: ``get`` tells of what is left anyway.
    """

    def __init__(self, horizon: Horizon | None = None) -> None:
        self.next_offset = 0
        """The first offset of the log that is not in the state."""
        self.clock_ms = 0
        self.budget = Budget(0.0)
        self.horizon = horizon or Horizon()
        self.nbytes = 0
        """Memory of the standings, in bytes."""
        self._slots: dict[bytes, int] = {}
        self._subjects: list[bytes | None] = []
        self._standings: list[bytes] = []
        self._changes_ms: list[int] = []
        self._free: list[int] = []
        self._swept_ms = 0

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def latest_event_ms(self) -> int:
        """The partition's clock."""
        return self.clock_ms

    def begin_at(self, offset: int, generation: int) -> None:
        """The log goes on at ``offset``, which lies before what was seen where another log has taken its place."""
        self.next_offset = min(self.next_offset, offset)

    def get(self, subject: bytes) -> Standing | None:
        """How ``subject`` stands now, if anything is known of it."""
        slot = self._slots.get(subject)
        return None if slot is None else self.horizon.at(decode(self._standings[slot], Standing), self.clock_ms)

    def bytes_of(self, subject: bytes) -> int:
        """Memory of what is known of ``subject``, in bytes."""
        slot = self._slots.get(subject)
        return 0 if slot is None else len(self._standings[slot])

    def all(self) -> dict[bytes, Standing]:
        """How every subject stands now."""
        found = ((subject, self.get(subject)) for subject in self._slots)
        return {subject: standing for subject, standing in found if standing is not None}

    def put(self, subject: bytes, standing: Standing) -> int:
        """Keep ``standing`` as that of ``subject``; returns its slot."""
        return self._put(subject, standing, encode(standing))

    def _put(self, subject: bytes, standing: Standing, value: bytes) -> int:
        slot = self._slots.get(subject)
        if slot is None:
            slot = self._allocate(subject)
        self.nbytes += len(value) - len(self._standings[slot])
        self._standings[slot] = value
        self._changes_ms[slot] = self.horizon.changes_ms(standing)
        return slot

    def _allocate(self, subject: bytes) -> int:
        if self._free:
            slot = self._free.pop()
            self._subjects[slot] = subject
        else:
            slot = len(self._subjects)
            self._subjects.append(subject)
            self._standings.append(b"")
            self._changes_ms.append(_NEVER)
        self._slots[subject] = slot
        return slot

    def _release(self, subject: bytes) -> None:
        slot = self._slots.pop(subject)
        self.nbytes -= len(self._standings[slot])
        self._subjects[slot], self._standings[slot], self._changes_ms[slot] = None, b"", _NEVER
        self._free.append(slot)

    def _sweep(self) -> tuple[list[int], list[bytes]]:
        """Reduce what has lapsed, at most once a day of event time; returns the slots that changed and the subjects
        that are gone."""
        if self.clock_ms < self._swept_ms + DAY_MS:
            return [], []
        self._swept_ms = self.clock_ms
        changed, gone = [], []
        for slot in [at for at, changes_ms in enumerate(self._changes_ms) if changes_ms <= self.clock_ms]:
            subject = self._subjects[slot]
            assert subject is not None, "a free slot never changes"
            left = self.get(subject)
            if left is None:
                self._release(subject)
                gone.append(subject)
            else:
                changed.append(self.put(subject, left))
        return changed, gone

    def changelog(self, touched: NDArray[np.int64]) -> list[tuple[bytes, bytes | None]]:
        """Changelog entries of the subjects that are gone, of the slots ``touched`` (repeats allowed), and of the
        partition."""
        changed, gone = self._sweep()
        entries: list[tuple[bytes, bytes | None]] = [(subject, None) for subject in gone]
        for slot in sorted({*touched.tolist(), *changed}):
            subject = self._subjects[slot]
            if subject is not None:
                entries.append((subject, self._standings[slot]))
        entries.append((PARTITION_KEY, encode(_Partition(self.next_offset, self.budget.entries, self.clock_ms))))
        return entries

    def restore(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Apply changelog entries, oldest first.

        Raises
        ------
        StateFormatError
            When an entry has another layout than this code's; it must be rebuilt from the input topic.
        """
        for subject, value in entries:
            if subject == PARTITION_KEY:
                partition = _stored(value, _Partition)
                self.next_offset, self.clock_ms = partition.next_offset, partition.clock_ms
                self.budget.entries = partition.admitted
            elif value is not None:
                self._put(subject, _stored(value, Standing), value)
            elif subject in self._slots:
                self._release(subject)


def _stored(value: bytes | None, kind: type[T]) -> T:
    found = read(value, kind, "entry_invalid", TOPIC_BYTES_MAX)
    if isinstance(found, Rejection):
        raise refused(f"the alerter's state was written under another layout than this code's ({found})")
    return found
