"""What the learner reads: of a decision only what examples and labels as features need, and labels. Bad input is a
value."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from models.labels import SILENCE, reliability
from models.learning.silence import certainty
from services.contract.codec import DECISION_BYTES_MAX, Rejection, decode_payment, read
from services.contract.fields import EventTimeMs, Id
from services.contract.identity import example_id, silent_example_id
from services.contract.label import Example, Label, PaymentLabel
from services.scorer.path.features.registry import INDEX, NAMES

_Hash = Annotated[str, Meta(min_length=1, max_length=128)]


EXAMPLE_WEIGHT_MAX = 1e6
"""As of a label: what a trainer takes."""


class RuleSaid(Struct, frozen=True, gc=False):
    """Of a rule's result, what it came to."""

    outcome: str


class ServedDecision(Struct, frozen=True, gc=False):
    """A decision, as far as the learner reads it. The rest of the record is skipped unread."""

    payment_id: Id
    tenant: Id
    event_time_ms: EventTimeMs
    score: float
    features: tuple[float | None, ...]
    model_hash: _Hash
    feature_schema_hash: _Hash
    payment: msgspec.Raw = msgspec.Raw(b"")
    outcome: str = "review"
    """Where it is not told, the decision is kept like a review."""
    rules: tuple[RuleSaid, ...] = ()


class Served(Struct, frozen=True, array_like=True, gc=False):
    """What the store keeps of a decision."""

    event_time_ms: int
    score: float
    features: tuple[float | None, ...]
    model_hash: str
    feature_schema_hash: str
    payer: str = ""
    """Account; empty where it was not kept."""
    payee: str = ""
    payment_id: str = ""
    tenant: str = ""
    inclusion: float = 1.0
    """The probability with which the decision was kept."""
    inclusion_cleared: float = 1.0
    """With which it is learned if it turns out not suspicious; where it is more than ``inclusion``, that one holds."""


class _Party(Struct, frozen=True, gc=False):
    account: Id


class _Parties(Struct, frozen=True, gc=False):
    payer: _Party
    payee: _Party


def decode_decision(value: bytes | None) -> ServedDecision | Rejection:
    """Read a decision; no input raises.

    >>> decode_decision(b"{}")
    Rejection(reason='decision_invalid', field='payment_id', detail='Object missing required field `payment_id`')
    """
    return read(value, ServedDecision, "decision_invalid", DECISION_BYTES_MAX)


def accounts_of(decision: ServedDecision) -> tuple[str, str]:
    """Payer's and payee's account, empty where the decision does not tell them. Where a name comes twice the last
    counts, as it did at the payer hop, and the fast decoder refuses an earlier value of the wrong type."""
    raw = bytes(decision.payment)
    found = read(raw, _Parties, "payment_invalid")
    if isinstance(found, Rejection):
        payment = decode_payment(raw)
        return ("", "") if isinstance(payment, Rejection) else (payment.payer.account, payment.payee.account)
    return found.payer.account, found.payee.account


def decode_label(value: bytes | None) -> Label | Rejection:
    """Read a label; no input raises.

    >>> decode_label(b'{"label_id": "l-1", "payment_id": "p-1", "disposition": "guilty", "label_time_ms": 0}')
    Rejection(reason='label_invalid', field='disposition', detail='Not one of the allowed codes')
    """
    return read(value, Label, "label_invalid")


def read_example(value: bytes | None) -> Example | Rejection:
    """Read an example; no input raises.

    >>> read_example(b'{"example_id": 7}')
    Rejection(reason='example_invalid', field='example_id', detail='Expected `str`, got `int`')
    """
    return read(value, Example, "example_invalid")


def example_of(label: Label, served: Served, number: float = 0.0, again: bool = False) -> Example | None:
    """The training example that a label makes of what was served; ``None`` where it says not suspicious, and the
    payment's permanent random ``number`` is not below the probability with which such are learned.

    It weighs what the label does (the inverse of the share of such payments that are labelled at all), over the
    probability that it was learned, times the reliability of the label's source. ``again`` says that its payment made
    an example before, which this one is to replace.
    """
    probability = served.inclusion
    if label.disposition != "suspicious":
        cleared = min(served.inclusion, served.inclusion_cleared)
        if number < cleared:
            probability = cleared
        elif not again:
            return None
    return Example(
        example_id=example_id(label.tenant, label.payment_id, label.label_id),
        payment_id=label.payment_id,
        tenant=label.tenant,
        event_time_ms=served.event_time_ms,
        label_time_ms=label.label_time_ms,
        label=label.disposition == "suspicious",
        weight=_weight(label.weight * reliability(label.source), probability),
        source=label.source,
        features=served.features,
        feature_schema_hash=served.feature_schema_hash,
        score=served.score,
        model_hash=served.model_hash,
        payer=served.payer,
    )


def silent_example_of(served: Served, maturity_ms: int, label_frequency: float) -> Example | None:
    """The weak example that a kept decision makes which nobody has labelled for ``maturity_ms`` of event time; ``None``
    where it would weigh nothing.

    It says *not suspicious* with the reliability of silence, times the probability that this is so
    (``models.learning.silence.certainty``), over the probability that it is learned.
    """
    probability = min(served.inclusion, served.inclusion_cleared)
    weight = _weight(reliability(SILENCE) * certainty(served.score, label_frequency), probability)
    if weight <= 0.0:
        return None
    return Example(
        example_id=silent_example_id(served.tenant, served.payment_id),
        payment_id=served.payment_id,
        tenant=served.tenant,
        event_time_ms=served.event_time_ms,
        label_time_ms=served.event_time_ms + maturity_ms,
        label=False,
        weight=weight,
        source=SILENCE,
        features=served.features,
        feature_schema_hash=served.feature_schema_hash,
        score=served.score,
        model_hash=served.model_hash,
    )


def _weight(weight: float, probability: float) -> float:
    return min(EXAMPLE_WEIGHT_MAX, weight / probability)


def payment_label_of(label: Label, served: Served, schema: str) -> PaymentLabel | None:
    """What hops are to learn of a payment's first label; ``None`` where the accounts were not kept.

    The amount, and what it was over the payer's cleared ones, are known of a decision under the feature schema
    ``schema``, that of this code, only.
    """
    if not served.payer or not served.payee:
        return None
    amount = over_cleared = None
    if served.feature_schema_hash == schema and len(served.features) == len(NAMES):
        amount, over_cleared = (served.features[INDEX[name]] for name in ("amount", "payer_amount_over_cleared"))
    return PaymentLabel(
        payment_id=label.payment_id,
        payer=served.payer,
        payee=served.payee,
        event_time_ms=served.event_time_ms,
        confirmed=label.disposition == "suspicious",
        amount_eur=amount,
        amount_over_cleared=over_cleared,
        tenant=label.tenant,
    )
