"""Latency under an open loop: payments leave on a schedule that waits for nobody.

What is measured, of every payment: from the moment at which the schedule has it sent until a ``read_committed``
consumer holds its decision. A sender or a broker that falls behind is part of it, so no wait is left out because
another payment waited before it (coordinated omission). Sender and reader are processes of their own on one machine,
and read one clock. The first ``WARM_S`` seconds at each rate are left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import numpy as np
from aiokafka.structs import TopicPartition
from numpy.typing import NDArray

from services import kafka
from services.bench.figures import latencies_ms
from services.bench.payments import bank_payments
from services.bench.schedule import Routed, keep_schedule, routed
from services.bench.worker import MeasuringError
from services.contract.payment import Payment
from services.runtime.clock import now_ms
from services.runtime.settings import Settings

WARM_S = 2.0
PATIENCE_S = 30.0
"""After the last payment was due, for decisions that are missing."""
READ_MS = 5
_MARK = "latency-"


class _Decided(msgspec.Struct):
    payment_id: str


def measure_latency(settings: Settings, rate: float, seconds: float) -> dict[str, Any]:
    """Latency in ms at ``rate`` payments a second over ``seconds``, of a scorer that runs on ``settings``:
    ``figures.latencies_ms``, how many ``payments`` that is of, and by how much the sender itself was late at most.

    Raises
    ------
    MeasuringError
        When decisions are missing.
    """
    total, warm = round(rate * (seconds + WARM_S)), round(rate * WARM_S)
    run = f"{_MARK}{round(rate)}-{time.monotonic_ns()}-"
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    sender = context.Process(target=_send, args=(settings, run, rate, total, warm, theirs))
    sender.start()
    try:
        ours.recv()  # its payments are made
        seen_s, started_s = asyncio.run(_read(settings, run, total, seconds, ours))
        late_s = ours.recv() if ours.poll(PATIENCE_S) else np.nan
    except EOFError:
        raise MeasuringError("the sender of payments ended") from None
    finally:
        sender.join(PATIENCE_S)
        if sender.is_alive():
            sender.kill()
    missing = int(np.isnan(seen_s).sum())
    if missing:
        raise MeasuringError(f"{missing} of {total} payments at {rate:.0f}/s were not decided in time")
    due_s = started_s + np.arange(total) / rate
    return {
        **latencies_ms(due_s[warm:], seen_s[warm:]),
        "payments": total - warm,
        "sender_late_ms_max": round(1e3 * late_s, 2),
    }


async def _read(
    settings: Settings, run: str, total: int, seconds: float, sender: Connection
) -> tuple[NDArray[np.float64], float]:
    """float64[total]: when the decision on each payment was seen, NaN where none was; and when the first was due."""
    seen_s = np.full(total, np.nan)
    sources = [TopicPartition(settings.topics.decisions.name, at) for at in range(settings.partitions)]
    decoder, left = msgspec.json.Decoder(_Decided), total
    async with kafka.opened(kafka.consumer(settings, fetch_max_wait_ms=100)) as consumer:
        consumer.assign(sources)
        await consumer.seek_to_end(*sources)
        for source in sources:
            await consumer.position(source)
        sender.send(None)
        started_s: float = sender.recv()
        deadline = started_s + seconds + WARM_S + PATIENCE_S
        while left and time.monotonic() < deadline:
            found = await consumer.getmany(timeout_ms=READ_MS)
            now_s = time.monotonic()
            for record in (each for records in found.values() for each in records):
                payment_id = decoder.decode(record.value).payment_id
                if payment_id.startswith(run):
                    at = int(payment_id[len(run) :])
                    left -= bool(np.isnan(seen_s[at]))
                    seen_s[at] = now_s
    return seen_s, started_s


def _send(settings: Settings, run: str, rate: float, total: int, warm: int, reader: Connection) -> None:
    """In a process of its own: make the payments, wait for the reader, send each when it is due."""
    payments = list(routed(_marked(run, total, rate), settings.partitions))
    reader.send(None)
    reader.recv()

    def begin(started_s: float) -> list[Routed]:
        reader.send(started_s)
        return payments

    reader.send(asyncio.run(keep_schedule(settings, begin, rate, warm)))


def _marked(run: str, total: int, rate: float) -> Iterator[Payment]:
    """Payments whose ids are ``run`` and their place in the schedule, dated about when they are due: payments of now
    wait for no others (``scorer.shell.convoy``)."""
    begin_ms = now_ms()
    for at, payment in enumerate(bank_payments(total)):
        due_ms = begin_ms + round(1e3 * at / rate)
        yield msgspec.structs.replace(payment, payment_id=f"{run}{at}", event_time_ms=due_ms)
