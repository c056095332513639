"""Average precision and card precision, as the book has them. Pure; arrays of one score and one truth a payment."""

from __future__ import annotations

import numpy as np

from models.measures import Flags, Floats, Whole


def average_precision(scores: Floats, truth: Flags) -> float:
    """Sum over thresholds of the precision there times the recall gained there. NaN without a true payment.

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True])) == (1 + 2 / 3) / 2
    True
    """
    positives = int(truth.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(truth[order])[ends]
    precision = found / (ends + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / positives)


def card_precision(scores: Floats, truth: Flags, cards: Whole, days: Whole, top: int = 100) -> float:
    """Card precision@``top``, the mean over days of the share of the day's alerted cards that are compromised that day.

    Each day the ``top`` cards with the highest score of a payment of that day are looked at, without those found on an
    earlier day. A card is found when it is looked at and one of its payments of that day is fraudulent. Equal scores
    stand in the order of the cards' numbers. A day with fewer cards still counts out of ``top``, as in the book.

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
