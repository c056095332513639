"""What Tocsin says of one payment, and why."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from services.contract.fields import Count, EventTimeMs
from services.contract.payment import Role

Outcome = Literal["pass", "review"]
RuleOutcome = Literal["hit", "no_hit", "error"]
Family = Literal["amount", "temporal", "relationship", "beneficiary", "network", "channel", "text"]


class RuleResult(Struct, frozen=True, omit_defaults=True):
    """What one rule said of one payment. ``error`` means that it could not run, and never that all is well."""

    rule: str
    outcome: RuleOutcome
    measured: float | None = None
    """The value the rule compared, in ``unit``."""
    threshold: float | None = None
    unit: str | None = None
    window: str | None = None
    missing: tuple[str, ...] = ()
    """With ``error``: the features that could not be computed."""


class Evidence(Struct, frozen=True):
    """An indicator of a typology pack that hit: what was measured, against what, and what it adds to the score."""

    indicator: str
    family: Family
    feature: str
    measured: float
    threshold: float
    unit: str
    window: str
    weight: float
    """Log-odds; below 0 it speaks for an innocent reading, and 0 is said, not counted."""
    reason: str
    source: str


class Reason(Struct, frozen=True):
    """One ranked reason: a feature, the value it had, and what it added to the score (log-odds)."""

    feature: str
    value: float
    contribution: float


class SubjectRisk(Struct, frozen=True):
    """What the model of subjects says of a finding's subject: of all its payments under the pack, not of one."""

    model: str
    """Its hash."""
    families: tuple[Family, ...]
    """Whose evidence carries the risk, the model's and the indicators' together."""
    reasons: tuple[Reason, ...]
    """The subject features that raised the risk most."""


class Finding(Struct, frozen=True, omit_defaults=True):
    """What a typology pack says of a subject of a payment, when it asks for people to look."""

    pack: str
    pack_hash: str
    role: Role
    queue: str
    headline: str
    score: float
    """Log-odds: ``prior``, then the weights of ``evidence``, then those of ``counter_evidence``, then ``model``, added
    one by one in this order. Where ``subject`` is told, the risk that its model gives; indicators then explain it."""
    prior: float
    model: float
    """What the learned model adds, within the pack's limit."""
    evidence: tuple[Evidence, ...]
    counter_evidence: tuple[Evidence, ...] = ()
    missing: tuple[str, ...] = ()
    """Indicators that could not be measured."""
    would_end: tuple[str, ...] = ()
    """The indicators, heaviest first, without which the pack would not ask."""
    immediate: bool = False
    """People are to look whatever the budget of alerts: a confirmed payee, a minor's account."""
    subject: SubjectRisk | None = None
    """Where a model of subjects gives the score."""


HASH_SHOWN = 12
"""Digits of a hash by which decisions name a model, a ruleset, a feature schema."""


class ReviewDetail(Struct, frozen=True, omit_defaults=True):
    """All that a person needs of a payment that is to be reviewed."""

    subjects: tuple[Role, ...]
    """Whose behaviour the decision speaks of, where rules or the model ask; a finding names its own."""
    reasons: tuple[Reason, ...]
    rules: tuple[RuleResult, ...]
    findings: tuple[Finding, ...]
    """Of typology packs."""
    payment: msgspec.Raw
    """As it came, unknown fields included."""


class Decision(Struct, frozen=True, omit_defaults=True):
    """What Tocsin says of one payment. Every payment that can be read gets exactly one.

    What it was made of is in `features.v1`: features, and the scores of every rule and pack.
    """

    decision_id: str
    payment_id: str
    tenant: str
    event_time_ms: EventTimeMs
    outcome: Outcome
    score: float
    """Log-odds: the model's bias plus the contributions of all features, summed in canonical order."""
    probability: float
    model_version: Count
    model: str
    """The first 12 digits of its hash, as of the next two."""
    ruleset: str
    feature_schema: str
    origin: Origin
    reasons: tuple[str, ...] = ()
    """The features that raised the score most, where the model tells them at no price."""
    rules: tuple[str, ...] = ()
    """That hit."""
    unmeasured: tuple[str, ...] = ()
    """Rules that could not run: never that all is well."""
    review: ReviewDetail | None = None
    """Of a payment that goes to review."""


class Origin(Struct, frozen=True):
    """Where in ``payments.v1`` the payment was read: enough to compute it again."""

    partition: Count
    offset: Count
