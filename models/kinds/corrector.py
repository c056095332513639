"""The online corrector: a logistic regression of two numbers on top of the ensemble, which never stops learning.

The ensemble is refitted from time to time; between two fits behaviour drifts. The corrector learns every example as
it comes, from the log-odds that the ensemble gave it: served log-odds are ``intercept + slope * ensemble``. That is
Platt's scaling (*Probabilistic Outputs for Support Vector Machines*, 1999) learned by stochastic gradient descent, with
the same bounded steps as the logistic model.

A corrector belongs to one ensemble: a refitted one begins with a new corrector, which says what the ensemble says.
Plain Python floats, one operation after the other: the same examples give the same state on any machine whose ``exp``
is the same.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from models.kinds.kind import GRADIENT_MAX
from services.scorer.path.scoring.correction import CorrectedForest, Correction
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.model import probability

LEARNING_RATE = 0.005
"""Of the intercept, constant."""
SLOPE_RATE = 0.0005
"""Of the slope: log-odds are several times larger than 1, and their square is in each step."""
L2 = 1e-3
"""What draws the slope to 1: without evidence the ensemble is right."""
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
}
"""All that decides what a corrector makes of a sequence of examples."""


class Corrector(msgspec.Struct):
    """Learns examples one by one; at first it says what the ensemble says. It is its own state: JSON keeps each number
    to the bit, and it goes on identically.

    >>> corrector = Corrector("00" * 32)
    >>> corrector.log_odds_one(-2.5)
    -2.5
    >>> corrector.learn_one(-2.5, label=True, weight=1.0)
    >>> corrector.log_odds_one(-2.5) > -2.5
    True
    """

    forest_hash: str
    """The ensemble that it corrects."""
    intercept: float = 0.0
    slope: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.intercept) and math.isfinite(self.slope)):
            raise ValueError("a number of the corrector is not finite")

    def log_odds_one(self, score: float) -> float:
        """Corrected log-odds of the ensemble's ``score``."""
        return self.intercept + self.slope * score

    def learn_one(self, score: float, label: bool, weight: float) -> None:
        """Learn one example, to which the ensemble gave ``score``: one step down the gradient of the log-loss."""
        held = min(max(score, -SCORE_MAX), SCORE_MAX)
        step = weight * (probability(self.log_odds_one(held)) - float(label))
        step = min(max(step, -GRADIENT_MAX), GRADIENT_MAX)
        self.intercept -= LEARNING_RATE * step
        self.intercept = min(max(self.intercept, -INTERCEPT_MAX), INTERCEPT_MAX)
        self.slope -= SLOPE_RATE * (step * held + L2 * (self.slope - 1.0))
        self.slope = min(max(self.slope, SLOPE_MIN), SLOPE_MAX)

    def compiled(self, forest: Forest, version: int) -> CorrectedForest:
        """The ensemble as corrected so far, which scores as ``log_odds_one`` of its raw score does, within 1e-12.

        Raises
        ------
        ValueError
            When it learned on top of another ensemble.
        """
        if forest.hash != self.forest_hash:
            raise ValueError(f"it corrects ensemble {self.forest_hash[:12]}, not {forest.hash[:12]}")
        none = np.zeros(0)
        features = np.zeros(0, dtype=np.int32)  # scorers can add a few of them to the sum
        correction = Correction(forest.feature_schema_hash, self.intercept, self.slope, features, none, none, none)
        return CorrectedForest(version, forest, correction)
