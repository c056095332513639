"""Writing what a batch gave: outputs, changed state and the position in the input, as one or in a safe order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from services import kafka
from services.contract.events import Headers
from services.kafka.identity import client_of
from services.kafka.possession import Possession
from services.scorer.path.records import Outbound

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

    The producer's transactional id belongs to the input partition, so opening fences whoever held the partition before
    and aborts what it left open (the scheme of Kafka before KIP-447, which aiokafka 0.14 does not implement).
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        source: TopicPartition,
        group: str,
        log: str,
        possession: Possession,
    ) -> None:
        self._producer, self._consumer, self._source, self._group, self._log = producer, consumer, source, group, log
        self._possession = possession

    async def open(self) -> None:
        await self._possession.take(self._producer, client_of(self._consumer))

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

    def __init__(
        self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, source: TopicPartition, log: str
    ) -> None:
        self._producer, self._consumer, self._source, self._log = producer, consumer, source, log

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


Row = tuple[int | None, bytes | None, bytes | None, Headers]
"""Timestamp (``None``: of its append), key, value and headers of a record to be written."""


class Filling(Protocol):
    """A batch of records that is being filled (aiokafka's ``BatchBuilder``)."""

    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Headers) -> object:
        """Take a record; ``None`` where there is no room for it. An empty batch has room for any."""

    def record_count(self) -> int:
        """How many records it has."""


F = TypeVar("F", bound=Filling)


def rows_by_partition(outputs: Mapping[str, Sequence[Outbound]]) -> dict[tuple[str, int], list[Row]]:
    """Records of each topic and partition that has any, in order within each."""
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for topic, records in outputs.items():
        for each in records:
            found[topic, each.partition].append((each.timestamp, each.key, each.value, each.headers))
    return found


def filled(rows: Iterable[Row], create: Callable[[], F]) -> Iterator[F]:
    """``rows`` in as few batches as have room for them, in order; none without a row."""
    batch = create()
    for timestamp, key, value, headers in rows:
        if batch.append(timestamp=timestamp, key=key, value=value, headers=headers) is None:
            yield batch
            batch = create()
            batch.append(timestamp=timestamp, key=key, value=value, headers=headers)
    if batch.record_count():
        yield batch


async def send_all(
    producer: AIOKafkaProducer, outputs: Mapping[str, Sequence[Outbound]]
) -> list[asyncio.Future[object]]:
    """Send records by topic, in order within each partition; the futures are done when the broker has them."""
    sent: list[asyncio.Future[object]] = []
    for (topic, partition), rows in rows_by_partition(outputs).items():
        sent += await _send_rows(producer, topic, partition, rows)
    return sent


async def send_changelog(
    producer: AIOKafkaProducer, topic: str, partition: int, entries: Iterable[ChangelogEntry]
) -> list[asyncio.Future[object]]:
    """Send changelog entries to one partition, in order."""
    return await _send_rows(producer, topic, partition, ((None, key, value, []) for key, value in entries))


async def _send_rows(
    producer: AIOKafkaProducer, topic: str, partition: int, rows: Iterable[Row]
) -> list[asyncio.Future[object]]:
    return [
        kafka.looked_at(await producer.send_batch(batch, topic, partition=partition))
        for batch in filled(rows, producer.create_batch)
    ]
