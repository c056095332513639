"""What the learner reads: of a decision only what examples and labels as features need, and labels. Bad input is a
value."""

from __future__ import annotations

from typing import Annotated

import msgspec
import orjson
from msgspec import Meta, Struct

from services.contract.codec import RECORD_BYTES_MAX, Rejection, decode_payment, rejection_of
from services.contract.identity import example_id
from services.contract.types import EventTimeMs, Example, Id, Label, PaymentLabel
from services.scorer.path.features import INDEX, NAMES

_Hash = Annotated[str, Meta(min_length=1, max_length=128)]


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


class _Party(Struct, frozen=True, gc=False):
    account: Id


class _Parties(Struct, frozen=True, gc=False):
    payer: _Party
    payee: _Party


_parties = msgspec.json.Decoder(_Parties)
_decisions = msgspec.json.Decoder(ServedDecision)


def decode_decision(value: bytes | None) -> ServedDecision | Rejection:
    """Read a decision; no input raises.

    >>> decode_decision(b"{}")
    Rejection(reason='decision_invalid', field='payment_id', detail='The field is missing')
    """
    if not value:
        return Rejection("decision_invalid", "", "The record has no value")
    try:
        return _decisions.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _rejection("decision_invalid", error)


def accounts_of(decision: ServedDecision) -> tuple[str, str]:
    """Payer's and payee's account, empty where the decision does not tell them. Where a name comes twice the last
    counts, as it did at the payer hop, and the fast decoder refuses an earlier value of the wrong type."""
    raw = bytes(decision.payment)
    try:
        found = _parties.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        payment = decode_payment(raw)
        return ("", "") if isinstance(payment, Rejection) else (payment.payer.account, payment.payee.account)
    return found.payer.account, found.payee.account


def decode_label(value: bytes | None) -> Label | Rejection:
    """Read a label; no input raises. Valid JSON (RFC 8259, UTF-8) and the types of ``Label`` are both required.

    >>> decode_label(b'{"label_id": "l-1", "payment_id": "p-1", "disposition": "guilty", "label_time_ms": 0}')
    Rejection(reason='label_invalid', field='disposition', detail='The field has a wrong type or value')
    """
    if not value:
        return Rejection("label_invalid", "", "The record has no value")
    if len(value) > RECORD_BYTES_MAX:
        return Rejection("label_invalid", "", f"{len(value)} bytes, and {RECORD_BYTES_MAX} are allowed")
    try:
        return msgspec.convert(orjson.loads(value), Label)
    except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
        return _rejection("label_invalid", error)


def example_of(label: Label, served: Served) -> Example:
    """The training example that a label makes of what was served."""
    return Example(
        example_id=example_id(label.tenant, label.payment_id, label.label_id),
        payment_id=label.payment_id,
        tenant=label.tenant,
        event_time_ms=served.event_time_ms,
        label_time_ms=label.label_time_ms,
        label=label.disposition == "suspicious",
        weight=label.weight,
        source=label.source,
        features=served.features,
        feature_schema_hash=served.feature_schema_hash,
        score=served.score,
        model_hash=served.model_hash,
    )


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


def _rejection(reason: str, error: Exception) -> Rejection:
    """A rejection that names the field and repeats nothing of the record."""
    if not isinstance(error, msgspec.ValidationError):
        return Rejection(reason, "", "Not valid JSON")
    found = rejection_of(error)
    if found.reason == "field_missing":
        return Rejection(reason, found.field, "The field is missing")
    detail = "The field has a wrong type or value" if found.field else "Not a record of this kind"
    return Rejection(reason, found.field, detail)
