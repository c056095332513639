"""Subjects by what adds up over their payments: by the subject model that ships, and by one of the stream's own labels.

Own labels take over gradually: what both say is mixed, and the own model's part is ``cases / (cases + CASES_HALF)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.kinds.kind import Share
from models.measures import Floats
from services.scorer.path.rules.pack_format import ROLES
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.subject_model import SubjectModel
from services.scorer.rulebook.pack_file import pack_subject_model
from services.workbench.assessment.rankers import HighestPayment, Ranker, Tell, lsac_without_threshold
from services.workbench.assessment.replayed import Batch, Labelled
from services.workbench.assessment.spool import UnderPack, under_pack
from services.workbench.assessment.subject_learner import AddedUp, SubjectLearner, TooFewCases

COMBINED = "combined"
CASES_HALF = 50
"""Own confirmed cases at which a model of the own labels counts as much as the one that ships."""
LEAST_RISK = -100.0
"""Added to the risk of whom the pack is silent of: beyond what a forest can say."""


class SubjectRanker:
    """Ranks by what is added up over the payments under the lsac pack (``services.scorer.path.subjects``). Whoever's
    latest payment silences the pack stands below all others.

    Parameters
    ----------
    prior
        The subject model that ships; ``None``: it ranks nobody before it has learned.
    seed
        Of the samples that it learns.
    cases_max
        As of ``SubjectLearner``.
    """

    of_subjects = True

    def __init__(self, prior: SubjectModel | None, seed: int = 1, cases_max: int | None = None) -> None:
        self._learner = SubjectLearner(seed, cases_max)
        self._pack = lsac_without_threshold()
        self._mixed: list[tuple[float, SubjectModel]] = [] if prior is None else [(1.0, prior)]
        self.begin()

    @property
    def variants(self) -> tuple[str, ...]:
        """``combined``, with a model that ships or has been learned."""
        return (COMBINED,) if self._mixed else ()

    def learn(self, streams: Sequence[Labelled], tell: Tell, share: Share) -> None:
        """As ``Ranker``. Where there are too few cases to learn from, it goes on with the model that ships.

        Raises
        ------
        ImportError
            When LightGBM is not installed.
        """
        try:
            own = self._learner.learn(streams, tell, share)
        except TooFewCases as error:
            tell(f"subjects are ranked by the model that ships alone: {error}")
            return
        part = self._learner.cases / (self._learner.cases + CASES_HALF) if self._mixed else 1.0
        self._mixed = [*((1.0 - part, prior) for _, prior in self._mixed), (part, own)]

    def begin(self) -> None:
        """As ``Ranker``."""
        self._added_up = [AddedUp() for _ in range(2)]

    def take(self, batch: Batch) -> Mapping[str, Floats]:
        """As ``Ranker``."""
        if not self._mixed:
            return {}
        scores = np.full((len(batch.features), 2), -np.inf)
        found = under_pack(batch)
        if len(found.event_ms):
            scores[batch.subject_to_pack] = self._risks(found)
        return {COMBINED: scores}

    def _risks(self, found: UnderPack) -> Floats:
        """float64[n, 2]: what is mixed of the risks of payer and payee, each model with what it knows."""
        risks = np.zeros((len(found.event_ms), 2))
        for (part, model), added_up in zip(self._mixed, self._added_up, strict=False):
            first = added_up.first(found, model.evidence_of(found.features))
            worth = [model.worth(role, features) for role, features in zip(ROLES, first, strict=True)]
            for side, (role, leads) in enumerate(zip(ROLES, added_up.second(found, worth), strict=True)):
                risks[:, side] += part * model.risk(role, leads)
        silent = self._pack.evaluate(found.features, np.zeros(len(risks))).silent[:, 0]
        return np.where(silent, LEAST_RISK + risks, risks)


def rankers_of(ruleset: Ruleset, kind: str, cases_max: int | None = None) -> list[Ranker]:
    """The ways to rank the subjects of streams: by payments, with a model of this ``kind``, and by subject."""
    subjects = SubjectRanker(pack_subject_model("lsac"), cases_max=cases_max)
    return [HighestPayment(ruleset, kind), subjects]


def blind_of(ruleset: Ruleset, kind: str) -> list[Ranker]:
    """The same without what knows countries, as far as that makes a difference: subject models never see it."""
    return [HighestPayment(ruleset, kind, blind=True)]
