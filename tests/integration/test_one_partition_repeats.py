"""With one partition of each topic and a pinned model, a whole run is the same whatever happens to it: people's records
byte for byte, and machines' row by row, to the bit.

Timestamps are when the broker received a payment: they alone differ between runs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.broker import KafkaBroker
from tests.integration.conftest import SEED, KilledRuns
from tests.support.deployment import Deployment, Logs, make_deployment, producer, send, settled
from tests.support.handed import rows_handed
from tests.support.kills import KILLS
from tests.support.models import random_model
from tests.support.offline import Run, assert_decided_once, assert_logs_are_computed, read_run, schema_hash
from tests.support.payments import Entry
from tests.support.served import Row

pytestmark = pytest.mark.kafka


def test_a_run_killed_ten_times_equals_an_undisturbed_one_to_the_bit(
    kafka: KafkaBroker, killed_runs: KilledRuns, tmp_path: Path
) -> None:
    killed = killed_runs.pinned
    assert killed.worker.starts == KILLS + 1
    calm = make_deployment(
        kafka.bootstrap, "one-calm", tmp_path, partitions=1, pinned_model=killed.deployment.settings.pinned_model
    )
    try:
        undisturbed = asyncio.run(run_undisturbed(calm, killed.log))
    finally:
        calm.discard()
    assert_decided_once(killed.run, killed.expected)
    assert_logs_are_computed(killed.run, SEED)
    for topic in ("payments", "decisions", "reviews", "alerts", "dead_letters"):
        mine, theirs = (bytes_of(getattr(run, topic), run.settings.topic_prefix) for run in (killed.run, undisturbed))
        assert mine, f"nothing in {topic}"
        assert mine == theirs, topic
    for told in (served_of, handed_of):
        assert told(killed.run) == told(undisturbed), told.__name__


async def run_undisturbed(deployment: Deployment, log: list[Entry]) -> Run:
    """Everything is there before the worker starts, which takes it in large batches; no other model is announced."""
    model = random_model(9, schema_hash(deployment.settings))
    await deployment.announce(model)
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, log)
    worker = deployment.worker()
    worker.start()
    await settled(deployment)
    worker.stop()
    return await read_run(deployment, [model])


def bytes_of(logs: Logs, topic_prefix: str) -> list[tuple[bytes | None, bytes, tuple[tuple[str, bytes], ...]]]:
    """Key, value and headers of every record, with the deployment's own prefix taken from topic names."""
    prefix = topic_prefix.encode()
    return [
        (record.key, record.value, tuple((name, value.replace(prefix, b"")) for name, value in record.headers))
        for log in logs
        for record in log
    ]


def served_of(run: Run) -> list[Row]:
    """Every row of ``features.v1``, however the log was cut into batches."""
    return [row._replace(appended_ms=0) for row in run.rows_served]


def handed_of(run: Run) -> list[tuple[Any, ...]]:
    """The same of ``payments.by-payee.v1``."""
    return [row for log in run.by_payee for row in rows_handed(log, without={"appended_ms"})]
