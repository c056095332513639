"""A subject model from streams whose truth is known: evidence of payments, then subjects by themselves, then by each
other.

What is learned of a subject is its last row, and a sample of earlier ones, since an alert may be raised at any of them.
Whatever one stage tells the next about a subject that is learned from comes from a model that did not learn from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.kinds.kind import Share
from models.kinds.subject_boosting import BAG, Rows, fit_first, fit_second, shift_to
from models.measures import Flags, Floats, Whole
from services.contract.errors import TocsinError
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
from services.scorer.path.subjects.leads import PAYEE_LEAD_NAMES, PAYER_LEAD_NAMES, Leads, Risks
from services.scorer.path.subjects.state import PayeeSubjects, PayerSubjects
from services.workbench.assessment.rankers import Tell
from services.workbench.assessment.replayed import Labelled
from services.workbench.assessment.spool import Spool, UnderPack
from services.workbench.assessment.train import TruthTrainer
from services.workbench.assessment.truth import NO_LINE

CASES_MIN = 10
"""Positive payers without whom nothing is learned."""
PARTS = 2
"""Of the subjects that are learned from, by account."""
EARLIER = 0.03
"""Share of earlier rows that are learned, and the weight of each; a subject's last one has the weight 1."""
EARLIER_WEIGHT = 0.25
TWIN_WEIGHT = 10.0
"""Of an innocent subject that is made like one of the kind (``twin_of``), where a stream tells of such: there are few,
and they are who must not be burdened."""
OTHERS_MAX = 150_000
"""Rows of other subjects of a side that are learned at most: some 240 MB."""
_NAMES = PAYER_SUBJECT_NAMES, PAYEE_SUBJECT_NAMES
_LEADS = PAYER_LEAD_NAMES, PAYEE_LEAD_NAMES
"""In the order of ``ROLES``, like all pairs here."""
Pair = tuple[Forest, Forest]


class TooFewCases(TocsinError, ValueError):
    """There is too little to learn a subject model from. The message says how much there is."""

    may_quote: ClassVar[bool] = True


