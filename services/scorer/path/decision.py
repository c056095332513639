"""From features to decisions: outcome, reasons, subjects, and the bytes of each record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import numpy as np
import orjson
from numba import njit
from numpy.typing import NDArray

from services.contract.decision import HASH_SHOWN, Finding
from services.contract.identity import decision_prefix
from services.contract.payment import Payment, Role
from services.contract.served import HIT, ServedBy
from services.contract.uuids import begun
from services.scorer.path.features.registry import FEATURES, NAMES
from services.scorer.path.lean import Decided, Lines, lines, phrases
from services.scorer.path.rules.evaluate import RuleResults, Rules
from services.scorer.path.rules.pack import PackResults
from services.scorer.path.rules.pack_format import ROLES
from services.scorer.path.scoring.model import Model, probability

REASONS_MAX = 5
REASONS_SHOWN = 3
"""Of them, in a decision; a review has all."""
_PAYEE_SIDE: NDArray[np.bool_] = np.array([feature.side == "payee" for feature in FEATURES])


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What is decided of n payments with ``features`` (float64[n, k]) by ``model``, as arrays: scores and probabilities
    float64[n], review bool[n], contributions float64[n, k], and the ``REASONS_MAX`` features that raised each score
    most, int64[n, REASONS_MAX], -1 for none."""

    features: NDArray[np.float64]
    model: Model
    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    review: NDArray[np.bool_]
    general: NDArray[np.bool_]
    """Where rules or model ask for the review; typology packs may, too."""
    contributions: NDArray[np.float64]
    leading: NDArray[np.int64]
    results: RuleResults
    packs: PackResults


@dataclass(frozen=True, slots=True)
class Written:
    """A finding, and its JSON, which decision and review both hold."""

    finding: Finding
    json: orjson.Fragment


Hear: TypeAlias = Callable[[PackResults, NDArray[np.float64]], PackResults]
"""What a hop that adds subjects up makes of what packs say, given the scores float64[n] of their payments."""


def unheard(packs: PackResults, scores: NDArray[np.float64]) -> PackResults:
    """Where nobody adds subjects up: what the packs say."""
    return packs


def decide(features: NDArray[np.float64], rules: Rules, model: Model, mark: Any, hear: Hear = unheard) -> Verdicts:
    """Run rules, model and typology packs over ``features`` (float64[n, k]). A payment goes to review when rules or a
    pack ask for it, or when its probability reaches the model's operating threshold. Payments that pass have reasons
    only if the model gives them at no price."""
    results = rules.evaluate(features)
    mark("rules")
    if model.explains_all:
        contributions, scores = model.contributions(features)
    else:
        contributions, scores = np.zeros_like(features), model.scores(features)
    probabilities = np.array([probability(score) for score in scores.tolist()], dtype=np.float64)
    mark("model")
    packs = rules.packs.evaluate(features, scores - model.bias)
    mark("packs")
    packs = hear(packs, scores)
    general = results.review | (probabilities >= model.review_probability)
    review = general | packs.review.any(axis=(1, 2))
    if not model.explains_all and review.any():
        contributions[review] = model.contributions(features[review])[0]
    leading = np.empty((len(features), REASONS_MAX), dtype=np.int64)
    _leading_kernel(contributions, leading)
    mark("model")
    return Verdicts(features, model, scores, probabilities, review, general, contributions, leading, results, packs)


@njit(cache=True)
def _leading_kernel(contributions: Any, leading: Any) -> None:
    """The features with the largest positive contributions, largest first, ties in canonical order."""
    count = leading.shape[1]
    for i in range(contributions.shape[0]):
        for place in range(count):
            best = -1
            for j in range(contributions.shape[1]):
                value = contributions[i, j]
                if value <= 0.0 or (best >= 0 and value <= contributions[i, best]):
                    continue
                taken = False
                for earlier in range(place):
                    taken = taken or leading[i, earlier] == j
                if not taken:
                    best = j
            leading[i, place] = best


@dataclass(frozen=True, slots=True)
class Stated:
    """What a review says of its payment: score, probability, ``Reason`` and ``RuleResult`` field by field, and by which
    model."""

    score: float
    probability: float
    reasons: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    model_hash: str


def names_of(payment: Payment) -> tuple[bytes, ...]:
    """Tenant, payment id, payer and payee in UTF-8, as columns hold them."""
    names = payment.tenant, payment.payment_id, payment.payer.account, payment.payee.account
    return tuple(name.encode() for name in names)


