"""A subject model from streams whose truth is known: evidence of payments first, then payers and payees.

What is learned of a subject is its last row, and a sample of earlier ones, since an alert may be raised at any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.kinds.kind import Share
from models.kinds.subject_boosting import Rows, fit_side, shift_to
from models.measures import Flags, Floats, Whole
from services.contract.identity import digest64
from services.scorer.path.features.registry import COUNTRY_FEATURES
from services.scorer.path.rules.pack_format import ROLES
from services.scorer.path.scoring.ensemble import EnsembleModel
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.subject_model import SubjectModel
from services.scorer.path.subjects.facts import (
    PAYEE_SUBJECT_NAMES,
    PAYER_SUBJECT_NAMES,
    facts_of,
    subject_schema_hash,
)
from services.scorer.path.subjects.kernel import SubjectBatch
from services.scorer.path.subjects.state import PayeeSubjects, PayerSubjects
from services.workbench.assessment.rankers import Tell
from services.workbench.assessment.replayed import Batch, Labelled
from services.workbench.assessment.train import TruthTrainer
from services.workbench.assessment.truth import NO_LINE

PARTS = 3
"""Of the payers that are learned from: evidence of a payment comes from a model that did not learn from its payer."""
EARLIER = 0.05
"""Share of earlier rows that are learned, and the weight of each; a subject's last one has the weight 1."""
EARLIER_WEIGHT = 0.25
OTHERS_MAX = 400_000
"""Rows of other subjects of a side that are learned at most: some 600 MB."""
_NAMES = PAYER_SUBJECT_NAMES, PAYEE_SUBJECT_NAMES
"""In the order of ``ROLES``."""


class AddedUp:
    """What is added up of the subjects of a stream, as far as it was followed."""

    def __init__(self) -> None:
        self._payees, self._payers = PayeeSubjects(), PayerSubjects()

    def take(self, batch: Batch, rows: Whole, evidence: Floats) -> tuple[Floats, Floats]:
        """float64[n, S] of payers and of payees, after each of the payments ``rows`` of a batch, which are the next
        ones; ``evidence`` is float64[n]."""
        under_pack = SubjectBatch(
            np.ascontiguousarray(batch.event_ms[rows]),
            np.ascontiguousarray(batch.digests[0][rows]),
            np.ascontiguousarray(batch.digests[1][rows]),
            facts_of(batch.features[rows]),
            evidence,
        )
        of_payees, others = self._payees.add_up(under_pack)
        return self._payers.add_up(under_pack, others), of_payees


class SubjectLearner:
    """Learns a subject model, which never sees what knows countries.

    Parameters
    ----------
    seed
        Of the samples.
    cases_max
        Positive payers that are known, at most, and the same share of positive payees; of the others nothing is.
    base_rate
        Of positive payers where the model is to serve; ``None``: as in what is learned.
    """

    def __init__(
        self,
        seed: int = 1,
        cases_max: int | None = None,
        base_rate: float | None = None,
    ) -> None:
        self._seed = seed
        self._cases_max, self._base_rate = cases_max, base_rate
        self.cases = 0
        """Positive payers that were learned from."""

    def learn(self, streams: Sequence[Labelled], tell: Tell, share: Share) -> SubjectModel:
        """The model of some streams, each of which is followed twice.

        Raises
        ------
        ImportError
            When LightGBM is not installed.
        ValueError
            When one of the labels is missing.
        """
        known = [_Known(stream, self._chosen(streams)) for stream in streams]
        self.cases = sum(each.cases for each in known)
        whole, *without = self._evidence(known, tell, share)
        sides = [Examples(len(names), self._seed) for names in _NAMES]
        for each in known:
            tell(f"adding {each.stream.name} up to learn from it")
            added_up = AddedUp()
            for batch in each.stream.batches(share):
                rows = np.flatnonzero(batch.remittances)
                parts, evidence = _part_of(batch, rows), np.empty(len(rows))
                for part, forest in enumerate(without):
                    these = parts == part
                    evidence[these] = _evidence_of(forest, batch.features[rows[these]])
                features = added_up.take(batch, rows, evidence)
                for at, side in enumerate(sides):
                    told, positive = each.truth_of(batch.lines[rows, at], at)
                    side.take(batch.accounts[rows, at], features[at], told, positive)
            for side in sides:
                side.end()
        tell(f"learning {len(sides[0]):,} rows of payers and {len(sides[1]):,} of payees")
        return self._fitted(whole, [side.rows() for side in sides], share)

    def _fitted(self, evidence: Forest, rows: list[Rows], share: Share) -> SubjectModel:
        schema = subject_schema_hash()
        payers, payees = (
            fit_side(each, names, schema, lambda done, at=at: share((at + done) / 2))  # type: ignore[misc]
            for at, (each, names) in enumerate(zip(rows, _NAMES, strict=True))
        )
        shifts = [0.0, 0.0] if self._base_rate is None else [shift_to(self._base_rate, each) for each in rows]
        return SubjectModel(evidence, (payers, payees), (shifts[0], shifts[1]))

    def _evidence(self, known: Sequence[_Known], tell: Tell, share: Share) -> list[Forest]:
        """What says how much a payment is worth as evidence: learned from all payers, then without each part."""
        trainers = [TruthTrainer(self._seed) for _ in range(1 + PARTS)]
        for each in known:
            tell(f"measuring {each.stream.name} to learn from it")
            for batch in each.stream.batches(share):
                rows = np.flatnonzero(batch.remittances)
                told, positive = each.truth_of(batch.lines[rows, 0], 0)
                parts = _part_of(batch, rows)
                for part, trainer in enumerate(trainers, -1):
                    these = told if part < 0 else told & (parts != part)
                    trainer.take(batch.features[rows[these]], positive[these])
        tell(f"learning {trainers[0].examples:,} payments")
        return [self._forest(trainer, share) for trainer in trainers]

    def _forest(self, trainer: TruthTrainer, share: Share) -> Forest:
        model = trainer.model("boosting", subject_schema_hash(), share, COUNTRY_FEATURES)
        assert isinstance(model, EnsembleModel), "boosting without a corrector"
        return model.forest

    def _chosen(self, streams: Sequence[Labelled]) -> float:
        """The share of positive payers that are known."""
        positives = sum(int((each.truth.positive & each.truth.is_payer).sum()) for each in streams)
        return 1.0 if self._cases_max is None or not positives else min(1.0, self._cases_max / positives)


