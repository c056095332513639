"""The outputs of workers under faults against those of an undisturbed run: recomputed from the logs, without Kafka."""

from __future__ import annotations

import asyncio
from collections import Counter

import numpy as np
import orjson

from models.registry.registry import Registry
from services.contract.announcement import ModelAnnouncement
from services.contract.codec import decode
from services.contract.label import Example
from services.scorer.path.scoring.ensemble import model_from
from services.scorer.path.scoring.model import LogisticModel
from tests.faults.stage import SEED, Stage
from tests.learner.test_learner_on_kafka import expected_ids, offline, plans_of, registered
from tests.support.alerts import assert_each_review_is_in_one_alert
from tests.support.deployment import read_logs
from tests.support.hostile import PLANTED_PAYMENTS
from tests.support.offline import Run, assert_decided_once, assert_logs_are_computed, genuine, read_run
from tests.support.payments import expected_of
from tests.support.served import served_in
from tests.support.shadow import Scored, scored_in

ROUNDS_MAX = 8
"""Of payments, within which a challenger has learned enough to be announced."""


async def assert_as_undisturbed(stage: Stage) -> None:
    """Scorer and alerter to the byte, examples each once, models of the same hashes, scores in shadow to the bit."""
    await until_challengers_score(stage)
    run = await assert_scorer_undisturbed(stage)
    await assert_learner_undisturbed(stage, run)
    await assert_shadow_undisturbed(stage, run)


async def until_challengers_score(stage: Stage) -> None:
    """Feed until the shadow has scored something: how soon there is a challenger depends on how fast all are."""
    for _ in range(ROUNDS_MAX):
        logs = await read_logs(stage.deployment, stage.settings.topics.shadow_scores)
        said = scored_in(record.value for log in logs for record in log)
        if any(each.scores and each.payment_id not in PLANTED_PAYMENTS for each in said):
            return
        await stage.feed()
        await stage.decided()


async def assert_scorer_undisturbed(stage: Stage) -> Run:
    """Each payment decided once, each review in one alert, and every log what the pure path makes of its input."""
    models = [model_from(each, stage.schema) for each in await announced(stage) if not each.challenger]
    run = await read_run(
        stage.deployment, [*stage.models, *(each for each in models if isinstance(each, LogisticModel))]
    )
    assert_decided_once(run, expected_of(stage.sent))
    assert_logs_are_computed(run, SEED)
    assert_each_review_is_in_one_alert(run)
    assert sum(map(len, run.alerts)) > 0, "the run was worth proving"
    return run


async def assert_learner_undisturbed(stage: Stage, run: Run) -> None:
    """The examples are those of an undisturbed join, each once; the models those that this log makes."""
    topics = stage.settings.topics
    logs = [genuine(await read_logs(stage.deployment, topic)) for topic in (topics.features, topics.labels)]
    decisions, labels = ([("", record.value) for log in each for record in log] for each in logs)
    (log,) = genuine(await read_logs(stage.deployment, topics.examples))
    examples = [(record.offset, record.key, record.value) for record in log]
    taught = [decode(value, Example) for _, _, value in examples]
    made = Counter(each.example_id for each in taught if each.payment_id not in PLANTED_PAYMENTS)
    expected = Counter(expected_ids(decisions, labels))
    assert not expected - made, f"{(expected - made).total()} of {expected.total()} examples are lost"
    assert not made - expected, f"{(made - expected).total()} examples beside the {expected.total()} expected"
    snapshots = await asyncio.to_thread(offline, stage.settings, examples)
    assert len(snapshots) >= 2, "the run was worth proving"
    assert await announced(stage) == [snapshot.announcement for snapshot in snapshots]
    assert registered(stage.settings) == snapshots


async def announced(stage: Stage) -> list[ModelAnnouncement]:
    """What the learner has announced, line after line; a repeat must be the same to the byte, and is left out."""
    (log,) = genuine(await read_logs(stage.deployment, stage.settings.topics.models))
    by_key: dict[bytes | None, bytes] = {}
    for record in log:
        assert by_key.setdefault(record.key, record.value) == record.value
    lines = [plan.name for plan in plans_of(stage.settings)]
    found = [decode(value, ModelAnnouncement) for value in by_key.values()]
    return sorted(found, key=lambda each: lines.index(each.name))


async def assert_shadow_undisturbed(stage: Stage, run: Run) -> None:
    """Each decision has its scores once, in the decisions' order, and each score is what the challenger makes of it."""
    known = {each.model_hash: each for each in await announced(stage) if each.challenger}
    registry = Registry(stage.settings.registry)
    logs = await read_logs(stage.deployment, stage.settings.topics.shadow_scores)
    scored = [scored_in(record.value for record in log) for log in logs]
    genuine_scores = [[each for each in log if each.payment_id not in PLANTED_PAYMENTS] for log in scored]
    ids = [[orjson.loads(record.value)["decision_id"] for record in log] for log in run.decisions]
    assert [[each.decision_id for each in log] for log in genuine_scores] == ids
    features_logs = genuine(await read_logs(stage.deployment, stage.settings.topics.features))
    batches = [served_in(record.value) for log in features_logs for record in log]
    rows = {name: row for each in batches for name, row in zip(each.decision_ids(), each.features, strict=True)}
    by_model: dict[str, list[Scored]] = {}
    for each in (one for log in genuine_scores for one in log):
        for name in each.scores:
            by_model.setdefault(name, []).append(each)
    assert by_model, "the run was worth proving"
    for name, said in by_model.items():
        features = np.array([rows[each.decision_id] for each in said])
        expected = registry.scoring(known[name], stage.schema).scores(features).tolist()
        assert [each.scores[name] for each in said] == expected
