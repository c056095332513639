"""Champion and challenger on the same decisions, made after both had learned, and how sure the difference is."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.measures import Flags, Floats, Ranking, figures
from services.contract.errors import TocsinError
from services.workbench.dataset import SUSPICIOUS, UNLABELLED, Dataset

RESAMPLES = 500


class ComparisonError(TocsinError, ValueError):
    """The data set says nothing of these two models. The message says why."""


def unseen(data: Dataset, trained_ms: tuple[int, int]) -> Dataset:
    """The decisions that neither model can have learned from: made after the latest label of both."""
    return data.chosen(data.event_ms > max(trained_ms))


def compared(data: Dataset, champion: Floats, challenger: Floats, budget_share: float) -> dict[str, Any]:
    """Two scores, float64[n] each, of the decisions of ``data``, against the labels of those that have one.

    The intervals are of the difference, challenger less champion: the middle 95 % over ``RESAMPLES`` bootstrap samples
    (Efron 1979) of *payers*, whose payments stay together, because those of one payer are alike.

    Returns
    -------
    As JSON: ``champion`` and ``challenger`` with their figures, ``difference`` of average precision and of recall at
    the budget with ``interval_95`` each, and ``agreement``, the share of the reviews of the one that are the other's.

    Raises
    ------
    ComparisonError
        When no decision, or no suspicious one, is labelled.
    """
    labelled = data.label != UNLABELLED
    known = data.chosen(labelled)
    truth, weights = known.label == SUSPICIOUS, known.weight
    if not truth.any():
        raise ComparisonError(f"of {len(known):,} labelled decisions that neither has seen none is suspicious")
    scores = [champion[labelled], challenger[labelled]]
    reviewed = [top(each, budget_share) for each in (champion, challenger)]
    both = int((reviewed[0] & reviewed[1]).sum())
    return {
        "decisions": len(data),
        "champion": figures(scores[0], truth, weights, budget_share).as_dict(),
        "challenger": figures(scores[1], truth, weights, budget_share).as_dict(),
        "difference": _differences(known.payer, scores, truth, weights, budget_share),
        "agreement": both / max(int(reviewed[0].sum()), 1),
    }


def _differences(
    payers: Any, scores: list[Floats], truth: Flags, weights: Floats, budget_share: float
) -> dict[str, Any]:
    _, owner = np.unique(payers.astype(str), return_inverse=True)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(owner.max() + 2))
    draw = np.random.default_rng(1)

    def gain(rows: Any) -> Floats:
        """float64[2]; NaN, where none is suspicious."""
        of = [Ranking.of(each[rows], truth[rows], weights[rows]) for each in scores]
        first, other = ([each.average_precision, each.recall_at_budget(budget_share)] for each in of)
        return np.array(other, dtype=np.float64) - np.array(first, dtype=np.float64)

    whole = gain(np.arange(len(truth)))
    sampled = []
    for _ in range(RESAMPLES):
        chosen = draw.integers(0, len(starts) - 1, len(starts) - 1)
        sampled.append(gain(np.concatenate([order[starts[each] : starts[each + 1]] for each in chosen])))
    low, high = np.nanpercentile(np.array(sampled), [2.5, 97.5], axis=0)
    return {
        name: {"value": float(whole[at]), "interval_95": [float(low[at]), float(high[at])]}
        for at, name in enumerate(("average_precision", "recall_at_budget"))
    }


def top(scores: Floats, share: float) -> Flags:
    """bool[n]: the highest-scored ``share``, at least one."""
    count = max(1, round(share * len(scores)))
    return np.asarray(scores >= np.sort(scores)[::-1][min(count, len(scores)) - 1])
