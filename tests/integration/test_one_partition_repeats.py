"""With one partition of each topic and a pinned model, a whole run is the same bytes whatever happens to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.broker import KafkaBroker
from services.scorer.path.model import LogisticModel
from services.settings import load_settings
from tests.support.deployment import Deployment, Logs, make_deployment, producer, send, settled
from tests.support.kills import run_killed
from tests.support.models import random_model
from tests.support.offline import Run, assert_decided_once, assert_logs_are_computed, read_run, schema_hash
from tests.support.payments import Entry, expected_of, payment_log

pytestmark = pytest.mark.kafka

SEED = 77
LENGTH = 6_000


async def run_undisturbed(deployment: Deployment, log: list[Entry]) -> None:
    """Everything is there before the worker starts, and it takes it in large batches."""
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, log)
    deployment.worker().start()
    await settled(deployment)


def bytes_of(logs: Logs, settings_prefix: str) -> list[tuple[bytes | None, bytes, tuple[tuple[str, bytes], ...]]]:
    """Key, value and headers of every record, with the deployment's own prefix taken from topic names.

    Timestamps are when the broker received a payment: they alone differ between runs.
    """
    prefix = settings_prefix.encode()
    return [
        (record.key, record.value, tuple((name, value.replace(prefix, b"")) for name, value in record.headers))
        for log in logs
        for record in log
    ]


def test_a_run_killed_ten_times_equals_an_undisturbed_one_byte_for_byte(kafka: KafkaBroker, tmp_path: Path) -> None:
    log = payment_log(SEED, LENGTH)
    model = random_model(9, schema_hash(load_settings()))
    other = random_model(10, schema_hash(load_settings()))
    runs: list[Run] = []
    for name, batch in (("killed", 150), ("undisturbed", 2_000)):
        (tmp_path / name).mkdir()
        deployment = make_deployment(
            kafka.bootstrap, f"one-{name}", tmp_path / name,
            partitions=1, batch_payments_max=batch, pinned_model=model.hash,
        )  # fmt: skip
        try:
            runs.append(asyncio.run(one_run(deployment, log, model, other, killed=name == "killed")))
        finally:
            deployment.discard()
    killed, undisturbed = runs
    assert_decided_once(killed, expected_of(log))
    assert_logs_are_computed(killed, SEED)
    for topic in ("payments", "by_payee", "decisions", "reviews", "dead_letters"):
        mine, theirs = (bytes_of(getattr(run, topic), run.settings.topic_prefix) for run in runs)
        assert mine, f"nothing in {topic}"
        assert mine == theirs, topic
    assert not any(record.value == b"" for log in undisturbed.decisions for record in log)


async def one_run(
    deployment: Deployment, log: list[Entry], model: LogisticModel, other: LogisticModel, *, killed: bool
) -> Run:
    """One of the two runs; another model is announced as well, and must not matter."""
    await deployment.announce(model)
    await deployment.announce(other)
    if killed:
        await run_killed(deployment, log, SEED)
    else:
        await run_undisturbed(deployment, log)
    return await read_run(deployment, [model])
