"""An open loop: payments leave when they are due, whatever has become of those before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from services import kafka
from services.contract.codec import encode
from services.contract.partitioner import partition_of
from services.contract.payment import Payment
from services.ingest.batches import BatchSender
from services.runtime.settings import Settings

TICK_S = 0.001
"""The sender looks this often which payments are due; what a tick adds is part of the latency."""
HEAD_START_S = 1.0


class Routed(NamedTuple):
    """A payment as it is sent."""

    partition: int
    key: bytes
    value: bytes


def routed(payments: Iterable[Payment], partitions: int) -> Iterator[Routed]:
    """``payments``, ready to be sent to a topic of so many ``partitions``."""
    for payment in payments:
        key = payment.payer.account.encode()
        yield Routed(partition_of(key, partitions), key, encode(payment))


def due_count(elapsed_s: float, rate: float, total: int) -> int:
    """How many of ``total`` payments, the first due at 0 and one every ``1 / rate`` seconds, are due by ``elapsed_s``.

    >>> [due_count(at, 10.0, 3) for at in (-0.1, 0.0, 0.1, 9.0)]
    [0, 1, 2, 3]
    """
    return 0 if elapsed_s < 0 else min(total, int(elapsed_s * rate + 1e-9) + 1)


async def keep_schedule(
    settings: Settings, begin: Callable[[float], Sequence[Routed]], rate: float, warm: int = 0
) -> float:
    """Send payments at ``rate`` a second, and wait until the broker has them. By how many seconds one left after it was
    due, at most, the first ``warm`` aside.

    ``begin`` is told when the first is due (``time.monotonic()``), a moment ahead, and gives them.

    Raises
    ------
    SendError
        When Kafka does not take one.
    """
    sent, late_s = 0, 0.0
    async with kafka.opened(kafka.producer(settings)) as producer:
        sender = BatchSender(producer)
        outlet = await sender.outlet(settings.topics.payments.name, lambda count: None)
        started_s = time.monotonic() + HEAD_START_S
        payments = begin(started_s)
        while sent < len(payments):
            now_s = time.monotonic()
            due = due_count(now_s - started_s, rate, len(payments))
            if due > sent:
                late_s = max(late_s, now_s - started_s - sent / rate if sent >= warm else 0.0)
                for partition, key, value in payments[sent:due]:
                    sender.append(outlet, partition, key, value, [])
                await sender.flush()
                sent = due
            await asyncio.sleep(TICK_S)
        await sender.drain()
    return late_s
