"""The joiner: ``features.v1`` and ``labels.v1`` in, ``examples.v1`` out, each example once and in one order; and the
first label of each payment into ``payments.v1``, where features learn of it.

What is done with a batch, and in which order, is ``services.learner.joining.procedure``. This is its shell: clients,
offsets and what a session begins and ends with.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faust import Service

from services import kafka
from services.kafka.identity import accepted_as, client_of, identity_of
from services.kafka.possession import Possession
from services.learner.health.alarms import Alarms
from services.learner.joining.batch import Output, Read
from services.learner.joining.join import Join, Limits
from services.learner.joining.procedure import Batch, Done, Offsets, Procedure
from services.learner.joining.served import ServedDrift, ServedPlan
from services.learner.joining.store import Store
from services.learner.measures import HOP, Measures
from services.runtime.health import Loop
from services.runtime.settings import Settings
from services.runtime.supervisor import NeedsPeople, supervise, within

SWEPT_MIN = 4_000
"""Decisions that a batch passes over at most: so many, or twice what the one before took, so that it keeps up."""
BATCHES_MAX = 64
"""Records of ``features.v1`` read in one go: some 60 MB, where each is full."""
POLL_MS = 100
LINGER_S = 0.05
"""Rest after a small batch: a learner is in no hurry, and each transaction has its price."""
STOP_S = 10.0
CLOSE_S = 5.0
OPEN_S = 60.0
LOOK_S = 5.0
"""Between two looks at whether the topics are still the ones they were."""
TRANSACTION_MS_MAX = 15_000
"""A transaction that a dead learner left open holds back the readers of ``payments.v1`` until it times out."""
FETCH_BYTES_MAX = 4 * 1024 * 1024
_FIRST_RECORD = 0

logger = logging.getLogger(__name__)


class LearnerError(NeedsPeople):
    """The learner cannot go on by itself. The message says what to do."""


class Joiner(Service):
    """Runs sessions of the join until it is stopped. A fault that passes ends a session, and the next one recovers:
    also from another learner, or the broker's own clock, having ended its transaction."""

    def __init__(
        self, settings: Settings, measures: Measures, drift: ServedPlan, alarms: Alarms, limits: Limits, **options: Any
    ) -> None:
        super().__init__(**options)
        self._settings = settings
        self._measures = measures
        self._ended = asyncio.Event()
        group = f"{settings.identity}.learner"
        possession = Possession(group, group, [each.name for each in settings.topics.written_by("learner")])
        self._session = partial(_Session, settings, measures, drift, alarms, limits, possession)

    async def on_stop(self) -> None:
        """Let the batch in progress end."""
        await within(STOP_S, self._ended.wait(), "ending the joiner")

    @Service.task
    async def _join(self) -> None:
        metrics = self._measures.metrics
        try:
            with metrics.health.loop("joiner") as loop:
                await supervise(loop, lambda: self._attempt(loop), lambda: self.should_stop, self._count_fault)
        finally:
            self._ended.set()

    def _count_fault(self, loop: str, fault: str) -> None:
        self._measures.metrics.count_fault(loop, fault)
        self._measures.metrics.transactions.labels(HOP, "failed").inc()

    async def _attempt(self, loop: Loop) -> None:
        session = self._session(loop)
        try:
            await session.open()
            while not self.should_stop and await session.partitions_unchanged():
                if await session.step() < self._settings.batch_payments_max // 4:
                    await self.sleep(LINGER_S)
        finally:
            await session.close()


