"""Small Kafka clients for the learner's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services import kafka
from services.kafka.reading import read_log
from services.runtime.settings import Settings

Record = tuple[int, bytes | None, bytes]
"""Offset, key, value."""


async def write(settings: Settings, topic: str, records: Sequence[tuple[str, bytes]], pause_s: float = 0.0) -> None:
    """Write records by key, a hundred at a time with ``pause_s`` in between."""
    producer = kafka.producer(settings)
    await producer.start()
    try:
        for start in range(0, len(records), 100):
            sent = [await producer.send(topic, value, key.encode()) for key, value in records[start : start + 100]]
            await asyncio.gather(*sent)
            await asyncio.sleep(pause_s)
    finally:
        await producer.stop()


async def read_all(settings: Settings, topic: str, number: int = 0) -> list[Record]:
    """Every committed record of a partition, up to the end that it has now."""
    log = read_log(settings, topic, number, "reading")
    return [(record.offset, record.key, record.value) async for record in log]
