"""One isolated deployment on a shared broker: its topics, its workers, its logs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from services import kafka
from services.contract.codec import encode
from services.contract.topics import Topic
from services.kafka.topics import create_topics
from services.runtime.settings import Settings
from services.scorer.path.scoring.model import LogisticModel
from tests.support.models import announcement_of
from tests.support.payments import Entry, routed
from tests.support.worker import Worker

T = TypeVar("T")
Logs = list[list[ConsumerRecord]]
"""A topic's records, by partition, in order."""

DEADLINE_S = 120.0
"""Far beyond what anything here takes, on a machine that does ten other things: it tells *never* from *later*."""
POLL_S = 0.05


class Deployment:
    """Settings that nothing else on the broker shares, the workers that run under them, and their files."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.deadline_s = DEADLINE_S
        self.workers: list[Worker] = []

    def worker(self, role: Literal["scorer", "learner", "shadow"] = "scorer", name: str = "", **changed: Any) -> Worker:
        """A worker of this deployment, not yet started; ``changed`` are settings of its own."""
        settings = self.settings
        if changed:
            settings = Settings(**{each: getattr(settings, each) for each in settings.model_fields_set} | changed)
        worker = Worker(role, settings, self.folder, name or f"{role}-{len(self.workers)}")
        self.workers.append(worker)
        return worker

    def discard(self) -> None:
        """Leave no process behind."""
        for worker in self.workers:
            worker.discard()

    def logs_of_workers(self) -> Iterator[tuple[str, str]]:
        """Name and end of log of each worker, for a failure's report."""
        for worker in self.workers:
            yield worker.name, worker.tail()

    def topic_partitions(self, topic: Topic) -> list[TopicPartition]:
        """Every partition of ``topic``."""
        return [TopicPartition(topic.name, at) for at in range(topic.partitions or self.settings.partitions)]

    async def wait_for(self, condition: Callable[[], Awaitable[T | None]], what: str) -> T:
        """What ``condition`` returns once it is not ``None``. Fails when a worker ends, or at the deadline."""
        deadline = time.monotonic() + self.deadline_s
        while True:
            try:
                found = await condition()
            except (KafkaError, OSError):  # of the broker, not of the worker: some tests restart it
                found = None
            if found is not None:
                return found
            ended = [each.name for each in self.workers if each.ended_by_itself]
            if ended or time.monotonic() > deadline:
                why = f"{', '.join(ended)} ended by itself" if ended else f"not within {self.deadline_s:.0f} s"
                tails = "\n".join(f"== {name}\n{tail}" for name, tail in self.logs_of_workers())
                raise AssertionError(f"{what}: {why}\n{await self.lag()}\n{tails}")
            await asyncio.sleep(POLL_S)

    async def lag(self) -> str:
        """How far each group is behind, for people."""
        lines = []
        async with observer(self) as seen:
            topics, identity = self.settings.topics, self.settings.identity
            others = [(f"{identity}.{name}", topics.features) for name in ("learner", "shadow")]
            for group, topic in (*self.groups(), *others):
                ends, done = await seen.ends(topic), await seen.committed(group, topic)
                lines.append(f"{group}: committed {done} of {ends}")
        return "\n".join(lines)

    def groups(self) -> list[tuple[str, Topic]]:
        """The consumer groups of the scorer, each with what it reads."""
        topics, identity = self.settings.topics, self.settings.identity
        return [
            (f"{identity}.payer", topics.payments),
            (f"{identity}.payee", topics.payments_by_payee),
            (f"{identity}.subject", topics.evidence),
            (f"{identity}.alerter", topics.reviews),
        ]

    async def announce(self, model: LogisticModel, **changed: Any) -> None:
        """Write ``model`` to ``models.v1``, unsigned; ``changed`` are fields of the announcement that are not as they
        should."""
        announcement = announcement_of(model, **changed)
        key = f"test/{announcement.version}".encode()
        async with producer(self.settings) as sending:
            await sending.send_and_wait(self.settings.topics.models.name, encode(announcement), key, partition=0)


