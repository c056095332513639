"""The paths of payers that are watched: every score of theirs, in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from models.measures import Floats, Whole


class Paths:
    """Memory is that of the scores of the watched.

    Parameters
    ----------
    watched
        Lines of the truth.
    """

    def __init__(self, watched: Iterable[int]) -> None:
        self._watched = np.unique(np.fromiter(watched, dtype=np.int64))
        self._scores: dict[int, list[Floats]] = defaultdict(list)

    @property
    def met(self) -> list[int]:
        """Those of the watched that have paid, in the order in which they were met."""
        return list(self._scores)

    def take(self, lines: Whole, scores: Floats) -> None:
        """Take the scores of payments (float64[n, V]), in order, each of the payer of one of ``lines``."""
        for row in np.flatnonzero(np.isin(lines, self._watched)).tolist():
            self._scores[int(lines[row])].append(scores[row])

    def payments_before(self, line: int, variant: int, threshold: float) -> int | None:
        """How many payments a watched payer had made before the one that first reached ``threshold``."""
        reached = (at for at, scores in enumerate(self._scores[line]) if scores[variant] >= threshold)
        return next(reached, None)
