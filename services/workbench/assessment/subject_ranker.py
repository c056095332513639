"""Subjects by what adds up over their payments: one row a subject, and a boosting for payers and one for payees.

What is learned of a subject is its last row, and a sample of earlier ones, since an alert may be raised at any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.kinds import boosting
from models.kinds.kind import Share
from models.measures import Flags, Floats, Whole
from services.contract.errors import MissingExtra
from services.scorer.path.rules.pack_format import ROLES
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.subjects.facts import PAYEE_SUBJECT_NAMES, PAYER_SUBJECT_NAMES, facts_of
from services.scorer.path.subjects.kernel import SubjectBatch
from services.scorer.path.subjects.state import PayeeSubjects, PayerSubjects
from services.workbench.assessment.rankers import HighestPayment, Ranker, Tell
from services.workbench.assessment.replayed import Batch, Labelled
from services.workbench.assessment.truth import NO_LINE, Truth

SUBJECTS = "subjects"
PARTS = 2
"""Of the payers that are learned from: evidence of a payment comes from a model that did not learn from its payer."""
ROUNDS = 200
PARAMETERS: dict[str, Any] = {
    **boosting.PARAMETERS,
    "num_leaves": 15,
    "max_depth": 6,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.3,
    "lambda_l2": 5.0,
}
EARLIER = 0.05
"""Share of earlier rows that are learned, and the weight of each; a subject's last one has the weight 1."""
EARLIER_WEIGHT = 0.25
_NAMES = PAYER_SUBJECT_NAMES, PAYEE_SUBJECT_NAMES
"""In the order of ``ROLES``."""


class SubjectRanker:
    """Ranks by what is added up over the payments under a pack (``services.scorer.path.subjects``). It ranks nobody
    before it has learned.

    Parameters
    ----------
    payments
        The ranker by payments whose model's evidence is added up, with ``PARTS`` parts. It learns first.
    seed
        Of the sample of earlier rows.
    """

    of_subjects = True

    def __init__(self, payments: HighestPayment, seed: int = 1) -> None:
        self._payments, self._seed = payments, seed
        self._models: list[Any] = []
        self.begin()

    @property
    def variants(self) -> tuple[str, ...]:
        """``subjects`` once it has learned."""
        return (SUBJECTS,) if self._models else ()

    def learn(self, streams: Sequence[Labelled], tell: Tell, share: Share) -> None:
        """As ``Ranker``.

        Raises
        ------
        ImportError
            When LightGBM is not installed.
        """
        draw, sides = np.random.default_rng(self._seed), [Examples(names) for names in _NAMES]
        for stream in streams:
            tell(f"adding {stream.name} up to learn from it")
            self.begin()
            for side in sides:
                side.begin()
            for batch in stream.batches(share):
                rows = np.flatnonzero(batch.remittances)
                features = self._added_up(batch, rows, learning=True)
                for at, side in enumerate(sides):
                    known, positive = _truth_of(batch.lines[rows, at], stream.truth, at)
                    earlier = draw.random(len(rows)) < EARLIER
                    side.take(batch.accounts[rows, at], features[at], known, positive, earlier)
            for side in sides:
                side.end()
        tell(f"learning {len(sides[0]):,} rows of payers and {len(sides[1]):,} of payees")
        self._models = [_fitted(side.names, *side.examples()) for side in sides]

    def begin(self) -> None:
        """As ``Ranker``."""
        self._payees, self._payers = PayeeSubjects(), PayerSubjects()

    def take(self, batch: Batch) -> Mapping[str, Floats]:
        """As ``Ranker``."""
        if not self._models:
            return {}
        scores = np.full((len(batch.features), 2), -np.inf)
        rows = np.flatnonzero(batch.remittances)
        if len(rows):
            features = self._added_up(batch, rows)
            for at, model in enumerate(self._models):
                scores[rows, at] = model.predict(features[at], raw_score=True, num_threads=1)
        return {SUBJECTS: scores}

    def _added_up(self, batch: Batch, rows: Whole, learning: bool = False) -> tuple[Floats, Floats]:
        """float64[n, S] of payers and of payees, after each of the payments ``rows``, which are the next ones."""
        evidence = self._payments.evidence(batch, learning)
        under_pack = SubjectBatch(
            np.ascontiguousarray(batch.event_ms[rows]),
            np.ascontiguousarray(batch.digests[0][rows]),
            np.ascontiguousarray(batch.digests[1][rows]),
            facts_of(batch.features[rows]),
            evidence[rows],
        )
        of_payees, others = self._payees.add_up(under_pack)
        return self._payers.add_up(under_pack, others), of_payees


