"""How good a ranking of subjects is. Pure; arrays of one score and one truth a subject."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Subjects from the highest score to the lowest. Equal scores stand or fall together."""

    order: NDArray[np.int64]
    scores: Floats
    truth: Flags
    ends: Flags
    """Where a run of equal scores ends: only there can a threshold lie."""

    @classmethod
    def of(cls, scores: Floats, truth: Flags) -> Ranking:
        """Rank ``scores`` (float64[n]) with their ``truth`` (bool[n])."""
        order = np.argsort(-scores, kind="stable")
        falling = scores[order]
        return cls(order, falling, truth[order], np.append(falling[1:] != falling[:-1], True)[: len(falling)])

    def threshold_at_precision(self, precision: float) -> float:
        """The lowest score at and above which at least ``precision`` of the subjects are true; infinity for none.

        >>> Ranking.of(np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False])).threshold_at_precision(0.6)
        2.0
        """
        found = np.cumsum(self.truth) / np.arange(1, len(self.truth) + 1)
        fits = np.flatnonzero(self.ends & (found >= precision))
        return float(self.scores[fits[-1]]) if len(fits) else float("inf")

    def threshold_at_budget(self, budget: int) -> float:
        """The lowest score that at most ``budget`` subjects reach; infinity when even the highest is shared by more."""
        fits = np.flatnonzero(self.ends & (np.arange(1, len(self.truth) + 1) <= budget))
        return float(self.scores[fits[-1]]) if len(fits) else float("inf")


def recall(scores: Floats, truth: Flags, threshold: float) -> float | None:
    """Share of the true subjects at or above ``threshold``; ``None`` where there are none."""
    return float((scores[truth] >= threshold).mean()) if truth.any() else None


def interval(share: float | None, of: int) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a ``share`` found among ``of`` subjects (Wilson 1927); ``None`` where there are none.

    >>> [round(end, 2) for end in interval(0.8, 30)]
    [0.63, 0.9]
    """
    if share is None or not of:
        return None
    z = 1.959964
    centre = share + z * z / (2 * of)
    reach = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, (centre - reach) / (1 + z * z / of)), min(1.0, (centre + reach) / (1 + z * z / of))
