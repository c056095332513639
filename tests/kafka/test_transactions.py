"""A transaction that is told first what it holds is never refused a batch or its offsets."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiokafka.admin import NewTopic
from aiokafka.structs import TopicPartition

from services import kafka as clients
from services.broker import KafkaBroker
from services.kafka.building import batches_of, outgoing_of
from services.runtime.settings import load_settings

pytestmark = pytest.mark.kafka

TOPICS = ("enlisted-a", "enlisted-b", "enlisted-c")
TRANSACTIONS = 50
"""Of each producer. In another order some of as many are refused."""
SOURCE = TopicPartition(TOPICS[0], 0)


def test_brokers_refuse_nothing_of_transactions_that_were_told_what_they_hold(
    kafka: KafkaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings(bootstrap=kafka.bootstrap)
    places = [TopicPartition(topic, partition) for topic in TOPICS for partition in range(2)]

    async def write(name: str) -> None:
        async with clients.opened(clients.producer(settings, name)) as producer:
            for number in range(TRANSACTIONS):
                records = outgoing_of([number], [b"key"], [b"value"], [[]])
                async with clients.transaction(producer):
                    clients.enlist(producer, places)
                    await producer.send_offsets_to_transaction({SOURCE: number}, name)
                    sent = [
                        await producer.send_batch(batch, each.topic, partition=each.partition)
                        for each in places
                        for batch in batches_of(records, producer)
                    ]
                    await asyncio.gather(*sent)

    async def run() -> None:
        async with clients.opened(clients.admin(settings)) as client:
            await client.create_topics([NewTopic(topic, 2, 1) for topic in TOPICS])
        await asyncio.gather(*(write(f"enlisting-{at}") for at in range(4)))

    with caplog.at_level(logging.WARNING, "aiokafka"):
        asyncio.run(run())
    assert [each for each in caplog.messages if "NotEnoughReplicas" in each] == []
