"""The records of the contract.

Units stand last in a name: ``_ms`` is milliseconds since 1970-01-01 UTC, ``_minor`` the smallest unit of the
currency beside it (ISO 4217: 2,500 with EUR is 25.00, with JPY it is 2,500). Unknown fields of a payment are kept:
its original bytes travel with it into the decision.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from services.contract.codes import CountryCode, CurrencyCode

EVENT_TIME_MS_MAX = 4_102_444_800_000  # 2100-01-01
AMOUNT_EUR_MAX = 1e30
OVER_CLEARED_MAX = 1e35
AMOUNT_MINOR_MAX = 9_007_199_254_740_992  # 2**53: every such integer is also an exact float64

_END = r"$(?!\n)"
"""The end of a text: a dollar alone also stands before its last line break."""
Id = Annotated[str, Meta(min_length=1, max_length=128, pattern=rf"^[^\x00-\x1f\x7f]*{_END}")]
"""No control characters: U+001F separates the parts of keys and of hashed names."""
Token = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=1000)]
Code = Annotated[str, Meta(min_length=1, max_length=35)]
EventTimeMs = Annotated[int, Meta(ge=0, le=EVENT_TIME_MS_MAX)]
AmountMinor = Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""Of things, or the number of one; every such integer is also an exact float64."""
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(max_length=128)]
Sha256 = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{64}}{_END}")]
Version = Annotated[str, Meta(max_length=200, pattern=rf"^.+/[0-9]{{1,15}}{_END}")]
"""``name/version`` of a model."""
NAME_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,63}}{_END}"
"""Of a line of models: it is a folder's name, too."""
LineName = Annotated[str, Meta(pattern=NAME_PATTERN)]
ReviewProbability = Annotated[float, Meta(ge=0, le=1.000_001)]
"""A little beyond 1 is a threshold that nothing reaches: ``models.learning.threshold`` gives it where none keeps within
the budget."""
UtcOffsetMinutes = Annotated[int, Meta(ge=-840, le=840)]

Status = Literal["attempted", "accepted", "rejected", "returned"]
Outcome = Literal["pass", "review"]
RuleOutcome = Literal["hit", "no_hit", "error"]
Side = Literal["payment", "payer", "payee", "pair"]
Role = Literal["payer", "payee"]
AlertStatus = Literal["new", "update", "snoozed", "superseded"]
Disposition = Literal["suspicious", "not_suspicious"]
Family = Literal["amount", "temporal", "relationship", "beneficiary", "network", "channel", "text"]

DEFAULT_TENANT = "default"


class Party(Struct, frozen=True, omit_defaults=True):
    """Payer or payee of a payment. Only ``account`` is required; ``None`` means *not told*, never *no*."""

    account: Id
    country: CountryCode | None = None
    agent: Code | None = None
    """BIC, sort code or other identifier of the institution that holds the account."""
    device: Token | None = None
    phone: Token | None = None
    pickup: Token | None = None
    """Token of a cash pick-up point."""
    opened_ms: EventTimeMs | None = None
    """When the account was opened."""
    minor: bool | None = None
    """Whether the account is a minor's, or run for one, as its institution knows. Leads to help, never to blame."""


class Payment(Struct, frozen=True, omit_defaults=True):
    """One payment, in the state (``status``) that the processor chose to publish."""

    payment_id: Id
    event_time_ms: EventTimeMs
    amount_minor: AmountMinor
    currency: CurrencyCode
    payer: Party
    payee: Party
    tenant: Id = DEFAULT_TENANT
    utc_offset_minutes: UtcOffsetMinutes | None = None
    """The payer's offset from UTC at ``event_time_ms``."""
    received_amount_minor: AmountMinor | None = None
    received_currency: CurrencyCode | None = None
    """Another one than ``currency`` says that a border is crossed, where a country is not told."""
    rail: Code | None = None
    """How it travelled: ``bank``, ``card``, ``wallet``, ``remitter``, ``voucher``, ``virtual_asset``, ..."""
    status: Status = "accepted"
    purpose: Code | None = None
    """ISO 20022 external purpose code, such as ``FAMI``."""
    reference: Text | None = None
    merchant_category: Code | None = None
    """ISO 18245 merchant category code."""
    device: Token | None = None
    relationship: Code | None = None
    """What payer and payee are to each other, as declared: ``family``, ``work``, ``self``, ..., or ``none``."""


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
    """Log-odds; below 0 it speaks for an innocent reading."""
    reason: str
    source: str


