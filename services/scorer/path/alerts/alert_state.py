"""What the alerter remembers of each subject in a queue, and for how long.

Time here is the partition's clock: the latest event time of its reviews so far. It never goes back, so a late review
neither lapses an alert nor brings one back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from msgspec import Struct, structs

from services.contract.alert import Alert
from services.contract.codec import TOPIC_BYTES_MAX, Rejection, decode, encode, read
from services.contract.fields import Count, EventTimeMs
from services.contract.units import DAY_MS
from services.scorer.path.alerts.alert import stub
from services.scorer.path.alerts.budget import Budget
from services.scorer.path.features.partition_state import PARTITION_KEY
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

    is_written_each_batch = True

    def __init__(self, horizon: Horizon | None = None) -> None:
        self.next_offset = 0
        """The first offset of the log that is not in the state."""
        self.clock_ms = 0
        self.budget = Budget(0.0)
        self.horizon = horizon or Horizon()
        self.nbytes = 0
        """Memory of the standings, in bytes."""
        self.evicted = 0
        self._standings: dict[bytes, bytes] = {}
        self._changes_ms: dict[bytes, int] = {}
        self._changed: set[bytes] = set()
        """Subjects of whom something was kept since the last ``checkpoint``."""
        self._swept_ms = 0

    def __len__(self) -> int:
        return len(self._standings)

    @property
    def latest_event_ms(self) -> int:
        """The partition's clock."""
        return self.clock_ms

    def begin_at(self, offset: int, generation: int) -> int:
        """The log goes on at ``offset``, which lies before what was seen where another log has taken its place."""
        self.next_offset = min(self.next_offset, offset)
        return offset

    def get(self, subject: bytes) -> Standing | None:
        """How ``subject`` stands now, if anything is known of it."""
        known = self._standings.get(subject)
        return None if known is None else self.horizon.at(decode(known, Standing), self.clock_ms)

    def bytes_of(self, subject: bytes) -> int:
        """Memory of what is known of ``subject``, in bytes."""
        return len(self._standings.get(subject, b""))

    def all(self) -> dict[bytes, Standing]:
        """How every subject stands now."""
        found = ((subject, self.get(subject)) for subject in self._standings)
        return {subject: standing for subject, standing in found if standing is not None}

    def put(self, subject: bytes, standing: Standing) -> None:
        """Keep ``standing`` as that of ``subject``; counts as changed until the next ``checkpoint``."""
        self._keep(subject, standing, encode(standing))
        self._changed.add(subject)

    def _keep(self, subject: bytes, standing: Standing, value: bytes) -> None:
        self.nbytes += len(value) - self.bytes_of(subject)
        self._standings[subject] = value
        self._changes_ms[subject] = self.horizon.changes_ms(standing)

    def _release(self, subject: bytes) -> None:
        self.nbytes -= len(self._standings.pop(subject))
        del self._changes_ms[subject]
        self._changed.discard(subject)

    def _sweep(self) -> list[bytes]:
        """Reduce what has lapsed, at most once a day of event time; returns the subjects that are gone."""
        if self.clock_ms < self._swept_ms + DAY_MS:
            return []
        self._swept_ms = self.clock_ms
        gone = []
        for subject in [each for each, changes_ms in self._changes_ms.items() if changes_ms <= self.clock_ms]:
            left = self.get(subject)
            if left is None:
                self._release(subject)
                gone.append(subject)
            else:
                self.put(subject, left)
        return gone

    def checkpoint(self, next_offset: int) -> list[tuple[bytes, bytes | None]]:
        """Changelog entries of the subjects that are gone, of those changed since the last call, and of the partition.
        They stand for the log up to the state's own ``next_offset``."""
        entries: list[tuple[bytes, bytes | None]] = [(subject, None) for subject in self._sweep()]
        entries += [(subject, self._standings[subject]) for subject in sorted(self._changed)]
        self._changed.clear()
        entries.append((PARTITION_KEY, encode(_Partition(self.next_offset, self.budget.entries, self.clock_ms))))
        return entries

    def beyond_log(self) -> list[tuple[bytes, bytes | None]]:
        """Nothing: a checkpoint comes with every batch."""
        return []

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
                self._keep(subject, _stored(value, Standing), value)
            elif subject in self._standings:
                self._release(subject)


def _stored(value: bytes | None, kind: type[T]) -> T:
    found = read(value, kind, "entry_invalid", TOPIC_BYTES_MAX)
    if isinstance(found, Rejection):
        raise refused(f"the alerter's state was written under another layout than this code's ({found})")
    return found
