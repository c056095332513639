"""How well scores tell what labels say: ranking, recall at a budget, calibration. Pure; arrays, one entry a payment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Whole: TypeAlias = NDArray[np.int64]

COHORTS: tuple[tuple[str, float], ...] = (("1d", 1), ("7d", 7), ("30d", 30), ("later", np.inf))
"""Age of a label when it came: at most so many days after its payment."""
CALIBRATION_BINS = 10
BUDGET_SHARE = 0.002


@dataclass(frozen=True, slots=True)
class Figures:
    """What scores are worth on labelled payments. ``None`` where a figure needs what is not there."""

    payments: int
    suspicious: int
    auc: float | None
    average_precision: float | None
    recall_at_budget: float | None
    calibration_error: float | None
    brier: float | None

    def as_dict(self) -> dict[str, float | None]:
        """As JSON."""
        return asdict(self)


class Cut(NamedTuple):
    """Where a ranking is cut: all above ``threshold`` are taken, and ``share`` of those that stand at it.

    Which of equals are taken is chance, so what is counted beyond a cut is an expectation.
    """

    threshold: float
    share: float

    def taken(self, scores: Floats) -> Floats:
        """float64[n]: how probably each of ``scores`` is taken.

        >>> Cut(2.0, 0.5).taken(np.array([3.0, 2.0, 2.0, 1.0])).tolist()
        [1.0, 0.5, 0.5, 0.0]
        """
        return np.where(scores > self.threshold, 1.0, np.where(scores == self.threshold, self.share, 0.0))


NOTHING_TAKEN = Cut(float("inf"), 0.0)


@dataclass(frozen=True, slots=True)
class Ranking:
    """What lies at and above each threshold, from the highest to the lowest. Equal scores stand or fall together, so
    every score is one threshold, however often it was given.

    Weights are inverse sampling shares: with them precision and recall stand for all payments, not for those labelled.
    """

    thresholds: Floats
    mass: Floats
    """The weight of all that reach a threshold."""
    true: Floats
    """The weight of the true ones among them."""

    @classmethod
    def of(cls, scores: Floats, truth: Flags, weights: Floats | None = None) -> Self:
        """Rank ``scores`` (float64[n]) with their ``truth`` (bool[n]) and ``weights`` (float64[n]; 1 each if none)."""
        order = np.argsort(-scores, kind="stable")
        falling, mass = scores[order], np.ones(len(scores)) if weights is None else weights[order]
        ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)[: len(falling)])
        return cls(falling[ends], np.cumsum(mass)[ends], np.cumsum(np.where(truth[order], mass, 0.0))[ends])

    @property
    def precision(self) -> Floats:
        """At each threshold."""
        return self.true / self.mass

    @property
    def recall(self) -> Floats:
        """At each threshold; not a number without a true one."""
        return self.true / self.true[-1:]

    @property
    def average_precision(self) -> float | None:
        """The precision at each threshold times the recall gained there, summed; ``None`` without a true one.

        >>> Ranking.of(np.array([3.0, 2.0, 1.0]), np.array([True, False, True])).average_precision
        0.8333333333333333
        """
        if not self.true[-1:].any():
            return None
        return float((np.diff(self.true, prepend=0.0) * self.precision).sum() / self.true[-1])

    def recall_at_budget(self, share: float) -> float | None:
        """The recall among the highest-scored ``share`` of all; ``None`` without a true one."""
        if not self.true[-1:].any():
            return None
        fits = np.flatnonzero(self.mass <= share * self.mass[-1])
        return float(self.recall[fits[-1]]) if len(fits) else 0.0

    def threshold_at_budget(self, budget: float) -> float:
        """The lowest score that at most ``budget`` of the weight reach; infinity when the highest is shared by more."""
        places = np.flatnonzero(self.mass <= budget)
        return float(self.thresholds[places[-1]]) if len(places) else float("inf")

    def cut_at_precision(self, precision: float) -> Cut:
        """The lowest cut beyond which at least ``precision`` is true in expectation, of weights of 1. What scores minus
        infinity is never taken.

        >>> scores, truth = np.array([2.0, 1.0, 1.0, 1.0, 1.0]), np.array([True, True, False, False, False])
        >>> Ranking.of(scores, truth).cut_at_precision(0.5)
        Cut(threshold=1.0, share=0.5)
        """
        size, true = np.diff(self.mass, prepend=0.0), np.diff(self.true, prepend=0.0)
        slack = (self.true - true) - precision * (self.mass - size)
        lacking = precision * size - true
        with np.errstate(divide="ignore", invalid="ignore"):
            partly = np.floor(slack / lacking * size + 1e-9)
        fitting = np.where(self.precision >= precision, size, np.where(lacking > 0.0, np.clip(partly, 0.0, size), 0.0))
        return self._cut(fitting, size)

    def cut_at_budget(self, budget: float) -> Cut:
        """The lowest cut beyond which ``budget`` of the weight lies in expectation. What scores minus infinity is never
        taken.

        >>> Ranking.of(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False])).cut_at_budget(2)
        Cut(threshold=2.0, share=0.5)
        """
        size = np.diff(self.mass, prepend=0.0)
        return self._cut(np.clip(budget - (self.mass - size), 0.0, size), size)

    def _cut(self, fitting: Floats, size: Floats) -> Cut:
        """At the last threshold of which something is ``fitting``, of its ``size``."""
        places = np.flatnonzero((fitting > 0.0) & np.isfinite(self.thresholds))
        if not len(places):
            return NOTHING_TAKEN
        last = places[-1]
        return Cut(float(self.thresholds[last]), float(fitting[last] / size[last]))


def auc(scores: Floats, truth: Flags) -> float:
    """Probability that a true payment scores above one that is not; equal scores count one half. NaN without both.

    >>> auc(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    0.875
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    ranks = (below + (counts + 1) / 2)[inverse]
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration(scores: Floats, truth: Flags, weights: Floats) -> list[tuple[float, float, float]]:
    """(mean probability, share suspicious, share of the weight) of ``CALIBRATION_BINS`` groups of equal weight."""
    probability = 1.0 / (1.0 + np.exp(-np.clip(scores, -700.0, 700.0)))
    order = np.argsort(scores, kind="stable")
    group = np.minimum((np.cumsum(weights[order]) / weights.sum() * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    out = []
    for each in np.unique(group):
        rows = order[group == each]
        mass = weights[rows]
        said, found = np.average(probability[rows], weights=mass), np.average(truth[rows], weights=mass)
        out.append((float(said), float(found), float(mass.sum() / weights.sum())))
    return out


def figures(scores: Floats, truth: Flags, weights: Floats, budget_share: float = BUDGET_SHARE) -> Figures:
    """All of them. ``scores`` are log-odds float64[n], ``truth`` bool[n], ``weights`` float64[n], positive."""
    if not len(scores):
        return Figures(0, 0, None, None, None, None, None)
    both = truth.any() and not truth.all()
    probability = 1.0 / (1.0 + np.exp(-np.clip(scores, -700.0, 700.0)))
    error = sum(mass * abs(said - found) for said, found, mass in calibration(scores, truth, weights))
    ranking = Ranking.of(scores, truth, weights)
    return Figures(
        payments=len(scores),
        suspicious=int(truth.sum()),
        auc=auc(scores, truth) if both else None,
        average_precision=ranking.average_precision,
        recall_at_budget=ranking.recall_at_budget(budget_share),
        calibration_error=float(error),
        brier=float(np.average((probability - truth) ** 2, weights=weights)),
    )
