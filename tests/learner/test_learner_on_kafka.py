"""The learner on a real Kafka: killed at random, started again, and its output compared with an offline run."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from models.labels import SILENCE
from models.learning.training import Plan, Snapshot, Trainer
from models.registry.registry import Registry
from services import kafka as clients
from services.broker import KafkaBroker
from services.contract.announcement import ModelAnnouncement
from services.contract.codec import decode, encode
from services.contract.identity import example_id
from services.contract.label import Example, PaymentLabel
from services.contract.topics import Topics
from services.contract.units import DAY_MS
from services.kafka.topics import create_topics
from services.learner.app import challenger_plans_of, plan_of
from services.learner.health.alarms import Alarms
from services.learner.joining.batch import Output, Read, apply
from services.learner.joining.join import Join
from services.learner.measures import Measures
from services.learner.training import trainer
from services.learner.training.trainer import TrainerService
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from tests.learner.cluster import Record, read_all, write
from tests.learner.streams import MINUTE_MS, MemoryStore, example, label, scenario
from tests.learner.worker import PATIENCE_S, POLL_S, LearnerProcess
from tests.support.served_batches import START_MS

pytestmark = pytest.mark.kafka

Records = list[tuple[str, bytes]]
BROKEN: Records = [("b", b"not json"), ("b", b'{"label_id":"l"}')]


def settings_for(kafka: KafkaBroker, folder: Path, prefix: str, **chosen: object) -> Settings:
    return Settings.model_validate(
        {
            "bootstrap": kafka.bootstrap,
            "topic_prefix": f"learner-test.{prefix}",  # the broker is shared with other tests
            "partitions": 2,
            "registry": folder / "registry",
            "state_dir": folder / "state",
            "snapshot_examples": 100,
            "batch_payments_max": 40,
            "alert_budget_share": 0.02,
            "challengers": "",
            "refit_examples": 250,
            "refit_window_examples": 400,
            **chosen,
        }
    )


def expected_ids(decisions: Records, labels: Records) -> list[str]:
    """The examples of an undisturbed join, offline."""
    output, topics = Output(), Topics()
    join = Join(MemoryStore())
    for topic, records in ((topics.features.name, decisions), (topics.labels.name, labels)):
        apply(join, [Read(topic, 0, at, 2**42, None, value) for at, (_, value) in enumerate(records)], topics, output)
    return sorted(decode(each.value or b"", Example).example_id for each in output.records if "examples" in each.topic)


def plans_of(settings: Settings) -> list[Plan]:
    """The lines of a deployment."""
    return [plan_of(settings), *challenger_plans_of(settings)]


def offline(settings: Settings, examples: list[Record]) -> list[Snapshot]:
    """The versions that the log makes, without Kafka and without a crash, line after line."""
    found = []
    for plan in plans_of(settings):
        trainer = Trainer(plan)
        lessons = [trainer.learn(decode(value, Example), offset) for offset, _, value in examples]
        found += [lesson.snapshot for lesson in lessons if lesson.snapshot is not None]
    return found


def announced(settings: Settings) -> list[ModelAnnouncement]:
    """What ``models.v1`` says, in order, line after line; a repeat must be the same to the byte, and is left out."""
    by_key: dict[bytes | None, bytes] = {}
    for _, key, value in asyncio.run(read_all(settings, settings.topics.models.name)):
        assert by_key.setdefault(key, value) == value
    lines = [plan.name for plan in plans_of(settings)]
    found = [decode(value, ModelAnnouncement) for value in by_key.values()]
    return sorted(found, key=lambda each: lines.index(each.name))


def registered(settings: Settings) -> list[Snapshot]:
    """What the registry holds, line after line."""
    registry = Registry(settings.registry)
    return [registry.load(plan.name, at) for plan in plans_of(settings) for at in registry.versions(plan.name)]


async def end_of(settings: Settings, topic: str) -> int:
    consumer: AIOKafkaConsumer = clients.consumer(settings)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        ends: dict[TopicPartition, int] = await consumer.end_offsets([partition])
        return ends[partition]
    finally:
        await consumer.stop()


def prepare(settings: Settings, seed: int, payments: int, step_ms: int = MINUTE_MS) -> list[str]:
    """Topics with decisions and labels, some of them broken; returns the ids of the examples that labels will make."""
    decisions, labels = scenario(seed, payments, plan_of(settings).feature_schema_hash, step_ms)

    async def fill() -> None:
        await create_topics(settings)
        await write(settings, settings.topics.labels.name, labels[: payments // 3])
        await write(settings, settings.topics.features.name, decisions)
        await write(settings, settings.topics.labels.name, BROKEN + labels[payments // 3 :])

    asyncio.run(fill())
    return expected_ids(decisions, labels)


def reached(settings: Settings, goal: int, examples: int) -> bool:
    """Whether the log has grown to ``goal``, or cannot: a life may have written all of it before its kill struck."""
    return asyncio.run(end_of(settings, settings.topics.examples.name)) >= goal or distinct(settings) >= examples


def run_with_kills(settings: Settings, expected: list[str], seed: int, kills: int, log: Path) -> None:
    """Lives of a learner, each killed when ``examples.v1`` has grown by a random number; the last one to the end."""
    draw, topic = random.Random(seed), settings.topics.examples.name
    for _ in range(kills):
        goal = asyncio.run(end_of(settings, topic)) + draw.randint(1, len(expected) // (kills + 1))
        with LearnerProcess(settings, log) as learner:
            learner.until(partial(reached, settings, goal, len(expected)))
    with LearnerProcess(settings, log) as learner:
        learner.until(lambda: distinct(settings) >= len(expected))
        versions = len(offline(settings, asyncio.run(read_all(settings, topic))))
        learner.until(lambda: len(announced(settings)) >= versions)
        assert learner.stop() == 0


async def train(settings: Settings, done: Callable[[], Awaitable[bool]], measures: Measures | None = None) -> None:
    """The trainers of all lines in this process, until ``done``; raises what one crashed of."""
    measures = measures or Measures(Metrics())
    services = [TrainerService(settings, measures, plan_of(settings), Alarms(settings.state_dir, measures.health))]
    services += [TrainerService(settings, measures, plan) for plan in challenger_plans_of(settings)]
    for service in services:
        await service.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (any(service.crashed for service in services) or await done()):
                await services[0].sleep(POLL_S)
    finally:
        for service in services:
            await service.stop()
    for service in services:
        if service.crashed:
            raise service.crash_reason


def announced_versions(settings: Settings, versions: int) -> Callable[[], Awaitable[bool]]:
    """Whether ``models.v1`` has so many records."""

    async def reached() -> bool:
        return len(await read_all(settings, settings.topics.models.name)) >= versions

    return reached


def registered_versions(settings: Settings, versions: int) -> Callable[[], Awaitable[bool]]:
    """Whether the registry has so many versions."""

    async def reached() -> bool:
        registry = Registry(settings.registry)
        return sum(len(registry.versions(plan.name)) for plan in plans_of(settings)) >= versions

    return reached


def distinct(settings: Settings) -> int:
    records = asyncio.run(read_all(settings, settings.topics.examples.name))
    return len({decode(value, Example).example_id for _, _, value in records})


def dead_letters(settings: Settings, partition: int) -> list[bytes]:
    records = asyncio.run(read_all(settings, settings.topics.dead_letters.name, partition))
    return [value for _, _, value in records]


def test_a_learner_killed_at_random_makes_each_example_once_and_the_models_of_an_offline_run(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    settings = settings_for(kafka, tmp_path, "killed.", challengers="adaptive_forest,halfspace,boosting")
    expected = prepare(settings, seed=1, payments=800)
    run_with_kills(settings, expected, seed=2, kills=3, log=tmp_path / "log")

    examples = asyncio.run(read_all(settings, settings.topics.examples.name))
    assert sorted(decode(value, Example).example_id for _, _, value in examples) == expected
    snapshots = offline(settings, examples)
    once = Trainer(plan_of(settings))
    results = Counter(once.learn(decode(value, Example), offset).result for offset, _, value in examples)
    assert results["limited"] >= 5, "of the busy payer's account"
    assert (
        min(Counter(str(each.announcement.kind) for each in snapshots)[plan.kind] for plan in plans_of(settings)) >= 4
    )
    assert announced(settings) == [snapshot.announcement for snapshot in snapshots]
    assert registered(settings) == snapshots
    letters = [each for partition in (0, 1) for each in dead_letters(settings, partition)]
    assert sorted(letters) == sorted(value for _, value in BROKEN)
    said = (tmp_path / "log").read_text()
    assert '"p-' not in said
    assert "payer-1" not in said

    shutil.rmtree(settings.registry)  # the registry is lost: the log makes the same versions again
    asyncio.run(train(settings, registered_versions(settings, len(snapshots))))
    assert registered(settings) == snapshots
    assert announced(settings) == [snapshot.announcement for snapshot in snapshots]


def test_without_transactions_a_killed_learner_may_repeat_examples_and_learns_each_once(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    settings = settings_for(kafka, tmp_path, "repeated.", delivery="at_least_once")
    expected = prepare(settings, seed=3, payments=400)
    run_with_kills(settings, expected, seed=4, kills=1, log=tmp_path / "log")

    examples = asyncio.run(read_all(settings, settings.topics.examples.name))
    assert sorted({decode(value, Example).example_id for _, _, value in examples}) == expected
    snapshots = offline(settings, examples)
    assert snapshots[-1].state is not None
    assert snapshots[-1].state.examples <= len(expected)
    assert announced(settings) == [snapshot.announcement for snapshot in snapshots]


def test_silence_makes_each_example_once_though_learner_and_store_are_lost(kafka: KafkaBroker, tmp_path: Path) -> None:
    """Payments of 100 days, silence after 60. What was passed over before is known from the committed offsets alone."""
    settings = settings_for(kafka, tmp_path, "silent.", partitions=1, label_maturity_days=60)
    step_ms = 6 * 60 * MINUTE_MS
    expected = prepare(settings, seed=6, payments=400, step_ms=step_ms)
    days = {f"p-{at}": (START_MS + at * step_ms) // DAY_MS for at in range(400)}
    ended = {payment for payment, day in days.items() if day < max(days.values()) - 60}
    with LearnerProcess(settings, tmp_path / "log") as learner:
        learner.until(lambda: any(each.source == SILENCE for each in examples_of(settings)))
    shutil.rmtree(settings.state_dir / "learner")
    last = label("p-1", "last", START_MS + 400 * DAY_MS - 1, source="authority")
    with LearnerProcess(settings, tmp_path / "log") as learner:
        learner.until(lambda: ended <= {each.payment_id for each in examples_of(settings)})
        asyncio.run(write(settings, settings.topics.labels.name, [("p-1", encode(last))]))
        expected = sorted([*expected, example_id("default", "p-1", "last")])
        learner.until(lambda: examples_of(settings)[-1].source == "authority")
        assert learner.stop() == 0

    made = examples_of(settings)
    silent = [each for each in made if each.source == SILENCE]
    assert sorted(each.example_id for each in made if each.source != SILENCE) == expected
    assert len({each.example_id for each in made}) == len(made)
    labelled = {each.payment_id for each in made if each.source != SILENCE}
    assert ended - labelled <= {each.payment_id for each in silent} <= ended
    told = [value for _, _, value in asyncio.run(read_all(settings, settings.topics.payments.name))]
    assert sorted(decode(value, PaymentLabel).payment_id for value in told) == sorted(labelled), "of labels only"


def examples_of(settings: Settings) -> list[Example]:
    return [decode(value, Example) for _, _, value in asyncio.run(read_all(settings, settings.topics.examples.name))]


def test_a_learner_that_another_fences_takes_possession_again_and_nothing_is_made_twice(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    """Two under one name take turns: wasteful, and never wrong."""
    settings = settings_for(kafka, tmp_path, "fenced.")
    expected = prepare(settings, seed=8, payments=100)
    elsewhere = settings.model_copy(update={"state_dir": tmp_path / "elsewhere"})
    with LearnerProcess(settings, tmp_path / "first") as first:
        first.until(lambda: distinct(settings) >= len(expected))
        with LearnerProcess(elsewhere, tmp_path / "second") as second:
            second.until(lambda: "joiner: replaying" in (tmp_path / "second").read_text())
            asyncio.run(
                write(
                    settings,
                    settings.topics.labels.name,
                    [("p-1", encode(label("p-1", "last", START_MS + 400 * MINUTE_MS)))],
                )
            )
            second.until(lambda: distinct(settings) > len(expected))
            first.until(lambda: "ProducerFenced" in (tmp_path / "first").read_text())
            assert second.stop() == 0
        more = [(f"p-{at}", encode(label(f"p-{at}", "more", START_MS + 401 * MINUTE_MS))) for at in (2, 3)]
        asyncio.run(write(settings, settings.topics.labels.name, more))
        first.until(lambda: distinct(settings) > len(expected) + 1)
        assert first.stop() == 0
    examples = asyncio.run(read_all(settings, settings.topics.examples.name))
    assert len(examples) == len({decode(value, Example).example_id for _, _, value in examples}) > len(expected) + 1


def test_a_learner_announces_what_a_crash_kept_it_from_announcing(kafka: KafkaBroker, tmp_path: Path) -> None:
    settings = settings_for(kafka, tmp_path, "unannounced.")
    plan, draw = plan_of(settings), random.Random(5)
    log = [example(number, draw, plan.feature_schema_hash) for number in range(350)]
    asyncio.run(create_topics(settings))
    asyncio.run(write(settings, settings.topics.examples.name, [(each.payment_id, encode(each)) for each in log]))
    snapshots = offline(settings, asyncio.run(read_all(settings, settings.topics.examples.name)))
    registry = Registry(settings.registry)
    for snapshot in snapshots[:2]:
        registry.save(snapshot)
    asyncio.run(train(settings, announced_versions(settings, 3)))
    assert announced(settings) == [snapshot.announcement for snapshot in snapshots]


def test_a_learner_does_not_go_on_with_the_registry_of_another_cluster(kafka: KafkaBroker, tmp_path: Path) -> None:
    settings = settings_for(kafka, tmp_path, "foreign.")
    plan, draw = plan_of(settings), random.Random(6)
    asyncio.run(create_topics(settings))
    trainer = Trainer(plan)
    for number in range(100):
        lesson = trainer.learn(example(number, draw, plan.feature_schema_hash), number)
        if lesson.snapshot is not None:
            Registry(settings.registry).save(lesson.snapshot)
    measures = Measures(Metrics())

    async def waits_for_people() -> bool:
        return "the registry belongs to another cluster" in str(measures.metrics.health.report().red)

    asyncio.run(train(settings, waits_for_people, measures))
    assert announced(settings) == []


def test_a_wrong_example_record_and_a_foreign_schema_are_skipped(kafka: KafkaBroker, tmp_path: Path) -> None:
    settings = settings_for(kafka, tmp_path, "mixed.", snapshot_examples=20)
    plan, draw = plan_of(settings), random.Random(7)
    good = [encode(example(number, draw, plan.feature_schema_hash)) for number in range(40)]
    foreign = [encode(example(1_000 + number, draw, "00" * 32)) for number in range(10)]
    values = [*good[:15], *foreign, b"{broken", json.dumps({"at": START_MS}).encode(), *good[15:]]
    asyncio.run(create_topics(settings))
    asyncio.run(write(settings, settings.topics.examples.name, [("k", value) for value in values]))
    asyncio.run(train(settings, announced_versions(settings, 2)))
    clean = Trainer(plan)
    lessons = [clean.learn(decode(value, Example), offset) for offset, value in enumerate(good)]
    wanted = [lesson.snapshot.announcement.model_hash for lesson in lessons if lesson.snapshot is not None]
    assert [each.model_hash for each in announced(settings)] == wanted


def test_a_version_too_large_to_announce_is_kept_and_stops_nobody(
    kafka: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(kafka, tmp_path, "large.", snapshot_examples=20, challengers="halfspace")
    draw, schema = random.Random(9), plan_of(settings).feature_schema_hash
    values = [encode(example(number, draw, schema)) for number in range(40)]
    asyncio.run(create_topics(settings))
    asyncio.run(write(settings, settings.topics.examples.name, [("k", value) for value in values]))
    monkeypatch.setattr(trainer, "ANNOUNCEMENT_BYTES_MAX", 50_000)
    asyncio.run(train(settings, registered_versions(settings, 4)))
    assert [(each.kind, each.version) for each in announced(settings)] == [("logistic", 1), ("logistic", 2)]
    assert [each.announcement.kind for each in registered(settings)] == [
        "logistic",
        "logistic",
        "halfspace",
        "halfspace",
    ]
    assert "too many to announce" in caplog.text
