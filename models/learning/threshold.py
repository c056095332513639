"""The operating threshold: which probability sends as many payments to review as people can look at."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from models.measures import Ranking

WINDOW_EXAMPLES = 8_192
"""How many of the latest examples the threshold rests on."""


class ThresholdWindow:
    """Probabilities and weights of the latest examples, a bounded number of them.

    Each probability is the one that the model gave *before* it learned the example (prequential), so the threshold
    is not flattered by what the model has already been told. An example's weight undoes the sampling of labels, so
    the weighted examples stand for all payments.

    >>> window = ThresholdWindow()
    >>> for probability in (0.9, 0.5, 0.2, 0.1):
    ...     window.add(probability, 1.0)
    >>> window.threshold(0.5)
    0.5
    """

    def __init__(self, packed: bytes = b"") -> None:
        pairs = np.frombuffer(packed, dtype="<f8").reshape(-1, 2)
        self._pairs: deque[tuple[float, float]] = deque(((p, w) for p, w in pairs.tolist()), maxlen=WINDOW_EXAMPLES)

    def add(self, probability: float, weight: float) -> None:
        """Take one example; the oldest leaves when there are ``WINDOW_EXAMPLES``."""
        self._pairs.append((probability, weight))

    def pack(self) -> bytes:
        """The window as little-endian float64 pairs, oldest first: ``ThresholdWindow(window.pack())`` is its equal."""
        return np.array(list(self._pairs), dtype="<f8").tobytes()

    def threshold(self, share: float, rounding: float = 0.0) -> float:
        """The lowest probability in the window such that the weighted share at or above it is at most ``share``.

        Equal probabilities stand or fall together. When even the highest holds more than ``share``, the answer is
        the next number above it: on the evidence of the window, no threshold would keep within the budget.

        ``rounding`` is how far, relative to it, a scorer may be off a probability of the window: the answer keeps that
        distance, so that payments which say the same do not fall on either side of it.
        """
        if not self._pairs:
            return 1.0
        probabilities, weights = np.array(self._pairs, dtype=np.float64).T
        ranking = Ranking.of(probabilities, np.zeros(len(weights), dtype=np.bool_), weights)
        lowest = ranking.threshold_at_budget(share * ranking.mass[-1])
        if lowest < math.inf:
            return lowest * (1.0 - rounding)
        return math.nextafter(float(ranking.thresholds[0]), math.inf) * (1.0 + rounding)
