"""Learners for the backtest: the models of ``models/`` behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from models.kinds.kind import FitInputs
from models.kinds.logistic import PRIOR_LOG_ODDS
from models.kinds.table import KINDS, ON_TABLES
from models.learning.training import Plan
from models.measures import Flags, Floats
from services.contract.units import DAY_MS
from services.scorer.path.scoring.ensemble import Deciding
from services.workbench.backtest import Learner

TRAIN_DAYS = 120.0
POSITIVES_MIN = 20


class InTurn:
    """A kind of model that learns one label at a time, as its line does."""

    def __init__(self, kind: str = "logistic") -> None:
        learner = KINDS[kind].learner
        assert learner is not None, "one of ON_TABLES"
        self._online = learner(Plan("", 2**62, 0.5, kind), None)

    def model(self) -> Deciding | None:
        """What it has learned so far."""
        model = self._online.compiled(1, "", 1.0)
        return model if isinstance(model, Deciding) else None

    def score(self, features: Floats, at_ms: int) -> Floats:
        """As ``Learner``."""
        model = self.model()
        return np.full(len(features), PRIOR_LOG_ODDS) if model is None else model.scores(features)

    def learn(self, features: Floats, labels: Flags, weights: Floats, at_ms: int) -> None:
        """As ``Learner``."""
        for row, label, weight in zip(features.tolist(), labels.tolist(), weights.tolist(), strict=True):
            self._online.learn([None if value != value else value for value in row], label, weight)


class Refitted:
    """A kind of model that is fitted at once, every ``refit_days`` of event time on the labels of the last
    ``TRAIN_DAYS``."""

    def __init__(
        self, kind: str = "boosting", refit_days: float = 7.0, positives_min: int = POSITIVES_MIN, bounded: bool = True
    ) -> None:
        self._kind, self._bounded = KINDS[kind], bounded
        self._refit_ms, self._positives_min = refit_days * DAY_MS, positives_min
        self._known: list[tuple[int, Floats, Flags, Floats]] = []
        self._fitted_ms: float = -np.inf
        self._model: Deciding | None = None

    def model(self) -> Deciding | None:
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
        self._known = [each for each in self._known if at_ms - each[0] <= TRAIN_DAYS * DAY_MS]
        labels = np.concatenate([each[2] for each in self._known]) if self._known else np.zeros(0, dtype=np.bool_)
        if min(labels.sum(), len(labels) - labels.sum()) < self._positives_min:
            return
        features = np.concatenate([each[1] for each in self._known])
        weights = np.concatenate([each[3] for each in self._known])
        self._model = self._kind.fitted(FitInputs(features, labels, weights, ""), 1, bounded=self._bounded)
        self._fitted_ms = at_ms


class ModelLearner(Learner, Protocol):
    """A learner whose knowledge is a model."""

    def model(self) -> Deciding | None:
        """What it has learned so far; ``None`` before there is anything."""


def learner_of(kind: str, refit_days: float, bounded: bool) -> ModelLearner:
    """What learns a kind of model as it is made for: at once every ``refit_days``, or label by label."""
    if KINDS[kind].fit is None:
        return InTurn(kind)
    return Refitted(kind, refit_days=refit_days, bounded=bounded)


LEARNERS: dict[str, Callable[[float, bool], ModelLearner]] = {kind: partial(learner_of, kind) for kind in ON_TABLES}
"""By kind: what makes one, of the days between two refits and of whether labels' weights are bounded."""