class _Session:
    """From the fencing of the previous producer to the first failure."""

    def __init__(
        self,
        settings: Settings,
        measures: Measures,
        drift: ServedPlan,
        alarms: Alarms,
        limits: Limits,
        possession: Possession,
        loop: Loop,
    ) -> None:
        self._settings = settings
        self._measures = measures
        self._possession = possession
        self._loop = loop
        self._answered_ms = 0
        self._looked_s = 0.0
        self._taken = 0
        """By the latest batch: decisions and labels."""
        self._topics = settings.topics
        self._group = f"{settings.identity}.learner"
        self._transactional = settings.delivery == "exactly_once"
        self._producer: AIOKafkaProducer = kafka.producer(
            settings, self._group if self._transactional else None, transaction_ms_max=TRANSACTION_MS_MAX
        )
        self._consumer: AIOKafkaConsumer = kafka.consumer(
            settings, group_id=self._group, max_partition_fetch_bytes=FETCH_BYTES_MAX
        )
        self._store = Store(settings.state_dir / "learner")
        served = ServedDrift(self._store, drift)
        join = Join(self._store, limits, drift.feature_schema_hash)
        self._procedure = Procedure(self._store, join, served, self._topics, alarms.ring)
        measures.served(served.decisions, served.index())
        self._decisions: list[TopicPartition] = []
        self._labels: list[TopicPartition] = []
        self._stand: Offsets = {}
        """The next record of each partition, as committed."""

    async def open(self) -> None:
        """Fence the previous producer, find the offsets, bring the store up to them, and stand at the first new record.

        Raises
        ------
        LearnerError
            When a topic was made anew, or the offsets lie beyond its end.
        """
        await asyncio.wait_for(self._consumer.start(), OPEN_S)
        await asyncio.wait_for(self._take_possession(), OPEN_S)
        self._decisions = await self._partitions(self._topics.features.name)
        self._labels = await self._partitions(self._topics.labels.name)
        every = self._decisions + self._labels
        self._consumer.assign(every)
        ends = await self._consumer.end_offsets(every)
        found = await self._committed(every)
        await self._look(found)
        committed: Offsets = {}
        for each in every:
            seen = self._store.offset((each.topic, each.partition))
            committed[each] = max(seen, found[each].offset if each in found else _FIRST_RECORD)
            if committed[each] > ends[each]:
                raise LearnerError(
                    f"{each.topic}[{each.partition}] ends at {ends[each]} and {committed[each]} was read before: its "
                    f"end was lost, or this state_dir is another cluster's. {_remedy(each.topic)}"
                )
        place = place_of(found[self._anchor].metadata) if self._anchor in found else b""
        await self._procedure.recover(self, committed, place)
        self._stand = committed
        self._consumer.assign(every)
        for each in every:
            self._consumer.seek(each, committed[each])

    async def _take_possession(self) -> None:
        if self._transactional:
            await self._possession.take(self._producer, client_of(self._consumer))
        else:
            await self._producer.start()

    async def close(self) -> None:
        """Let go of everything; what was not committed is aborted by whoever comes next."""
        self._store.close()
        await within(CLOSE_S, self._consumer.stop(), "closing the joiner's consumer")
        await within(CLOSE_S, self._producer.stop(), "closing the joiner's producer")

    async def partitions_unchanged(self) -> bool:
        """Whether both topics still have the partitions that are being read."""
        decisions = await self._partitions(self._topics.features.name)
        labels = await self._partitions(self._topics.labels.name)
        return (decisions, labels) == (self._decisions, self._labels)

    async def step(self) -> int:
        """One batch, read to written; returns how many decisions and labels it was."""
        if time.monotonic() - self._looked_s > LOOK_S:
            await self._look({})
        done = await self._procedure.batch(self, max(SWEPT_MIN, 2 * self._taken))
        if done is None:
            answered_ms = kafka.answered_ms(self._consumer, self._labels + self._decisions)
            if answered_ms != self._answered_ms:
                self._answered_ms = answered_ms
                self._loop.step()
            return 0
        self._stand |= done.offsets
        self._taken = done.taken
        self._loop.step()
        self._count(done)
        return max(done.taken, done.passed)

    def _count(self, done: Done) -> None:
        measures, join, served = self._measures, self._procedure.join, self._procedure.served
        measures.joined(done.counts, done.rejected, done.taken)
        measures.pending(join.decisions, join.waiting_labels)
        measures.metrics.event_time.labels("joiner").set(join.latest_event_ms / 1_000)
        measures.served(served.decisions, served.index())
        for each, offset in done.offsets.items():
            measures.lag(*each, (self._consumer.highwater(each) or offset) - offset)

    async def read(self, wait: bool) -> Batch:
        """As ``Cluster``."""
        count = self._settings.batch_payments_max
        got = await self._consumer.getmany(*self._labels, timeout_ms=0, max_records=count)
        wait_ms = POLL_MS if wait and not got else 0
        most = min(count, BATCHES_MAX)
        got |= await self._consumer.getmany(*self._decisions, timeout_ms=wait_ms, max_records=most)
        offsets = {each: records[-1].offset + 1 for each, records in got.items()}
        return Batch([_read(record) for each in sorted(got) for record in got[each]], offsets)

    async def between(self, start: Offsets, stop: Offsets) -> AsyncIterator[Batch]:
        """As ``Cluster``."""
        logger.info("joiner: replaying %d records", sum(stop[each] - start[each] for each in start))
        behind = list(start)
        self._consumer.assign(behind)
        for each in behind:
            self._consumer.seek(each, start[each])
        while behind:
            got = await self._consumer.getmany(
                *behind, timeout_ms=POLL_MS, max_records=self._settings.batch_payments_max
            )
            records = [_read(record) for each in got for record in got[each] if record.offset < stop[each]]
            offsets = {each: min(await self._consumer.position(each), stop[each]) for each in behind}
            yield Batch(records, offsets)
            if got:
                self._loop.step()
            behind = [each for each in behind if offsets[each] < stop[each]]

    @property
    def _anchor(self) -> TopicPartition:
        """The partition whose committed offset tells the sweep's place in its metadata."""
        return self._decisions[0]

    async def _committed(self, every: list[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group has committed; aiokafka's consumer would not tell the metadata."""
        admin = kafka.admin(self._settings)
        await admin.start()
        try:
            accepted_too = TopicPartition(self._topics.examples.name, 0)
            found = await admin.list_consumer_group_offsets(self._group, partitions=[*every, accepted_too])
        finally:
            await admin.close()
        return {each: known for each, known in found.items() if known.offset >= _FIRST_RECORD}

    async def _look(self, found: dict[TopicPartition, OffsetAndMetadata]) -> None:
        """See that the topics are the ones that the store is of.

        One that people accepted in the place of another (``found`` says so) is read from its offsets there on.
        """
        for topic in (self._topics.features.name, self._topics.labels.name, self._topics.examples.name):
            identity = await identity_of(client_of(self._consumer), topic)
            known = self._store.topic_id(topic)
            if identity is None or identity.topic_id == known:
                continue
            accepted = {each: at.offset for each, at in found.items() if at.metadata == accepted_as(identity.topic_id)}
            if known and topic not in {each.topic for each in accepted}:
                raise LearnerError(f"{topic} was deleted and made again. {_remedy(topic)}")
            begun = {(each.topic, each.partition): offset for each, offset in accepted.items() if each.topic == topic}
            self._store.write({}, begun if known else None, {topic: identity.topic_id})
        self._looked_s = time.monotonic()

    async def breathe(self) -> None:
        """As ``Cluster``."""
        await asyncio.sleep(0)

    async def commit(self, output: Output, offsets: Offsets, place: bytes) -> None:
        """As ``Cluster``. What was sent without a transaction is there before the offsets are."""
        anchor = offsets.get(self._anchor, self._stand[self._anchor])
        committed = {**offsets, self._anchor: OffsetAndMetadata(anchor, place.hex())}
        if not self._transactional:
            await self._send(output)
            await self._consumer.commit(committed)
            return
        async with kafka.transaction(self._producer):
            await self._send(output)
            await self._producer.send_offsets_to_transaction(committed, self._group)

    async def _send(self, output: Output) -> None:
        futures = [
            kafka.looked_at(
                await self._producer.send(
                    record.topic, record.value, record.key, partition=record.partition, headers=record.headers
                )
            )
            for record in output.records
        ]
        if futures:
            await asyncio.gather(*futures)

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        found = await self._producer.partitions_for(topic)
        return [TopicPartition(topic, partition) for partition in sorted(found)]


def _remedy(topic: str) -> str:
    return (
        f"Nothing is joined until you decide. `tocsin topics accept {topic}` goes on at its beginning: what the join "
        "knows of the former stays, and what of it was not read yet is lost to it. To begin anew instead, empty "
        "TOCSIN_STATE_DIR and TOCSIN_REGISTRY, and choose another TOCSIN_APP_ID"
    )


def place_of(metadata: str) -> bytes:
    """The place that ``metadata`` of an offset tells; empty where it tells none.

    >>> place_of(b"here".hex()), place_of("by somebody else")
    (b'here', b'')
    """
    try:
        return bytes.fromhex(metadata)
    except ValueError:
        return b""


def _read(record: Any) -> Read:
    return Read(
        record.topic, record.partition, record.offset, record.timestamp, record.key, record.value, record.headers
    )
