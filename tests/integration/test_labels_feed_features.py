"""Labels feed features: payments, their decisions, labels, and later payments that know of them, exactly once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import numpy as np
import orjson
import pytest

from services.contract.codec import decode, encode
from services.contract.events import PAYMENT_LABEL, is_event
from services.contract.label import Disposition, Label, PaymentLabel
from services.contract.payment import Party, Payment
from services.scorer.path.features.registry import INDEX
from services.scorer.path.replay import Replay
from services.scorer.rulebook.ruleset_file import load_ruleset
from tests.support.deployment import Deployment, producer, read_logs, send, settled
from tests.support.nursery import run_command
from tests.support.offline import Run, assert_decided_once, assert_logs_are_computed, read_run
from tests.support.payments import DAY_MS, START_MS, Entry, expected_of
from tests.support.served import Row
from tests.support.worker import Worker, environment

pytestmark = pytest.mark.kafka

PAYEES = 7


def payments(start: int, stop: int) -> list[Entry]:
    """Payments of 11 payers to 7 payees; the first payee's are confirmed later."""
    return [
        Entry(
            f"payer-{at % 11}".encode(),
            encode(
                Payment(
                    payment_id=f"p-{at}",
                    event_time_ms=START_MS + at * 3_600_000,
                    amount_minor=2_500 + 500 * (at % 9),
                    currency="EUR",
                    payer=Party(f"payer-{at % 11}", country="SE"),
                    payee=Party(f"payee-{at % PAYEES}", country="PH"),
                )
            ),
            "decided",
            ("default", f"p-{at}"),
        )
        for at in range(start, stop)
    ]


def label(at: int, number: int = 0) -> bytes:
    disposition: Disposition = "suspicious" if at % PAYEES == 0 and number == 0 else "not_suspicious"
    return encode(Label(f"l-{at}-{number}", f"p-{at}", disposition, START_MS + at * 3_600_000 + 7 * DAY_MS))


async def labelled(deployment: Deployment, workers: Sequence[Worker], start: int, stop: int) -> None:
    """Label the payments from ``start`` to ``stop``, some twice, some with a correction, the workers killed meanwhile;
    returns once all of it has reached both hops."""
    topics = deployment.settings.topics
    async with producer(deployment.settings) as sending:
        for at in range(start, stop):
            for value in (label(at), *([label(at)] if at % 5 == 0 else []), *([label(at, 1)] if at % 4 == 0 else [])):
                await sending.send(topics.labels.name, value, f"p-{at}".encode())
            if at == (start + stop) // 2:
                await sending.flush()
                for worker in workers:
                    worker.kill()
                    worker.start()

    async def told() -> bool | None:
        records = [each for log in await read_logs(deployment, topics.payments) for each in log]
        return sum(is_event(each.headers, PAYMENT_LABEL) for each in records) >= stop or None

    await deployment.wait_for(told, "every label is told to the scorers")
    await settled(deployment)


async def rounds(deployment: Deployment, workers: Sequence[Worker]) -> list[Entry]:
    sent: list[Entry] = []
    async with producer(deployment.settings) as sending:
        for start, stop in ((0, 120), (120, 200), (200, 240)):
            log = payments(start, stop)
            await send(sending, deployment, log)
            sent += log
            await settled(deployment)
            if stop < 240:
                await labelled(deployment, workers, start, stop)
    return sent


def served(rows: Sequence[Row], name: str) -> dict[str, float]:
    """One feature by payment id."""
    return {each.payment_id: float(np.frombuffer(each.features)[INDEX[name]]) for each in rows}


@pytest.mark.parametrize("deployment", [{"partitions": 1}], indirect=True)
def test_labels_are_known_later_exactly_once_in_one_partition(deployment: Deployment) -> None:
    run = labels_are_known_later(deployment)
    replayed, features = Replay(load_ruleset(deployment.settings)).measure(run.payments[0])
    rows = {each.payment_id: row for each, row in zip(replayed, features.tolist(), strict=True)}
    assert len(run.rows_served) == len(rows)
    for served in run.rows_served:
        assert served.features == np.array(rows[served.payment_id]).tobytes()


@pytest.mark.parametrize("deployment", [{"partitions": 3}], indirect=True)
def test_labels_are_known_later_exactly_once_in_three_partitions(deployment: Deployment) -> None:
    labels_are_known_later(deployment)


def labels_are_known_later(deployment: Deployment) -> Run:
    """Payments, labels and later payments, workers that are killed, and the proofs that hold for any partitions."""
    workers = deployment.worker("learner"), deployment.worker()
    for worker in workers:
        worker.start()
    sent = asyncio.run(rounds(deployment, workers))
    run = asyncio.run(read_run(deployment))
    assert_decided_once(run, expected_of(sent))
    assert_logs_are_computed(run, seed=1)

    records = [record for log in run.payments for record in log if is_event(record.headers, PAYMENT_LABEL)]
    labels = [decode(record.value, PaymentLabel) for record in records]
    assert Counter(each.payment_id for each in labels) == Counter(f"p-{at}" for at in range(200)), "each once"
    assert {each.payment_id for each in labels if each.confirmed} == {f"p-{at}" for at in range(0, 200, PAYEES)}
    assert {record.partition for record in records} == {at for at, log in enumerate(run.payments) if log}

    shares = served(run.rows_served, "payee_confirmed_share_30d")
    assert all(shares[f"p-{at}"] == 0.0 for at in range(120)), "nothing is known before the first label"
    assert all((shares[f"p-{at}"] == 1.0) == (at % PAYEES == 0) for at in range(120, 240))
    runs = served(run.rows_served, "payee_confirmed_run")
    assert runs["p-238"] == sum(at % PAYEES == 0 for at in range(200)), "counted once, corrections left aside"

    last = orjson.loads(run.records_decided[-1].value)["decision_id"]
    done = run_command(
        ["recompute", last],
        environment(deployment.settings),
        deployment.folder,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == run.records_decided[-1].value + b"\n"
    return run
