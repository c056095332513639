"""What the topics hold in the end, read with ``read_committed``: the only evidence that the summary rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain

import msgspec
from aiokafka import ConsumerRecord, TopicPartition

from services import kafka
from services.contract.codec import Rejection, decode, decode_payment
from services.contract.dead_letter import read_dead_letter
from services.contract.decision import Outcome
from services.contract.events import PAYMENT_LABEL, is_event
from services.contract.topics import Topic
from services.demo.watch import beside
from services.runtime.clock import now_ms
from services.runtime.settings import Settings

POLL_MS = 500
STALL_POLLS_MAX = 40


class Served(msgspec.Struct, frozen=True, gc=False):
    """Of a decision, what the summary needs."""

    decision_id: str
    payment_id: str
    outcome: Outcome
    score: float
    model_version: int


class _Announced(msgspec.Struct, frozen=True, gc=False):
    challenger: bool = False


class _AlertName(msgspec.Struct, frozen=True, gc=False):
    alert_id: str


@dataclass(slots=True)
class Evidence:
    """Counts of records, read from the topics."""

    payment_ids: set[str] = field(default_factory=set)
    """Of valid payments."""
    repeats: int = 0
    """Valid payments whose id had come before in the same state."""
    status_updates: int = 0
    """Valid payments whose id had come before in another state."""
    malformed: int = 0
    served: dict[str, Served] = field(default_factory=dict)
    """The first decision, by payment id."""
    decisions: int = 0
    doubled: set[str] = field(default_factory=set)
    """Payments with more than one decision."""
    alerts: int = 0
    alert_events: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    """By origin: ``ingest`` or ``scorer``."""
    models: int = 0
    """Announced for scorers to follow; challengers are not counted."""

    @property
    def records(self) -> int:
        """Records in ``payments.v1``."""
        return len(self.payment_ids) + self.repeats + self.status_updates + self.malformed

    @property
    def lost(self) -> set[str]:
        """Valid payments without a decision."""
        return self.payment_ids - self.served.keys()


async def gather_evidence(settings: Settings) -> Evidence:
    """Read the topics from their beginning to their end; ``TimeoutError`` when one cannot be read to its end."""
    topics, evidence = settings.topics, Evidence()
    states: dict[str, set[str]] = {}
    async for record in committed(settings, topics.payments):
        if not is_event(record.headers, PAYMENT_LABEL):
            _take_payment(record, states, evidence)
    async for record in committed(settings, topics.decisions):
        served = decode(record.value, Served)
        evidence.decisions += 1
        if evidence.served.setdefault(served.payment_id, served) is not served:
            evidence.doubled.add(served.payment_id)
    names: set[str] = set()
    async for record in committed(settings, topics.alerts):
        names.add(decode(record.value, _AlertName).alert_id)
        evidence.alert_events += 1
    evidence.alerts = len(names)
    async for record in committed(settings, topics.dead_letters):
        origin = read_dead_letter(list(record.headers)).topic
        evidence.dead_letters["ingest" if origin.startswith("stream:") else "scorer"] += 1
    async for record in committed(settings, topics.models):
        evidence.models += not decode(record.value, _Announced).challenger
    return evidence


async def count(settings: Settings, topic: Topic) -> int:
    """How many committed records a topic holds."""
    return len([None async for _ in committed(settings, topic)])


async def committed(settings: Settings, topic: Topic) -> AsyncIterator[ConsumerRecord]:
    """The records of a topic up to its present end, in order within each partition."""
    async with kafka.opened(kafka.consumer(settings, max_partition_fetch_bytes=4 * 1024 * 1024)) as consumer:
        partitions = _partitions(settings, topic)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        idle = 0
        while unread := [each for each in partitions if await consumer.position(each) < ends[each]]:
            found = await consumer.getmany(*unread, timeout_ms=POLL_MS)
            idle = 0 if found else idle + 1
            if idle > STALL_POLLS_MAX:
                raise TimeoutError(f"{topic.name} cannot be read to its end")
            for source, records in found.items():
                if settings.delivery == "at_least_once":
                    # The memory broker tells of an end that lies within the last batch; what it serves is right.
                    ends[source] = max(ends[source], consumer.highwater(source) or 0)
                for record in records:
                    if record.offset < ends[source]:
                        yield record


@asynccontextmanager
async def measured_latencies(settings: Settings) -> AsyncIterator[list[float]]:
    """How old each payment's append is when its committed decision gets here, in ms: a list that grows while the block
    lasts, of payments that are appended from now on.

    The timestamp of a decision is that of its payment's append, so the difference is append to decision in hand.
    """
    latencies_ms: list[float] = []
    since_ms, partitions = now_ms(), _partitions(settings, settings.topics.decisions)

    async def follow() -> None:
        while True:
            found = await consumer.getmany(timeout_ms=POLL_MS)
            arrived_ms = now_ms()
            appended_ms = [record.timestamp for record in chain.from_iterable(found.values())]
            latencies_ms.extend(float(arrived_ms - each) for each in appended_ms if each >= since_ms)

    async with kafka.opened(kafka.consumer(settings, fetch_max_wait_ms=50)) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        async with beside(follow(), "latency"):
            yield latencies_ms


def _take_payment(record: ConsumerRecord, states: dict[str, set[str]], evidence: Evidence) -> None:
    payment = decode_payment(record.value)
    if isinstance(payment, Rejection):
        evidence.malformed += 1
        return
    known = states.setdefault(payment.payment_id, set())
    if payment.status in known:
        evidence.repeats += 1
    elif known:
        evidence.status_updates += 1
    known.add(payment.status)
    evidence.payment_ids.add(payment.payment_id)


def _partitions(settings: Settings, topic: Topic) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for number in range(topic.partitions or settings.partitions)]
