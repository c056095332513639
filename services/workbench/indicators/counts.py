"""What the indicators of a pack say in one world: hits, misses and missing, of those looked for and of all others.

Counted is what is said from a payer's third payment under the pack on. Most indicators speak of a history, nobody's
first payments have one, and those looked for have fewer payments than innocents who send money home: with the first
ones counted, indicators would tell who is new.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.measures import Flags, Floats, Whole
from services.scorer.path.features.registry import INDEX
from services.scorer.path.rules.pack import HIT, MISSING, NO_HIT, Packs
from services.scorer.path.rules.pack_format import ROLES, Pack
from services.workbench.assessment.replayed import Batch
from services.workbench.assessment.truth import NO_LINE, Truth

OUTCOMES = (NO_HIT, HIT, MISSING)
OTHERS, POSITIVES = 0, 1
"""Places of the two groups in every count."""
HISTORY = 3
"""From which of a payer's payments on what is said of it counts."""


class Counts(NamedTuple):
    """Of the subjects of one role, and of I indicators. The first axis is the group: ``OTHERS``, ``POSITIVES``."""

    subjects: Whole
    """int64[2]: those of whom any payment counts."""
    payments: Whole
    """int64[2, 3, I]: of their payments, by ``OUTCOMES``."""
    measured: Whole
    """int64[2, I]: subjects of whom it was measured at least once. What is missing is no miss."""
    ever: Whole
    """int64[2, I]: subjects whom it hit at least once."""
    shares: Floats
    """float64[2, I]: for each subject the share of its measured payments that were hit, summed over subjects."""


class Said(NamedTuple):
    """What was said together, without the order: of m pairs of a subject and a pattern of hits."""

    subject: Whole
    """int64[m], from 0."""
    pattern: Whole
    """int64[m]: a row of ``World.hits``."""
    times: Whole
    """int64[m]: in how many of the subject's payments that count; it may be none."""
    positive: Flags
    """bool[subjects]."""


class World(NamedTuple):
    """One world: P patterns of hits, and by role who was counted and what was said of whom."""

    name: str
    hits: Flags
    """bool[P, I]."""
    silent: Flags
    """bool[P, 2]: whether the pack is silent of payer and payee."""
    counts: tuple[Counts, Counts]
    said: tuple[Said, Said]


class Tally:
    """Takes the payments of a world that a pack applies to. Memory: a byte an indicator and payment.

    Parameters
    ----------
    pack
        Whose indicators are counted.
    truth
        Of the world's accounts. Payers that it does not tell of are left out.
    """

    def __init__(self, pack: Pack, truth: Truth) -> None:
        self._pack, self._packs, self._truth = pack, Packs((pack,)), truth
        self._outcomes: list[NDArray[np.uint8]] = []
        self._silent: list[Flags] = []
        self._accounts: list[Whole] = []
        self._lines: list[Whole] = []

    def take(self, batch: Batch) -> None:
        """Take the next payments."""
        rows = applies(self._pack, batch.features)
        results = self._packs.evaluate(batch.features[rows], np.zeros(int(rows.sum())))
        self._outcomes.append(results.outcome)
        self._silent.append(results.silent[:, 0])
        self._accounts.append(batch.accounts[rows])
        self._lines.append(batch.lines[rows])

    def world(self, name: str) -> World:
        """All that was taken."""
        return world_of(
            name,
            np.concatenate(self._outcomes),
            np.concatenate(self._silent),
            np.concatenate(self._accounts),
            np.concatenate(self._lines),
            self._truth,
        )


