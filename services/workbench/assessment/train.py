"""A model for assessment: of the kinds that serve, from another seed's stream.

The labels are truth, which no deployment has: what this shows is what the features can carry. How learning fares under
late and missing labels is the business of the prequential evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.kinds.boosting import compile_boosting, fit
from models.kinds.logistic import compile_logistic, create_logistic, readable
from services.scorer.path.features.registry import INDEX
from services.scorer.path.scoring.ensemble import EnsembleModel
from services.scorer.path.scoring.model import LogisticModel, Model

SAMPLE = 0.3
"""Share of the payments of other payers that are learned."""
KINDS = ("boosting", "logistic")
PASSES = 3
"""How often the logistic model learns each example, each time in another order."""
AVERAGED_EVERY = 200
"""Examples of the last pass between two looks at the weights, whose mean is the model."""


class TruthTrainer:
    """Learns every payment of the payers to be found, and a seeded sample of the others, in a seeded order.

    The order of a stream puts a payer's payments close together, and a learner that steps after each example then ends
    where the last few payers pushed it. Deployments learn in the order in which labels come, which mixes payers; here
    the examples are mixed, and the weights of the last pass averaged (Polyak and Juditsky 1992).
    """

    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self._features: list[NDArray[np.float64]] = []
        self._truth: list[NDArray[np.bool_]] = []

    @property
    def examples(self) -> int:
        """How many have been taken."""
        return sum(map(len, self._truth))

    def take(self, features: NDArray[np.float64], truth: NDArray[np.bool_]) -> None:
        """Take a batch: ``features`` float64[n, k], ``truth`` bool[n]."""
        chosen = truth | (self._draw.random(len(truth)) < SAMPLE)
        self._features.append(features[chosen])
        self._truth.append(truth[chosen])

    def model(
        self, kind: str, feature_schema_hash: str, share: Callable[[float], None], hidden: Sequence[str] = ()
    ) -> Model:
        """Learn what was taken, without the features ``hidden``; ``share`` is told how much is done.

        The model's operating threshold is 1: the assessment sets its own.

        Raises
        ------
        ImportError
            When ``kind`` is ``boosting`` and LightGBM is not installed.
        """
        features, truth = np.concatenate(self._features), np.concatenate(self._truth)
        features[:, [INDEX[name] for name in hidden]] = np.nan
        if kind == "boosting":
            text = fit(features, truth, np.ones(len(truth)), share=share)
            return EnsembleModel(compile_boosting(text, 1, feature_schema_hash), review_probability=1.0)
        pipeline = create_logistic()
        seen: list[LogisticModel] = []
        for turn in range(PASSES):
            for done, row in enumerate(self._draw.permutation(len(truth)).tolist()):
                values = features[row].tolist()
                pipeline.learn_one(readable([None if value != value else value for value in values]), bool(truth[row]))
                if done % AVERAGED_EVERY == 0:
                    share((turn + done / len(truth)) / PASSES)
                    if turn == PASSES - 1:
                        seen.append(compile_logistic(pipeline, 1, feature_schema_hash, review_probability=1.0))
        return _mean(seen)


def _mean(models: list[LogisticModel]) -> LogisticModel:
    """The mean of weights and biases, under the scales of the last."""
    return replace(
        models[-1],
        bias=float(np.mean([each.bias for each in models])),
        weights=np.mean([each.weights for each in models], axis=0),
    )
