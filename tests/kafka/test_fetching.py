"""On a real Kafka: what is built in columns any consumer reads, and what anybody produced is read in columns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Literal

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.structs import TopicPartition

from services import kafka as clients
from services.broker import KafkaBroker
from services.contract.events import cloud_event
from services.kafka import fetching
from services.kafka.building import BATCH_BYTES_MAX, batches_of, outgoing_of
from services.kafka.fetching import is_as_expected, read_columns
from services.runtime.settings import Settings, load_settings
from services.wire.columns import Columns
from tests.wire.test_records import rows_of

Compression = Literal["snappy", "zstd", "lz4", "none"]
WAIT_MS = 5_000


def settings_of(broker: KafkaBroker, compression: Compression = "snappy") -> Settings:
    return load_settings(bootstrap=broker.bootstrap, compression=compression)


def records(count: int, name: str) -> list[Any]:
    return [
        (1_700_000_000_000 + 3 * at, b"key %d" % (at % 7) if at % 5 else None, b"%s %d " % (name.encode(), at) * 9,
         cloud_event("payment.v1", f"{name}-{at}") if at % 3 else [])
        for at in range(count)
    ]  # fmt: skip


async def send(producer: AIOKafkaProducer, topic: str, rows: list[Any]) -> None:
    """As one batch after the other, built in columns."""
    batches = batches_of(outgoing_of(*zip(*rows, strict=True)), producer)
    sent = [await producer.send_batch(each, topic, partition=0) for each in batches]
    await asyncio.gather(*sent)


async def topic_of(settings: Settings, name: str) -> TopicPartition:
    async with clients.opened(clients.admin(settings)) as client:
        await client.create_topics([NewTopic(name, 1, 1)])
    return TopicPartition(name, 0)


async def read_all(consumer: AIOKafkaConsumer, source: TopicPartition, rows_max: int, count: int) -> list[Any]:
    """``count`` records, read in columns."""
    found: list[Any] = []
    while len(found) < count:
        columns = await read_columns(consumer, source, WAIT_MS, rows_max)
        assert isinstance(columns, Columns), "nothing came"
        assert 0 < len(columns.offsets) <= rows_max
        found += rows_of(columns)
        assert await consumer.position(source) > found[-1][0]
    return found


async def read_plainly(consumer: AIOKafkaConsumer, source: TopicPartition, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        records = (await consumer.getmany(source, timeout_ms=WAIT_MS))[source]
        found += [(each.offset, each.timestamp, each.key, each.value, list(each.headers)) for each in records]
    return found


def at_offsets(rows: Iterable[Any], *offsets: int) -> list[Any]:
    return [(offset, *row) for offset, row in zip(offsets, rows, strict=True)]


@pytest.mark.kafka
@pytest.mark.parametrize("compression", ["snappy", "zstd", "lz4", "none"])
def test_any_consumer_reads_what_is_built_in_columns(kafka: KafkaBroker, compression: Compression) -> None:
    settings = settings_of(kafka, compression)
    rows = records(500, compression)

    async def run() -> tuple[list[Any], list[Any]]:
        source = await topic_of(settings, f"built-{compression}")
        async with clients.opened(clients.producer(settings)) as producer:
            await send(producer, source.topic, rows)
        async with (
            clients.opened(clients.consumer(settings)) as plain,
            clients.opened(clients.consumer(settings)) as ours,
        ):
            for each in (plain, ours):
                each.assign([source])
            return await read_plainly(plain, source, 500), await read_all(ours, source, 77, 500)

    plainly, in_columns = asyncio.run(run())
    assert plainly == at_offsets(rows, *range(500))
    assert in_columns == plainly


@pytest.mark.kafka
def test_aborted_transactions_are_left_out_and_a_position_inside_a_batch_is_kept(kafka: KafkaBroker) -> None:
    settings = settings_of(kafka)
    kept, lost, late = records(50, "kept"), records(50, "lost"), records(50, "late")

    async def run() -> list[Any]:
        source = await topic_of(settings, "fetched-transactions")
        async with clients.opened(clients.producer(settings, "transactions")) as producer:
            async with clients.transaction(producer):
                await send(producer, source.topic, kept)
            await producer.begin_transaction()
            await send(producer, source.topic, lost)
            await producer.abort_transaction()
            async with clients.transaction(producer):
                await send(producer, source.topic, late)
        async with clients.opened(clients.consumer(settings)) as consumer:
            consumer.assign([source])
            consumer.seek(source, 13)
            return await read_all(consumer, source, 1_000, 87)

    assert asyncio.run(run()) == at_offsets([*kept[13:], *late], *range(13, 50), *range(102, 152))


@pytest.mark.kafka
def test_no_batch_is_larger_than_topics_allow_unless_a_record_is(kafka: KafkaBroker) -> None:
    settings = settings_of(kafka, "none")
    rows: list[Any] = [(at, b"k", bytes([at % 251]) * 300_000, []) for at in range(8)]

    async def run() -> list[Any]:
        source = await topic_of(settings, "large")
        async with clients.opened(clients.producer(settings)) as producer:
            batches = batches_of(outgoing_of(*zip(*rows, strict=True)), producer)
            assert [each.record_count() for each in batches] == [3, 3, 2]
            assert all(each.size() <= BATCH_BYTES_MAX + 61 for each in batches)
            await send(producer, source.topic, rows)
        async with clients.opened(clients.consumer(settings)) as consumer:
            consumer.assign([source])
            return await read_all(consumer, source, 3, 8)

    assert asyncio.run(run()) == at_offsets(rows, *range(8))


@pytest.mark.kafka
def test_other_consumers_of_the_process_read_as_before(kafka: KafkaBroker) -> None:
    settings = settings_of(kafka)

    async def run() -> None:
        source = await topic_of(settings, "others")
        async with clients.opened(clients.producer(settings)) as producer:
            for at in range(3):
                await producer.send_and_wait(source.topic, b"%d" % at, partition=0, timestamp_ms=at)
        async with (
            clients.opened(clients.consumer(settings)) as ours,
            clients.opened(clients.consumer(settings)) as other,
        ):
            for each in (ours, other):
                each.assign([source])
            assert [row[3] for row in await read_all(ours, source, 2, 3)] == [b"0", b"1", b"2"]
            assert (await other.getone()).value == b"0"
            assert [each.value for each in (await other.getmany(source, timeout_ms=WAIT_MS))[source]] == [b"1", b"2"]
            columns = await read_columns(ours, source, 1, 9)
            assert not isinstance(columns, Columns), "nothing is left"
            assert columns == []

    asyncio.run(run())


@pytest.mark.kafka
def test_another_aiokafka_is_read_record_by_record(
    kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(kafka)
    monkeypatch.setattr(fetching, "_PARTS", {"_of_another_version"})
    is_as_expected.cache_clear()

    async def run() -> list[Any]:
        source = await topic_of(settings, "another")
        async with clients.opened(clients.producer(settings)) as producer:
            await send(producer, source.topic, records(9, "another"))
        async with clients.opened(clients.consumer(settings)) as consumer:
            consumer.assign([source])
            return [await read_columns(consumer, source, WAIT_MS, 5) for _ in range(2)]

    try:
        first, second = asyncio.run(run())
    finally:
        is_as_expected.cache_clear()
    assert [each.offset for each in [*first, *second]] == [*range(9)]
    assert len([each for each in caplog.messages if "reading is slower" in each]) == 1


def test_this_aiokafka_is_as_expected() -> None:
    assert is_as_expected()
