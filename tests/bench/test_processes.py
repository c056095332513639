"""Every baseline decides every payment, once, on a real Kafka; the scorer's latency is measured on a schedule."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from services.bench.baselines import BASELINES, Absent, Conditions
from services.bench.kafka_streams import CannotBuild
from services.bench.latency import measure_latency
from services.bench.payments import bank_payments, prepare
from services.bench.plan import QUIX_PYTHON
from services.bench.worker import (
    BOTH_HOPS,
    Measured,
    MeasuredWorker,
    MeasuringError,
    Place,
    Reading,
    environment_of,
    python,
    worker_command,
)
from services.broker.probe import free_ports
from services.runtime.settings import load_settings
from tests.support.deployment import DEADLINE_S, POLL_S, Deployment, each_record

PAYMENTS = 300
ROOT = Path(__file__).parents[2]
TWO = pytest.mark.parametrize("deployment", [{"partitions": 2}], indirect=True)


def test_a_rate_is_between_two_readings() -> None:
    measured = Measured.between(Reading(1_000, 10.0, 4.0), Reading(5_000, 12.0, 5.0))
    assert measured.figures == {"payments_per_second": 2_000, "cpu_us_per_payment": 250.0, "core_share": 0.5}


async def _decided(deployment: Deployment) -> Counter[str]:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        topic = deployment.settings.topics.decisions
        found = Counter([orjson.loads(each.value)["payment_id"] async for each in each_record(deployment, topic)])
        if found.total() >= PAYMENTS or time.monotonic() > deadline:
            return found
        await asyncio.sleep(POLL_S)


@TWO
@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_decides_every_payment_once(deployment: Deployment, name: str, tmp_path: Path) -> None:
    settings = deployment.settings
    conditions = Conditions(settings, "boosting", None, ROOT / QUIX_PYTHON)
    place = Place(free_ports(1)[0], tmp_path)
    try:
        command = BASELINES[name].command(conditions, place)
    except (Absent, CannotBuild) as missing:
        pytest.skip(str(missing))
    prepare(settings, PAYMENTS, "untrained")
    with MeasuredWorker(command, settings, BOTH_HOPS, None, place):
        found = asyncio.run(_decided(deployment))
    assert found == Counter({payment.payment_id: 1 for payment in bank_payments(PAYMENTS)})


@TWO
def test_latency_is_of_every_payment_of_the_schedule(deployment: Deployment) -> None:
    settings = deployment.settings
    with MeasuredWorker(worker_command("scorer"), settings, BOTH_HOPS, None):
        found = measure_latency(settings, rate=100.0, seconds=2.0)
    assert found["payments"] == 200
    assert 0.0 < found["p50"] <= found["p99"] <= found["p999"] <= found["max"]


WAITS: dict[str, Callable[[MeasuredWorker], object]] = {
    "measure": lambda worker: worker.measure(10),
    "finish": lambda worker: worker.finish(10),
    "take_up": lambda worker: worker.take_up("payments.v1"),
}


@pytest.mark.parametrize("wait", WAITS)
def test_a_worker_that_ends_is_quoted(wait: str) -> None:
    with (
        MeasuredWorker(python("services.bench.no_such_module"), load_settings(), BOTH_HOPS, None) as worker,
        pytest.raises(MeasuringError, match="no_such_module"),
    ):
        WAITS[wait](worker)


def test_a_worker_is_told_how_far_partitions_may_run_ahead(tmp_path: Path) -> None:
    told = environment_of(load_settings(event_spread_minutes=7), Place(1, tmp_path))
    assert told["TOCSIN_EVENT_SPREAD_MINUTES"] == "7"


def test_without_an_interpreter_for_quix_the_reason_names_the_remedy(tmp_path: Path) -> None:
    conditions = Conditions(None, "boosting", None, tmp_path / "none")  # type: ignore[arg-type]
    with pytest.raises(Absent, match=r"no Quix Streams: .*make var/quix/bin/python"):
        BASELINES["quix"].command(conditions, Place(1, tmp_path))