class _Known:
    """What is known of the subjects of a stream: of some of its positive ones nothing."""

    def __init__(self, stream: Labelled, share: float) -> None:
        self.stream, truth = stream, stream.truth
        self._untold_is_negative = tuple(role in truth.others_negative for role in ROLES)
        self._positive = truth.positive
        drawn = np.array([digest64(line.account) / 2**64 for line in truth.lines] + [0.0])
        self._hidden = truth.positive & (drawn >= share)
        self.cases = int((truth.positive & truth.is_payer & ~self._hidden).sum())

    def truth_of(self, lines: Whole, side: int) -> tuple[Flags, Flags]:
        """bool[n] each: of which subjects it is known whether they are positive, and which are."""
        told = np.full(len(lines), True) if self._untold_is_negative[side] else lines != NO_LINE
        return told & ~self._hidden[lines], np.asarray(self._positive[lines])


class Examples:
    """What is learned of the subjects of one side: all rows of positive ones, and a bounded, seeded sample of others.

    Parameters
    ----------
    width
        Features of a subject.
    seed
        Of the sample.
    others_max
        Rows of other subjects that are kept at most; what is kept of them weighs as much as what was met.
    """

    def __init__(self, width: int, seed: int = 1, others_max: int = OTHERS_MAX) -> None:
        self._width, self._others_max = width, others_max
        self._draw = np.random.default_rng(seed)
        self._kept: list[_Kept] = []
        self._sample = 1.0
        self.begin()

    def __len__(self) -> int:
        return sum(len(each.positive) for each in self._kept)

    def begin(self) -> None:
        """Another stream begins."""
        self._last = np.empty((1_024, self._width), dtype=np.float32)
        self._met = np.zeros(1_024, dtype=np.int8)
        """Of each account: 0 before it was met, 1 when it is negative, 2 when it is positive."""

    def take(self, accounts: Whole, features: Floats, known: Flags, positive: Flags) -> None:
        """Take n rows in order; those of which no truth is ``known`` are left out."""
        earlier = known & (self._draw.random(len(accounts)) < EARLIER)
        self._keep(features[earlier], positive[earlier], EARLIER_WEIGHT)
        if len(accounts) and accounts.max() >= len(self._met):
            more = max(len(self._met), int(accounts.max()) + 1 - len(self._met))
            self._last = np.concatenate([self._last, np.empty((more, self._width), dtype=np.float32)])
            self._met = np.concatenate([self._met, np.zeros(more, dtype=np.int8)])
        self._last[accounts[known]] = features[known]  # of several rows of an account, the last is kept
        self._met[accounts[known]] = 1 + positive[known]

    def end(self) -> None:
        """The stream is over: every subject's last row counts in full."""
        met = self._met > 0
        self._keep(self._last[met], self._met[met] == 2, 1.0)
        self.begin()

    def rows(self) -> Rows:
        """All that is kept."""
        positive = np.concatenate([each.positive for each in self._kept])
        weights = np.concatenate([each.weights for each in self._kept])
        features = np.concatenate([each.features for each in self._kept])
        return Rows(features, positive, np.where(positive, weights, weights / self._sample))

    def _keep(self, rows: NDArray[Any], positive: Flags, weight: float) -> None:
        found = _Kept(
            rows.astype(np.float32), positive, np.full(len(positive), weight), self._draw.random(len(positive))
        )
        self._kept.append(found.below(self._sample))
        while sum(int((~each.positive).sum()) for each in self._kept) > self._others_max:
            self._sample /= 2
            self._kept = [each.below(self._sample) for each in self._kept]


class _Kept(NamedTuple):
    """Some rows; of each a number drawn from 0 to 1."""

    features: NDArray[np.float32]
    positive: Flags
    weights: Floats
    chances: Floats

    def below(self, sample: float) -> _Kept:
        """Those of positive subjects, and of others the ``sample``."""
        kept = self.positive | (self.chances < sample)
        if kept.all():
            return self
        return _Kept(self.features[kept], self.positive[kept], self.weights[kept], self.chances[kept])


def _part_of(batch: Batch, rows: Whole) -> Whole:
    """int64[n]: the part that the payer of each payment is in."""
    return np.asarray((batch.digests[0][rows, 1] >> np.uint64(32)).astype(np.int64) % PARTS)


def _evidence_of(forest: Forest, features: Floats) -> Floats:
    return forest.scores(features) - forest.bias
