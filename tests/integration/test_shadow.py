"""Challengers in shadow on a real Kafka: each decision scored once, whatever is killed, and compared as a command."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from models.registry.registry import Registry
from services.bench.kernels import random_forest
from services.contract.codec import encode
from services.contract.label import Disposition, Label
from services.contract.served import Served
from services.kafka.announcing import announce
from services.scorer.path.records import Outbound
from services.scorer.path.scoring.ensemble import EnsembleModel
from services.scorer.path.scoring.ensemble import announcement_of as announcement_of_boosting
from services.workbench.register import register
from tests.scorer.path.test_hops import SCHEMA, both_hops, seeded_log, written
from tests.support.deployment import Deployment, Logs, observer, producer, read_logs
from tests.support.graphs import linear_graph
from tests.support.models import announcement_of, random_model
from tests.support.nursery import run_command
from tests.support.offline import schema_hash
from tests.support.served import served_in
from tests.support.shadow import scored_in
from tests.support.worker import environment

pytestmark = pytest.mark.kafka

KILLS = 2
LENGTH = 1_200
LOGISTIC = random_model(4, SCHEMA)
BOOSTING = EnsembleModel(replace(random_forest(np.random.default_rng(7)), feature_schema_hash=SCHEMA), 0.9)


def answer(deployment: Deployment, *arguments: str) -> Any:
    """What ``tocsin`` prints."""
    done = run_command(
        [*arguments, "--json"],
        environment(deployment.settings),
        deployment.folder,
    )
    assert done.returncode == 0, done.stderr.decode()
    return orjson.loads(done.stdout)


async def write_batches(deployment: Deployment, batches: list[Outbound]) -> None:
    name, partitions = deployment.settings.topics.features.name, deployment.settings.partitions
    async with producer(deployment.settings) as sending:
        for at, each in enumerate(batches):
            await sending.send(name, each.value, each.key, partition=at % partitions, timestamp_ms=each.timestamp)
        await sending.flush()


async def shadow_under_kills(deployment: Deployment, batches: list[Outbound]) -> Logs:
    """What a shadow worker wrote that was killed in the middle of transactions, and then read all that was there."""
    topics, worker = deployment.settings.topics, deployment.worker("shadow")
    share = len(batches) // (KILLS + 1)
    async with observer(deployment) as seen:

        async def grown() -> bool | None:
            return sum(await seen.ends(topics.shadow_scores)) > before + 60 or None

        async def all_read() -> bool | None:
            group = f"{deployment.settings.identity}.shadow"
            return await seen.committed(group, topics.features) == await seen.ends(topics.features) or None

        before = 0
        for kill in range(KILLS):
            await write_batches(deployment, batches[kill * share : (kill + 1) * share])
            before = sum(await seen.ends(topics.shadow_scores))
            worker.start()
            await deployment.wait_for(grown, "shadow records")
            worker.kill()
        await write_batches(deployment, batches[KILLS * share :])
        worker.start()
        await deployment.wait_for(all_read, "every batch is read")
    worker.stop()
    return await read_logs(deployment, topics.shadow_scores)


async def label(deployment: Deployment, batches: list[Served]) -> None:
    """Every second payment; what the boosted challenger scores highest is suspicious."""
    names = [name for each in batches for name in each.texts("payment_id")]
    times_ms = [at_ms for each in batches for at_ms in each.event_time_ms.tolist()]
    scores = BOOSTING.scores(np.concatenate([each.features for each in batches]))
    limit = np.quantile(scores, 0.9)
    async with producer(deployment.settings) as sending:
        for at, (name, at_ms, score) in enumerate(zip(names, times_ms, scores.tolist(), strict=True)):
            if at % 2 == 0:
                said: Disposition = "suspicious" if score > limit else "not_suspicious"
                known = Label(f"l-{at}", name, said, at_ms + 86_400_000 * (at % 9))
                topic = deployment.settings.topics.labels.name
                await sending.send(topic, encode(known), name.encode(), partition=at % 2)
        await sending.flush()


@pytest.mark.parametrize(
    "deployment", [{"partitions": 2, "batch_payments_max": 20, "session_timeout_ms": 1_000}], indirect=True
)
def test_killed_shadow_workers_score_each_decision_once_and_challengers_are_compared(
    deployment: Deployment, tmp_path: Path
) -> None:
    assert schema_hash(deployment.settings) == SCHEMA
    batches = written(both_hops(seeded_log(LENGTH), range(2, LENGTH, 2)), "features")
    served = [served_in(each.value) for each in batches]
    file = tmp_path / "mine.onnx"
    file.write_bytes(linear_graph(3))
    registry = Registry(deployment.settings.registry)
    mine = register(file, "mine", registry, SCHEMA).announcement
    for said in (
        mine,
        announcement_of(LOGISTIC, name="logistic", version=1, challenger=True),
        announcement_of_boosting("boosting", BOOSTING, 0, challenger=True),
        announcement_of(random_model(9, "0" * 64), name="foreign", challenger=True),
    ):
        asyncio.run(announce(deployment.settings, said))

    logs = asyncio.run(shadow_under_kills(deployment, batches))
    found = {}
    for partition, log in enumerate(logs):
        assert [len(scored_in([record.value])) for record in log] == [len(each) for each in served[partition::2]]
        for scored in scored_in(record.value for record in log):
            assert scored.decision_id not in found, "scored twice"
            found[scored.decision_id] = scored
    ids = [name for each in served for name in each.decision_ids()]
    assert sorted(found) == sorted(ids)

    features = np.concatenate([each.features for each in served])
    models: list[Any] = [LOGISTIC, BOOSTING, registry.scoring(mine, SCHEMA)]
    for model in models:
        assert [found[name].scores[model.hash] for name in ids] == model.scores(features).tolist(), "to the bit"
    assert all(len(each.scores) == 3 for each in found.values())

    asyncio.run(label(deployment, served))
    compared = answer(deployment, "compare", "--shadow", "--budget", "0.1", "--plots", str(tmp_path / "plots"))
    assert compared["decisions"] == len(ids)
    best = compared["challengers"]["boosting/1"]
    assert set(compared["challengers"]) == {"boosting/1", "logistic/1", "mine/1"}
    assert best["challenger"]["average_precision"] == 1.0
    assert best["difference"]["average_precision"]["interval_95"][0] > 0.0
    assert best["cohorts"]["challenger"]["1d"]["payments"] < best["challenger"]["payments"] == len(ids) // 2
    assert {each.name for each in (tmp_path / "plots").iterdir()} == {
        f"champion-against-{name}-1.svg" for name in ("boosting", "logistic", "mine")
    }
