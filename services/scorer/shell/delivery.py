"""Writing what a batch gave: outputs, changed state and the position in the input, as one or in a safe order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from services import kafka
from services.scorer.path.records import Outbound
from services.settings import Settings

ChangelogEntry = tuple[bytes, bytes | None]


class Delivery(Protocol):
    """How the results of one input partition reach the broker."""

    async def open(self) -> None:
        """Take possession: after this no earlier owner of the partition can write."""

    async def write(
        self, outputs: Mapping[str, Sequence[Outbound]], changelog: Sequence[ChangelogEntry], next_offset: int
    ) -> None:
        """Make ``outputs`` (by topic), ``changelog`` and the input position ``next_offset`` durable."""

    async def close(self) -> None:
        """Let go. What was not written stays unwritten."""


class ExactlyOnce:
    """One Kafka transaction a batch: all of it becomes visible, or none.

    The transactional id belongs to the input partition, so opening fences whoever held the partition before and aborts
    what it left open (the scheme of Kafka before KIP-447, which aiokafka 0.14 does not implement).
    """

    def __init__(self, settings: Settings, transactional_id: str, source: TopicPartition, group: str, log: str) -> None:
        self._producer = kafka.producer(settings, transactional_id)
        self._source, self._group, self._log = source, group, log

    async def open(self) -> None:
        await self._producer.start()

    async def write(
        self, outputs: Mapping[str, Sequence[Outbound]], changelog: Sequence[ChangelogEntry], next_offset: int
    ) -> None:
        async with kafka.transaction(self._producer):
            sent = await send_all(self._producer, outputs)
            sent += await send_changelog(self._producer, self._log, self._source.partition, changelog)
            await self._producer.send_offsets_to_transaction({self._source: next_offset}, self._group)
            await asyncio.gather(*sent)

    async def close(self) -> None:
        await self._producer.stop()


class AtLeastOnce:
    """Outputs, then state, then position, each acknowledged before the next.

    A crash between outputs and state writes those outputs again, under the same ids. A crash between state and
    position reads payments again that the state already knows: they are dropped as duplicates.
    """

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer, source: TopicPartition, log: str) -> None:
        self._producer = kafka.producer(settings)
        self._consumer, self._source, self._log = consumer, source, log

    async def open(self) -> None:
        await self._producer.start()

    async def write(
        self, outputs: Mapping[str, Sequence[Outbound]], changelog: Sequence[ChangelogEntry], next_offset: int
    ) -> None:
        await asyncio.gather(*await send_all(self._producer, outputs))
        sent = await send_changelog(self._producer, self._log, self._source.partition, changelog)
        await asyncio.gather(*sent)
        await self._consumer.commit({self._source: next_offset})

    async def close(self) -> None:
        await self._producer.stop()


async def send_all(
    producer: AIOKafkaProducer, outputs: Mapping[str, Sequence[Outbound]]
) -> list[asyncio.Future[object]]:
    """Send records by topic, in order within each partition; the futures are done when the broker has them."""
    sent: list[asyncio.Future[object]] = []
    for topic, records in outputs.items():
        by_partition: dict[int, list[Outbound]] = defaultdict(list)
        for record in records:
            by_partition[record.partition].append(record)
        for partition, chosen in by_partition.items():
            rows = ((r.timestamp, r.key, r.value, r.headers) for r in chosen)
            sent += await _send_rows(producer, topic, partition, rows)
    return sent


async def send_changelog(
    producer: AIOKafkaProducer, topic: str, partition: int, entries: Iterable[ChangelogEntry]
) -> list[asyncio.Future[object]]:
    """Send changelog entries to one partition, in order."""
    return await _send_rows(producer, topic, partition, ((None, key, value, []) for key, value in entries))


async def _send_rows(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    rows: Iterable[tuple[int | None, bytes | None, bytes | None, list[tuple[str, bytes]]]],
) -> list[asyncio.Future[object]]:
    sent: list[asyncio.Future[object]] = []
    batch = producer.create_batch()
    for timestamp, key, value, headers in rows:
        if batch.append(timestamp=timestamp, key=key, value=value, headers=headers) is None:
            sent.append(kafka.looked_at(await producer.send_batch(batch, topic, partition=partition)))
            batch = producer.create_batch()
            batch.append(timestamp=timestamp, key=key, value=value, headers=headers)
    if batch.record_count():
        sent.append(kafka.looked_at(await producer.send_batch(batch, topic, partition=partition)))
    return sent
