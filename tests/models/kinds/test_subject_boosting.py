"""The subject model's learner: a bag is the mean of its ensembles, and log-odds are moved to a base rate."""

from __future__ import annotations

import numpy as np
import pytest

from models.kinds import subject_boosting
from models.kinds.lightgbm_text import BoostingError, compile_bag
from models.kinds.subject_boosting import Rows, fit_first, shift_to

NAMES = ("a", "b", "c")
SCHEMA = "f" * 64


def rows(count: int = 3_000) -> Rows:
    """Positive where ``a`` is high and ``b`` is missing, mostly."""
    draw = np.random.default_rng(5)
    features = draw.normal(size=(count, len(NAMES))).astype(np.float32)
    features[draw.random(count) < 0.3, 1] = np.nan
    positive = (features[:, 0] > 1.0) & np.isnan(features[:, 1]) & (draw.random(count) < 0.9)
    return Rows(features, positive, np.ones(count))


def test_a_bag_is_the_mean_of_its_ensembles() -> None:
    lightgbm = subject_boosting.library()
    data = rows()
    forest = fit_first(data, NAMES, SCHEMA, lambda share: None)
    raws = []
    for at in range(subject_boosting.BAG):
        fitted = lightgbm.train(
            {**subject_boosting.PARAMETERS, "seed": subject_boosting.PARAMETERS["seed"] + at},
            lightgbm.Dataset(data.features, label=data.positive.astype(np.float64), feature_name=list(NAMES)),
            num_boost_round=subject_boosting.ROUNDS,
        )
        raws.append(fitted.predict(data.features.astype(np.float64), raw_score=True, num_threads=1))
    assert np.abs(np.std(raws, axis=0)).max() > 0.0
    assert np.allclose(forest.scores(data.features.astype(np.float64)), np.mean(raws, axis=0), atol=1e-9)


def test_the_same_rows_give_the_same_bytes() -> None:
    assert fit_first(rows(), NAMES, SCHEMA, lambda share: None).hash == fit_first(
        rows(), NAMES, SCHEMA, lambda share: None
    ).hash  # fmt: skip


def test_rows_of_one_label_are_refused() -> None:
    data = rows()
    with pytest.raises(ValueError, match="both labels"):
        fit_first(data._replace(positive=np.zeros_like(data.positive)), NAMES, SCHEMA, lambda share: None)


def test_other_names_are_refused() -> None:
    lightgbm = subject_boosting.library()
    data = rows(200)
    text = lightgbm.train(
        subject_boosting.PARAMETERS, lightgbm.Dataset(data.features, label=data.positive.astype(float)), 2
    ).model_to_string()
    with pytest.raises(BoostingError, match="other features"):
        compile_bag([text], 0, SCHEMA, NAMES)


def test_log_odds_move_by_the_difference_of_base_rates() -> None:
    weights = np.array([1.0, 1.0, 2.0, 4.0])
    positive = np.array([True, True, False, False])
    moved = shift_to(0.001, Rows(np.zeros((4, 1), dtype=np.float32), positive, weights))
    assert moved == pytest.approx(np.log(0.001 / 0.999) - np.log(0.25 / 0.75))