def world_of(
    name: str, outcomes: NDArray[np.uint8], silent: Flags, accounts: Whole, lines: Whole, truth: Truth
) -> World:
    """A world of n payments in order: ``outcomes`` uint8[n, I]; and by payer and payee whether the pack is ``silent``,
    bool[n, 2], the numbers of their ``accounts`` and their ``lines`` in the truth, int64[n, 2]."""
    patterns, of_payment = _unique(np.concatenate([outcomes == HIT, silent], axis=1))
    counting = nth(accounts[:, 0]) >= HISTORY
    counts, said = [], []
    for side, role in enumerate(ROLES):
        known = lines[:, side] != NO_LINE
        if role in truth.others_negative:
            known[:] = True
        _, subject = np.unique(accounts[known, side], return_inverse=True)
        positive = np.zeros(int(subject.max(initial=-1)) + 1, dtype=np.bool_)
        positive[subject] = truth.positive[lines[known, side]]
        now = counting[known]
        counts.append(counted(outcomes[known][now], subject[now], positive))
        said.append(_said(subject, of_payment[known], now, len(patterns), positive))
    hits, silences = patterns[:, : outcomes.shape[1]], patterns[:, outcomes.shape[1] :]
    return World(name, hits, silences, (counts[0], counts[1]), (said[0], said[1]))


def applies(pack: Pack, features: Floats) -> Flags:
    """bool[n]: to which payments of ``features``, float64[n, k], a pack applies."""
    held = np.ones(len(features), dtype=np.bool_)
    for bound in pack.applies:
        column = features[:, INDEX[bound.feature]]
        held &= column < bound.threshold if bound.below is not None else column >= bound.threshold
    return held


def counted(outcomes: NDArray[np.uint8], subject: Whole, positive: Flags) -> Counts:
    """Count n payments: ``outcomes`` uint8[n, I], ``subject`` int64[n] numbers their subjects, of whom ``positive``,
    bool[subjects], says which are looked for."""
    subjects, indicators = len(positive), outcomes.shape[1]
    of_subject = np.zeros((3, subjects, indicators), dtype=np.int64)
    for at, outcome in enumerate(OUTCOMES):
        for each in range(indicators):
            of_subject[at, :, each] = np.bincount(subject[outcomes[:, each] == outcome], minlength=subjects)
    measured, hits = of_subject[0] + of_subject[1], of_subject[1]
    shares = np.divide(hits, measured, out=np.zeros(hits.shape), where=measured > 0)
    met = of_subject.sum(axis=0).max(axis=1, initial=0) > 0
    groups = (~positive & met, positive & met)
    return Counts(
        np.array([group.sum() for group in groups], dtype=np.int64),
        np.stack([of_subject[:, group].sum(axis=1) for group in groups]),
        np.stack([(measured[group] > 0).sum(axis=0) for group in groups]),
        np.stack([(hits[group] > 0).sum(axis=0) for group in groups]),
        np.stack([shares[group].sum(axis=0) for group in groups]),
    )


def _unique(rows: Flags) -> tuple[Flags, Whole]:
    """The different ones of ``rows``, bool[n, k], and which of them each row is, int64[n]."""
    packed = np.ascontiguousarray(np.packbits(rows, axis=1))
    _, first, of_row = np.unique(
        packed.view(np.dtype((np.void, packed.shape[1]))).ravel(), return_index=True, return_inverse=True
    )
    return rows[first], of_row.astype(np.int64)


def nth(accounts: Whole) -> Whole:
    """int64[n]: of how many payments of its account, from the first on, each is the last.

    >>> nth(np.array([7, 3, 7, 7, 3])).tolist()
    [1, 1, 2, 3, 2]
    """
    order = np.argsort(accounts, kind="stable")
    in_order = accounts[order]
    numbers = np.empty(len(accounts), dtype=np.int64)
    numbers[order] = np.arange(1, len(accounts) + 1) - np.searchsorted(in_order, in_order, side="left")
    return numbers


def _said(subject: Whole, pattern: Whole, counting: Flags, patterns: int, positive: Flags) -> Said:
    pairs, of_payment = np.unique(subject * patterns + pattern, return_inverse=True)
    times = np.bincount(of_payment[counting], minlength=len(pairs)).astype(np.int64)
    return Said(pairs // max(patterns, 1), pairs % max(patterns, 1), times, positive)
