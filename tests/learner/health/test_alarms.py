"""An alarm of drift asks for a refit, in a file, a metric and a line of the log. It changes nothing else."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from models.drift import KINDS, Alarm
from services.contract.codec import RecordInvalid
from services.learner.health.alarms import FILE, NAMED_MAX, Alarms, RefitRequest, described, read_request, settle
from services.runtime.metrics import ModelHealth

LOSS = Alarm("loss", 1_000, "suspicious/7d", {"before": 0.5, "after": 2.0}, 0.002)
SCORE = Alarm("score", 2_000, "1", {"score": 0.5}, 0.25)


@pytest.fixture
def health() -> ModelHealth:
    return ModelHealth(CollectorRegistry())


def requested(health: ModelHealth) -> list[str]:
    return [kind for kind in KINDS if health.refit_requested.labels(kind)._value.get()]


def counted(health: ModelHealth, kind: str) -> float:
    return float(health.alarms.labels(kind)._value.get())


def test_the_latest_alarm_of_each_kind_stands_until_somebody_settles_it(tmp_path: Path, health: ModelHealth) -> None:
    alarms = Alarms(tmp_path / "state", health)
    assert read_request(tmp_path / "state") is None
    assert requested(health) == []
    alarms.ring(LOSS)
    alarms.ring(SCORE)
    later = msgspec.structs.replace(LOSS, event_time_ms=3_000)
    alarms.ring(later)
    assert read_request(tmp_path / "state") == RefitRequest({"loss": later, "score": SCORE})
    assert requested(health) == ["loss", "score"]
    assert (counted(health, "loss"), counted(health, "score"), counted(health, "feature")) == (2, 1, 0)
    settle(tmp_path / "state")
    settle(tmp_path / "state")
    alarms.refresh()
    assert requested(health) == []
    alarms.ring(SCORE)
    assert read_request(tmp_path / "state") == RefitRequest({"score": SCORE})


def test_an_alarm_that_came_after_the_request_was_read_outlives_its_settling(
    tmp_path: Path, health: ModelHealth
) -> None:
    alarms = Alarms(tmp_path, health)
    alarms.ring(LOSS)
    acted_on = read_request(tmp_path)
    alarms.ring(SCORE)
    settle(tmp_path, acted_on)
    assert read_request(tmp_path) == RefitRequest({"score": SCORE})
    settle(tmp_path, read_request(tmp_path))
    assert read_request(tmp_path) is None


def test_a_learner_that_starts_again_shows_the_request_that_stands(tmp_path: Path, health: ModelHealth) -> None:
    Alarms(tmp_path, ModelHealth(CollectorRegistry())).ring(LOSS)
    Alarms(tmp_path, health)
    assert requested(health) == ["loss"]
    assert counted(health, "loss") == 0


def test_the_same_alarm_again_writes_the_same(tmp_path: Path, health: ModelHealth) -> None:
    alarms = Alarms(tmp_path, health)
    alarms.ring(LOSS)
    first = (tmp_path / FILE).read_bytes()
    alarms.ring(LOSS)
    assert (tmp_path / FILE).read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_hooks_hear_an_alarm_when_it_has_been_written(tmp_path: Path, health: ModelHealth) -> None:
    heard: list[tuple[Alarm, RefitRequest | None]] = []
    alarms = Alarms(tmp_path, health, [lambda alarm: heard.append((alarm, read_request(tmp_path)))])
    alarms.ring(LOSS)
    assert heard == [(LOSS, RefitRequest({"loss": LOSS}))]


def test_a_file_that_is_no_request_is_said_and_replaced(
    tmp_path: Path, health: ModelHealth, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_text("{broken")
    with pytest.raises(RecordInvalid):
        read_request(tmp_path)
    Alarms(tmp_path, health).ring(SCORE)
    assert "drift.json is not a request" in caplog.text
    assert read_request(tmp_path) == RefitRequest({"score": SCORE})


def test_the_log_names_the_worst_features_and_says_what_to_do(
    tmp_path: Path, health: ModelHealth, caplog: pytest.LogCaptureFixture
) -> None:
    features = {f"feature_{at}": 0.3 + at / 10 for at in range(NAMED_MAX + 3)}
    with caplog.at_level(logging.WARNING):
        Alarms(tmp_path, health).ring(Alarm("feature", 0, "1", features, 0.25))
    (record,) = caplog.records
    assert record.getMessage().startswith("drift of feature: feature_10 1.30, feature_9 1.20")
    assert record.getMessage().endswith("and 3 more (limit 0.25); a refit is requested in drift.json")
    assert "feature_0" not in record.getMessage()
    assert described(SCORE) == "score: score 0.50 (limit 0.25)"
