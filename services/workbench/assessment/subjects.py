"""Following payers and payees through a stream: the highest score of each, and the path of those that are watched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from models.measures import Floats


class Subjects:
    """One role's subjects under V variants of scoring. Memory is one row a subject, and the path of the watched.

    Parameters
    ----------
    variants
        Names of the ways to score, in the order of the columns of ``take``.
    watched
        Accounts whose every score is kept.
    """

    def __init__(self, variants: tuple[str, ...], watched: Iterable[str] = ()) -> None:
        self.variants = variants
        self._index: dict[str, int] = {}
        self._best: Floats = np.full((1024, len(variants)), -np.inf)
        self.paths: dict[str, list[Floats]] = defaultdict(list)
        self._watched = frozenset(watched)

    @property
    def accounts(self) -> list[str]:
        """In the order they were met."""
        return list(self._index)

    def best(self, variant: str) -> Floats:
        """float64[n]: the highest score of each account so far."""
        return self._best[: len(self._index), self.variants.index(variant)]

    def take(self, accounts: list[str], scores: Floats) -> None:
        """Take the scores of payments (float64[n, V]), in order, each of one of ``accounts``."""
        index = self._index
        at = np.array([index.setdefault(account, len(index)) for account in accounts], dtype=np.int64)
        while len(index) > len(self._best):
            self._best = np.vstack([self._best, np.full_like(self._best, -np.inf)])
        np.maximum.at(self._best, at, scores)
        if self._watched:
            for row, account in enumerate(accounts):
                if account in self._watched:
                    self.paths[account].append(scores[row])

    def payments_before(self, account: str, variant: str, threshold: float) -> int | None:
        """How many payments a watched account had made before the one that first reached ``threshold``."""
        column = self.variants.index(variant)
        reached = (at for at, scores in enumerate(self.paths[account]) if scores[column] >= threshold)
        return next(reached, None)