def rankers_of(ruleset: Ruleset, kind: str, learns: bool, blind: bool = False) -> list[Ranker]:
    """The ways to rank the subjects of streams: by payments; and by subject, too, where there is something to learn and
    the models are boosted. ``blind``: without what knows countries."""
    by_subject = learns and kind == boosting.DEFINITION["kind"]
    payments = HighestPayment(ruleset, kind, blind=blind, parts=PARTS if by_subject else 0)
    return [payments, SubjectRanker(payments)] if by_subject else [payments]


class Examples:
    """What is learned of the subjects of one side, whose features have ``names``."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._rows: list[Floats] = []
        self._labels: list[Flags] = []
        self._weights: list[Floats] = []
        self.begin()

    def __len__(self) -> int:
        return sum(map(len, self._labels))

    def begin(self) -> None:
        """Another stream begins."""
        self._last = np.empty((1_024, len(self.names)))
        self._met = np.zeros(1_024, dtype=np.int8)
        """Of each account: 0 before it was met, 1 when it is negative, 2 when it is positive."""

    def take(self, accounts: Whole, features: Floats, known: Flags, positive: Flags, earlier: Flags) -> None:
        """Take n rows in order; those of which no truth is ``known`` are left out."""
        chosen = known & earlier
        self._keep(features[chosen], positive[chosen], EARLIER_WEIGHT)
        if len(accounts) and accounts.max() >= len(self._met):
            size = max(2 * len(self._met), int(accounts.max()) + 1)
            self._last = np.resize(self._last, (size, self._last.shape[1]))
            self._met = np.concatenate([self._met, np.zeros(size - len(self._met), dtype=np.int8)])
        self._last[accounts[known]] = features[known]  # of several rows of an account, the last is kept
        self._met[accounts[known]] = 1 + positive[known]

    def end(self) -> None:
        """The stream is over: every subject's last row counts in full."""
        met = self._met > 0
        self._keep(self._last[met], self._met[met] == 2, 1.0)

    def _keep(self, rows: Floats, labels: Flags, weight: float) -> None:
        self._rows.append(rows)
        self._labels.append(labels)
        self._weights.append(np.full(len(labels), weight))

    def examples(self) -> tuple[Floats, Flags, Floats]:
        """Rows float64[n, S], labels and weights."""
        return np.concatenate(self._rows), np.concatenate(self._labels), np.concatenate(self._weights)


def _truth_of(lines: Whole, truth: Truth, side: int) -> tuple[Flags, Flags]:
    """bool[n] each: of which subjects it is known whether they are positive, and which are."""
    untold_is_negative = ROLES[side] in truth.others_negative
    known = np.full(len(lines), True) if untold_is_negative else lines != NO_LINE
    return known, np.asarray(truth.positive[lines])


def _fitted(names: Sequence[str], features: Floats, labels: Flags, weights: Floats) -> Any:
    """A boosting over subject features."""
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: without the OpenMP runtime that it links to
        raise MissingExtra("ranking subjects needs LightGBM: pip install 'tocsin[boosting]'") from error
    data = lightgbm.Dataset(features, label=labels.astype(np.float64), weight=weights, feature_name=list(names))
    return lightgbm.train(PARAMETERS, data, num_boost_round=ROUNDS)
