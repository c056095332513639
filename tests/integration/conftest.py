"""The runs that several tests look at: scorers that were killed ten times under load, then ran to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from services.broker import KafkaBroker
from services.runtime.settings import load_settings
from services.scorer.path.scoring.model import LogisticModel
from tests.support.deployment import Deployment, make_deployment
from tests.support.kills import run_killed
from tests.support.models import random_model
from tests.support.offline import Run, read_run, schema_hash
from tests.support.payments import Entry, Expected, expected_of, payment_log
from tests.support.worker import Worker

SEED = 20_261
LENGTH = 24_000
LENGTH_PINNED = 6_000


@dataclass(frozen=True)
class KilledRun:
    """A run under kills: its deployment, its worker, what was sent, and its logs."""

    deployment: Deployment
    worker: Worker
    log: list[Entry]
    run: Run

    @property
    def expected(self) -> Expected:
        """What the log must give."""
        return expected_of(self.log)


@dataclass(frozen=True)
class KilledRuns:
    """Two of them, made at the same time to spare time."""

    free: KilledRun
    pinned: KilledRun


@pytest.fixture(scope="session")
def killed_runs(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KilledRuns]:
    """``free``: 24,000 payments, two partitions, three models; accounts are forgotten after 20 days, of 90 that the run
    spans, so that eviction is part of the proof. Its last worker is still up.

    ``pinned``: 6,000 payments, one partition, one model, though another is announced.

    Ten SIGKILLs each, and small transactions, so that kills fall into them.
    """
    free = make_deployment(
        kafka.bootstrap, "killed", tmp_path_factory.mktemp("killed"),
        partitions=2, batch_payments_max=250, account_idle_days=20,
    )  # fmt: skip
    pinned_model = random_model(9, schema_hash(load_settings()))
    pinned = make_deployment(
        kafka.bootstrap, "one-killed", tmp_path_factory.mktemp("one-killed"),
        partitions=1, batch_payments_max=150, pinned_model=pinned_model.hash,
    )  # fmt: skip
    models = [random_model(version, schema_hash(free.settings)) for version in (1, 2, 3)]

    async def both() -> KilledRuns:
        await pinned.announce(pinned_model)
        return KilledRuns(*await asyncio.gather(one(free, LENGTH, models), one(pinned, LENGTH_PINNED, models[:1])))

    async def one(deployment: Deployment, length: int, announced: list[LogisticModel]) -> KilledRun:
        log = payment_log(SEED + length, length)
        worker = await run_killed(deployment, log, SEED, announced)
        return KilledRun(deployment, worker, log, await read_run(deployment, [*announced, pinned_model]))

    try:
        runs = asyncio.run(both())
        runs.pinned.worker.stop()
        yield runs
    finally:
        free.discard()
        pinned.discard()


@pytest.fixture(scope="session")
def killed_run(killed_runs: KilledRuns) -> KilledRun:
    """The run with several partitions and models."""
    return killed_runs.free
