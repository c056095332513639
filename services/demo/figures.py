"""The arithmetic of the summary: precision, recall and average precision of a ranking, and percentiles. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.measures import Ranking


@dataclass(frozen=True, slots=True)
class Detection:
    """How well a ranking found what was suspicious. Shares are ``None`` where they are not defined."""

    payments: int
    suspicious: int
    budget: int
    """Payments that can be looked at: the alert budget's share of ``payments``, at least 1."""
    precision: float | None
    recall: float | None
    recall_max: float | None
    """The recall of a perfect ranking with the same budget."""
    average_precision: float | None


NOTHING = Detection(0, 0, 0, None, None, None, None)
"""Of a run in which no learned model served."""


def detection(scores: Sequence[float], suspicious: Sequence[bool], budget_share: float) -> Detection:
    """Rank payments by score, highest first, and look at as many as the budget allows.

    Equal scores keep the order they are given in, which is that of arrival; average precision takes them together.

    >>> detection([0.9, 0.8, 0.7, 0.1], [True, False, True, False], budget_share=0.5).precision
    0.5
    """
    n = len(scores)
    if n == 0:
        return NOTHING
    score, truth = np.array(scores, dtype=np.float64), np.array(suspicious, dtype=np.bool_)
    order = np.argsort(-score, kind="stable")
    budget, positives = max(1, int(n * budget_share)), int(truth.sum())
    found = int(truth[order][:budget].sum())
    return Detection(
        payments=n,
        suspicious=positives,
        budget=budget,
        precision=found / budget,
        recall=found / positives if positives else None,
        recall_max=min(1.0, budget / positives) if positives else None,
        average_precision=Ranking.of(score, truth).average_precision,
    )


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` of ``values`` do not exceed; ``None`` of nothing.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
    2.0
    """
    return float(np.quantile(values, share, method="inverted_cdf")) if values else None
