"""From a data set to a version in the registry, and two versions beside each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.kinds.table import ON_TABLES
from models.registry.card import card_of
from models.registry.registry import Registry, RegistryError
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.ensemble import model_from
from services.workbench.compare import ComparisonError, compared, unseen
from services.workbench.dataset import UNLABELLED
from services.workbench.plots import CONTRIBUTING_FEATURES, draw, psi
from services.workbench.train import TrainingError, train
from tests.support.models import random_model
from tests.workbench.samples import DAY_MS, SCHEMA, sample

BUDGET = 0.05


def quiet(_doing: str) -> None:
    """Tell nobody."""


@pytest.mark.parametrize("kind", ON_TABLES)
def test_a_trained_version_is_saved_as_a_challenger_with_what_it_is_worth(kind: str, tmp_path: Path) -> None:
    data, registry = sample(4, 2_500), Registry(tmp_path)
    made = train(data, kind, "mine", registry, BUDGET, 7.0, None, quiet)
    again = train(data, kind, "mine", registry, BUDGET, 7.0, None, quiet)
    assert made == registry.load("mine", 1) == registry.named("mine/1")
    assert again == registry.named("mine")
    assert again.announcement.version == 2
    said = made.announcement
    assert said.challenger
    model = model_from(said, SCHEMA)
    assert model.hash == said.model_hash
    held_out = made.about["held_out"]["all"]
    assert held_out["auc"] > 0.75
    assert set(list(made.about["most_contributing"])[:2]) == set(NAMES[:2])
    reviewed = (1 / (1 + np.exp(-model.scores(data.features))) >= said.review_probability).mean()
    assert 0 < reviewed < 4 * BUDGET
    card = card_of(made, SCHEMA)
    assert card["fits_present_features"]
    assert [each["feature"] for each in card["features"][:2]]


def test_one_wrong_date_does_not_move_what_is_held_out(tmp_path: Path) -> None:
    data = sample(5, 3_000)
    dated = data.event_ms.copy()
    dated[0] -= 300 * DAY_MS
    told = [
        train(each, "boosting", name, Registry(tmp_path), BUDGET, 7.0, None, quiet).about["held_out"]
        for name, each in (("right", data), ("wrong", replace(data, event_ms=dated)))
    ]
    assert told[0] == told[1]
    assert told[0]["from_ms"] == data.event_ms[2_250]


def test_the_same_data_give_the_same_model(tmp_path: Path) -> None:
    data = sample(2, 1_500)
    made = [train(data, "boosting", f"line{at}", Registry(tmp_path), BUDGET, 7.0, None, quiet) for at in (1, 2)]
    assert made[0].announcement.model_hash == made[1].announcement.model_hash
    assert made[0].about == made[1].about


def test_a_data_set_without_enough_labels_is_refused(tmp_path: Path) -> None:
    data = sample(3, 100)
    with pytest.raises(TrainingError, match="labels say suspicious; 10 of each kind are needed"):
        train(data, "logistic", "mine", Registry(tmp_path), BUDGET, 7.0, None, quiet)
    with pytest.raises(TrainingError, match="kind 'oracle'"):
        train(data, "oracle", "mine", Registry(tmp_path), BUDGET, 7.0, None, quiet)
    with pytest.raises(RegistryError, match="has no model mine"):
        Registry(tmp_path).named("mine")


def test_a_better_model_is_told_from_a_worse_one_and_a_model_from_itself(tmp_path: Path) -> None:
    data, registry = sample(4, 4_000), Registry(tmp_path)
    early = data.as_of(25 * DAY_MS)
    good = train(early, "logistic", "good", registry, BUDGET, 3.0, None, quiet).announcement
    noise = early.chosen(np.arange(len(early)))
    bad_data = sample(5, len(noise), labelled=1.0)
    bad = train(bad_data, "logistic", "bad", registry, BUDGET, 3.0, None, quiet).announcement
    models = [model_from(each, SCHEMA) for each in (good, bad)]
    rest = unseen(data, (good.trained_event_time_ms, good.trained_event_time_ms))
    assert 0 < len(rest) < len(data)
    first, second = (model.scores(rest.features) for model in models)
    same = compared(rest, first, first, BUDGET)
    assert same["agreement"] == 1.0
    assert same["difference"]["average_precision"] == {"value": 0.0, "interval_95": [0.0, 0.0]}
    other = compared(rest, first, second, BUDGET)
    low, high = other["difference"]["average_precision"]["interval_95"]
    assert low <= other["difference"]["average_precision"]["value"] <= high
    none = rest.label == UNLABELLED
    with pytest.raises(ComparisonError, match="none is suspicious"):
        compared(rest.chosen(none), first[none], second[none], BUDGET)


def test_the_pictures_are_written_and_drift_is_found(tmp_path: Path) -> None:
    data = sample(6, 1_000)
    model = random_model(1, SCHEMA)
    pictures = draw(data, data.score, BUDGET, tmp_path, model)
    assert [each.stem for each in pictures] == [
        "precision-recall", "recall-over-time", "calibration", "drift", "contributions"
    ]  # fmt: skip
    for each in pictures:
        assert each.read_text("utf-8").startswith("<?xml")
    sizes = np.abs(model.contributions(data.features)[0]).mean(axis=0)
    shown = [NAMES[at] for at in np.argsort(-sizes)[:CONTRIBUTING_FEATURES].tolist()]
    picture = pictures[-1].read_text("utf-8")
    assert all(f">{name}<" in picture for name in shown)
    assert sum(f">{name}<" in picture for name in NAMES) == CONTRIBUTING_FEATURES
    draw_from = np.random.default_rng(1)
    before = draw_from.normal(size=5_000)
    assert psi(before, draw_from.normal(size=5_000)) < 0.1
    assert psi(before, draw_from.normal(1.0, size=5_000)) > 0.25
    gone = np.where(draw_from.random(5_000) < 0.5, np.nan, before)
    assert psi(before, gone) > 0.25