class Finding(Struct, frozen=True, omit_defaults=True):
    """What a typology pack says of a subject of a payment, when it asks for people to look."""

    pack: str
    pack_hash: str
    role: Role
    queue: str
    headline: str
    score: float
    """Log-odds: ``prior``, then the weights of ``evidence``, then those of ``counter_evidence``, then ``model``, added
    one by one in this order."""
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


class Reason(Struct, frozen=True):
    """One ranked reason: a feature, the value it had, and what it added to the score (log-odds)."""

    feature: str
    value: float
    contribution: float


class Decision(Struct, frozen=True, omit_defaults=True):
    """What Tocsin says of one payment. Every payment that can be read gets exactly one."""

    decision_id: str
    payment_id: str
    tenant: str
    event_time_ms: EventTimeMs
    outcome: Outcome
    score: float
    """Log-odds: the model's bias plus the contributions of all features, summed in canonical order."""
    probability: float
    reasons: tuple[Reason, ...]
    rules: tuple[RuleResult, ...]
    features: tuple[float | None, ...]
    """In the canonical order of the feature schema; ``null`` where the payment lacks what the feature needs."""
    model_version: Count
    model_hash: str
    ruleset_hash: str
    feature_schema_hash: str
    origin: Origin
    payment: msgspec.Raw
    """The payment as it came, unknown fields included."""
    contributions: tuple[float, ...] = ()
    """Of every feature, in canonical order; present on reviews, recomputable for the rest."""
    subjects: tuple[Role, ...] = ()
    """On reviews by rules or model: whose behaviour the decision speaks of."""
    findings: tuple[Finding, ...] = ()
    """On reviews: what typology packs found."""


class Origin(Struct, frozen=True):
    """Where in ``payments.v1`` the payment was read: enough to compute it again."""

    partition: Count
    offset: Count


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


LABEL_FREQUENCY = 0.3
"""The share of suspicious payments that ever get a label, where nobody says better. Tocsin's assumption, too. It
matters only where a high score met silence (``models.learning.silence``): at a probability of 0.01 it moves no weight
by 1 %."""


class Label(Struct, frozen=True, omit_defaults=True):
    """What somebody later said of a payment."""

    label_id: Id
    payment_id: Id
    disposition: Disposition
    label_time_ms: EventTimeMs
    """When it became known, in event time."""
    tenant: Id = DEFAULT_TENANT
    source: Code = "analyst"
    """``analyst``, ``chargeback``, ``report``, ``authority``, ``matured``, ..."""
    weight: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    """Inverse of the share of such payments that get a label at all."""


class PaymentLabel(Struct, frozen=True, omit_defaults=True):
    """The first label of a payment, as features are to know it: what the learner writes into ``payments.v1``.

    An internal record, under the payer's account and told from payments by its ``ce_type``: the log orders it among
    the payments.
    """

    payment_id: Id
    payer: Id
    """Account."""
    payee: Id
    event_time_ms: EventTimeMs
    """Of the payment."""
    confirmed: bool
    """Or cleared."""
    amount_eur: Annotated[float, Meta(ge=0, le=AMOUNT_EUR_MAX)] | None = None
    """As served; ``None`` where it is not known."""
    amount_over_cleared: Annotated[float, Meta(ge=0, le=OVER_CLEARED_MAX)] | None = None
    """``payer_amount_over_cleared`` as served."""
    tenant: Id = DEFAULT_TENANT


class Example(Struct, frozen=True, omit_defaults=True):
    """A label joined with the features exactly as they were served. ``examples.v1`` is the whole training log."""

    example_id: str
    payment_id: str
    tenant: str
    event_time_ms: EventTimeMs
    label_time_ms: EventTimeMs
    label: bool
    weight: float
    source: str
    features: tuple[float | None, ...]
    feature_schema_hash: str
    score: float
    """As served, for prequential evaluation."""
    model_hash: str
    payer: str = ""
    """Account, for the limit of one account's labels; empty of silence, which has none, and where it is not known."""


