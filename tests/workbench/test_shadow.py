"""Challengers' live scores against labels: what counts, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.measures import Floats
from services.cli.compare import _show_shadow
from services.contract.columns import Texts, ids_of
from services.contract.shadow_scores import ShadowScores
from services.workbench.dataset import UNLABELLED, Dataset
from services.workbench.measures import measured
from services.workbench.plots import draw_against
from services.workbench.shadow import Shadowed, against_champion, rows_of, take_scores
from tests.workbench.samples import DAY_MS, sample

BUDGET = 0.05
DATA = sample(8, 2_000)
HALF = np.where(np.arange(len(DATA)) % 2 == 0, np.nan, DATA.score + 0.5)


def test_only_what_it_scored_after_what_it_learned_from_counts() -> None:
    challenger = Shadowed("mine/1", "f" * 64, 20 * DAY_MS, HALF)
    rows = rows_of(DATA, challenger)
    assert rows.tolist() == [at % 2 == 1 and event > 20 * DAY_MS for at, event in enumerate(DATA.event_ms.tolist())]
    found = against_champion(DATA, challenger, BUDGET)
    assert found["decisions"] == rows.sum()
    assert found["champion"]["payments"] == (DATA.label[rows] != UNLABELLED).sum()
    assert found["agreement"] == 1.0, "the same order"
    assert found["difference"]["average_precision"] == {"value": 0.0, "interval_95": [0.0, 0.0]}
    assert found["cohorts"]["champion"] == {
        cohort: each.as_dict() for cohort, each in measured(DATA.chosen(rows), DATA.score[rows], BUDGET).items()
    }
    assert found["cohorts"]["challenger"]["7d"]["brier"] != found["cohorts"]["champion"]["7d"]["brier"]
    assert found["trained_until_known"]


def test_scores_go_to_the_rows_of_their_decisions_and_one_without_a_number_takes_none_away() -> None:
    ids = np.arange(64, dtype=np.uint8).reshape(4, 16)
    row_of = {name: row for row, name in enumerate(ids_of(ids)[::-1][:3])}  # the first decision is of no data set

    def batch(rows: list[int], scores: list[list[float]], challengers: tuple[str, ...]) -> ShadowScores:
        texts = Texts.of([b"x"] * len(rows))
        times, served = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows))
        return ShadowScores("m", challengers, "", ids[rows], texts, texts, times, served, np.array(scores))

    found: dict[str, Floats] = {}
    nan = float("nan")
    take_scores(found, batch([0, 1, 2], [[9.0, 9.0], [1.0, nan], [2.0, nan]], ("a", "b")), row_of)
    take_scores(found, batch([2, 3], [[nan], [3.0]], ("a",)), row_of)
    assert found.keys() == {"a"}
    assert found["a"].tolist() == [3.0, 2.0, 1.0]


def test_without_a_suspicious_label_it_says_so() -> None:
    unlabelled = Dataset.chosen(DATA, DATA.label == UNLABELLED)
    found = against_champion(unlabelled, Shadowed("mine/1", "f" * 64, 0, unlabelled.score), BUDGET)
    assert (found["decisions"], found["trained_until_known"]) == (len(unlabelled), False)
    assert "none is suspicious" in found["why"]


def test_people_are_told_each_challenger_and_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    found = against_champion(DATA, Shadowed("mine/1", "f" * 64, 0, HALF), BUDGET)
    _show_shadow({"mine/1": found, "other/2": {"why": "none is suspicious"}})
    shown = capsys.readouterr().out
    assert "of served's reviews are mine/1's too" in shown
    assert "other/2: none is suspicious" in shown
    assert "--trained-until" in shown
    assert "30d" in shown


def test_the_picture_tells_whose_reviews_are_whose(tmp_path: Path) -> None:
    rows = ~np.isnan(HALF)
    part = DATA.chosen(rows)
    path = draw_against(part, part.score, -part.score, BUDGET, "mine/1", tmp_path / "plots")
    drawn = path.read_text()
    assert path.name == "champion-against-mine-1.svg"
    assert "0 both, 50 champion, 50 challenger" in drawn
    assert draw_against(part, part.score, -part.score, BUDGET, "mine/1", tmp_path).read_text() == drawn
