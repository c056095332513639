"""Records gathered into one batch per partition, sent in order, and counted when the broker has them."""

from __future__ import annotations

from asyncio import Future, gather
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from services.contract.errors import TocsinError
from services.contract.events import Headers
from services.runtime.clock import now_ms

Acknowledged = Callable[[int], None]


class SendError(TocsinError, RuntimeError):
    """Kafka did not take, or did not acknowledge, what was sent."""

    may_quote = True


class Outlet:
    """One topic to write to; ``acknowledged`` is told how many more records the broker has confirmed."""

    def __init__(self, topic: str, partitions: int, acknowledged: Acknowledged) -> None:
        self.topic, self.partitions, self.acknowledged = topic, partitions, acknowledged
        self.open: list[BatchBuilder | None] = [None] * partitions


class BatchSender:
    """Appends records to batches, and sends batches in the order in which they were filled.

    Within a partition order is kept: aiokafka has one batch of a partition in flight, and numbers it (idempotence).
    ``append`` never waits; ``submit`` does, while the broker is slower than the source, so memory stays bounded.

    Raises
    ------
    SendError
        By any of its methods: when the broker does not know a topic, or when this, or an earlier batch, failed.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._full: list[tuple[Outlet, int, BatchBuilder]] = []
        self._in_flight: set[Future[Any]] = set()
        self._outlets: list[Outlet] = []
        self._failure: BaseException | None = None
        self._timestamp_ms = now_ms()

    async def outlet(self, topic: str, acknowledged: Acknowledged) -> Outlet:
        """Open ``topic`` for writing."""
        try:
            partitions = await self._producer.partitions_for(topic)
        except KafkaError as error:
            raise SendError(f"topic {topic}: {explain(error)}") from error
        outlet = Outlet(topic, len(partitions), acknowledged)
        self._outlets.append(outlet)
        return outlet

    def append(self, outlet: Outlet, partition: int, key: bytes | None, value: bytes, headers: Headers) -> None:
        """Add a record to the open batch of its partition; when that is full, to a new one behind it."""
        batch = outlet.open[partition]
        if batch is not None:
            if batch.append(key=key, value=value, timestamp=self._timestamp_ms, headers=headers) is not None:
                return
            self._full.append((outlet, partition, batch))
        batch = outlet.open[partition] = self._producer.create_batch()
        if batch.append(key=key, value=value, timestamp=self._timestamp_ms, headers=headers) is None:
            raise SendError(f"topic {outlet.topic}: a record of {len(value)} bytes does not fit into a batch")

    async def submit(self) -> None:
        """Hand the full batches to the producer."""
        full, self._full = self._full, []
        for outlet, partition, batch in full:
            await self._send(outlet, partition, batch)
        self._check()
        self._timestamp_ms = now_ms()

    async def flush(self) -> None:
        """Hand over every record that was appended. Does not wait until the broker has them."""
        for outlet in self._outlets:
            for partition, batch in enumerate(outlet.open):
                if batch is not None:
                    self._full.append((outlet, partition, batch))
                    outlet.open[partition] = None
        await self.submit()

    async def drain(self) -> None:
        """Hand over everything, and wait until the broker has acknowledged all of it."""
        await self.flush()
        while self._in_flight:  # gather's callbacks run after ours, which count
            await gather(*self._in_flight, return_exceptions=True)
        self._check()

    async def _send(self, outlet: Outlet, partition: int, batch: BatchBuilder) -> None:
        self._check()
        count = batch.record_count()
        batch.close()
        try:
            future = await self._producer.send_batch(batch, outlet.topic, partition=partition)
        except KafkaError as error:
            raise SendError(f"topic {outlet.topic}: {explain(error)}") from error
        self._in_flight.add(future)
        future.add_done_callback(lambda done: self._done(done, outlet, count))

    def _done(self, future: Future[Any], outlet: Outlet, count: int) -> None:
        self._in_flight.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            outlet.acknowledged(count)
        elif self._failure is None:
            self._failure = error

    def _check(self) -> None:
        if self._failure is not None:
            raise SendError(explain(self._failure)) from self._failure


def explain(error: BaseException) -> str:
    """An error of Kafka in one line: aiokafka often has the whole meaning in the class name alone."""
    name = type(error).__name__
    text = str(error).removeprefix(name).removeprefix(": ")
    return f"{name}: {text}" if text else name
