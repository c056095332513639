"""On a broker without transactions nothing is lost, and what comes twice has the same id."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from pathlib import Path

import orjson

from services.broker import MemoryBroker
from tests.support.deployment import Deployment, make_deployment, observer, producer, read_logs, send
from tests.support.payments import Entry, expected_of, payment_log
from tests.support.worker import Worker

SEED = 12
LANES = 4
"""Of a scorer: payer, payee, subject, alerter."""


def test_a_kill_without_transactions_loses_nothing_and_repeats_carry_the_same_ids(tmp_path: Path) -> None:
    with MemoryBroker() as broker:
        deployment = make_deployment(
            broker.bootstrap, "at-least-once", tmp_path,
            delivery="at_least_once", partitions=1, session_timeout_ms=1_000, batch_payments_max=100,
        )  # fmt: skip
        try:
            asyncio.run(run_with_a_kill(deployment, payment_log(SEED, 2_000)))
        finally:
            deployment.discard()


async def run_with_a_kill(deployment: Deployment, log: list[Entry]) -> None:
    """Kill the scorer in the middle, start it again, and wait until every payment has a decision."""
    decisions = deployment.settings.topics.decisions
    worker = deployment.worker()
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, log)
    worker.start()
    async with observer(deployment) as seen:

        async def some() -> bool | None:
            return sum(await seen.ends(decisions)) >= 400 or None

        await deployment.wait_for(some, "400 decisions")
    worker.kill()
    worker.start()
    wanted = expected_of(log).decided

    async def all_decided() -> dict[tuple[str, str], list[str]] | None:
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for record in (each for part in await read_logs(deployment, decisions) for each in part):
            decision = orjson.loads(record.value)
            found[decision["tenant"], decision["payment_id"]].append(decision["decision_id"])
        return found if found.keys() >= wanted.keys() else None

    found = await deployment.wait_for(all_decided, "every payment is decided")
    assert found.keys() == wanted.keys()
    assert all(len(set(ids)) == 1 for ids in found.values())
    assert max(Counter(ids[0] for ids in found.values()).values()) == 1
    await taken_up_behind_the_end_that_is_told(deployment, worker)


async def taken_up_behind_the_end_that_is_told(deployment: Deployment, worker: Worker) -> None:
    """All is decided, and the broker tells of an end that lies within the last batch: nobody takes that for a loss."""
    payments = deployment.settings.topics.payments
    async with observer(deployment) as seen:

        async def beyond() -> bool | None:
            told = await seen.ends(payments)
            return await seen.committed(f"{deployment.settings.identity}.payer", payments) > told or None

        await deployment.wait_for(beyond, "the group's offset lies behind the end that is told")
    worker.stop()
    worker.start()

    async def taken_up() -> bool | None:
        return worker.said.count("restored") >= LANES or None

    await deployment.wait_for(taken_up, "the worker takes up its partitions")
    worker.stop()
    assert "is stopped" not in worker.log.read_text(errors="replace")
