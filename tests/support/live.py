"""Real workers under a small steady load, for whoever wants to look at their metrics."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from services.broker.probe import free_ports
from services.contract.codec import decode, encode
from services.contract.label import Label
from services.contract.payment import Payment
from tests.support.deployment import Deployment, make_deployment, producer, send
from tests.support.models import random_model
from tests.support.offline import schema_hash
from tests.support.payments import DAY_MS, Entry, payment_log
from tests.support.scrape import exposition, samples, total

SLICE = 20
PAUSE_S = 0.1
LABELS_BEHIND = 10
"""Slices between a payment and its label."""
WARM = (
    ("scorer", "tocsin_alerts_total", 20.0),
    ("learner", "tocsin_examples_total", 200.0),
    ("shadow", "tocsin_shadow_decisions_total", 200.0),
)
"""What must have been counted before anybody looks."""
DRIFT = {"drift_sample": 1, "drift_window_days": 1, "drift_window_decisions": 100}
"""A day's decisions, all of them, against those of the first day: an index within seconds."""


@contextmanager
def live_ports(bootstrap: str, folder: Path) -> Iterator[dict[str, int]]:
    """The metrics ports of workers that have been at it for a while, by role. The load goes on until the end."""
    roles: tuple[Literal["scorer", "learner", "shadow"], ...] = ("scorer", "learner", "shadow")
    ports: dict[str, int] = dict(zip(roles, free_ports(len(roles)), strict=True))
    deployment = make_deployment(
        bootstrap, "live", folder, partitions=2, snapshot_examples=100, alerts_per_day=2.0, **DRIFT
    )
    stop = threading.Event()
    feeding = threading.Thread(target=lambda: asyncio.run(_feed(deployment, stop)), name="live-load")
    try:
        for role in roles:
            deployment.worker(role, role, metrics_port=ports[role]).start()
        feeding.start()
        asyncio.run(_warm(deployment, ports))
        yield ports
        for worker in deployment.workers:
            assert worker.alive, f"{worker.name} ended by itself:\n{worker.tail()}"
    finally:
        stop.set()
        if feeding.is_alive():
            feeding.join()
        deployment.discard()


async def _feed(deployment: Deployment, stop: threading.Event) -> None:
    """Payments at a steady rate, and a label for each a little later."""
    await deployment.announce(random_model(1, schema_hash(deployment.settings)))
    await deployment.announce(random_model(2, schema_hash(deployment.settings)), name="other", challenger=True)
    log = payment_log(1, 100_000)
    behind: deque[list[Entry]] = deque()
    async with producer(deployment.settings) as sending:
        for at in range(0, len(log), SLICE):
            if stop.is_set():
                return
            behind.append(log[at : at + SLICE])
            await send(sending, deployment, behind[-1])
            if len(behind) > LABELS_BEHIND:
                for entry in behind.popleft():
                    if entry.fate == "decided":
                        await sending.send(deployment.settings.topics.labels.name, *label_of(entry))
            await asyncio.sleep(PAUSE_S)


def label_of(entry: Entry) -> tuple[bytes, bytes]:
    """Value and key of the label of a payment: one in seven is suspicious."""
    assert entry.value is not None, "it was decided"
    payment = decode(entry.value, Payment)
    label = Label(
        label_id=f"label-{payment.payment_id}",
        payment_id=payment.payment_id,
        disposition="suspicious" if sum(payment.payment_id.encode()) % 7 == 0 else "not_suspicious",
        label_time_ms=payment.event_time_ms + DAY_MS,
        tenant=payment.tenant,
    )
    return encode(label), payment.payment_id.encode()


async def _warm(deployment: Deployment, ports: dict[str, int]) -> None:
    async def counted() -> bool | None:
        return (
            all(total(samples(exposition(ports[role])), name) >= enough for role, name, enough in WARM if role in ports)
            or None
        )

    await deployment.wait_for(counted, "the workers are warm")
