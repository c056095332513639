"""Ways to rank subjects.

One more way is one more ``Ranker``: it learns from streams whose truth is known, and then says of each payment what is
to be thought of its payer and its payee.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from msgspec import structs

from models.kinds.kind import Share
from models.measures import Floats, Whole
from services.contract.payment import Role
from services.scorer.path.features.registry import COUNTRY_FEATURES, INDEX, feature_schema_hash
from services.scorer.path.rules.pack import Packs
from services.scorer.path.rules.pack_format import ROLES
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.model import Model, untrained_model
from services.scorer.rulebook.pack_file import pack_text
from services.workbench.assessment.replayed import Batch, Labelled
from services.workbench.assessment.train import TruthTrainer

VARIANTS = ("rules", "model", "combined")
ANY_SCORE = -1_000.0
CORRIDOR_INDICATORS = ("R4", "B2")

Tell = Callable[[str], None]


class Ranker(Protocol):
    """One or more ways (``variants``) to rank the subjects of a stream.

    A subject stands where the highest score of its payments puts it; or, where scores are ``of_subjects`` and take its
    payments together, where the latest does.
    """

    @property
    def variants(self) -> tuple[str, ...]: ...
    @property
    def of_subjects(self) -> bool: ...

    def learn(self, streams: Sequence[Labelled], tell: Tell, share: Share) -> None:
        """Learn from streams, each followed as often as needed. Without, it ranks by what ships."""

    def begin(self) -> None:
        """Another stream begins: nothing is known of its subjects."""

    def take(self, batch: Batch) -> Mapping[str, Floats]:
        """By variant, float64[n, 2]: the scores of payer and payee after each of the next payments; minus infinity
        where nothing is said of them."""


@dataclass(frozen=True, slots=True)
class Scorers:
    """A model and the lsac pack, the latter without a threshold of its own: rankings set it."""

    model: Model
    packs: Packs
    hidden: tuple[str, ...] = ()
    """Features that the model never saw."""

    def scores(self, features: Floats) -> dict[Role, Floats]:
        """float64[n, V] by role and variant; minus infinity where rules are needed and their combination is not met."""
        evidence = self.evidence(features)
        results = self.packs.evaluate(features, evidence)
        applies = features[:, INDEX["is_remittance"]] == 1.0
        said = np.where(applies, evidence, -np.inf)
        return {
            role: np.column_stack(
                [
                    np.where(results.review[:, 0, side], results.score[:, 0, side], -np.inf),
                    said,
                    np.where(results.review[:, 0, side], results.risk[:, 0, side], -np.inf),
                ]
            )
            for side, role in enumerate(ROLES)
        }

    def evidence(self, features: Floats) -> Floats:
        """float64[n]: what the model says of each payment beyond its bias, log-odds."""
        shown = features
        if self.hidden:
            shown = features.copy()
            shown[:, [INDEX[name] for name in self.hidden]] = np.nan
        return np.asarray(self.model.scores(shown) - self.model.bias)


class HighestPayment:
    """Subjects by the highest of their payments: by the lsac pack alone (``rules``), by the payments' model alone
    (``model``), and by both as they ship (``combined``).

    Parameters
    ----------
    ruleset
        Under which streams are measured.
    kind
        Of the model that it learns: one of ``models.kinds.table.ON_TABLES``.
    seed
        Of the sample of other payers' payments, and of the order of learning.
    blind
        Whether it neither learns nor sees what knows countries.
    parts
        Into how many parts it divides the payers that it learns from, to say of each what a model says that learned
        from the others (``evidence``).
    """

    variants = VARIANTS
    of_subjects = False

    def __init__(
        self, ruleset: Ruleset, kind: str = "boosting", seed: int = 1, blind: bool = False, parts: int = 0
    ) -> None:
        self._schema, self._kind, self._seed = feature_schema_hash(ruleset.parameters), kind, seed
        self._parts: list[Scorers] = []
        self._parts_count = parts
        self._hidden = COUNTRY_FEATURES if blind else ()
        self._scorers = Scorers(untrained_model(self._schema), lsac_without_threshold(blind), self._hidden)

    def learn(self, streams: Sequence[Labelled], tell: Tell, share: Share) -> None:
        """As ``Ranker``: a model of the payments of positive payers beside a sample of all others.

        Raises
        ------
        ImportError
            When the kind of model needs an extra that is not installed.
        """
        trainer = TruthTrainer(self._seed)
        without = [TruthTrainer(self._seed) for _ in range(self._parts_count)]
        for stream in streams:
            tell(f"measuring {stream.name} to learn from it")
            for batch in stream.batches(share):
                rows = batch.remittances
                features, truth = batch.features[rows], stream.truth.positive[batch.lines[rows, 0]]
                trainer.take(features, truth)
                for part, each in enumerate(without):
                    others = self._part_of(batch)[rows] != part
                    each.take(features[others], truth[others])
        tell(f"learning {trainer.examples:,} examples{', blind to countries' if self._hidden else ''}")
        self._scorers, *self._parts = (
            Scorers(each.model(self._kind, self._schema, share, self._hidden), self._scorers.packs, self._hidden)
            for each in (trainer, *without)
        )

    def _part_of(self, batch: Batch) -> Whole:
        """int64[n]: the part that each payment's payer is in."""
        return (batch.digests[0][:, 1] >> np.uint64(32)).astype(np.int64) % self._parts_count

    def evidence(self, batch: Batch, learning: bool = False) -> Floats:
        """float64[n]: the model's evidence of each payment, log-odds; while ``learning``, of a model that did not learn
        from its payer."""
        if not learning:
            return self._scorers.evidence(batch.features)
        parts, evidence = self._part_of(batch), np.empty(len(batch.features))
        for part, scorers in enumerate(self._parts):
            evidence[parts == part] = scorers.evidence(batch.features[parts == part])
        return evidence

    def begin(self) -> None:
        """As ``Ranker``; it knows nothing of subjects."""

    def take(self, batch: Batch) -> Mapping[str, Floats]:
        """As ``Ranker``."""
        scores = self._scorers.scores(batch.features)
        return {
            variant: np.stack([scores[role][:, at] for role in ROLES], axis=1) for at, variant in enumerate(VARIANTS)
        }


def lsac_without_threshold(blind: bool = False) -> Packs:
    """The shipped lsac pack, which asks whatever the score; ``blind``: without the indicators that know countries."""
    pack = parse_pack(pack_text("lsac"), {"combination": {"score_min": ANY_SCORE}})
    if blind:
        seeing = tuple(each for each in pack.indicators if each.id not in CORRIDOR_INDICATORS)
        pack = structs.replace(pack, indicators=seeing)
    return Packs((pack,))
