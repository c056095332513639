"""Writing what a batch gave: outputs, changed state and the position in the input, as one or in a safe order."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from numpy.typing import NDArray

from services import kafka
from services.contract.events import Headers
from services.kafka.building import batches_of, outgoing_of
from services.kafka.identity import client_of
from services.kafka.possession import Possession
from services.runtime.clock import now_ms
from services.scorer.path.records import OutboundColumns, Outputs
from services.wire.columns import Outgoing
from services.wire.headers import same_headers
from services.wire.texts import Texts

ChangelogEntry = tuple[bytes, bytes | None]
Offset: TypeAlias = int | OffsetAndMetadata
Sent = list[asyncio.Future[object]]
"""Done when the broker has what was sent."""
Row = tuple[int, bytes | None, bytes | None, Headers]
"""Timestamp (ms), key, value and headers of a record to be written."""


def nobody() -> None:
    """Nobody is told."""


class Delivery(ABC):
    """How the results of one input partition reach the broker. ``log`` is the topic of its state, if it has any.

    ``appended`` is told when the broker has all of a batch's records in its logs, in whose order nothing comes before
    them any more.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        source: TopicPartition,
        log: str,
        appended: Callable[[], None] = nobody,
    ) -> None:
        self._producer, self._consumer, self._source, self._log = producer, consumer, source, log
        self._appended = appended

    @abstractmethod
    async def open(self) -> None:
        """Take possession: after this no earlier owner of the partition can write."""

    @abstractmethod
    async def write(self, outputs: Outputs, changelog: Sequence[ChangelogEntry], next_offset: Offset | None) -> None:
        """Make ``outputs`` (by topic) and ``changelog`` durable, and the group's offset ``next_offset``: ``None`` where
        the changelog holds the position. The group is then told later (``Lane``), of all partitions in one request."""

    async def close(self) -> None:
        """Let go. What was not written stays unwritten."""
        await self._producer.stop()

    async def _send(self, written: Mapping[tuple[str, int], Outgoing]) -> Sent:
        """Send records by topic and partition, in order within each."""
        sent: Sent = []
        for (topic, partition), records in written.items():
            sent += await self._send_columns(topic, partition, records)
        return sent

    async def _send_changelog(self, entries: Sequence[ChangelogEntry]) -> Sent:
        if not entries:
            return []
        keys, values = zip(*entries, strict=True)
        count = len(entries)
        records = outgoing_of([now_ms()] * count, keys, values, [()] * count)
        return await self._send_columns(self._log, self._source.partition, records)

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
        appended: Callable[[], None] = nobody,
    ) -> None:
        super().__init__(producer, consumer, source, log, appended)
        self._group, self._possession = group, possession

    async def open(self) -> None:
        await self._possession.take(self._producer, client_of(self._consumer))

    async def write(self, outputs: Outputs, changelog: Sequence[ChangelogEntry], next_offset: Offset | None) -> None:
        written = by_partition(outputs)
        partitions = [TopicPartition(*place) for place in written]
        if changelog:
            partitions.append(TopicPartition(self._log, self._source.partition))
        async with kafka.transaction(self._producer):
            kafka.enlist(self._producer, partitions)
            if next_offset is not None:
                await self._producer.send_offsets_to_transaction({self._source: next_offset}, self._group)
            sent = await self._send(written) + await self._send_changelog(changelog)
            await asyncio.gather(*sent)
            self._appended()


class AtLeastOnce(Delivery):
    """Outputs, then state, then position, each acknowledged before the next.

    A crash between outputs and state writes those outputs again, under the same ids. A crash between state and
    position reads payments again that the state already knows: they are dropped as duplicates.
    """

    async def open(self) -> None:
        await self._producer.start()

    async def write(self, outputs: Outputs, changelog: Sequence[ChangelogEntry], next_offset: Offset | None) -> None:
        await asyncio.gather(*await self._send(by_partition(outputs)))
        self._appended()
        await asyncio.gather(*await self._send_changelog(changelog))
        if next_offset is not None:
            await self._consumer.commit({self._source: next_offset})


def by_partition(outputs: Outputs) -> dict[tuple[str, int], Outgoing]:
    """The records of each topic and partition that has any, in order within each."""
    found: dict[tuple[str, int], Outgoing] = {}
    for topic, records in outputs.items():
        if isinstance(records, OutboundColumns):
            found[topic, records.partition] = columns_of(records)
            continue
        rows: dict[int, list[Row]] = defaultdict(list)
        for each in records:
            rows[each.partition].append((each.timestamp, each.key, each.value, each.headers))
        found |= {(topic, partition): outgoing_of(*zip(*of, strict=True)) for partition, of in rows.items()}
    return found


def columns_of(records: OutboundColumns) -> Outgoing:
    """The same records as they are framed."""
    keys, values = Texts(records.key_data, spans_of(records.key_ends)), Texts(records.data, spans_of(records.ends))
    return Outgoing(records.timestamps, keys, values, same_headers((), len(records)))


def spans_of(ends: NDArray[Any]) -> NDArray[np.int64]:
    """int64[n, 2]: begin and length of texts that stand one after the other up to ``ends`` (n + 1)."""
    wide = ends.astype(np.int64)
    return np.stack([wide[:-1], np.diff(wide)], axis=1)
