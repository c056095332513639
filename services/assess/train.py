"""A model for assessment: the learner's own, over a sample of another seed's stream, in the order of the stream.

The labels are truth, which no deployment has: what this shows is what the features can carry. How learning fares under
late and missing labels is the business of the prequential evaluation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.logistic import compile_logistic, create_logistic, readable
from services.scorer.path.model import LogisticModel

SAMPLE = 0.05
"""Share of the payments of other payers that are learned."""


class TruthTrainer:
    """Learns every payment of the payers to be found, and a seeded sample of the others."""

    def __init__(self, seed: int) -> None:
        self._pipeline = create_logistic()
        self._draw = np.random.default_rng(seed)
        self.examples = 0

    def learn(self, features: NDArray[np.float64], truth: NDArray[np.bool_]) -> None:
        """Learn a batch: ``features`` float64[n, k], ``truth`` bool[n]."""
        chosen = truth | (self._draw.random(len(truth)) < SAMPLE)
        for row in np.flatnonzero(chosen).tolist():
            x = readable([None if np.isnan(value) else value for value in features[row].tolist()])
            self._pipeline.learn_one(x, bool(truth[row]))
            self.examples += 1

    def model(self, feature_schema_hash: str) -> LogisticModel:
        """What was learned, compiled. Its operating threshold is 1: the assessment sets its own."""
        return compile_logistic(self._pipeline, 1, feature_schema_hash, review_probability=1.0)