@asynccontextmanager
async def producer(settings: Settings, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer, such as a processor has."""
    sending = AIOKafkaProducer(**kafka.connection(settings), **options) if options else kafka.producer(settings)
    await sending.start()
    try:
        yield sending
    finally:
        await sending.stop()


async def send(sending: AIOKafkaProducer, deployment: Deployment, log: Sequence[Entry]) -> None:
    """Write ``log`` to ``payments.v1``, in its order within each partition, and wait for the broker."""
    name, partitions = deployment.settings.topics.payments.name, deployment.settings.partitions
    batches: dict[int, Any] = {}
    sent = []
    for entry, partition in zip(log, routed(log, partitions), strict=True):
        batch = batches.get(partition)
        if batch is not None and batch.append(timestamp=None, key=entry.key, value=entry.value) is not None:
            continue
        if batch is not None:
            sent.append(await sending.send_batch(batch, name, partition=partition))
        batches[partition] = batch = sending.create_batch()
        assert batch.append(timestamp=None, key=entry.key, value=entry.value) is not None, "a batch takes its first"
    for partition, batch in batches.items():
        sent.append(await sending.send_batch(batch, name, partition=partition))
    await asyncio.gather(*sent)


class Observer:
    """Looks at offsets from outside."""

    def __init__(self, deployment: Deployment, reader: AIOKafkaConsumer, admin: Any) -> None:
        self._deployment, self._reader, self._admin = deployment, reader, admin

    async def ends(self, topic: Topic) -> list[int]:
        """The end of every partition, uncommitted records and markers included."""
        partitions = self._deployment.topic_partitions(topic)
        found = await self._reader.end_offsets(partitions)
        return [found[each] for each in partitions]

    async def committed(self, group: str, topic: Topic) -> list[int]:
        """The position of ``group`` in every partition; 0 where it has none."""
        partitions = self._deployment.topic_partitions(topic)
        found = await self._admin.list_consumer_group_offsets(group, partitions=partitions)
        return [max(0, found[each].offset) if each in found else 0 for each in partitions]


@asynccontextmanager
async def observer(deployment: Deployment) -> AsyncIterator[Observer]:
    """A started observer."""
    reader = AIOKafkaConsumer(**kafka.connection(deployment.settings))
    admin = kafka.admin(deployment.settings)
    await reader.start()
    try:
        await admin.start()
        yield Observer(deployment, reader, admin)
    finally:
        await admin.close()
        await reader.stop()


async def each_record(deployment: Deployment, topic: Topic) -> AsyncIterator[ConsumerRecord]:
    """The records of ``topic`` up to its present end, as a reader of committed ones sees them, partitions mixed."""
    partitions = deployment.topic_partitions(topic)
    reader = kafka.consumer(deployment.settings, max_partition_fetch_bytes=8 * 1024 * 1024, fetch_max_wait_ms=50)
    await reader.start()
    try:
        reader.assign(partitions)
        await reader.seek_to_beginning(*partitions)
        ends = await reader.end_offsets(partitions)
        exact = deployment.settings.delivery == "exactly_once"
        while True:
            unread = [each for each in partitions if await reader.position(each) < ends[each]]
            if exact and not unread:
                break
            found = await reader.getmany(*unread, timeout_ms=200)
            if not unread and not found:  # the memory broker tells of an end that lies within the last batch
                break
            for source, records in found.items():
                for record in records:
                    if record.offset < ends[source] or not exact:
                        yield record
    finally:
        await reader.stop()


async def read_logs(deployment: Deployment, topic: Topic) -> Logs:
    """The whole of ``topic``, as a reader of committed records sees it."""
    logs: Logs = [[] for _ in deployment.topic_partitions(topic)]
    async for record in each_record(deployment, topic):
        logs[record.partition].append(record)
    return logs


async def settled(deployment: Deployment) -> None:
    """Return once every payment in the topics so far has been through both hops, and every review in its alert."""
    async with observer(deployment) as seen:
        for group, topic in deployment.groups():
            last = [log[-1].offset + 1 if log else 0 for log in await read_logs(deployment, topic)]

            async def done(group: str = group, topic: Topic = topic, last: list[int] = last) -> bool | None:
                return await seen.committed(group, topic) == last or None

            await deployment.wait_for(done, f"{group} reaches the end of its input, {last}")


def make_deployment(bootstrap: str, name: str, folder: Path, **chosen: Any) -> Deployment:
    """A deployment under names of its own, its topics created."""
    plain: dict[str, Any] = {
        "bootstrap": bootstrap,
        "app_id": "tocsin",
        "topic_prefix": f"{name}.",
        "partitions": 4,
        "session_timeout_ms": 2_000,
        "transaction_timeout_ms": 20_000,
        "registry": folder / "registry",
        "state_dir": folder / "state",
        "keep_share": 1.0,
        "learn_share": 1.0,
        "challengers": "",
        "event_behind_days": 0,
        "subject_evidence": True,
    }
    deployment = Deployment(Settings(**plain | chosen), folder)
    asyncio.run(create_topics(deployment.settings))
    return deployment
