"""The trainer's shell: ``examples.v1`` in, registry and ``models.v1`` out.

A version is first a file in the registry, then an announcement, and only then is the next example learned. So a crash
leaves at most one version without its announcement, and a session starts by announcing what is missing. The sequence
of versions is the one that ``models.training.Trainer`` makes of the log: nothing else decides it.

Before an example is learned its score as served is judged (``services.learner.judge``). Judge and trainer each know how
far they have read; a session begins at the earlier of the two places, and each takes only what is new to it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from faust import Service

from models.registry import Registry
from models.training import Lesson, Plan, Snapshot, Trainer
from services import kafka
from services.contract.codec import decode, encode
from services.contract.events import cloud_event
from services.contract.types import Example, ModelAnnouncement
from services.learner.alarms import Alarms
from services.learner.joiner import RETRY_S, LearnerError
from services.learner.judge import Judge
from services.learner.measures import Measures
from services.settings import Settings

EXAMPLES_MAX = 200
"""Examples learned between two polls; the event loop breathes every ``EXAMPLES_BREATH`` of them."""
EXAMPLES_BREATH = 50
POLL_MS = 200

logger = logging.getLogger(__name__)


class TrainerService(Service):
    """Learns the log until it is stopped. A Kafka error ends a session; the next goes on from the registry."""

    def __init__(self, settings: Settings, measures: Measures, plan: Plan, alarms: Alarms, **options: Any) -> None:
        super().__init__(**options)
        self._settings = settings
        self._measures = measures
        self._plan = plan
        self._alarms = alarms
        self._ended = asyncio.Event()

    async def on_stop(self) -> None:
        """Let the examples in progress be learned."""
        await self._ended.wait()

    @Service.task
    async def _train(self) -> None:
        try:
            while not self.should_stop:
                await self._attempt()
        finally:
            self._ended.set()

    async def _attempt(self) -> None:
        session = _Session(self._settings, self._measures, self._plan, self._alarms)
        try:
            await session.open()
            while not self.should_stop:
                await session.step()
        except KafkaError as error:
            logger.warning("trainer: %s; trying again", type(error).__name__)
            await self.sleep(RETRY_S)
        finally:
            await session.close()


class _Session:
    """From the registry's latest version to the first failure."""

    def __init__(self, settings: Settings, measures: Measures, plan: Plan, alarms: Alarms) -> None:
        self._measures = measures
        self._judge = Judge(settings, measures, alarms)
        self._registry = Registry(settings.registry)
        latest = self._registry.latest(plan.name)
        self._trainer = Trainer(plan, latest.state if latest else None)
        self._producer: AIOKafkaProducer = kafka.producer(settings)
        self._consumer: AIOKafkaConsumer = kafka.consumer(settings)
        self._examples = TopicPartition(settings.topics.examples.name, 0)
        self._models = TopicPartition(settings.topics.models.name, 0)
        self._announced: dict[int, str] = {}
        if latest:
            measures.metrics.use_model(latest.announcement.version, latest.announcement.model_hash)

    async def open(self) -> None:
        """Announce the versions that ``models.v1`` lacks, and stand at the first example not yet learned or judged.

        Raises
        ------
        LearnerError
            When ``models.v1`` has other content for a version, or ``examples.v1`` ends before what was learned.
        """
        await self._producer.start()
        await self._consumer.start()
        await self._read_announced()
        name = self._trainer.plan.name
        for version in self._registry.versions(name):
            if version not in self._announced:
                await self._announce(self._registry.load(name, version).announcement)
            elif version == self._trainer.version:
                self._check(self._registry.load(name, version).announcement)
        self._consumer.assign([self._examples])
        end = (await self._consumer.end_offsets([self._examples]))[self._examples]
        if self._trainer.next_offset > end:
            raise LearnerError(
                f"{self._examples.topic} ends at {end} and was learned up to {self._trainer.next_offset}: the registry "
                f"belongs to another cluster; choose another folder"
            )
        if self._judge.next_offset > end:
            raise LearnerError(
                f"{self._examples.topic} ends at {end} and was judged up to {self._judge.next_offset}: state_dir "
                f"belongs to another cluster; choose another folder"
            )
        self._consumer.seek(self._examples, min(self._trainer.next_offset, self._judge.next_offset))

    async def close(self) -> None:
        """Let go of the clients, and keep what was judged."""
        await self._consumer.stop()
        await self._producer.stop()
        self._judge.save()

    async def step(self) -> None:
        """Learn the next examples, and publish the versions that they complete."""
        got = await self._consumer.getmany(self._examples, timeout_ms=POLL_MS, max_records=EXAMPLES_MAX)
        for count, record in enumerate(got.get(self._examples, ()), start=1):
            await self._learn(record)
            if count % EXAMPLES_BREATH == 0:
                await asyncio.sleep(0)
        self._judge.show(asyncio.get_running_loop().time())
        high = self._consumer.highwater(self._examples)
        if high is not None:
            self._measures.lag(self._examples.topic, 0, high - await self._consumer.position(self._examples))

    async def _learn(self, record: Any) -> None:
        try:
            example = decode(record.value or b"", Example)
        except msgspec.DecodeError:
            if record.offset >= self._trainer.next_offset:
                self._measures.skipped.labels("example_invalid").inc()
            return
        self._judge.take(example, record.offset)
        if record.offset < self._trainer.next_offset:
            return  # learned before: only the judge had not seen it
        lesson: Lesson = self._trainer.learn(example, record.offset)
        if lesson.result != "learned":
            self._measures.skipped.labels(f"example_{lesson.result}").inc()
            return
        label = "suspicious" if example.label else "not_suspicious"
        self._measures.metrics.examples.labels(label).inc()
        if lesson.snapshot is not None:
            await self._publish(lesson.snapshot)

    async def _publish(self, snapshot: Snapshot) -> None:
        """First the file, then the announcement."""
        self._registry.save(snapshot)
        announcement = snapshot.announcement
        if announcement.version in self._announced:
            self._check(announcement)  # learned again from the log, after the registry was lost
        else:
            await self._announce(announcement)
        self._measures.metrics.snapshots.inc()
        self._measures.metrics.use_model(announcement.version, announcement.model_hash)
        logger.info("model %s/%d: %s", announcement.name, announcement.version, announcement.model_hash[:12])

    async def _announce(self, announcement: ModelAnnouncement) -> None:
        key = f"{announcement.name}/{announcement.version}"
        await self._producer.send_and_wait(
            self._models.topic,
            encode(announcement),
            key.encode(),
            partition=0,
            headers=cloud_event("model-announcement.v1", f"{key}/{announcement.model_hash}"),
        )
        self._announced[announcement.version] = announcement.model_hash

    def _check(self, announcement: ModelAnnouncement) -> None:
        known = self._announced[announcement.version]
        if known != announcement.model_hash:
            raise LearnerError(
                f"{announcement.name}/{announcement.version} was announced as {known[:12]} and is "
                f"{announcement.model_hash[:12]} here: restore the registry, or learn under another topic_prefix"
            )

    async def _read_announced(self) -> None:
        """The versions of this line that ``models.v1`` has, with their hashes."""
        name = self._trainer.plan.name
        async for record in self._all_of(self._models):
            try:
                announcement = decode(record.value or b"", ModelAnnouncement)
            except msgspec.DecodeError:
                continue  # somebody else's, and not for a trainer to judge
            if announcement.name == name:
                self._announced[announcement.version] = announcement.model_hash

    async def _all_of(self, partition: TopicPartition) -> AsyncIterator[Any]:
        self._consumer.assign([partition])
        await self._consumer.seek_to_beginning(partition)
        end = (await self._consumer.end_offsets([partition]))[partition]
        while await self._consumer.position(partition) < end:
            got = await self._consumer.getmany(partition, timeout_ms=POLL_MS)
            for record in got.get(partition, ()):
                yield record
