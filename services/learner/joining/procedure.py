"""The procedure of the joiner: what it does with a batch, and with what a crash left, in the order that makes each
example once. No Kafka, clock or log here: reading, committing and taking breath are the shell's (``Cluster``).

A batch goes through five steps:

1. Let the join (``services.learner.joining.join``) pass over decisions that nobody has labelled for long: weak examples
   come out. It reads the store, so it comes before the first record of the batch. Then read records of both topics.
2. Take them into the join: examples and dead letters come out.
3. Commit all of those in one transaction with the offsets of both topics and, as metadata of one of these, the place
   that the sweep of step 1 has come to.
4. Write the join's changes, with the same offsets, to the store: after the commit, so the store is never ahead. What is
   known of drift in what is served (``services.learner.joining.served``) is written with them, and its alarms are heard
   first.
5. Count.

A crash before the commit leaves nothing behind: the next learner fences the producer, which aborts the transaction.
After it, the store may be one batch behind the committed offsets. So ``recover`` takes the records between the two into
the join without emitting, all of them before the first record above, and then lets the sweep pass over what lies below
the committed place, without emitting either. A lost store is the same case from offset 0.

Without transactions (``at_least_once``) step 3 is: write, wait, commit the offsets. A crash in between repeats
examples of one batch under the same ids, which the trainer drops. So it does where a broker keeps no metadata: the
sweep then stands where the store has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from models.drift import Alarm
from services.contract.topics import Topics
from services.learner.joining.batch import Output, Read, apply, sweep
from services.learner.joining.join import Join
from services.learner.joining.served import ServedDrift
from services.learner.joining.state import KeyValues

CHUNK_RECORDS = 250
"""Records taken in one go, or decisions swept; the event loop breathes between two chunks."""
CHUNK_BYTES = 1_048_576
"""A chunk ends where its records come to so many: with two full batches of decisions, or one."""

Position = tuple[str, int]
"""Topic and partition."""
Offsets = dict[Position, int]
"""The next record of each partition."""


class Batch(NamedTuple):
    """Records as they were read, in the order in which they are taken, and the offsets behind them."""

    records: list[Read]
    offsets: Offsets


class Cluster(Protocol):
    """What the procedure needs of the world."""

    async def read(self, wait: bool) -> Batch:
        """The next records of both topics; with ``wait`` it gives some time for one to come."""

    def between(self, start: Offsets, stop: Offsets) -> AsyncIterator[Batch]:
        """The records from ``start`` up to ``stop``; the last batches have the offsets of ``stop``."""

    async def commit(self, output: Output, offsets: Offsets, place: bytes) -> None:
        """Make output, offsets and the place of the sweep durable: all, or none."""

    async def breathe(self) -> None:
        """Let others have the event loop."""


class OffsetStore(KeyValues, Protocol):
    """A store (``services.learner.joining.store``) that knows how far what it holds has been read."""

    def offset(self, position: Position) -> int:
        """The next record of ``position`` that the store has not seen."""

    def write(self, changes: Mapping[bytes, bytes | None], offsets: Mapping[Position, int] | None = None) -> None:
        """Make all changes and remember ``offsets``, or none of it."""


@dataclass(frozen=True, slots=True)
class Done:
    """A batch that was committed and written."""

    offsets: Offsets
    taken: int
    """Decisions and labels."""
    passed: int
    """Decisions that the sweep passed over."""
    counts: Counter[str]
    """``Join.counts`` of it."""
    rejected: Counter[str]
    """Dead letters by reason."""


class Procedure:
    """The join and the watch over what is served, on one store, batch by batch.

    ``ring`` is called with each alarm of drift.
    """

    def __init__(
        self, store: OffsetStore, join: Join, served: ServedDrift, topics: Topics, ring: Callable[[Alarm], None]
    ) -> None:
        self._store, self._topics, self._ring = store, topics, ring
        self.join, self.served = join, served

    async def recover(self, cluster: Cluster, committed: Offsets, place: bytes) -> None:
        """Bring the store up to what is ``committed``, and the sweep to its committed ``place``."""
        stand = {each: self._store.offset(each) for each in committed}
        behind = {each: offset for each, offset in stand.items() if offset < committed[each]}
        if behind:
            async for records, offsets in cluster.between(behind, {each: committed[each] for each in behind}):
                await self._take(cluster, records, Output())
                self._write(offsets)
        self.join.pass_over(place)

    async def batch(self, cluster: Cluster, decisions_max: int) -> Done | None:
        """One batch; ``None`` where there was nothing to do.

        ``decisions_max`` is how many decisions the sweep passes over at most.
        """
        output = Output()
        passed = await self._sweep(cluster, decisions_max, output)
        records, offsets = await cluster.read(wait=not passed)
        if not (records or passed):
            return None
        await self._take(cluster, records, output)
        await cluster.commit(output, offsets, self.join.swept)
        counts = self.join.counts
        self._write(offsets)
        return Done(offsets, output.taken, passed, counts, output.rejected)

    async def _sweep(self, cluster: Cluster, decisions_max: int, output: Output) -> int:
        passed = 0
        while passed < decisions_max:
            count = sweep(self.join, min(CHUNK_RECORDS, decisions_max - passed), self._topics, output)
            if not count:
                break
            passed += count
            await cluster.breathe()
        return passed

    async def _take(self, cluster: Cluster, records: Iterable[Read], output: Output) -> None:
        for chunk in chunks(records):
            apply(self.join, chunk, self._topics, output, self.served)
            await cluster.breathe()

    def _write(self, offsets: Offsets) -> None:
        for alarm in self.served.alarms:
            self._ring(alarm)
        self._store.write({**self.join.seal(), **self.served.seal()}, offsets)
        self.served.written()
        self.join.written()


def chunks(records: Iterable[Read]) -> Iterator[list[Read]]:
    """``records`` in order, ``CHUNK_RECORDS`` at a time; fewer where they come to ``CHUNK_BYTES``."""
    chunk: list[Read] = []
    size = 0
    for record in records:
        chunk.append(record)
        size += len(record.value or b"")
        if len(chunk) == CHUNK_RECORDS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
