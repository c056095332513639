"""A delivery whose transaction is ended by the next owner says so, whatever it was doing at that moment."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import ProducerFenced
from aiokafka.structs import TopicPartition

from services import kafka as clients
from services.broker import KafkaBroker
from services.kafka.possession import Possession
from services.scorer.path.records import Outbound
from services.scorer.shell.delivery import ExactlyOnce
from tests.support.deployment import Deployment, make_deployment

pytestmark = pytest.mark.kafka

Way = Callable[[Deployment], Coroutine[Any, Any, None]]
ROW = Outbound(0, 1, b"k", b"v", [])


def delivery(deployment: Deployment, consumer: AIOKafkaConsumer) -> ExactlyOnce:
    topics = deployment.settings.topics
    source = TopicPartition(topics.payments.name, 0)
    possession = Possession("fenced.0", "fenced", [topics.decisions.name, topics.payer_state.name])
    producer = clients.producer(deployment.settings, "fenced.0")
    return ExactlyOnce(producer, consumer, source, topics.payer_state.name, "fenced", possession)


async def write(owner: ExactlyOnce, deployment: Deployment, offset: int) -> None:
    await owner.write({deployment.settings.topics.decisions.name: [ROW]}, [(b"k", b"v")], offset)


async def fence_between_batches(deployment: Deployment) -> None:
    consumer = clients.consumer(deployment.settings)
    await consumer.start()
    first, second = delivery(deployment, consumer), delivery(deployment, consumer)
    try:
        await first.open()
        await second.open()
        for attempt in (1, 2):  # the second begins where the first has failed already
            with pytest.raises(ProducerFenced):
                await write(first, deployment, attempt)
        await write(second, deployment, 1)
    finally:
        await first.close()
        await second.close()
        await consumer.stop()


async def fence_within_a_transaction(deployment: Deployment) -> None:
    """The sender is fenced in its own task, and only then does the owner send more."""
    topic = deployment.settings.topics.decisions.name
    first, second = (clients.producer(deployment.settings, "within.0") for _ in range(2))
    try:
        await first.start()
        await second.start()
        with pytest.raises(ProducerFenced):
            await send_twice(first, topic)
    finally:
        await first.stop()
        await second.stop()


async def send_twice(producer: AIOKafkaProducer, topic: str) -> None:
    async with clients.transaction(producer):
        await asyncio.wait([clients.looked_at(await producer.send(topic, b"v", partition=0))])
        await producer.send(topic, b"v", partition=0)


async def fail_for_another_reason(deployment: Deployment) -> None:
    """An assertion of the block's own is nobody's transaction."""
    producer = clients.producer(deployment.settings, "own.0")
    await producer.start()
    try:
        with pytest.raises(AssertionError, match="of its own"):
            await assert_wrongly(producer)
    finally:
        await producer.stop()


async def assert_wrongly(producer: AIOKafkaProducer) -> None:
    async with clients.transaction(producer):
        raise AssertionError("of its own")


@pytest.mark.parametrize("way", [fence_between_batches, fence_within_a_transaction, fail_for_another_reason])
def test_what_ended_a_transaction_is_what_is_raised(
    way: Way, kafka: KafkaBroker, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    deployment = make_deployment(
        kafka.bootstrap, request.node.name.replace("[", "-").replace("]", ""), tmp_path, partitions=1
    )
    try:
        asyncio.run(way(deployment))
    finally:
        deployment.discard()
        gc.collect()  # aiokafka leaves futures behind whose errors nobody can look at; they are told of here, not later
