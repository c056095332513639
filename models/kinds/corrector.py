"""The online corrector: a small logistic regression on top of the ensemble, which never stops learning.

The ensemble is refitted from time to time; between two fits behaviour drifts. The corrector learns every example as
it comes, from the log-odds that the ensemble gave it: served log-odds are ``intercept + slope * ensemble`` and, where
features are named, ``weight * scaled feature`` for each. That is Platt's scaling (*Probabilistic Outputs for Support
Vector Machines*, 1999) learned by stochastic gradient descent, with the same bounded steps as the logistic model.

A corrector belongs to one ensemble: a refitted one begins with a new corrector, which says what the ensemble says.
Plain Python floats, one operation after the other: the same examples give the same state on any machine whose ``exp``
is the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from models.kinds.kind import GRADIENT_MAX, SCALE_MIN
from services.scorer.path.features.registry import INDEX
from services.scorer.path.scoring.correction import CLIP, CorrectedForest, Correction
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.model import probability

LEARNING_RATE = 0.005
"""Of the intercept and of named features' weights, constant."""
SLOPE_RATE = 0.0005
"""Of the slope: log-odds are several times larger than scaled features, and their square is in each step."""
L2 = 1e-3
"""What draws the slope to 1 and the weights to 0: without evidence the ensemble is right."""
SLOPE_MIN, SLOPE_MAX = 0.2, 3.0
"""No run of labels turns the ensemble round, nor silences it."""
INTERCEPT_MAX = 10.0
SCORE_MAX = 20.0
"""Ensemble's log-odds beyond it in size are learned from as if they were it."""

DEFINITION: dict[str, Any] = {
    "kind": "corrector",
    "learning_rate": LEARNING_RATE,
    "slope_rate": SLOPE_RATE,
    "l2": L2,
    "slope_min": SLOPE_MIN,
    "slope_max": SLOPE_MAX,
    "intercept_max": INTERCEPT_MAX,
    "score_max": SCORE_MAX,
    "gradient_max": GRADIENT_MAX,
    "scale_min": SCALE_MIN,
    "clip": CLIP,
}
"""All that decides what a corrector makes of a sequence of examples, besides the features it is to correct."""


class CorrectorState(msgspec.Struct, frozen=True):
    """Everything a corrector has learned. JSON keeps each number to the bit."""

    forest_hash: str
    """The ensemble that it corrects."""
    names: tuple[str, ...]
    """The corrected features, in canonical order."""
    intercept: float
    slope: float
    weights: tuple[float, ...]
    counts: tuple[int, ...]
    means: tuple[float, ...]
    variances: tuple[float, ...]
    examples: int


def new_corrector(forest_hash: str, names: Sequence[str] = ()) -> CorrectorState:
    """The state of a corrector that says what the ensemble says.

    Raises
    ------
    ValueError
        When a name is no feature, or stands twice.
    """
    if len(set(names)) != len(names) or any(name not in INDEX for name in names):
        raise ValueError(f"{', '.join(names)}: not features of the registry, each once")
    zeros = (0.0,) * len(names)
    ordered = tuple(sorted(names, key=INDEX.__getitem__))
    return CorrectorState(forest_hash, ordered, 0.0, 1.0, zeros, (0,) * len(names), zeros, zeros, 0)


