"""How well scores tell what labels say: ranking, recall at a budget, calibration. Pure; arrays, one entry a payment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TypeAlias

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


def average_precision(scores: Floats, truth: Flags, weights: Floats) -> float | None:
    """Average precision with weights: precision and recall are over weights, not counts; ``None`` without a true one.

    Weights are inverse sampling shares: with them the figure stands for all payments, not for those labelled.

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]), np.array([1.0, 1.0, 1.0]))
    0.8333333333333333
    """
    if not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    falling, mass = scores[order], weights[order]
    ends = np.flatnonzero(np.append(np.diff(falling) != 0, True))
    found = np.cumsum(np.where(truth[order], mass, 0.0))[ends]
    precision = found / np.cumsum(mass)[ends]
    return float((np.diff(found, prepend=0.0) * precision).sum() / found[-1])


def recall_at_budget(scores: Floats, truth: Flags, weights: Floats, share: float) -> float | None:
    """Share of the true ones (by weight) among the highest-scored ``share`` of all, equal scores together."""
    if not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    falling, mass = scores[order], weights[order]
    taken = np.cumsum(mass)
    ends = np.append(falling[1:] != falling[:-1], True)
    fits = np.flatnonzero(ends & (taken <= share * taken[-1]))
    upto = int(fits[-1]) + 1 if len(fits) else 0
    true = np.where(truth[order], mass, 0.0)
    return float(true[:upto].sum() / true.sum())


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
    return Figures(
        payments=len(scores),
        suspicious=int(truth.sum()),
        auc=auc(scores, truth) if both else None,
        average_precision=average_precision(scores, truth, weights),
        recall_at_budget=recall_at_budget(scores, truth, weights, budget_share),
        calibration_error=float(error),
        brier=float(np.average((probability - truth) ** 2, weights=weights)),
    )
