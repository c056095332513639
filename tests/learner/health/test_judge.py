"""The judge's file: gone on from, begun anew, and never the reason for another figure or another alarm."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from services.contract.label import Example
from services.learner.health.alarms import Alarms, RefitRequest, read_request
from services.learner.health.judge import FILE, SAVE_EXAMPLES, SHOW_S, Judge
from services.learner.health.prequential import NAMES
from services.learner.measures import Measures
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from tests.learner.health.test_prequential import log_of

LOG = log_of(3, 2_600, rise_at=1_300)


def life(folder: Path, log: list[Example], start: int = 0) -> tuple[Judge, Measures]:
    """A judge over ``folder`` that takes ``log`` from ``start`` on."""
    settings, measures = Settings.model_validate({"state_dir": folder}), Measures(Metrics())
    judge = Judge(settings, measures, Alarms(folder, measures.health))
    for offset in range(start, len(log)):
        judge.take(log[offset], offset)
    return judge, measures


def shown(judge: Judge, measures: Measures) -> dict[tuple[str, ...], float]:
    """Every figure, once all are up to date."""
    for step in range(2 * len(NAMES)):
        judge.show(1_000.0 + step * 2 * SHOW_S)
    return {
        (metric.name, *sample.labels.values()): sample.value
        for metric in measures.metrics.registry.collect()
        if metric.name.startswith(("tocsin_prequential", "tocsin_drift_loss"))
        for sample in metric.samples
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[tuple[str, ...], float], RefitRequest | None]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return shown(*life(folder, LOG)), read_request(folder)


@pytest.mark.parametrize("cut", [0, 700, 1_900, 2_100])
@pytest.mark.parametrize("saved", [False, True])
def test_killed_and_resumed_it_shows_the_same_and_asks_for_the_same(
    tmp_path: Path, undisturbed: tuple[dict[tuple[str, ...], float], RefitRequest | None], cut: int, saved: bool
) -> None:
    first, _ = life(tmp_path, LOG[:cut])
    if saved:
        first.save()
    second, measures = life(tmp_path, LOG, start=0)  # it reads from its own place: what it knows it leaves out
    assert (shown(second, measures), read_request(tmp_path)) == undisturbed
    assert read_request(tmp_path) is not None


def test_it_saves_by_itself_every_so_often_and_not_without_news(tmp_path: Path) -> None:
    judge, _ = life(tmp_path, LOG[: SAVE_EXAMPLES - 1])
    assert not (tmp_path / FILE).exists()
    judge.take(LOG[SAVE_EXAMPLES - 1], SAVE_EXAMPLES - 1)
    assert life(tmp_path, [])[0].next_offset == SAVE_EXAMPLES
    written = (tmp_path / FILE).stat()
    judge.save()
    assert (tmp_path / FILE).stat() == written


@pytest.mark.parametrize("content", [b"", b"rubbish"])
def test_a_file_that_cannot_be_used_is_said_and_the_log_is_judged_from_its_beginning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(content)
    judge, _ = life(tmp_path, [])
    assert judge.next_offset == 0
    assert ("judging the examples from the first one on" in caplog.text) == bool(content)


def test_figures_are_not_known_before_there_is_something_suspicious(tmp_path: Path) -> None:
    _, measures = life(tmp_path, [])
    assert math.isnan(measures.health.average_precision.labels("7d")._value.get())
    innocent = [each for each in LOG if not each.label][:50]
    values = shown(*life(tmp_path, innocent))
    assert math.isnan(values["tocsin_prequential_average_precision", "all"])
    assert math.isnan(values["tocsin_prequential_recall_at_budget", "all"])
    assert values["tocsin_prequential_brier", "all"] >= 0.0
    assert values["tocsin_prequential_examples", "all", "not_suspicious"] == 50.0


def test_one_cohort_is_computed_at_a_time_and_none_before_its_time(tmp_path: Path) -> None:
    judge, measures = life(tmp_path, LOG[:500])
    gauge = measures.health.judged
    judge.show(SHOW_S / 2)
    assert sum(gauge.labels(name, "not_suspicious")._value.get() for name in NAMES) == 0.0
    judge.show(SHOW_S)
    judge.show(1.5 * SHOW_S)
    assert sum(gauge.labels(name, "not_suspicious")._value.get() > 0.0 for name in NAMES) == 1
