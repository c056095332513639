"""The measures of ``models.measures`` on a data set, and those that only evaluations take. Pure."""

from __future__ import annotations

import math

import numpy as np

from models.measures import BUDGET_SHARE, COHORTS, Cut, Figures, Flags, Floats, Whole, figures
from services.contract.units import DAY_MS
from services.workbench.dataset import SUSPICIOUS, UNLABELLED, Dataset


def measured(data: Dataset, scores: Floats, budget_share: float = BUDGET_SHARE) -> dict[str, Figures]:
    """Figures of the labelled decisions that have a score (not NaN): ``all``, and by how late the label came."""
    known = (data.label != UNLABELLED) & ~np.isnan(scores)
    days = (data.label_ms - data.event_ms) / DAY_MS
    out = {"all": _of(data, scores, known, budget_share)}
    floor = -np.inf
    for name, most in COHORTS:
        out[name] = _of(data, scores, known & (days > floor) & (days <= most), budget_share)
        floor = most
    return out


def _of(data: Dataset, scores: Floats, rows: Flags, budget_share: float) -> Figures:
    return figures(scores[rows], data.label[rows] == SUSPICIOUS, data.weight[rows], budget_share)


def recall(scores: Floats, truth: Flags, cut: Cut) -> float | None:
    """Share of the true ones beyond ``cut``, in expectation; ``None`` where there are none."""
    return float(cut.taken(scores[truth]).mean()) if truth.any() else None


def interval(share: float | None, of: int) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a ``share`` found among ``of`` (Wilson 1927); ``None`` where there are none.

    >>> [round(end, 2) for end in interval(0.8, 30)]
    [0.63, 0.9]
    """
    if share is None or not of:
        return None
    z = 1.959964
    centre = share + z * z / (2 * of)
    reach = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, (centre - reach) / (1 + z * z / of)), min(1.0, (centre + reach) / (1 + z * z / of))


def card_precision(scores: Floats, truth: Flags, cards: Whole, days: Whole, top: int = 100) -> float:
    """Card precision@``top``, the mean over days of the share of the day's alerted cards that are compromised that day.

    Each day the ``top`` cards with the highest score of a payment of that day are looked at, without those found on an
    earlier day. A card is found when it is looked at and one of its payments of that day is fraudulent. Equal scores
    stand in the order of the cards' numbers. A day with fewer cards still counts out of ``top``, as in the Fraud
    Detection Handbook, whose measure it is.

    Parameters
    ----------
    scores, truth, cards, days
        float64[n], bool[n], int64[n] and int64[n], one of each a payment.
    """
    found = np.empty(0, dtype=np.int64)
    shares = []
    for day in np.unique(days):
        today = np.flatnonzero((days == day) & ~np.isin(cards, found))
        numbers, inverse = np.unique(cards[today], return_inverse=True)
        highest = np.full(len(numbers), -np.inf)
        np.maximum.at(highest, inverse, scores[today])
        compromised = np.zeros(len(numbers), dtype=np.bool_)
        np.logical_or.at(compromised, inverse, truth[today])
        looked_at = np.argsort(-highest, kind="stable")[:top]
        hits = looked_at[compromised[looked_at]]
        found = np.append(found, numbers[hits])
        shares.append(len(hits) / top)
    return float(np.mean(shares))
