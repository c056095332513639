"""The run that several tests look at: a scorer that was killed ten times under load, then ran to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from services.broker import KafkaBroker
from tests.support.deployment import Deployment, make_deployment
from tests.support.kills import run_killed
from tests.support.models import random_model
from tests.support.offline import Run, read_run, schema_hash
from tests.support.payments import Expected, expected_of, payment_log
from tests.support.worker import Worker

SEED = 20_261
LENGTH = 24_000


@dataclass(frozen=True)
class KilledRun:
    """A run under kills: its deployment, with the last worker still up, and its logs."""

    deployment: Deployment
    worker: Worker
    run: Run
    expected: Expected


@pytest.fixture(scope="session")
def killed_run(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KilledRun]:
    """24,000 payments, two partitions, ten SIGKILLs, three models; small transactions, so that kills fall into them.

    Accounts are forgotten after 20 days, of 90 that the run spans: eviction is part of the proof.
    """
    deployment = make_deployment(
        kafka.bootstrap, "killed", tmp_path_factory.mktemp("killed"),
        partitions=2, batch_payments_max=250, account_idle_days=20,
    )  # fmt: skip
    log = payment_log(SEED, LENGTH)
    models = [random_model(version, schema_hash(deployment.settings)) for version in (1, 2, 3)]
    try:
        worker = asyncio.run(run_killed(deployment, log, SEED, models))
        run = asyncio.run(read_run(deployment, models))
        yield KilledRun(deployment, worker, run, expected_of(log))
    finally:
        deployment.discard()
