"""The data scientist's day on a real Kafka: export, train, promote, and decisions by the new model, recomputed."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import orjson
import pytest

from services.contract.codec import decode_payment, encode
from services.contract.label import Label
from services.contract.payment import Payment
from services.kafka.announcing import read_champion
from services.workbench.dataset import UNLABELLED, Dataset
from tests.support.deployment import Deployment, producer, read_logs, send, settled
from tests.support.nursery import run_command
from tests.support.payments import Entry, payment_ids, payment_log
from tests.support.served import rows_of
from tests.support.worker import environment

pytestmark = pytest.mark.kafka

LARGE_MINOR = 60_000
LATE_MS = 3 * 86_400_000


def tocsin(deployment: Deployment, *arguments: str) -> bytes:
    """What ``tocsin`` prints, as a data scientist calls it."""
    done = run_command(
        [*arguments],
        environment(deployment.settings),
        deployment.folder,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout


async def label(deployment: Deployment, log: list[Entry]) -> int:
    """Label two decided payments of three: large ones are suspicious. Some are labelled twice, and corrected."""
    name, partitions = deployment.settings.topics.labels.name, deployment.settings.partitions
    written = 0
    async with producer(deployment.settings) as sending:
        for at, entry in enumerate(each for each in log if each.fate == "decided"):
            payment = decode_payment(entry.value)
            if at % 3 == 0 or not isinstance(payment, Payment):
                continue
            suspicious = payment.amount_minor >= LARGE_MINOR
            said = Label(
                f"l-{at}", payment.payment_id, "suspicious" if suspicious else "not_suspicious",
                payment.event_time_ms + LATE_MS, tenant=payment.tenant,
            )  # fmt: skip
            wrong = Label(f"w-{at}", payment.payment_id, "suspicious", payment.event_time_ms + 1, payment.tenant, "x")
            for each in (said, said, wrong) if at % 10 == 1 else (said,):
                await sending.send(name, encode(each), payment.payment_id.encode(), partition=at % partitions)
            written += 1
        await sending.flush()
    return written


@pytest.mark.parametrize("deployment", [{"partitions": 2}], indirect=True)
def test_a_model_trained_on_an_export_is_promoted_decides_and_is_rolled_back(
    deployment: Deployment, tmp_path: Path
) -> None:
    log = payment_log(7, 4_000, accounts=300, clean=True)

    async def decided(entries: list[Entry]) -> list[bytes]:
        """Every decision, once ``entries`` are through."""
        async with producer(deployment.settings) as sending:
            await send(sending, deployment, entries)
        await settled(deployment)
        found = await read_logs(deployment, deployment.settings.topics.decisions)
        return [record.value for partition in found for record in partition]

    worker = deployment.worker()
    worker.start()
    first = [orjson.loads(each) for each in asyncio.run(decided(log))]
    labelled = asyncio.run(label(deployment, log))
    batches = asyncio.run(read_logs(deployment, deployment.settings.topics.features))

    file = tmp_path / "data.parquet"
    said = orjson.loads(tocsin(deployment, "dataset", "export", str(file), "--json"))
    data = Dataset.read(file)
    assert said["decisions"] == len(data) == len(first)
    assert said["labelled"] == int((data.label != UNLABELLED).sum()) == labelled
    served = {row.decision_id: row.features for partition in batches for row in rows_of(partition)}
    for at, name in enumerate(data.decision_id.tolist()):
        assert data.features[at].tobytes() == served[name]
    early = orjson.loads(
        tocsin(deployment, "dataset", "export", str(tmp_path / "early.parquet"), "--json",
               "--as-of", str(int(data.event_ms[1_500])))
    )  # fmt: skip
    assert early["decisions"] == int((data.event_ms <= data.event_ms[1_500]).sum())
    assert early["labelled"] < said["labelled"]

    again = orjson.loads(tocsin(deployment, "backtest", str(file), "--model", "untrained", "--workers", "2", "--json"))
    assert again["did"] == again["would"]
    assert again["both"] == sum(each["outcome"] == "review" for each in first) > 0

    made = orjson.loads(tocsin(deployment, "train", str(file), "--json", "--budget", "0.05"))
    assert made["model"] == "boosting/1"
    assert made["held_out"]["all"]["auc"] > 0.9
    assert orjson.loads(tocsin(deployment, "model", "show", "boosting", "--json"))["data"]["decisions"] == len(data)
    assert b"boosting" in tocsin(deployment, "model", "list")

    stretch = ("--from", str(int(data.event_ms[500])), "--to", str(int(data.event_ms[3_000])))
    what_if = ("backtest", "--model", "boosting/1", *stretch, "--json")
    past = orjson.loads(tocsin(deployment, *what_if, str(file)))
    assert orjson.loads(tocsin(deployment, *what_if)) == {**past, "left_out_other_schema": 0}
    assert past["would"]["labelled_suspicious"] > 0
    assert 2_501 <= past["decisions"] < len(data)

    tocsin(deployment, "promote", "boosting/1")
    rounds = count(100)

    async def by_the_new_model() -> bytes | None:
        values = await decided(payment_ids(next(rounds), 5, "later"))
        chosen = [each for each in values if made["model_hash"].startswith(orjson.loads(each)["model"])]
        return chosen[-1] if chosen else None

    decision = asyncio.run(deployment.wait_for(by_the_new_model, "the promoted model decides"))
    assert tocsin(deployment, "recompute", orjson.loads(decision)["decision_id"]) == decision + b"\n"

    tocsin(deployment, "rollback")
    assert asyncio.run(read_champion(deployment.settings)) is None
    worker.stop()
