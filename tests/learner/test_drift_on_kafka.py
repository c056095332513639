"""A learner on a real Kafka, killed on its way: what it says of the models' health is what the logs say."""

from __future__ import annotations

import asyncio
import math
import random
from functools import partial
from pathlib import Path

import pytest

from services.broker import KafkaBroker
from services.broker.probe import free_ports
from services.contract.codec import decode, encode
from services.contract.label import Example
from services.contract.served import HIT, NO_HIT
from services.contract.units import DAY_MS
from services.kafka.topics import create_topics
from services.learner.app import plan_of
from services.learner.health.alarms import read_request
from services.learner.health.judge import FILE
from services.learner.health.prequential import NAMES, Prequential
from services.runtime.settings import Settings
from tests.learner.cluster import read_all, write
from tests.learner.streams import features_of, in_batches, label
from tests.learner.test_learner_on_kafka import distinct, settings_for
from tests.learner.worker import LearnerProcess
from tests.support.scrape import Samples, exposition, samples, total
from tests.support.served_batches import START_MS, Row

pytestmark = pytest.mark.kafka

DAYS, A_DAY, MOVED_FROM = 8, 300, 4
DAY = START_MS // DAY_MS * DAY_MS
Records = list[tuple[str, bytes]]


def records(schema: str) -> tuple[Records, Records]:
    """Decisions of some days and a label of each, two days late. From one day on an optional field is missing and what
    is suspicious is scored low."""
    draw = random.Random(11)
    rows: list[Row] = []
    labels: Records = []
    for number in range(DAYS * A_DAY):
        payment_id, day = f"p-{number}", number // A_DAY
        at_ms, moved, suspicious = DAY + number * DAY_MS // A_DAY, day >= MOVED_FROM, draw.random() < 0.3
        features = (None, *features_of(draw)[1:]) if moved else features_of(draw)
        score = draw.gauss(2.0 if suspicious and not moved else -3.0, 1.0)
        rows.append(Row(payment_id, at_ms, features, score, rules=(HIT, NO_HIT)))
        said = label(payment_id, f"l-{number}", at_ms + 2 * DAY_MS, "suspicious" if suspicious else "not_suspicious")
        labels.append((payment_id, encode(said)))
    return in_batches(rows, schema), labels


def examples_of(settings: Settings) -> list[tuple[int, Example]]:
    """The training log."""
    log = asyncio.run(read_all(settings, settings.topics.examples.name))
    return [(offset, decode(value, Example)) for offset, _, value in log]


def shown(port: int, count: int) -> Samples | None:
    """What the learner shows, once it has judged ``count`` examples."""
    found = samples(exposition(port))
    return found if total(found, "tocsin_prequential_examples", {"cohort": "all"}) == count else None


def figures_shown(found: Samples, cohort: str) -> list[float]:
    names = ("average_precision", "recall_at_budget", "calibration_error", "brier")
    return [total(found, f"tocsin_prequential_{name}", {"cohort": cohort}) for name in names]


def test_a_killed_learner_shows_the_figures_and_asks_for_the_refit_that_its_logs_give(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    settings = settings_for(
        kafka,
        tmp_path,
        "drift.",
        metrics_port=port,
        drift_sample=1,
        drift_window_days=1,
        drift_window_decisions=100,
        drift_psi=0.6,  # far above the chance of so small a window
        partitions=1,  # one order: the windows end where an offline run ends them
    )
    decisions, labels = records(plan_of(settings).feature_schema_hash)
    asyncio.run(create_topics(settings))
    asyncio.run(write(settings, settings.topics.features.name, decisions))
    asyncio.run(write(settings, settings.topics.labels.name, labels))
    log = tmp_path / "log"
    for goal in (400, 1_400):
        with LearnerProcess(settings, log) as learner:
            learner.until(lambda goal=goal: distinct(settings) >= goal)  # type: ignore[misc]
    with LearnerProcess(settings, log) as learner:
        learner.until(partial(all_shown, port, len(labels)))
        found = shown(port, len(labels))
        assert found is not None
        assert learner.stop() == 0

    offline = Prequential()
    heard = [offline.take(example, offset) for offset, example in examples_of(settings)]
    for cohort in NAMES:
        figures = offline.figures(cohort, settings.alert_budget_share)
        wanted = (figures.average_precision, figures.recall_at_budget, figures.calibration_error, figures.brier)
        told = [math.nan if each is None else each for each in wanted]
        assert figures_shown(found, cohort) == pytest.approx(told, nan_ok=True)
    assert total(found, "tocsin_prequential_average_precision", {"cohort": "7d"}) > 0.3
    assert (settings.state_dir / FILE).is_file()

    request = read_request(settings.state_dir)
    assert request is not None
    assert request.alarms.keys() == {"loss", "feature", "score"}
    assert request.alarms["loss"] == [alarm for alarm in heard if alarm is not None][-1]
    assert request.alarms["loss"].about == "suspicious/7d"
    assert request.alarms["feature"].values.keys() == {"amount"}
    moved = (DAY + (MOVED_FROM + 1) * DAY_MS, "1")
    assert (request.alarms["feature"].event_time_ms, request.alarms["feature"].about) == moved
    assert total(found, "tocsin_drift_psi", {"feature": "amount"}) == request.alarms["feature"].values["amount"] > 1.0
    assert total(found, "tocsin_drift_score_psi") > 0.25
    assert total(found, "tocsin_drift_decisions", {"window": "reference"}) == A_DAY
    assert total(found, "tocsin_drift_refit_requested") == 3
    said = log.read_text()
    assert "drift of feature: amount" in said
    assert "drift of loss on suspicious/7d" in said
    for private in ('"p-', " p-", "payer-1", "payee-1"):
        assert private not in said
        assert private not in repr(found)


def all_shown(port: int, count: int) -> bool:
    """Whether the learner answers, has judged everything, and has nothing left to compute."""
    try:
        found = shown(port, count)
    except OSError:
        return False
    return found is not None and total(found, "tocsin_prequential_examples") == 2 * count
