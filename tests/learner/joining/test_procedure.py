"""The joiner's procedure, step by step: nothing is written that was not committed, and nothing is swept too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from random import Random

import pytest

from models.drift import Alarm
from models.labels import SILENCE
from services.contract.codec import encode
from services.contract.payment_digests import payment_key
from services.contract.topics import Topics
from services.contract.units import DAY_MS
from services.learner.joining.batch import Output, Read
from services.learner.joining.join import Join, Limits
from services.learner.joining.procedure import CHUNK_RECORDS, Batch, Offsets, Position, Procedure
from services.learner.joining.served import ServedDrift
from tests.learner.lives import PLAN, example_in
from tests.learner.streams import MemoryStore, decision, features_of, label
from tests.support.served_batches import START_MS

TOPICS = Topics()
DECISIONS, LABELS = (TOPICS.features.name, 0), (TOPICS.labels.name, 0)
DAY = START_MS // DAY_MS * DAY_MS
MATURITY_DAYS = 5
FIRST, SECOND = sorted((f"p-{at}" for at in range(2)), key=lambda name: payment_key("default", name))
"""Two payments in the order in which the sweep of a day passes over them."""
FEATURES = features_of(Random(1))
Said = tuple[str, str]


class Store(MemoryStore):
    """In memory, with offsets, telling of what it is asked."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self.offsets: Offsets = {}
        self._events = events

    def offset(self, position: Position) -> int:
        """The next record of ``position`` that the store has not seen."""
        return self.offsets.get(position, 0)

    def scan(self, start: bytes, stop: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """As ``MemoryStore``; the places of decisions by day are what a sweep reads."""
        if start.startswith(b"t") and len(start) > 1 and limit <= CHUNK_RECORDS:
            self._events.append("sweep")
        return super().scan(start, stop, limit)

    def write(self, changes: Mapping[bytes, bytes | None], offsets: Mapping[Position, int] | None = None) -> None:
        """As ``MemoryStore``."""
        super().write(changes)
        self.offsets |= offsets or {}
        self._events.append("write")


@dataclass
class World:
    """Batches to be read, one after the other, and what was committed."""

    batches: list[Batch] = field(default_factory=list)
    below: list[Batch] = field(default_factory=list)
    """What lies between the store and the committed offsets."""
    events: list[str] = field(default_factory=list)
    committed: list[tuple[list[Said], Offsets, bytes]] = field(default_factory=list)
    waited: list[bool] = field(default_factory=list)
    asked: list[tuple[Offsets, Offsets]] = field(default_factory=list)

    async def read(self, wait: bool) -> Batch:
        """As ``Cluster``."""
        self.events.append("read")
        self.waited.append(wait)
        return self.batches.pop(0) if self.batches else Batch([], {})

    async def between(self, start: Offsets, stop: Offsets) -> AsyncIterator[Batch]:
        """As ``Cluster``."""
        self.asked.append((start, stop))
        for batch in self.below:
            self.events.append("read below")
            yield batch

    async def commit(self, output: Output, offsets: Offsets, place: bytes) -> None:
        """As ``Cluster``."""
        self.events.append("commit")
        made = [example_in(record.value or b"") for record in output.records]
        said = [(each.payment_id, each.source) for each in made if each is not None]
        self.committed.append((said, offsets, place))

    async def breathe(self) -> None:
        """As ``Cluster``."""
        self.events.append("breathe")

    def said(self) -> list[Said]:
        """Payment and source of every example that was committed, in order."""
        return [each for said, _, _ in self.committed for each in said]


def decided(offset: int, payment_id: str, day: int) -> Read:
    at_ms = DAY + day * DAY_MS
    value = decision(payment_id, at_ms, FEATURES)
    return Read(*DECISIONS, offset, at_ms, payment_id.encode(), value)


def labelled(offset: int, payment_id: str, day: int) -> Read:
    at_ms = DAY + day * DAY_MS
    return Read(*LABELS, offset, at_ms, payment_id.encode(), encode(label(payment_id, f"l-{payment_id}", at_ms)))


def batch(*records: Read) -> Batch:
    return Batch(list(records), {(each.topic, each.partition): each.offset + 1 for each in records})


def procedure_on(store: Store, ring: list[Alarm] | None = None) -> Procedure:
    heard: list[Alarm] = [] if ring is None else ring
    join = Join(store, Limits(label_maturity_ms=MATURITY_DAYS * DAY_MS))
    return Procedure(store, join, ServedDrift(store, PLAN), TOPICS, heard.append)


def run(procedure: Procedure, world: World, batches: int, sweep_max: int = 100) -> list[int | None]:
    """So many batches; what each took, ``None`` where there was nothing to do."""

    async def ran() -> list[int | None]:
        done = [await procedure.batch(world, sweep_max) for _ in range(batches)]
        return [None if each is None else each.taken for each in done]

    return asyncio.run(ran())


def test_a_batch_is_swept_then_read_then_committed_then_written() -> None:
    world = World([batch(decided(0, FIRST, 0)), batch(decided(1, SECOND, 20))])
    run(procedure_on(Store(world.events)), world, 2)
    steps = [each for each in world.events if each != "breathe"]
    assert steps == ["sweep", "read", "commit", "write"] * 2


def test_what_a_batch_itself_brings_is_swept_by_the_next() -> None:
    """A sweep after the records would be of their clock, and of a store that does not hold them yet: the day of
    ``FIRST`` would end with it unseen, ``SECOND`` already behind."""
    world = World([batch(decided(0, SECOND, 0)), batch(decided(1, FIRST, 0), decided(2, "p-9", 20)), batch()])
    assert run(procedure_on(Store(world.events)), world, 4) == [1, 2, 0, None]
    assert world.said() == [(FIRST, SILENCE), (SECOND, SILENCE)]
    assert [place[-16:] for _, _, place in world.committed] == [b"t", b"t", payment_key("default", SECOND)]


def test_a_label_that_comes_as_its_payment_is_swept_has_the_last_word() -> None:
    """Of several examples of a payment the last in the log is learned."""
    later = batch(labelled(0, FIRST, 20))
    world = World([batch(decided(0, FIRST, 0), decided(1, SECOND, 20)), later])
    run(procedure_on(Store(world.events)), world, 2)
    assert world.said() == [(FIRST, SILENCE), (FIRST, "analyst")]


def test_a_batch_that_is_not_committed_is_not_written() -> None:
    class Fenced(Exception):
        pass

    class Refusing(World):
        async def commit(self, output: Output, offsets: Offsets, place: bytes) -> None:
            raise Fenced

    world = Refusing([batch(decided(0, FIRST, 0))])
    store = Store(world.events)
    with pytest.raises(Fenced):
        run(procedure_on(store), world, 1)
    assert (store.values, store.offsets) == ({}, {})


def test_what_was_swept_is_committed_without_a_record_and_nothing_at_all_is_not() -> None:
    world = World([batch(decided(0, FIRST, 0), decided(1, SECOND, 20))])
    store = Store(world.events)
    procedure = procedure_on(store)
    assert run(procedure, world, 4) == [2, 0, None, None]
    assert world.waited == [True, False, True, True], "while there is something to sweep, nobody waits for records"
    assert [offsets for _, offsets, _ in world.committed] == [{DECISIONS: 2}, {}]
    assert store.offsets == {DECISIONS: 2}


def test_a_batch_sweeps_no_more_than_it_may() -> None:
    every = [decided(at, f"q-{at}", 0) for at in range(7)]
    world = World([batch(*every, decided(7, "p-9", 20))])
    run(procedure_on(Store(world.events)), world, 4, sweep_max=3)
    assert [len(said) for said, _, _ in world.committed] == [0, 3, 3, 1]


def test_a_large_sweep_goes_by_chunks_and_ends_where_it_must() -> None:
    most = CHUNK_RECORDS + 3
    every = [decided(at, f"q-{at}", 0) for at in range(most + 2)]
    world = World([batch(*every, decided(len(every), "p-9", 20))])
    run(procedure_on(Store(world.events)), world, 3, sweep_max=most)
    assert [len(said) for said, _, _ in world.committed] == [0, most, 2]


def test_others_have_the_event_loop_between_chunks() -> None:
    count = 2 * CHUNK_RECORDS + 1
    world = World([batch(*(decided(at, f"q-{at}", 0) for at in range(count)), decided(count, "p-9", 20))])
    run(procedure_on(Store(world.events)), world, 2, sweep_max=count)
    assert world.events.count("breathe") == 3 + 3
    assert len(world.said()) == count


def test_a_batch_tells_what_became_of_its_records_and_the_next_begins_anew() -> None:
    broken = Read(*DECISIONS, 1, DAY, b"x", b"{")
    world = World([batch(decided(0, FIRST, 0), broken), batch(decided(2, SECOND, 0))])
    procedure = procedure_on(Store(world.events))

    async def ran() -> None:
        first, second = await procedure.batch(world, 9), await procedure.batch(world, 9)
        assert first is not None
        assert second is not None
        assert (first.taken, first.passed, first.offsets) == (2, 0, {DECISIONS: 2})
        assert (first.counts["decision_kept"], sum(first.rejected.values())) == (1, 1)
        assert (second.counts["decision_kept"], sum(second.rejected.values())) == (1, 0)

    asyncio.run(ran())


def recovered(store: Store, world: World, committed: Offsets, place: bytes) -> Procedure:
    procedure = procedure_on(store)
    asyncio.run(procedure.recover(world, committed, place))
    return procedure


def test_what_was_committed_and_not_written_is_taken_without_a_word_and_its_sweep_is_not_repeated() -> None:
    """The crash came after the commit of a batch that had passed over ``FIRST`` in silence."""
    place = b"t" + (DAY // DAY_MS).to_bytes(4, "big") + payment_key("default", FIRST)
    below = batch(decided(0, FIRST, 0), decided(1, SECOND, 0), decided(2, "p-9", 20))
    world = World(below=[below])
    store = Store(world.events)
    procedure = recovered(store, world, {DECISIONS: 3, LABELS: 0}, place)
    assert world.asked == [({DECISIONS: 0}, {DECISIONS: 3})]
    assert (world.committed, store.offsets) == ([], {DECISIONS: 3})
    assert run(procedure, world, 2) == [0, None]
    assert world.said() == [(SECOND, SILENCE)]


def test_a_store_that_is_not_behind_reads_nothing_again() -> None:
    world = World([batch(decided(0, FIRST, 0))])
    store = Store(world.events)
    run(procedure_on(store), world, 1)
    recovered(store, world, {DECISIONS: 1, LABELS: 0}, b"")
    assert world.asked == []


def test_a_sweep_never_goes_back() -> None:
    """A place that was committed before the one in the store: a broker kept no metadata since."""
    world = World([batch(decided(0, FIRST, 0), decided(1, SECOND, 0), decided(2, "p-9", 20)), batch()])
    store = Store(world.events)
    run(procedure_on(store), world, 2)
    procedure = recovered(store, world, {DECISIONS: 3}, b"")
    assert run(procedure, world, 1) == [None]
    place = b"t" + (DAY // DAY_MS).to_bytes(4, "big") + payment_key("default", FIRST)
    procedure = recovered(store, world, {DECISIONS: 3}, place)
    assert run(procedure, world, 1) == [None]


def test_an_alarm_is_heard_before_what_it_rests_on_is_written() -> None:
    """A crash in between repeats it; the other way round it would be lost."""
    world = World()
    store = Store(world.events)
    join = Join(store, Limits())
    procedure = Procedure(store, join, ServedDrift(store, PLAN), TOPICS, lambda alarm: world.events.append("alarm"))
    alarm = Alarm("score", DAY, "1", {"score": 0.5}, 0.25)
    procedure.served.alarms.append(alarm)
    world.batches = [batch(decided(0, FIRST, 0)), batch(decided(1, SECOND, 0))]
    run(procedure, world, 2)
    assert [each for each in world.events if each in ("alarm", "write", "commit")] == [
        "commit", "alarm", "write", "commit", "write",
    ]  # fmt: skip
