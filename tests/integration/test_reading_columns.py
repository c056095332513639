"""Batches of columns on a real Kafka: a person reads them row by row, and an export reads no more than it must."""

from __future__ import annotations

import asyncio
import subprocess

import numpy as np
import orjson
import pytest

from services.contract.codec import decode, encode
from services.contract.decision import Decision
from services.contract.label import Label
from services.scorer.path.intake import AHEAD_MS_MAX
from services.workbench.dataset import Dataset, concatenated
from services.workbench.export import Stretch, decoded, export, served_batches
from tests.support.decided import Decided, decided
from tests.support.deployment import Deployment, producer
from tests.support.nursery import run_command
from tests.support.offline import schema_hash
from tests.support.payments import payment_log
from tests.support.served import served_in
from tests.support.worker import environment

pytestmark = [pytest.mark.kafka, pytest.mark.parametrize("deployment", [{"partitions": 2}], indirect=True)]


@pytest.fixture
def written(deployment: Deployment) -> Decided:
    """What two hops made of a log, in the second partition; ``decisions.v1`` has two records that are no decision."""
    log = decided(payment_log(11, 1_200, accounts=100, clean=True))
    topics = deployment.settings.topics

    async def write() -> None:
        async with producer(deployment.settings) as sending:
            for topic, records in ((topics.decisions, log.decisions), (topics.features, log.features)):
                for each in records:
                    await sending.send(
                        topic.name, each.value, each.key, partition=1, timestamp_ms=each.timestamp, headers=each.headers
                    )
            await sending.send(topics.decisions.name, b"\xff{", b"odd", partition=1)
            await sending.send(topics.decisions.name, None, b"gone", partition=0)
            await sending.flush()

    asyncio.run(write())
    return log


def read(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return run_command(["topics", "read", *arguments], environment(deployment.settings), deployment.folder)


def lines(deployment: Deployment, *arguments: str) -> list[dict[str, object]]:
    done = read(deployment, *arguments)
    assert done.returncode == 0, done.stderr.decode()
    return [orjson.loads(line) for line in done.stdout.splitlines()]


def test_a_payment_is_found_in_people_s_and_in_machines_topics(deployment: Deployment, written: Decided) -> None:
    decision = decode(written.decisions[700].value, Decision)
    (found,) = lines(deployment, "decisions.v1", "--decision", decision.decision_id)
    assert found == orjson.loads(written.decisions[700].value or b"")
    for wanted in (("--payment", decision.payment_id), ("--decision", decision.decision_id)):
        (row,) = lines(deployment, "features.v1", *wanted)
        assert (row["payment_id"], row["decision_id"]) == (decision.payment_id, decision.decision_id)
        assert (row["score"], row["outcome"]) == (decision.score, decision.outcome)
        assert str(row["model_hash"]).startswith(decision.model)
        rules = {rule for rule, said in dict(row["rules"]).items() if said == "hit"}  # type: ignore[call-overload]
        assert rules == set(decision.rules)
    assert lines(deployment, "features.v1", "--payment", decision.payment_id, "--partition", "0") == []
    both = ("--payment", decision.payment_id, "--decision", decode(written.decisions[701].value, Decision).decision_id)
    assert lines(deployment, "features.v1", *both) == lines(deployment, "decisions.v1", *both) == []


def test_everything_is_printed_in_order_and_what_is_no_json_as_text(deployment: Deployment, written: Decided) -> None:
    values = lines(deployment, "decisions.v1", "--partition", "1")
    assert values == [*(orjson.loads(each.value or b"") for each in written.decisions), "\\xff{"]
    located = lines(deployment, deployment.settings.topics.decisions.name, "--json")
    assert (located[0]["partition"], located[0]["key"], located[0]["value"]) == (0, "gone", None)
    assert (located[1]["offset"], located[1]["timestamp_ms"]) == (0, written.decisions[0].timestamp)
    rows = lines(deployment, "features.v1", "--limit", "200")
    assert [each["decision_id"] for each in rows] == [each["decision_id"] for each in values[:200]]


def test_an_unreadable_batch_is_named_on_standard_error_and_the_rest_is_printed(
    deployment: Deployment, written: Decided
) -> None:
    name = deployment.settings.topics.features.name

    async def plant() -> None:
        async with producer(deployment.settings) as sending:
            await sending.send_and_wait(name, b"no batch", partition=0)

    asyncio.run(plant())
    done = read(deployment, "features.v1", "--limit", "3")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 3
    assert (
        done.stderr.decode().strip()
        == f"{name}[0]@0: columns_invalid: Not an Arrow IPC stream of one batch, uncompressed"
    )


def test_a_wrong_topic_partition_or_id_is_an_error_that_says_what_there_is(
    deployment: Deployment, written: Decided
) -> None:
    for arguments, said in {
        ("scorer.payer-state.v1",): "no topic of JSON or of columns; there are ",
        ("decisions.v1", "--partition", "2"): "no partition 2; there are 2, from 0 on",
        ("decisions.v1", "--decision", "d-1"): "not the id of a decision",
    }.items():
        done = read(deployment, *arguments)
        assert (done.returncode, done.stdout) == (2, b"")
        assert said in " ".join(done.stderr.decode().split())
        assert "Traceback" not in done.stderr.decode()


def test_an_export_of_a_stretch_misses_no_row_of_it_whatever_batch_it_stands_in(
    deployment: Deployment, written: Decided
) -> None:
    schema = schema_hash(deployment.settings)
    whole, _ = decoded([each.value or b"" for each in written.features], Stretch(schema))
    appended_ms = np.concatenate([served_in(each.value).appended_ms for each in written.features])
    assert len(set(appended_ms.tolist())) > 5

    async def read_from(from_ms: int) -> tuple[Dataset, int]:
        chosen = Stretch(schema, from_ms)
        found = [values async for values in served_batches(deployment.settings, chosen)]
        parts = [decoded(values, chosen)[0] for values in found]
        return concatenated([Dataset.empty(schema), *parts]), sum(map(len, found))

    batches: set[int] = set()
    for moment in np.unique(appended_ms)[::150].tolist():
        data, read_records = asyncio.run(read_from(moment + AHEAD_MS_MAX))
        inside = whole.event_ms >= moment + AHEAD_MS_MAX
        assert data.decision_id.tolist() == whole.decision_id[inside].tolist()
        assert read_records >= sum(int(each.timestamp) >= moment for each in written.features)
        batches.add(read_records)
    assert min(batches) < len(written.features) == max(batches)


def test_an_export_has_the_labels_that_count(deployment: Deployment, written: Decided) -> None:
    decision = decode(written.decisions[3].value, Decision)
    label = Label("l-1", decision.payment_id, "suspicious", decision.event_time_ms + 1, tenant=decision.tenant)

    async def run() -> tuple[Dataset, int]:
        async with producer(deployment.settings) as sending:
            name = deployment.settings.topics.labels.name
            await sending.send_and_wait(name, encode(label), decision.payment_id.encode(), partition=0)
        return await export(deployment.settings, schema_hash(deployment.settings), None)

    data, left_out = asyncio.run(run())
    assert (len(data), left_out) == (len(written.decisions), 0)
    assert (np.diff(data.event_ms) >= 0).all()
    assert data.decision_id[data.label == 1].tolist() == [decision.decision_id]