class DecisionWriter:
    """Writes decisions under one ruleset and one feature schema."""

    def __init__(self, rules: Rules, feature_schema_hash: str) -> None:
        self.rules = rules
        self._ruleset_hash = rules.ruleset.hash
        self._schema_hash = feature_schema_hash
        self._begun = begun(decision_prefix(self._ruleset_hash))
        self._rule_ids = tuple(rule.id for rule in rules.ruleset.rules)
        self._pack_names = tuple(pack.name for pack in rules.packs.packs)

    def served_by(self, model: Model) -> ServedBy:
        """What batches of decisions by ``model`` have in common."""
        hashes = model.hash, self._ruleset_hash, self._schema_hash
        return ServedBy(model.version, *hashes, NAMES, self._rule_ids, self._pack_names)

    def lines(self, decided: Decided, model: Model) -> Lines:
        """JSON of decisions by ``model``, and their ids."""
        named = {
            "model_version": model.version,
            "model": model.hash[:HASH_SHOWN],
            "ruleset": self._ruleset_hash[:HASH_SHOWN],
            "feature_schema": self._schema_hash[:HASH_SHOWN],
        }
        return lines(decided, phrases(orjson.dumps(named)[1:-1]), self._begun, NAMES, self._rule_ids)

    def reasons(self, row: int, verdicts: Verdicts) -> list[dict[str, Any]]:
        """The features that raised the score most, each with its value and what it added."""
        return [
            {
                "feature": NAMES[at],
                "value": float(verdicts.features[row, at]),
                "contribution": float(verdicts.contributions[row, at]),
            }
            for at in verdicts.leading[row].tolist()
            if at >= 0
        ]

    def subjects(self, row: int, verdicts: Verdicts) -> list[Role]:
        """Whom a review is about: the subjects of the rules that hit, else the side that raised the score more."""
        hit = {
            rule.subject
            for rule, outcome in zip(self.rules.ruleset.rules, verdicts.results.outcome[row].tolist(), strict=True)
            if outcome == HIT
        }
        if hit:
            return sorted(hit, reverse=True)
        raised = np.maximum(verdicts.contributions[row], 0.0)
        return ["payee" if raised[_PAYEE_SIDE].sum() > raised[~_PAYEE_SIDE].sum() else "payer"]

    def detail(self, row: int, verdicts: Verdicts, findings: Sequence[Written], raw_payment: bytes) -> bytes:
        """What only a decision to review says, as JSON of a ``ReviewDetail``."""
        return orjson.dumps(
            {
                "subjects": self.subjects(row, verdicts) if verdicts.general[row] else [],
                "reasons": self.reasons(row, verdicts),
                "rules": self.rules.described(verdicts.results, row),
                "findings": [each.json for each in findings],
                "payment": orjson.Fragment(raw_payment),
            }
        )

    def findings(self, row: int, verdicts: Verdicts) -> list[Written]:
        """What the typology packs found that ask for a review, in the order of packs and roles."""
        asking = np.argwhere(verdicts.packs.review[row]).tolist()
        found = [self.rules.packs.finding(verdicts.packs, row, pack, ROLES[role]) for pack, role in asking]
        return [Written(each, orjson.Fragment(msgspec.json.encode(each))) for each in found]

    def addressed(self, row: int, verdicts: Verdicts, findings: Sequence[Written]) -> list[tuple[Role, Written | None]]:
        """To whom a review goes: the subjects of rules and model, then those of each finding."""
        general = self.subjects(row, verdicts) if verdicts.general[row] else []
        return [*((role, None) for role in general), *((each.finding.role, each) for each in findings)]

    def review(
        self, row: int, identity: str, payment: Payment, role: Role, finding: Written | None, verdicts: Verdicts
    ) -> bytes:
        """JSON of a ``Review``: the decision, addressed to one of its subjects."""
        stated = Stated(
            float(verdicts.scores[row]),
            float(verdicts.probabilities[row]),
            self.reasons(row, verdicts),
            self.rules.described(verdicts.results, row, only_hits=True),
            verdicts.model.hash,
        )
        return self.review_of(identity, payment, role, finding, stated)

    def review_of(self, identity: str, payment: Payment, role: Role, finding: Written | None, stated: Stated) -> bytes:
        """JSON of a ``Review`` of the decision ``identity``."""
        party = payment.payee if role == "payee" else payment.payer
        record: dict[str, Any] = {
            "subject": {"role": role, "account": party.account},
            "queue": self.rules.ruleset.review.queue if finding is None else finding.finding.queue,
            "decision_id": identity,
            "payment_id": payment.payment_id,
            "tenant": payment.tenant,
            "event_time_ms": payment.event_time_ms,
            "amount_minor": payment.amount_minor,
            "currency": payment.currency,
            "score": stated.score,
            "probability": stated.probability,
            "reasons": stated.reasons,
            "rules": stated.rules,
            "model_hash": stated.model_hash,
            "ruleset_hash": self._ruleset_hash,
        }
        if finding is not None:
            record["finding"] = finding.json
        return orjson.dumps(record)
