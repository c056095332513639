"""How large logs are, asked of a real broker."""

from __future__ import annotations

import asyncio

import pytest

from services import kafka
from services.kafka.sizes import log_bytes
from tests.support.deployment import Deployment


@pytest.mark.parametrize("deployment", [{"partitions": 2, "compression": "none"}], indirect=True)
def test_sizes_of_logs_are_those_of_what_was_written(deployment: Deployment) -> None:
    settings, topics = deployment.settings, deployment.settings.topics

    async def write() -> None:
        async with kafka.opened(kafka.producer(settings)) as producer:
            for partition in (0, 1):
                await producer.send_and_wait(topics.labels.name, bytes(50_000), partition=partition)

    asyncio.run(write())
    sizes = asyncio.run(log_bytes(settings, [topics.labels.name, topics.alerts.name]))
    assert 100_000 < sizes[topics.labels.name] < 101_000
    assert sizes[topics.alerts.name] == 0