class OnnxGraph(Struct, frozen=True):
    """A graph in the ONNX format, kept as a file in the registry: which one, and how it is asked."""

    sha256: Sha256
    """Of the file's bytes; it is also the file's name."""
    input: Token
    """float32 or float64 [n, features] in canonical order, natural units, NaN where missing."""
    output: Token
    """Probability of suspicious, [n] or [n, 1], or of not suspicious and suspicious, [n, 2]."""


Kind = Literal["logistic", "boosting", "adaptive_forest", "halfspace", "onnx"]
"""What a model is: how its parameters are read, and what they mean."""


class ModelAnnouncement(Struct, frozen=True, omit_defaults=True):
    """A model that scorers can load: its identity, and its parameters as flat arrays."""

    name: LineName
    version: Count
    model_hash: Sha256
    feature_schema_hash: Sha256
    kind: Kind
    review_probability: ReviewProbability
    """The operating threshold: decisions at or above it go to review."""
    examples_offset: Count
    """The model is what learning ``examples.v1`` up to, not including, this offset gives; 0 if of a data set."""
    trained_event_time_ms: EventTimeMs
    """Latest label time among its examples."""
    bias: float = 0.0
    weights: tuple[float, ...] = ()
    """``weights``, ``means`` and ``scales``, and ``bias``: of a logistic model, one for each feature."""
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    """Standard deviations; 0 switches a feature off."""
    forest: bytes = b""
    """Of a boosted ensemble: its trees, as ``services.scorer.path.scoring.forest`` packs them, in base64."""
    correction: bytes = b""
    """Of a boosted ensemble with a corrector: the latter, packed likewise."""
    challenger: bool = False
    """Nobody scores with it unless it is promoted."""
    votes: bytes = b""
    """Of an adaptive forest: its trees, as ``services.scorer.path.scoring.votes`` packs them, in base64."""
    halfspace: bytes = b""
    """Of an anomaly model: its half-space trees, as ``services.scorer.path.scoring.halfspace`` packs them, in base64.
    Its ``review_probability`` is a score of its own, no probability, and nobody decides with it."""
    onnx: OnnxGraph | None = None
    """Of the kind ``onnx``, which is a challenger only: it has no contributions, so no reasons to show."""


class ShadowScores(Struct, frozen=True, omit_defaults=True):
    """What challengers say of a decided payment, beside what was served. Nothing acts on it.

    Every decision that can be read has one, without ``scores`` where nobody could score it.
    """

    decision_id: str
    payment_id: str
    tenant: str
    event_time_ms: EventTimeMs
    model_hash: str
    """Of the model that decided."""
    score: float
    """As served, log-odds."""
    scores: dict[str, float] = {}
    """Log-odds, by the challenger's model hash."""
    unscored: str | None = None
    """Why there are no scores: ``feature_schema`` (the decision has another), ``no_challenger``, or ``failed``: those
    there are gave no number."""


class Promotion(Struct, frozen=True, omit_defaults=True):
    """Which model scores, by people's choice: the one record at the key ``champion`` of ``models.v1``. While there is
    none, or after a tombstone, the model announced last does."""

    champion: ModelAnnouncement
    before: tuple[Version, ...] = ()
    """The champions before it, ``name/version``, the latest last: what a rollback goes back to."""


class DeadLetter(Struct, frozen=True, omit_defaults=True):
    """Why a record could not be processed. Travels in headers, as ``tocsin_<field>``; key and value are the record's
    own bytes, and its headers stand beside as ``original_<name>``.

    ``topic`` may also be ``file:<name>`` or ``stream:<name>``; then ``offset`` is the line, counted from 1.
    """

    reason: str
    field: str
    detail: str
    topic: str
    partition: Count
    offset: Count
    truncated: str | None = None
    """``key``, ``value`` or ``key,value``: of what only the beginning is kept. The log has the rest, at ``offset``."""
    size: Count | None = None
    """Of the value as it came, bytes; with a value that was cut."""
    sha256: Sha256 | None = None
    """Of the same."""
    key_size: Count | None = None
    key_sha256: Sha256 | None = None
    headers_left_out: Count = 0
    """How many of the record's own headers were too many, or too large."""
