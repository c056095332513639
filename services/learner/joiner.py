"""The joiner: ``decisions.v1`` and ``labels.v1`` in, ``examples.v1`` out, each example once and in one order; and the
first label of each payment into ``payments.v1``, where features learn of it.

A batch goes through five steps:

1. Let the join (``services.learner.join``) pass over decisions that nobody has labelled for long: weak examples come
   out. Read records of both topics.
2. Take them into the join: examples and dead letters come out.
3. Write all of those in one transaction with the offsets of both topics and, as metadata of one of these, the place
   that the sweep of step 1 has come to.
4. Write the join's changes, with the same offsets, to the store: after the commit, so the store is never ahead. What is
   known of drift in what is served (``services.learner.served``) is written with them, and its alarms are heard first.
5. Count.

A crash before the commit leaves nothing behind: the next learner fences the producer, which aborts the transaction.
After it, the store may be one batch behind the committed offsets. A session therefore starts by taking the records
between the two into the join without emitting, all of them before the first record above, and then lets the sweep pass
over what lies below the committed place, without emitting either. A lost store is the same case from offset 0.

Without transactions (``at_least_once``) step 3 is: write, wait, commit the offsets. A crash in between repeats
examples of one batch under the same ids, which the trainer drops. So it does where a broker keeps no metadata: the
sweep then stands where the store has it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faust import Service

from services import kafka
from services.kafka.identity import accepted_as, client_of, identity_of
from services.learner.alarms import Alarms
from services.learner.batch import Output, Read, apply, sweep
from services.learner.join import Join, Limits
from services.learner.measures import HOP, Measures
from services.learner.served import ServedDrift, ServedPlan
from services.learner.store import Store
from services.runtime.health import Loop
from services.runtime.supervisor import NeedsPeople, supervise, within
from services.settings import Settings

CHUNK_RECORDS = 250
"""Records taken in one go; the event loop breathes between two chunks."""
SWEPT_MIN = 4_000
"""Decisions that a batch passes over, at most: so many, or twice its records, so that the sweep keeps up."""
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

Offsets = dict[TopicPartition, int]
logger = logging.getLogger(__name__)


class LearnerError(NeedsPeople):
    """The learner cannot go on by itself. The message says what to do."""


class Joiner(Service):
    """Runs sessions of the join until it is stopped. A fault that passes ends a session, and the next one recovers:
    also from another learner, or the broker's own clock, having ended its transaction."""

    def __init__(
        self,
        settings: Settings,
        measures: Measures,
        schema: str,
        drift: ServedPlan,
        alarms: Alarms,
        limits: Limits | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._settings = settings
        self._measures = measures
        self._drift = drift
        self._alarms = alarms
        self._schema = schema
        self._limits = limits
        self._ended = asyncio.Event()

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
        session = _Session(self._settings, self._measures, self._schema, self._drift, self._alarms, self._limits, loop)
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
        schema: str,
        drift: ServedPlan,
        alarms: Alarms,
        limits: Limits | None,
        loop: Loop,
    ) -> None:
        self._settings = settings
        self._measures = measures
        self._loop = loop
        self._answered_ms = 0
        self._looked_s = 0.0
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
        self._join = Join(self._store, limits, schema)
        self._served = ServedDrift(self._store, drift)
        self._alarms = alarms
        measures.served(self._served)
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
        await asyncio.wait_for(self._producer.start(), OPEN_S)
        await asyncio.wait_for(self._consumer.start(), OPEN_S)
        self._decisions = await self._partitions(self._topics.decisions.name)
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
        await self._replay(committed)
        if self._anchor in found:
            self._join.pass_over(place_of(found[self._anchor].metadata))
        self._stand = committed
        self._consumer.assign(every)
        for each in every:
            self._consumer.seek(each, committed[each])

    async def close(self) -> None:
        """Let go of everything; what was not committed is aborted by whoever comes next."""
        self._store.close()
        await within(CLOSE_S, self._consumer.stop(), "closing the joiner's consumer")
        await within(CLOSE_S, self._producer.stop(), "closing the joiner's producer")

    async def partitions_unchanged(self) -> bool:
        """Whether both topics still have the partitions that are being read."""
        decisions = await self._partitions(self._topics.decisions.name)
        labels = await self._partitions(self._topics.labels.name)
        return (decisions, labels) == (self._decisions, self._labels)

    async def step(self) -> int:
        """One batch, read to written; returns its number of records."""
        if time.monotonic() - self._looked_s > LOOK_S:
            await self._look({})
        count, output = self._settings.batch_payments_max, Output()
        passed = await self._sweep(max(SWEPT_MIN, 2 * count), output)
        got = await self._consumer.getmany(*self._labels, timeout_ms=0, max_records=count)
        wait_ms = 0 if got or passed else POLL_MS
        got |= await self._consumer.getmany(*self._decisions, timeout_ms=wait_ms, max_records=count)
        if not (got or passed):
            answered_ms = kafka.answered_ms(self._consumer, self._labels + self._decisions)
            if answered_ms != self._answered_ms:
                self._answered_ms = answered_ms
                self._loop.step()
            return 0
        offsets = {each: records[-1].offset + 1 for each, records in got.items()}
        records = [_read(record) for each in sorted(got) for record in got[each]]
        await self._take(records, output)
        await self._commit(output, offsets)
        self._write(offsets)
        self._stand |= offsets
        self._loop.step()
        self._measures.joined(self._join.counts, output.rejected, len(records))
        self._measures.pending(self._join.decisions, self._join.waiting_labels)
        self._measures.metrics.event_time.labels("joiner").set(self._join.latest_event_ms / 1_000)
        self._measures.served(self._served)
        self._join.written()
        for each, offset in offsets.items():
            self._measures.lag(each.topic, each.partition, (self._consumer.highwater(each) or offset) - offset)
        return max(len(records), passed)

    async def _replay(self, committed: Offsets) -> None:
        """Take what lies between the store's offsets and the committed ones into the join, without emitting."""
        stand = {each: self._store.offset((each.topic, each.partition)) for each in committed}
        behind = [each for each in committed if stand[each] < committed[each]]
        if behind:
            logger.info("joiner: replaying %d records", sum(committed[each] - stand[each] for each in behind))
            self._consumer.assign(behind)
            for each in behind:
                self._consumer.seek(each, stand[each])
        while behind:
            got = await self._consumer.getmany(
                *behind, timeout_ms=POLL_MS, max_records=self._settings.batch_payments_max
            )
            records = [_read(record) for each in got for record in got[each] if record.offset < committed[each]]
            await self._take(records, Output())
            offsets = {each: min(await self._consumer.position(each), committed[each]) for each in behind}
            self._write(offsets)
            self._join.written()
            self._loop.step()
            behind = [each for each in behind if offsets[each] < committed[each]]

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
        for topic in (self._topics.decisions.name, self._topics.labels.name, self._topics.examples.name):
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

    async def _sweep(self, decisions_max: int, output: Output) -> int:
        passed = 0
        while passed < decisions_max and (count := sweep(self._join, CHUNK_RECORDS, self._topics, output)):
            passed += count
            await asyncio.sleep(0)
        return passed

    async def _take(self, records: list[Read], output: Output) -> None:
        remaining = iter(records)
        while chunk := list(islice(remaining, CHUNK_RECORDS)):
            apply(self._join, chunk, self._topics, output, self._served)
            await asyncio.sleep(0)

    async def _commit(self, output: Output, offsets: Offsets) -> None:
        anchor = offsets.get(self._anchor, self._stand[self._anchor])
        committed = {**offsets, self._anchor: OffsetAndMetadata(anchor, self._join.swept.hex())}
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

    def _write(self, offsets: Offsets) -> None:
        for alarm in self._served.alarms:
            self._alarms.ring(alarm)
        changes = {**self._join.seal(), **self._served.seal()}
        self._store.write(changes, {(each.topic, each.partition): at for each, at in offsets.items()})
        self._served.written()

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
