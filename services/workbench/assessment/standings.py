"""Where the subjects of a stream stand: a row for each account and world, with a score of each variant.

Of what is said of payments the highest counts: each is a reason by itself, and stays one. What is said of a subject
takes its payments together and is taken back by what it does later: of that the latest counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.measures import Flags, Floats, Whole
from services.workbench.assessment.replayed import Batch
from services.workbench.assessment.truth import EVERY_WORLD, UNKNOWN_WORLD

MONTH_SHARE_MIN = 0.001
"""Of a world's payments: a calendar month with fewer is none of the stream's, but a wrong date or what came late."""
_WORLD_BITS = 21


class Subjects(NamedTuple):
    """n subjects of one role, in the order in which they were met."""

    scores: Floats
    """float64[n, V]."""
    payments: Whole
    lines: Whole
    """Of ``Truth``."""

    def chosen(self, which: Flags) -> Subjects:
        """Some of them, ``which`` is bool[n]."""
        return Subjects(self.scores[which], self.payments[which], self.lines[which])


class Standing:
    """The subjects of one role. Memory is one row a subject.

    Parameters
    ----------
    of_subjects
        Of each variant, whether its scores are of subjects, not of payments.
    """

    def __init__(self, of_subjects: Sequence[bool]) -> None:
        self._row: dict[int, int] = {}
        self._of_subjects = tuple(of_subjects)
        self._scores: Floats = np.full((1024, len(of_subjects)), -np.inf)
        self._said: Whole = np.zeros((1024, len(of_subjects)), dtype=np.int64)
        """Of each row and variant, how many payments were taken when it was said."""
        self._taken = 0
        self._known: Whole = np.zeros((1024, 4), dtype=np.int64)
        """Of each row: account, world, line, payments."""

    def take(self, accounts: Whole, worlds: Whole, lines: Whole, scores: Floats) -> None:
        """Take n payments in order, ``scores`` float64[n, V]; those of no known world are left out."""
        row = self._row
        keys = accounts << _WORLD_BITS | worlds - EVERY_WORLD
        at = np.array([row.setdefault(key, len(row)) for key in keys.tolist()], dtype=np.int64)
        while len(row) > len(self._scores):
            self._scores = np.vstack([self._scores, np.full_like(self._scores, -np.inf)])
            self._said = np.vstack([self._said, np.zeros_like(self._said)])
            self._known = np.vstack([self._known, np.zeros_like(self._known)])
        self._known[at, :3] = np.stack([accounts, worlds, lines], axis=1)
        np.add.at(self._known[:, 3], at, 1)
        numbers = np.arange(self._taken + 1, self._taken + 1 + len(at))
        self._taken += len(at)
        for variant, of_subjects in enumerate(self._of_subjects):
            if of_subjects:
                said = np.isfinite(scores[:, variant])  # of several of a row, NumPy keeps the last
                self._scores[at[said], variant] = scores[said, variant]
                self._said[at[said], variant] = numbers[said]
            else:
                np.maximum.at(self._scores[:, variant], at, scores[:, variant])

    def of_world(self, world: int) -> Subjects:
        """The subjects of a world, those of every world among them: by what was said of them in this world, and of
        payments that are of no world in particular."""
        accounts, worlds, lines, payments = self._known[: len(self._row)].T
        rows = np.flatnonzero((worlds == world) | (worlds == EVERY_WORLD))
        _, first, at = np.unique(accounts[rows], return_index=True, return_inverse=True)
        scores = np.full((len(first), self._scores.shape[1]), -np.inf)
        for variant, of_subjects in enumerate(self._of_subjects):
            if of_subjects:
                order = np.argsort(self._said[rows, variant], kind="stable")
                scores[at[order], variant] = self._scores[rows[order], variant]
            else:
                np.maximum.at(scores[:, variant], at, self._scores[rows, variant])
        counts = np.bincount(at, weights=payments[rows], minlength=len(first)).astype(np.int64)
        return Subjects(scores, counts, lines[rows[first]])


class Standings:
    """The subjects of a stream, of both roles, and how much each world has paid."""

    def __init__(self, of_subjects: Sequence[bool]) -> None:
        self.roles = Standing(of_subjects), Standing(of_subjects)
        self.payments = 0
        self.placeless = 0
        """Payments of which no party's world is known."""
        self._months: dict[int, Counter[int]] = {}

    def take(self, batch: Batch, scores: Floats) -> None:
        """Take a batch with the scores of its payers and payees, float64[n, 2, V]."""
        self.payments += len(batch.event_ms)
        placed = batch.worlds[:, 0] != UNKNOWN_WORLD
        self.placeless += int(np.count_nonzero(~placed))
        for side, standing in enumerate(self.roles):
            standing.take(
                batch.accounts[placed, side], batch.worlds[placed, side], batch.lines[placed, side],
                scores[placed, side],
            )  # fmt: skip
        months = batch.event_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
        for world in np.unique(batch.worlds[:, 0]).tolist():
            of_world = Counter(months[batch.worlds[:, 0] == world].tolist())
            self._months.setdefault(world, Counter()).update(of_world)

    def subjects_of(self, world: int) -> tuple[Subjects, Subjects]:
        """All payers and payees of a world, those of whom no truth is told among them."""
        payers, payees = self.roles
        return payers.of_world(world), payees.of_world(world)

    def payments_of(self, world: int) -> int:
        """Payments of the world, those of every world among them."""
        return sum(self._months_of(world).values())

    def months_of(self, world: int) -> int:
        """Calendar months (UTC) in which the world pays, at least 1."""
        months = self._months_of(world)
        least = MONTH_SHARE_MIN * months.total()
        return max(1, sum(1 for count in months.values() if count >= least))

    def _months_of(self, world: int) -> Counter[int]:
        return self._months.get(world, Counter()) + self._months.get(EVERY_WORLD, Counter())