class AddedUp:
    """What is added up of the subjects of a stream, as far as it was followed."""

    def __init__(self) -> None:
        self._payees, self._payers, self._leads = PayeeSubjects(), PayerSubjects(), Leads()

    def first(self, found: UnderPack, evidence: Floats) -> tuple[Floats, Floats]:
        """float64[n, S] of payers and of payees, after each of the next n payments; ``evidence`` is float64[n]."""
        batch = SubjectBatch(found.event_ms, found.payers, found.payees, facts_of(found.features), evidence)
        of_payees, others = self._payees.add_up(batch)
        return self._payers.add_up(batch, others), of_payees

    def second(self, found: UnderPack, worth: Sequence[Floats]) -> tuple[Floats, Floats]:
        """float64[n, L] of payers and of payees, of what the first round says of both, float64[n] each."""
        return self._leads.add_up(Risks(found.event_ms, found.payers, found.payees, *worth))


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

    def __init__(self, seed: int = 1, cases_max: int | None = None, base_rate: float | None = None) -> None:
        self._seed, self._cases_max, self._base_rate = seed, cases_max, base_rate
        self.cases = 0
        """Positive payers that were learned from."""

    def learn(self, streams: Sequence[Labelled], tell: Tell, share: Share) -> SubjectModel:
        """The model of some streams, each of which is followed once and kept on disk meanwhile.

        Raises
        ------
        ImportError
            When LightGBM is not installed.
        TooFewCases
            When there are fewer than ``CASES_MIN`` positive payers, or a part has none on one of the sides.
        """
        portion = self._portion(streams)
        with TemporaryDirectory(prefix="tocsin-subjects-") as folder:
            known = [_Known(Spool(each, Path(folder) / f"{at}"), portion) for at, each in enumerate(streams)]
            self.cases = sum(each.cases for each in known)
            if self.cases < CASES_MIN:
                raise TooFewCases(f"{self.cases} payers of the kind; {CASES_MIN} are needed to learn from")
            whole, *without = self._evidence(known, tell, share)
            tell("adding up what is known of payers and payees")
            first, apart = self._first(known, without, share)
            tell("adding up what they are to each other")
            second, shifts = self._second(known, without, apart, share)
        return SubjectModel(whole, first, second, shifts)

    def _evidence(self, known: Sequence[_Known], tell: Tell, share: Share) -> list[Forest]:
        """What says how much a payment is worth as evidence: learned from all payers, then without each part."""
        trainers = [TruthTrainer(self._seed) for _ in range(1 + PARTS)]
        for each in known:
            tell(f"measuring {each.name} to learn from it")
            for found in each.spool.fill(share):
                told, positive = each.truth_of(found.lines[:, 0], 0)
                parts = _part_of(found.payers)
                for part, trainer in enumerate(trainers, -1):
                    these = told if part < 0 else told & (parts != part)
                    trainer.take(found.features[these], positive[these])
        tell(f"learning {trainers[0].examples:,} payments")
        if not all(trainer.has_both_labels for trainer in trainers):
            raise TooFewCases(f"{self.cases} payers of the kind, and a part of all payers has none that paid")
        return [_forest(trainer, share) for trainer in trainers]

    def _first(self, known: Sequence[_Known], without: Sequence[Forest], share: Share) -> tuple[Pair, list[Pair]]:
        """The first round: forests of all subjects, and for each part those of the others."""
        sides = [Examples(len(names), self._seed) for names in _NAMES]
        for each in known:
            added_up = AddedUp()
            for found in each.spool.pieces(share):
                for at, features in enumerate(added_up.first(found, _evidence_of(without, found))):
                    sides[at].take(found, at, features, *each.truth_of(found.lines[:, at], at), each.twin)
            for side in sides:
                side.end()
        schema = subject_schema_hash()
        pairs = [
            tuple(
                fit_first(_told(side.rows(part)), names, schema, share, bag=BAG if part is None else 1)
                for side, names in zip(sides, _NAMES, strict=True)
            )
            for part in (None, *range(PARTS))
        ]
        (payers, payees), *apart = pairs
        return (payers, payees), [(of_payers, of_payees) for of_payers, of_payees in apart]

    def _second(
        self, known: Sequence[_Known], without: Sequence[Forest], apart: Sequence[Pair], share: Share
    ) -> tuple[Pair, tuple[float, float]]:
        """The second round, and what is added to its scores."""
        sides = [Examples(len(names), self._seed) for names in _LEADS]
        for each in known:
            added_up = AddedUp()
            for found in each.spool.pieces(share):
                worth = [
                    _by_part([pair[at] for pair in apart], _part_of(found.payees if at else found.payers), features)
                    for at, features in enumerate(added_up.first(found, _evidence_of(without, found)))
                ]
                for at, leads in enumerate(added_up.second(found, worth)):
                    sides[at].take(found, at, leads, *each.truth_of(found.lines[:, at], at), each.twin)
            for side in sides:
                side.end()
        rows = [_told(side.rows()) for side in sides]
        payers, payees = (
            fit_second(each, names, subject_schema_hash(), share) for each, names in zip(rows, _LEADS, strict=True)
        )
        of_payers, of_payees = (0.0 if self._base_rate is None else shift_to(self._base_rate, each) for each in rows)
        return (payers, payees), (of_payers, of_payees)

    def _portion(self, streams: Sequence[Labelled]) -> float:
        """The share of positive payers that are known."""
        positives = sum(int((each.truth.positive & each.truth.is_payer).sum()) for each in streams)
        return 1.0 if self._cases_max is None or not positives else min(1.0, self._cases_max / positives)


