"""How long scorers take to follow: from the moment a model is announced until a decision by it can be read."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from services import kafka
from services.contract.codec import encode
from services.contract.decision import HASH_SHOWN
from services.contract.payment import Party, Payment
from services.kafka.announcing import send_announcement
from services.runtime.clock import now_ms
from services.runtime.settings import Settings
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.path.scoring.ensemble import announcement_of
from services.scorer.path.scoring.model import LogisticModel, untrained_model
from services.scorer.rulebook.ruleset_file import load_ruleset

SWAPS = 9
EVERY_S = 0.02
"""Between two payments while a swap is waited for."""
PATIENCE_S = 60.0


class _Named(msgspec.Struct):
    model: str


async def swap_seconds(settings: Settings) -> list[float]:
    """Seconds from each of ``SWAPS`` announcements to the first decision by it, seen by a reader, while a payment comes
    every ``EVERY_S``. A scorer runs, and has nothing else to do.

    Raises
    ------
    TimeoutError
        When no decision by an announced model comes.
    """
    untrained = untrained_model(feature_schema_hash(load_ruleset(settings).parameters))
    decisions = [TopicPartition(settings.topics.decisions.name, at) for at in range(settings.partitions)]
    consumer, producer = kafka.consumer(settings, fetch_max_wait_ms=10), kafka.producer(settings)
    await consumer.start()
    await producer.start()
    try:
        consumer.assign(decisions)
        await consumer.seek_to_end(*decisions)
        seconds = []
        for version in range(SWAPS + 1):
            model = replace(untrained, version=version + 1, bias=untrained.bias - version - 1)
            taken = await _swap(settings, consumer, producer, model)
            if version:  # the first also waits for the scorer to start
                seconds.append(taken)
        return seconds
    finally:
        await producer.stop()
        await consumer.stop()


async def _swap(
    settings: Settings, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, model: LogisticModel
) -> float:
    topics = settings.topics
    await send_announcement(producer, settings, announcement_of("bench", model, 0))
    began = time.perf_counter()
    while time.perf_counter() - began < PATIENCE_S:
        at_ms = now_ms()
        account = f"swap-{at_ms}"
        payment = Payment(f"{model.version}-{at_ms}", at_ms, 1_000, "EUR", Party(account), Party(f"{account}-payee"))
        await producer.send(topics.payments.name, encode(payment), account.encode())
        got = await consumer.getmany(timeout_ms=round(1_000 * EVERY_S))
        for records in got.values():
            for record in records:
                if msgspec.json.decode(record.value, type=_Named).model == model.hash[:HASH_SHOWN]:
                    return time.perf_counter() - began
    raise TimeoutError(f"no decision by model {model.version} within {PATIENCE_S:.0f} s")


def swaps(settings: Settings) -> dict[str, float]:
    """Median and longest of them, in milliseconds."""
    found = sorted(asyncio.run(swap_seconds(settings)))
    return {"median_ms": round(1e3 * found[len(found) // 2]), "longest_ms": round(1e3 * found[-1])}
