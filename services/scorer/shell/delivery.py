"""Writing what a batch gave: outputs, changed state and the position in the input, as one or in a safe order."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from services import kafka
from services.contract.events import Headers
from services.kafka.building import batches_of, outgoing_of
from services.kafka.identity import client_of
from services.kafka.possession import Possession
from services.runtime.clock import now_ms
from services.scorer.path.records import Outbound
from services.wire.columns import Outgoing

ChangelogEntry = tuple[bytes, bytes | None]
Offset: TypeAlias = int | OffsetAndMetadata
Sent = list[asyncio.Future[object]]
"""Done when the broker has what was sent."""
Row = tuple[int, bytes | None, bytes | None, Headers]
"""Timestamp (ms), key, value and headers of a record to be written."""


class Delivery(ABC):
    """How the results of one input partition reach the broker. ``log`` is the topic of its state, if it has any."""

    def __init__(
        self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, source: TopicPartition, log: str
    ) -> None:
        self._producer, self._consumer, self._source, self._log = producer, consumer, source, log

    @abstractmethod
    async def open(self) -> None:
        """Take possession: after this no earlier owner of the partition can write."""

    @abstractmethod
    async def write(
        self, outputs: Mapping[str, Sequence[Outbound]], changelog: Sequence[ChangelogEntry], next_offset: Offset
    ) -> None:
        """Make ``outputs`` (by topic), ``changelog`` and the input position ``next_offset`` durable."""

    async def close(self) -> None:
        """Let go. What was not written stays unwritten."""
        await self._producer.stop()

    async def _send(self, written: Mapping[tuple[str, int], Sequence[Row]]) -> Sent:
        """Send records by topic and partition, in order within each."""
        sent: Sent = []
        for (topic, partition), rows in written.items():
            sent += await self._send_rows(topic, partition, rows)
        return sent

    async def _send_changelog(self, entries: Iterable[ChangelogEntry]) -> Sent:
        appended_ms = now_ms()
        rows: list[Row] = [(appended_ms, key, value, []) for key, value in entries]
        return await self._send_rows(self._log, self._source.partition, rows)

    async def _send_rows(self, topic: str, partition: int, rows: Sequence[Row]) -> Sent:
        return await self._send_columns(topic, partition, outgoing_of(*zip(*rows, strict=True))) if rows else []

    async def _send_columns(self, topic: str, partition: int, records: Outgoing) -> Sent:
        """Send ``records``, in order. For a hop whose outputs are columns: nothing is made for each."""
        return [
            kafka.looked_at(await self._producer.send_batch(batch, topic, partition=partition))
            for batch in batches_of(records, self._producer)
        ]


class ExactlyOnce(Delivery):
    """One Kafka transaction a batch: all of it becomes visible, or none.

    The producer's transactional id belongs to the input partition, so opening fences whoever held the partition before
    and aborts what it left open (the scheme of Kafka before KIP-447, which aiokafka 0.14 does not implement).
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        source: TopicPartition,
        log: str,
        group: str,
        possession: Possession,
    ) -> None:
        super().__init__(producer, consumer, source, log)
        self._group, self._possession = group, possession

    async def open(self) -> None:
        await self._possession.take(self._producer, client_of(self._consumer))

    async def write(
        self, outputs: Mapping[str, Sequence[Outbound]], changelog: Sequence[ChangelogEntry], next_offset: Offset
    ) -> None:
        written = rows_by_partition(outputs)
        partitions = [TopicPartition(*place) for place in written]
        if changelog:
            partitions.append(TopicPartition(self._log, self._source.partition))
        async with kafka.transaction(self._producer):
            kafka.enlist(self._producer, partitions)
            await self._producer.send_offsets_to_transaction({self._source: next_offset}, self._group)
            sent = await self._send(written) + await self._send_changelog(changelog)
            await asyncio.gather(*sent)


class AtLeastOnce(Delivery):
    """Outputs, then state, then position, each acknowledged before the next.

    A crash between outputs and state writes those outputs again, under the same ids. A crash between state and
    position reads payments again that the state already knows: they are dropped as duplicates.
    """

    async def open(self) -> None:
        await self._producer.start()

    async def write(
        self, outputs: Mapping[str, Sequence[Outbound]], changelog: Sequence[ChangelogEntry], next_offset: Offset
    ) -> None:
        await asyncio.gather(*await self._send(rows_by_partition(outputs)))
        await asyncio.gather(*await self._send_changelog(changelog))
        await self._consumer.commit({self._source: next_offset})


def rows_by_partition(outputs: Mapping[str, Sequence[Outbound]]) -> dict[tuple[str, int], list[Row]]:
    """Records of each topic and partition that has any, in order within each."""
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for topic, records in outputs.items():
        for each in records:
            found[topic, each.partition].append((each.timestamp, each.key, each.value, each.headers))
    return found
