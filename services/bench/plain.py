"""Two hops in plain aiokafka, for baselines that do little or no work in them: records in, records out, one transaction
a batch and partition, as the scorer's lanes have them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from services import kafka
from services.contract.partitioner import partitions_of
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings, load_settings

Work = Callable[[bytes], tuple[bytes, bytes]]
"""From a record's value to the key and value of what is written for it."""
IDLE_MS = 200


def run_hops(payer: Work, payee: Work) -> None:
    """Run ``payments.v1`` through ``payer`` to ``payments.by-payee.v1``, and that through ``payee`` to
    ``decisions.v1``, until the process is told to end. Counts payments as a scorer does."""
    settings, metrics = load_settings(), Metrics()
    metrics.serve(settings.metrics_host, settings.metrics_port)
    topics = settings.topics
    hops = (
        _hop(settings, "payer", topics.payments.name, topics.payments_by_payee.name, payer,
             metrics.payments.labels("payer", "forwarded").inc),
        _hop(settings, "payee", topics.payments_by_payee.name, topics.decisions.name, payee,
             metrics.payments.labels("payee", "decided").inc),
    )  # fmt: skip
    asyncio.run(_together(*hops))


async def _together(*hops: Awaitable[None]) -> None:
    await asyncio.gather(*hops)


async def _hop(settings: Settings, name: str, topic: str, sink: str, work: Work, count: Callable[[int], None]) -> None:
    group = f"{settings.identity}.plain-{name}"
    async with kafka.opened(kafka.consumer(settings, group_id=group)) as consumer:
        sources = [TopicPartition(topic, partition) for partition in range(settings.partitions)]
        consumer.assign(sources)
        await _together(*(_lane(settings, consumer, each, group, sink, work, count) for each in sources))


async def _lane(
    settings: Settings,
    consumer: AIOKafkaConsumer,
    source: TopicPartition,
    group: str,
    sink: str,
    work: Work,
    count: Callable[[int], None],
) -> None:
    exactly_once = settings.delivery == "exactly_once"
    producer = kafka.producer(settings, f"{group}.{source.partition}" if exactly_once else None)
    async with kafka.opened(producer):
        while True:
            found = await consumer.getmany(source, timeout_ms=IDLE_MS, max_records=settings.batch_payments_max)
            records = found.get(source, [])
            if not records:
                continue
            written = [work(record.value) for record in records]
            next_offset = {source: records[-1].offset + 1}
            send = partial(_send, producer, sink, written, settings.partitions)
            if exactly_once:
                async with kafka.transaction(producer):
                    await producer.send_offsets_to_transaction(next_offset, group)
                    await send()
            else:
                await send()
                await consumer.commit(next_offset)
            count(len(records))


async def _send(producer: AIOKafkaProducer, sink: str, written: list[tuple[bytes, bytes]], count: int) -> None:
    sent = [
        await producer.send_batch(batch, sink, partition=partition)
        for partition, rows in _by_partition(written, count)
        for batch in _filled(producer, rows)
    ]
    await asyncio.gather(*sent)


def _filled(producer: AIOKafkaProducer, rows: list[tuple[bytes, bytes]]) -> Iterator[Any]:
    """Rows in as few of aiokafka's batches as have room for them."""
    batch = producer.create_batch()
    for key, value in rows:
        if batch.append(timestamp=None, key=key, value=value, headers=[]) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=[])
    yield batch


def _by_partition(written: list[tuple[bytes, bytes]], count: int) -> Iterator[tuple[int, list[tuple[bytes, bytes]]]]:
    rows: list[list[tuple[bytes, bytes]]] = [[] for _ in range(count)]
    for row, partition in zip(written, partitions_of([key for key, _ in written], count).tolist(), strict=True):
        rows[partition].append(row)
    return ((partition, each) for partition, each in enumerate(rows) if each)