class _Known:
    """What is known of the subjects of a stream: of some of its positive ones nothing."""

    def __init__(self, spool: Spool, portion: float) -> None:
        self.spool, self.name, truth = spool, spool.stream.name, spool.stream.truth
        self._untold_is_negative = tuple(role in truth.others_negative for role in ROLES)
        self._positive, self.twin = truth.positive, truth.twin & ~truth.positive
        drawn = np.array([digest64(line.account) / 2**64 for line in truth.lines] + [0.0])
        self._hidden = truth.positive & (drawn >= portion)
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
        self._part = np.zeros(1_024, dtype=np.int8)
        self._weight = np.ones(1_024)

    def take(self, found: UnderPack, side: int, features: Floats, known: Flags, positive: Flags, twin: Flags) -> None:
        """Take n rows in order; those of which no truth is ``known`` are left out. ``twin`` says of each line of the
        truth whether it is of a twin."""
        weights = np.where(twin[found.lines[:, side]], TWIN_WEIGHT, 1.0)
        accounts, parts = found.accounts[:, side], _part_of(found.payees if side else found.payers)
        earlier = known & (self._draw.random(len(accounts)) < EARLIER)
        self._keep(features[earlier], positive[earlier], EARLIER_WEIGHT * weights[earlier], parts[earlier])
        if len(accounts) and accounts.max() >= len(self._met):
            more = max(len(self._met), int(accounts.max()) + 1 - len(self._met))
            self._last = np.concatenate([self._last, np.empty((more, self._width), dtype=np.float32)])
            self._met = np.concatenate([self._met, np.zeros(more, dtype=np.int8)])
            self._part = np.concatenate([self._part, np.zeros(more, dtype=np.int8)])
            self._weight = np.concatenate([self._weight, np.ones(more)])
        self._last[accounts[known]] = features[known]  # of several rows of an account, the last is kept
        self._met[accounts[known]] = 1 + positive[known]
        self._part[accounts[known]] = parts[known]
        self._weight[accounts[known]] = weights[known]

    def end(self) -> None:
        """The stream is over: every subject's last row counts in full."""
        met = self._met > 0
        self._keep(self._last[met], self._met[met] == 2, self._weight[met], self._part[met])
        self.begin()

    def rows(self, without: int | None = None) -> Rows:
        """All that is kept, ``without`` the subjects of a part."""
        chosen = np.concatenate([each.parts for each in self._kept]) != (-1 if without is None else without)
        positive = np.concatenate([each.positive for each in self._kept])
        weights = np.concatenate([each.weights for each in self._kept])
        features = np.concatenate([each.features for each in self._kept])
        weights = np.where(positive, weights, weights / self._sample)
        return Rows(features[chosen], positive[chosen], weights[chosen])

    def _keep(self, rows: NDArray[Any], positive: Flags, weights: Floats, parts: NDArray[Any]) -> None:
        found = _Kept(
            rows.astype(np.float32),
            positive,
            weights,
            parts.astype(np.int8),
            self._draw.random(len(positive)),
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
    parts: NDArray[np.int8]
    chances: Floats

    def below(self, sample: float) -> _Kept:
        """Those of positive subjects, and of others the ``sample``."""
        kept = self.positive | (self.chances < sample)
        if kept.all():
            return self
        return _Kept(self.features[kept], self.positive[kept], self.weights[kept], self.parts[kept], self.chances[kept])


def _told(rows: Rows) -> Rows:
    if rows.positive.all() or not rows.positive.any():
        raise TooFewCases(f"{int(rows.positive.sum())} of {len(rows.positive)} rows are of subjects of the kind")
    return rows


def _forest(trainer: TruthTrainer, share: Share) -> Forest:
    model = trainer.model("boosting", subject_schema_hash(), share, COUNTRY_FEATURES)
    assert isinstance(model, EnsembleModel), "boosting without a corrector"
    return model.forest


def _part_of(digests: NDArray[np.uint64]) -> Whole:
    """int64[n]: the part that each subject is in."""
    return np.asarray((digests[:, 1] >> np.uint64(32)).astype(np.int64) % PARTS)


def _evidence_of(without: Sequence[Forest], found: UnderPack) -> Floats:
    """float64[n]: what each payment is worth as evidence, by the forest that did not learn from its payer."""
    biases = np.array([forest.bias for forest in without])
    parts = _part_of(found.payers)
    evidence: Floats = _by_part(without, parts, found.features) - biases[parts]
    return evidence


def _by_part(forests: Sequence[Forest], parts: Whole, features: Floats) -> Floats:
    """float64[n]: the score of each row by the forest of its part."""
    scores = np.empty(len(parts))
    for part, forest in enumerate(forests):
        these = parts == part
        scores[these] = forest.scores(features[these])
    return scores
