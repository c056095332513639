"""Learners for the backtest: the models of ``models/`` behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from models.kinds.boosting import compile_boosting
from models.kinds.boosting import fit as fit_boosting
from models.kinds.logistic import PRIOR_LOG_ODDS, compile_logistic, create_logistic, readable
from models.measures import Flags, Floats
from services.contract.units import DAY_MS
from services.scorer.path.scoring.ensemble import EnsembleModel
from services.scorer.path.scoring.model import Model
from services.workbench.backtest import Learner


class Logistic:
    """River's scaled logistic regression, one label at a time: what the live learner does."""

    def __init__(self) -> None:
        self._pipeline = create_logistic()

    def model(self) -> Model | None:
        """What it has learned so far."""
        return compile_logistic(self._pipeline, 1, "", 1.0)

    def score(self, features: Floats, at_ms: int) -> Floats:
        """As ``Learner``."""
        said = [self._pipeline.predict_proba_one(_readable(row))[True] for row in features.tolist()]
        probability = np.clip(np.array(said, dtype=np.float64), 1e-300, 1.0 - 1e-16)
        return np.asarray(np.log(probability) - np.log1p(-probability))

    def learn(self, features: Floats, labels: Flags, weights: Floats, at_ms: int) -> None:
        """As ``Learner``."""
        for row, label, weight in zip(features.tolist(), labels.tolist(), weights.tolist(), strict=True):
            self._pipeline.learn_one(_readable(row), label, w=weight)


class Boosting:
    """Boosted trees, refitted every ``refit_days`` of event time on the labels of the last ``train_days``."""

    def __init__(
        self, refit_days: float = 7.0, train_days: float = 120.0, positives_min: int = 20, bounded: bool = True
    ) -> None:
        self._bounded = bounded
        self._refit_ms, self._train_ms, self._positives_min = refit_days * DAY_MS, train_days * DAY_MS, positives_min
        self._known: list[tuple[int, Floats, Flags, Floats]] = []
        self._fitted_ms: float = -np.inf
        self._model: EnsembleModel | None = None

    def model(self) -> Model | None:
        """The latest fit; ``None`` before the first."""
        return self._model

    def score(self, features: Floats, at_ms: int) -> Floats:
        """As ``Learner``; the prior until there are ``positives_min`` labels of each kind."""
        if at_ms - self._fitted_ms >= self._refit_ms:
            self._refit(at_ms)
        return np.full(len(features), PRIOR_LOG_ODDS) if self._model is None else self._model.scores(features)

    def learn(self, features: Floats, labels: Flags, weights: Floats, at_ms: int) -> None:
        """As ``Learner``: they count from the next refit."""
        self._known.append((at_ms, features, labels, weights))

    def _refit(self, at_ms: int) -> None:
        self._known = [each for each in self._known if at_ms - each[0] <= self._train_ms]
        labels = np.concatenate([each[2] for each in self._known]) if self._known else np.zeros(0, dtype=np.bool_)
        if min(labels.sum(), len(labels) - labels.sum()) < self._positives_min:
            return
        features = np.concatenate([each[1] for each in self._known])
        weights = np.concatenate([each[3] for each in self._known])
        text = fit_boosting(features, labels, weights, self._bounded)
        self._model = EnsembleModel(compile_boosting(text, 1, ""), 1.0)
        self._fitted_ms = at_ms


class ModelLearner(Learner, Protocol):
    """A learner whose knowledge is a model."""

    def model(self) -> Model | None:
        """What it has learned so far; ``None`` before there is anything."""


LEARNERS: dict[str, Callable[[float, bool], ModelLearner]] = {
    "logistic": lambda _days, _bounded: Logistic(),
    "boosting": lambda days, bounded: Boosting(refit_days=days, bounded=bounded),
}
"""By name: what makes one, of the days between two refits and of whether labels' weights are bounded."""


def _readable(row: list[float]) -> dict[str, float]:
    return readable([None if value != value else value for value in row])
