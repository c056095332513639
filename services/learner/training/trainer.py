"""A trainer's shell: ``examples.v1`` in, registry and ``models.v1`` out. Each line of models has one of its own.

A version is first a file in the registry, then an announcement, and only then is the next example learned. So a crash
leaves at most one version without its announcement, and a session starts by announcing what is missing. The sequence
of versions is the one that ``models.learning.training.Trainer`` makes of the log: nothing else decides it.

Before the line that scorers follow learns an example, its score as served is judged
(``services.learner.health.judge``). Judge and trainer each know how far they have read; a session begins at the earlier
of the two places, and each takes only what is new to it.

Lines share nothing but the log and the event loop: each has its consumer, its offset and its part of the registry, and
a fit of one runs in a process of its own (``services.learner.training.fitting``) while the others go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from faust import Service

from models.kinds.kind import CheckpointRefused
from models.learning.training import Lesson, Plan, Snapshot, Trainer
from models.registry.registry import Registry
from services import kafka
from services.contract.announcement import ModelAnnouncement, read_announced
from services.contract.codec import Rejection, encode
from services.contract.signing import is_signed
from services.contract.topics import BATCH_BYTES_MAX
from services.kafka.announcing import name_of, send_announcement
from services.learner.health.alarms import Alarms
from services.learner.health.judge import Judge
from services.learner.joining.joiner import CLOSE_S, OPEN_S, STOP_S, LearnerError
from services.learner.joining.records import read_example
from services.learner.measures import Measures
from services.learner.training.fitting import fit_beside
from services.runtime.health import Loop
from services.runtime.settings import Settings
from services.runtime.supervisor import supervise, within

EXAMPLES_MAX = 200
"""Examples learned between two polls."""
BREATH_S = 0.02
"""After learning for so long, a line lets the joiner and the other lines have the event loop."""
POLL_MS = 200
ANNOUNCEMENT_BYTES_MAX = 2 * BATCH_BYTES_MAX - 64 * 1024
"""What ``models.v1`` takes, less what a record costs beside its value. The models of today are a tenth of it."""

logger = logging.getLogger(__name__)


def can_run(plan: Plan, measures: Measures) -> bool:
    """Whether a line can be trained here; if not, it is said once in the log, and in the metrics."""
    try:
        plan.name  # noqa: B018 - it names the library's release
    except ImportError as error:
        logger.warning("no %s challenger: %s", plan.kind, error)
        measures.line_running.labels(plan.kind).set(0)
        return False
    measures.line_running.labels(plan.kind).set(1)
    return True


def resumed(plan: Plan, registry: Registry) -> Trainer:
    """A trainer that goes on from the registry's latest version of a line.

    An adaptive forest goes on from the latest version whose checkpoint is there, is the one that was saved, and comes
    from this release of its library; without any it learns the log again from the beginning. It makes the same
    versions either way.
    """
    refused = ""
    for version in reversed(registry.versions(plan.name)):
        try:
            trainer = Trainer(plan, registry.load(plan.name, version).state, registry.checkpoint(plan.name, version))
        except CheckpointRefused as error:
            refused = refused or f"{plan.name}/{version}: {error}"
            continue
        break
    else:
        trainer = Trainer(plan)
    if refused:
        logger.warning("%s; learning the log again from offset %d", refused, trainer.next_offset)
    return trainer


class TrainerService(Service):
    """Learns the log until it is stopped. A fault that passes ends a session; the next goes on from the registry.

    With ``alarms`` it also judges scores as served, which one line of a deployment does.
    """

    def __init__(
        self, settings: Settings, measures: Measures, plan: Plan, alarms: Alarms | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._settings = settings
        self._measures = measures
        self._plan = plan
        self._alarms = alarms
        self._ended = asyncio.Event()

    async def on_stop(self) -> None:
        """Let the examples in progress be learned."""
        await within(STOP_S, self._ended.wait(), f"ending the {self._plan.kind} trainer")

    @Service.task
    async def _train(self) -> None:
        metrics = self._measures.metrics
        try:
            with metrics.health.loop(f"trainer {self._plan.kind}") as loop:
                await supervise(loop, lambda: self._attempt(loop), lambda: self.should_stop, metrics.count_fault)
        finally:
            self._ended.set()

    async def _attempt(self, loop: Loop) -> None:
        def waits() -> bool:
            loop.alive()
            return not self.should_stop

        session = _Session(self._settings, self._measures, self._plan, self._alarms, loop, waits)
        try:
            await session.open()
            while not self.should_stop:
                await session.step()
        finally:
            await session.close()


class _Session:
    """From the registry's latest version to the first failure."""

    def __init__(
        self,
        settings: Settings,
        measures: Measures,
        plan: Plan,
        alarms: Alarms | None,
        loop: Loop,
        waits: Callable[[], bool],
    ) -> None:
        self._settings, self._measures, self._plan, self._loop = settings, measures, plan, loop
        self._waits = waits
        """Called while it waits for a fit; false when the worker is to stop."""
        self._answered_ms = 0
        self._judge = Judge(settings, measures, alarms) if alarms is not None else None
        self._registry = Registry(settings.registry)
        self._trainer = resumed(plan, self._registry)
        self._producer: AIOKafkaProducer = kafka.producer(settings)
        self._consumer: AIOKafkaConsumer = kafka.consumer(settings)
        self._examples = TopicPartition(settings.topics.examples.name, 0)
        self._announced: dict[int, str] = {}
        self._breathed_s = 0.0
        if self._trainer.version:
            self._show(self._registry.load(plan.name, self._trainer.version).announcement)

    async def open(self) -> None:
        """Announce the versions that ``models.v1`` lacks, and stand at the first example not yet learned or judged.

        Raises
        ------
        LearnerError
            When ``models.v1`` has other content for a version, or ``examples.v1`` ends before what was learned.
        """
        await asyncio.wait_for(self._producer.start(), OPEN_S)
        await asyncio.wait_for(self._consumer.start(), OPEN_S)
        await self._require_log()
        await self._read_announced()
        name = self._plan.name
        for version in self._registry.versions(name):
            if version not in self._announced:
                await self._announce(self._registry.load(name, version).announcement)
            elif version == self._trainer.version:
                self._check(self._registry.load(name, version).announcement)
        self._consumer.assign([self._examples])
        start = self._trainer.position
        self._consumer.seek(self._examples, start if self._judge is None else min(start, self._judge.next_offset))

    async def _require_log(self) -> None:
        """See that the log holds what was learned and judged, before anything of the registry is announced."""
        self._consumer.assign([self._examples])
        end = (await self._consumer.end_offsets([self._examples]))[self._examples]
        if self._trainer.next_offset > end:
            raise LearnerError(
                f"{self._examples.topic} ends at {end} and was learned up to {self._trainer.next_offset}: the registry "
                f"belongs to another cluster; choose another folder"
            )
        if self._judge is not None and self._judge.next_offset > end:
            raise LearnerError(
                f"{self._examples.topic} ends at {end} and was judged up to {self._judge.next_offset}: state_dir "
                f"belongs to another cluster; choose another folder"
            )

    async def close(self) -> None:
        """Let go of the clients, and keep what was judged."""
        if self._judge is not None:
            self._judge.save()
        await within(CLOSE_S, self._consumer.stop(), f"closing the {self._plan.kind} trainer's consumer")
        await within(CLOSE_S, self._producer.stop(), f"closing the {self._plan.kind} trainer's producer")

    async def step(self) -> None:
        """Learn the next examples, and publish the versions that they complete."""
        got = await self._consumer.getmany(self._examples, timeout_ms=POLL_MS, max_records=EXAMPLES_MAX)
        clock = asyncio.get_running_loop().time
        for record in got.get(self._examples, ()):
            if not await self._learn(record):
                return
            self._loop.step()
            if clock() - self._breathed_s > BREATH_S:
                await asyncio.sleep(0)
                self._breathed_s = clock()
        if self._judge is not None:
            self._judge.show(clock())
        answered_ms = kafka.answered_ms(self._consumer, [self._examples])
        if answered_ms != self._answered_ms:
            self._answered_ms = answered_ms
            self._loop.step()
        high = self._consumer.highwater(self._examples)
        if high is not None:
            unread = high - await self._consumer.position(self._examples)
            self._measures.line_lag.labels(self._plan.kind).set(max(0, unread))
            if not self._plan.challenger:
                self._measures.lag(self._examples.topic, 0, unread)

    async def _learn(self, record: Any) -> bool:
        """Whether the record was taken: not where the worker is to stop before the fit that it waits for."""
        trainer = self._trainer
        example = read_example(record.value)
        if isinstance(example, Rejection):
            if record.offset >= trainer.next_offset:
                self._skipped("example_invalid")
            return True
        if self._judge is not None:
            self._judge.take(example, record.offset)
        if record.offset < trainer.position:
            return True  # learned before: only the judge had not seen it
        if trainer.fit_due:
            result = await fit_beside(trainer, self._waits)
            if result is None:
                return False
            self._measures.line_fits.labels(result).inc()
            logger.info("%s: fit after %d examples: %s", self._plan.name, trainer.examples, result)
        lesson: Lesson = trainer.learn(example, record.offset)
        if lesson.result == "learned":
            self._measures.line_examples.labels(self._plan.kind).inc()
            if not self._plan.challenger:
                label = "suspicious" if example.label else "not_suspicious"
                self._measures.metrics.examples.labels(label).inc()
        elif lesson.result != "remembered":
            self._skipped(f"example_{lesson.result}")
        if lesson.snapshot is not None:
            await self._publish(lesson.snapshot)
        return True

    def _skipped(self, reason: str) -> None:
        """Counted once, by the line that scorers follow: every line skips the same."""
        if not self._plan.challenger:
            self._measures.skipped.labels(reason).inc()

    async def _publish(self, snapshot: Snapshot) -> None:
        """First the file, then the announcement."""
        checkpoint = self._trainer.checkpoint()
        await asyncio.to_thread(self._registry.save, snapshot, checkpoint)
        announcement = snapshot.announcement
        if announcement.version in self._announced:
            self._check(announcement)  # learned again from the log, after the registry was lost
        else:
            await self._announce(announcement)
        if not self._plan.challenger:
            self._measures.metrics.snapshots.inc()
        self._show(announcement)
        logger.info("model %s: %s", name_of(announcement), announcement.model_hash[:12])

    def _show(self, latest: ModelAnnouncement) -> None:
        self._measures.line_version.labels(self._plan.kind).set(latest.version)
        if not self._plan.challenger:
            self._measures.metrics.use_model(latest.version, latest.model_hash)

    async def _announce(self, announcement: ModelAnnouncement) -> None:
        size = len(encode(announcement))
        if size > ANNOUNCEMENT_BYTES_MAX:
            self._measures.line_refused.labels(self._plan.kind).inc()
            logger.warning(
                "model %s: %d bytes, too many to announce; it is in the registry only", name_of(announcement), size
            )
            return
        await send_announcement(self._producer, self._settings, announcement)
        self._announced[announcement.version] = announcement.model_hash

    def _check(self, announcement: ModelAnnouncement) -> None:
        known = self._announced[announcement.version]
        if known != announcement.model_hash:
            raise LearnerError(
                f"{name_of(announcement)} was announced as {known[:12]} and is "
                f"{announcement.model_hash[:12]} here: restore the registry, or learn under another topic_prefix"
            )

    async def _read_announced(self) -> None:
        """The versions of this line that ``models.v1`` has, with their hashes."""
        name, models_key = self._plan.name, self._settings.models_key.get_secret_value().encode()
        async for record in self._all_of(TopicPartition(self._settings.topics.models.name, 0)):
            if not is_signed(models_key, record.key, record.value, record.headers):
                continue  # nobody takes it: it is as if it were not there, and is announced again
            said = read_announced(record.key, record.value)  # what cannot be read is not for a trainer to judge
            if isinstance(said, ModelAnnouncement) and said.name == name:
                self._announced[said.version] = said.model_hash

    async def _all_of(self, partition: TopicPartition) -> AsyncIterator[Any]:
        self._consumer.assign([partition])
        await self._consumer.seek_to_beginning(partition)
        end = (await self._consumer.end_offsets([partition]))[partition]
        while await self._consumer.position(partition) < end:
            got = await self._consumer.getmany(partition, timeout_ms=POLL_MS)
            for record in got.get(partition, ()):
                yield record