class Corrector:
    """Learns examples one by one.

    >>> corrector = Corrector(new_corrector("00" * 32))
    >>> corrector.log_odds_one(-2.5, {})
    -2.5
    >>> corrector.learn_one(-2.5, {}, label=True, weight=1.0)
    >>> corrector.log_odds_one(-2.5, {}) > -2.5
    True
    """

    def __init__(self, state: CorrectorState) -> None:
        self._check(state)
        self.forest_hash, self.names = state.forest_hash, state.names
        self.intercept, self.slope, self.examples = state.intercept, state.slope, state.examples
        self._weights, self._counts = list(state.weights), list(state.counts)
        self._means, self._variances = list(state.means), list(state.variances)

    def log_odds_one(self, score: float, x: Mapping[str, float]) -> float:
        """Corrected log-odds.

        Parameters
        ----------
        score
            The ensemble's log-odds.
        x
            ``readable`` features; those that are not corrected are not looked at.
        """
        total = self.intercept + self.slope * score
        for weight, scaled in zip(self._weights, self._scaled(x), strict=True):
            total += weight * scaled
        return total

    def learn_one(self, score: float, x: Mapping[str, float], label: bool, weight: float) -> None:
        """Learn one example; the scaler first, as in River, then one step down the gradient of the log-loss."""
        self._scale(x)
        scaled = self._scaled(x)
        held = min(max(score, -SCORE_MAX), SCORE_MAX)
        log_odds = self.log_odds_one(held, x)
        step = weight * (probability(log_odds) - float(label))
        step = min(max(step, -GRADIENT_MAX), GRADIENT_MAX)
        self.intercept -= LEARNING_RATE * step
        self.intercept = min(max(self.intercept, -INTERCEPT_MAX), INTERCEPT_MAX)
        self.slope -= SLOPE_RATE * (step * held + L2 * (self.slope - 1.0))
        self.slope = min(max(self.slope, SLOPE_MIN), SLOPE_MAX)
        for at, value in enumerate(scaled):
            self._weights[at] -= LEARNING_RATE * (step * value + L2 * self._weights[at])
        self.examples += 1

    def state(self) -> CorrectorState:
        """All that its future depends on: ``Corrector(corrector.state())`` goes on identically."""
        return CorrectorState(
            forest_hash=self.forest_hash,
            names=self.names,
            intercept=self.intercept,
            slope=self.slope,
            weights=tuple(self._weights),
            counts=tuple(self._counts),
            means=tuple(self._means),
            variances=tuple(self._variances),
            examples=self.examples,
        )

    def compiled(self, forest: Forest, version: int) -> CorrectedForest:
        """The ensemble as corrected so far, which scores as ``log_odds_one`` of its raw score does, within 1e-12.

        Raises
        ------
        ValueError
            When it learned on top of another ensemble.
        """
        if forest.hash != self.forest_hash:
            raise ValueError(f"it corrects ensemble {self.forest_hash[:12]}, not {forest.hash[:12]}")
        correction = Correction(
            feature_schema_hash=forest.feature_schema_hash,
            intercept=self.intercept,
            slope=self.slope,
            features=np.array([INDEX[name] for name in self.names], dtype=np.int32),
            weights=np.array(self._weights, dtype=np.float64),
            means=np.array(self._means, dtype=np.float64),
            scales=np.array([self._deviation(at) for at in range(len(self.names))], dtype=np.float64),
        )
        return CorrectedForest(version, forest, correction)

    def _scale(self, x: Mapping[str, float]) -> None:
        """Running mean and variance (Welford, *Technometrics* 4(3), 1962) of the features that ``x`` has."""
        for at, name in enumerate(self.names):
            value = x.get(name)
            if value is not None:
                self._counts[at] += 1
                count, before = self._counts[at], self._means[at]
                self._means[at] += (value - before) / count
                squares = (value - before) * (value - self._means[at])
                self._variances[at] += (squares - self._variances[at]) / count

    def _scaled(self, x: Mapping[str, float]) -> list[float]:
        """The corrected features scaled and clipped; 0 where one is missing or has not varied."""
        scaled = []
        for at, name in enumerate(self.names):
            value, deviation = x.get(name), self._deviation(at)
            if value is None or deviation == 0.0:
                scaled.append(0.0)
            else:
                scaled.append(min(max((value - self._means[at]) / deviation, -CLIP), CLIP))
        return scaled

    def _deviation(self, at: int) -> float:
        variance = self._variances[at]
        return max(math.sqrt(variance), SCALE_MIN) if variance > 0.0 else 0.0

    @staticmethod
    def _check(state: CorrectorState) -> None:
        positions = [INDEX.get(name, -1) for name in state.names]
        if -1 in positions or positions != sorted(set(positions)):
            raise ValueError(f"{', '.join(state.names)}: not features of the registry in canonical order")
        columns: list[Sequence[float]] = [state.weights, state.counts, state.means, state.variances]
        if any(len(column) != len(state.names) for column in columns):
            raise ValueError("not a weight, count, mean and variance for each corrected feature")
        numbers = [state.intercept, state.slope, *(number for column in columns for number in column)]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("a number of the corrector is not finite")
