"""From decisions to review to alerts about subjects, and an operator's wish for silence."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from services.contract.codes import CurrencyCode
from services.contract.decision import Finding, Reason, RuleResult
from services.contract.fields import DEFAULT_TENANT, AmountMinor, Code, Count, EventTimeMs, Id, Name, Share, Token
from services.contract.payment import Role

AlertStatus = Literal["new", "update", "snoozed", "superseded"]


class Review(Struct, frozen=True, omit_defaults=True):
    """A decision to review, addressed to one subject and queue: what the alerter reads (internal topic)."""

    subject: Subject
    queue: Token
    decision_id: Name
    payment_id: Id
    tenant: Id
    event_time_ms: EventTimeMs
    amount_minor: AmountMinor
    currency: CurrencyCode
    score: float
    probability: Share
    reasons: tuple[Reason, ...]
    rules: tuple[RuleResult, ...]
    """The rules that hit."""
    model_hash: Name
    ruleset_hash: Name
    finding: Finding | None = None
    """What a typology pack found; none when the review is that of rules or model."""


class Subject(Struct, frozen=True):
    """Whom an alert is about: an account in the role it played. A payee may be a victim."""

    role: Role
    account: Id


class Contribution(Struct, frozen=True):
    """A payment that contributed to an alert."""

    payment_id: str
    decision_id: str
    event_time_ms: EventTimeMs
    amount_minor: AmountMinor
    currency: str
    probability: float


class Alert(Struct, frozen=True, omit_defaults=True):
    """A subject whose pattern of payments is consistent with published indicators. People decide."""

    alert_id: str
    tenant: str
    subject: Subject
    queue: str
    status: AlertStatus
    """``snoozed``: an operator silenced the subject in this queue. ``superseded``: nothing was added for so long that
    the next review opened another alert; this last revision repeats no reasons, rules, payments or finding."""
    revision: Count
    """1, 2, 3, ...: the highest revision of an ``alert_id`` is the alert as it stands."""
    published_event_time_ms: EventTimeMs
    """Latest event time of the reviews that made a revision."""
    opened_event_time_ms: EventTimeMs
    updated_event_time_ms: EventTimeMs
    payments_count: Count
    probability_max: float
    reasons: tuple[Reason, ...]
    rules: tuple[RuleResult, ...]
    """The rules that have hit, each with the measurement of its latest hit."""
    payments: tuple[Contribution, ...]
    """The latest contributing payments (bounded; ``payments_count`` counts all)."""
    model_hash: str
    ruleset_hash: str
    finding: Finding | None = None
    """Of the payment with the highest score, when the alert is a typology pack's."""
    finding_payment: Contribution | None = None
    """The payment that ``finding`` is of, however long ago: ``payments`` may no longer name it."""
    supersedes: str | None = None
    """The earlier alert about the subject in this queue, which had lapsed."""
    superseded_by: str | None = None
    snoozed_until_ms: EventTimeMs | None = None
    """While a snooze lasts: until then only immediate findings are published."""


class Snooze(Struct, frozen=True, omit_defaults=True):
    """An operator silences a subject in a queue: what is found is kept, and published when the snooze is over.

    Written to ``reviews.by-subject.v1`` under the subject's account, where the log orders it among the reviews.
    """

    snooze_id: Id
    """Names this record: once taken, it changes nothing when it comes again."""
    subject: Subject
    queue: Code
    until_event_time_ms: EventTimeMs
    """The first moment, in event time, that is no longer silent; one in the past ends a snooze."""
    tenant: Id = DEFAULT_TENANT
    reason: Code | None = None
