"""Partitions move between workers, the broker goes away, a zombie comes back: still exactly once, the same bytes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from services.broker import KafkaBroker
from tests.broker_fixture import QUICK_JAVA
from tests.support.alerts import assert_each_review_is_in_one_alert
from tests.support.deployment import Deployment, make_deployment, producer, send, settled
from tests.support.kills import written, written_so_far
from tests.support.load import Load
from tests.support.models import random_model
from tests.support.offline import assert_decided_once, assert_logs_are_computed, read_run, schema_hash
from tests.support.payments import Entry, expected_of, payment_log
from tests.support.worker import Worker

pytestmark = pytest.mark.kafka

LANES = 4
"""Of a scorer: payer, payee, subject, alerter."""


async def restored(deployment: Deployment, worker: Worker, partitions: int = 1) -> None:
    """Return once ``worker`` has taken up so many partitions since it was started last."""

    async def taken() -> bool | None:
        return worker.said.count("restored") >= partitions or None

    await deployment.wait_for(taken, f"{worker.name} takes up {partitions} partitions")


async def assert_exactly_once(deployment: Deployment, log: list[Entry], seed: int) -> None:
    """Once all is through: each payment once, each review in one alert, and every log what the path computes of it."""
    await settled(deployment)
    run = await read_run(deployment, [random_model(1, schema_hash(deployment.settings))])
    assert_decided_once(run, expected_of(log))
    assert_logs_are_computed(run, seed)
    assert_each_review_is_in_one_alert(run)


@pytest.mark.parametrize("deployment", [{"batch_payments_max": 200}], indirect=True)
def test_a_second_worker_joins_and_leaves_under_load(deployment: Deployment) -> None:
    asyncio.run(join_and_leave(deployment, seed=301))


async def join_and_leave(deployment: Deployment, seed: int) -> None:
    """Each of two workers leaves by a kill and in order, while the other goes on."""
    draw = random.Random(seed)
    log = payment_log(seed, 10_000)
    first, second = deployment.worker(name="first"), deployment.worker(name="second")
    leavings: list[tuple[Worker, Callable[[], None]]] = [
        (second, second.stop), (second, second.kill), (first, first.kill), (first, first.stop),
    ]  # fmt: skip
    load = Load(deployment, log, phases=len(leavings) + 1)
    sending = asyncio.create_task(load.run())
    try:
        for worker, leave in leavings:
            before = await written_so_far(deployment)
            load.next_phase()
            for each in (first, second):
                if not each.alive:
                    each.start()
                    await restored(deployment, each)
            if worker is first:
                await deployment.announce(random_model(1, schema_hash(deployment.settings)))
            await written(deployment, draw.randrange(100, 1_500), before)
            await asyncio.sleep(draw.uniform(0.0, 0.3))
            leave()
        load.all_phases()
        await sending
        await assert_exactly_once(deployment, log, seed)
    finally:
        sending.cancel()
    assert (first.starts, second.starts) == (2, 3)


@pytest.mark.parametrize(
    "deployment", [{"partitions": 2, "session_timeout_ms": 3_000, "batch_payments_max": 100}], indirect=True
)
def test_a_worker_frozen_beyond_its_session_comes_back_as_a_zombie_and_harms_nothing(deployment: Deployment) -> None:
    asyncio.run(freeze_and_thaw(deployment, seed=302))


async def freeze_and_thaw(deployment: Deployment, seed: int) -> None:
    """Each of two workers is frozen while it writes, its partitions are taken up by the other, and it is thawed."""
    draw = random.Random(seed)
    log = payment_log(seed, 10_000)
    first, second = deployment.worker(name="first"), deployment.worker(name="second")
    load = Load(deployment, log, phases=5)
    sending = asyncio.create_task(load.run())
    first.start()
    try:
        for zombie, heir in ((first, second), (second, first)):
            before = await written_so_far(deployment)
            load.next_phase()
            await written(deployment, draw.randrange(100, 1_500), before)
            zombie.freeze()
            before = await written_so_far(deployment)
            load.next_phase()
            heir.mark()
            if not heir.alive:
                heir.start()
            await restored(deployment, heir, partitions=LANES * deployment.settings.partitions)
            await written(deployment, 500, before)
            zombie.thaw()
        load.all_phases()
        await sending
        await assert_exactly_once(deployment, log, seed)
    finally:
        sending.cancel()
    for worker in (first, second):
        worker.stop()


def test_a_broker_that_is_killed_and_restarted_under_load_changes_nothing(kafka: KafkaBroker, tmp_path: Path) -> None:
    assert kafka.running, "its Java and jars are found; the broker of this test is its own"
    with KafkaBroker(java_options=QUICK_JAVA) as broker:
        deployment = make_deployment(broker.bootstrap, "outage", tmp_path, partitions=2, batch_payments_max=100)
        try:
            asyncio.run(outages(deployment, broker, seed=303))
        finally:
            deployment.discard()


async def outages(deployment: Deployment, broker: KafkaBroker, seed: int) -> None:
    """The broker is killed twice, in the middle of transactions; the worker is never restarted."""
    draw = random.Random(seed)
    log = payment_log(seed, 12_000)
    worker = deployment.worker()
    worker.start()
    await restored(deployment, worker, partitions=LANES * deployment.settings.partitions)
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, log)
    for first, last in ((500, 4_000), (5_000, 9_000)):
        await written(deployment, draw.randrange(first, last), since=0)
        broker.kill()
        await asyncio.sleep(draw.uniform(0.0, 2.0))
        broker.start()
    await assert_exactly_once(deployment, log, seed)
    worker.stop()
    assert worker.starts == 1
