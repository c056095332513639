"""A model for assessment: of the kinds that serve, from another seed's stream.

The labels are truth, which no deployment has: what this shows is what the features can carry. How learning fares under
late and missing labels is the business of the prequential evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.kinds.kind import FitInputs, Share
from models.kinds.table import KINDS
from services.scorer.path.features.registry import INDEX
from services.scorer.path.scoring.ensemble import Deciding
from services.workbench.assessment.replayed import Labelled

SAMPLE = 0.3
"""Share of the payments of other payers that are learned."""
OTHERS_MAX = 500_000
"""Payments of other payers that are learned at most: half a gigabyte."""
PASSES = 3
"""How often a kind that learns example by example learns each, each time in another order."""


class TruthTrainer:
    """Learns every payment of the payers to be found, and a bounded, seeded sample of the others, in a seeded order.

    The order of a stream puts a payer's payments close together, and a learner that steps after each example then ends
    where the last few payers pushed it. Deployments learn in the order in which labels come, which mixes payers; here
    the examples are mixed.
    """

    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self._features: list[NDArray[np.float64]] = []
        self._truth: list[NDArray[np.bool_]] = []
        self._chances: list[NDArray[np.float64]] = []
        """Of each payment a number drawn from 0 to 1; others are kept below ``_sample``."""
        self._sample, self._others = SAMPLE, 0

    @property
    def examples(self) -> int:
        """How many have been taken."""
        return sum(map(len, self._truth))

    @property
    def has_both_labels(self) -> bool:
        """Whether there is something to tell apart."""
        positive = sum(int(each.sum()) for each in self._truth)
        return 0 < positive < self.examples

    def follow(self, stream: Labelled, share: Share) -> None:
        """Take a whole stream: payments that a pack for remittances applies to, by the truth of their payers."""
        for batch in stream.batches(share):
            rows = batch.remittances
            self.take(batch.features[rows], stream.truth.positive[batch.lines[rows, 0]])

    def take(self, features: NDArray[np.float64], truth: NDArray[np.bool_]) -> None:
        """Take a batch: ``features`` float64[n, k], ``truth`` bool[n]."""
        chances = self._draw.random(len(truth))
        chosen = truth | (chances < self._sample)
        self._features.append(features[chosen])
        self._truth.append(truth[chosen])
        self._chances.append(chances[chosen])
        self._others += int(np.count_nonzero(chosen & ~truth))
        while self._others > OTHERS_MAX:
            self._thin()

    def _thin(self) -> None:
        """Halve the sample of the others, evenly over all that was taken."""
        self._sample /= 2
        kept = [truth | (chances < self._sample) for truth, chances in zip(self._truth, self._chances, strict=True)]
        self._features = [rows[keep] for rows, keep in zip(self._features, kept, strict=True)]
        self._chances = [rows[keep] for rows, keep in zip(self._chances, kept, strict=True)]
        self._truth = [rows[keep] for rows, keep in zip(self._truth, kept, strict=True)]
        self._others = sum(int(np.count_nonzero(~truth)) for truth in self._truth)

    def model(self, kind: str, feature_schema_hash: str, share: Share, hidden: Sequence[str] = ()) -> Deciding:
        """Learn what was taken, without the features ``hidden``; ``share`` is told how much is done.

        The model's operating threshold is 1: the assessment sets its own.

        Raises
        ------
        ImportError
            When the kind needs an extra that is not installed.
        """
        features, truth = np.concatenate(self._features), np.concatenate(self._truth)
        features[:, [INDEX[name] for name in hidden]] = np.nan
        order = np.arange(len(truth))
        if KINDS[kind].fit is None:
            order = np.concatenate([self._draw.permutation(len(truth)) for _ in range(PASSES)])
        inputs = FitInputs(features[order], truth[order], np.ones(len(order)), feature_schema_hash)
        return KINDS[kind].fitted(inputs, 1, share=share)
