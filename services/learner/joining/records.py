"""What the learner reads and keeps: decisions and labels, and the examples that come of both. Bad input is a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.labels import SILENCE, reliability
from models.learning.silence import certainty
from models.measures import Floats
from services.contract.codec import Rejection, read
from services.contract.identity import example_id, silent_example_id
from services.contract.label import Example, Label, PaymentLabel
from services.contract.payment_digests import Digests, payment_digests
from services.contract.served import Served
from services.scorer.path.features.registry import INDEX, NAMES

EXAMPLE_WEIGHT_MAX = 1e6
"""As of a label: what a trainer takes."""


class Decisions(NamedTuple):
    """A batch of decisions, as the learner takes it."""

    served: Served
    digests: Digests
    """uint64[n, 2]: of the payments."""
    appended_ms: NDArray[np.int64]
    """int64[n]: when each payment was appended; where brokers do not say, when the batch was written."""

    @classmethod
    def of(cls, served: Served, written_ms: int) -> Decisions:
        """Those of a record of ``features.v1`` that has the timestamp ``written_ms``."""
        appended_ms = np.where(served.appended_ms < 0, written_ms, served.appended_ms)
        return cls(served, payment_digests(served.tenant, served.payment_id), appended_ms)


class Kept(Struct, frozen=True, array_like=True, gc=False):
    """What the store keeps of a decision."""

    event_time_ms: int
    score: float
    features: bytes
    """As served: float64, little-endian."""
    model_hash: str
    feature_schema_hash: str
    payer: str
    """Account."""
    payee: str
    payment_id: str
    tenant: str
    inclusion: float
    """The probability with which the decision was kept."""
    inclusion_cleared: float
    """With which it is learned if it turns out not suspicious; never more than ``inclusion``."""

    def numbers(self) -> tuple[float | None, ...]:
        """The features, ``None`` where they are missing."""
        return tuple(None if math.isnan(each) else each for each in np.frombuffer(self.features, "<f8").tolist())


def kept_rows(served: Served, rows: Sequence[int], inclusion: Floats, inclusion_cleared: Floats) -> list[Kept]:
    """What the store keeps of the decisions in ``rows``; the probabilities are those of all n."""
    by, features = served.by, served.features.astype("<f8", copy=False)
    columns = zip(
        served.event_time_ms[rows].tolist(),
        served.score[rows].tolist(),
        (features[row].tobytes() for row in rows),
        served.payer.chosen(rows),
        served.payee.chosen(rows),
        served.payment_id.chosen(rows),
        served.tenant.chosen(rows),
        inclusion[rows].tolist(),
        inclusion_cleared[rows].tolist(),
        strict=True,
    )
    return [
        Kept(
            at_ms, score, numbers, by.model_hash, by.feature_schema_hash, payer, payee, payment_id, tenant, pi, cleared
        )
        for at_ms, score, numbers, payer, payee, payment_id, tenant, pi, cleared in columns
    ]


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


def example_of(label: Label, kept: Kept, number: float = 0.0, again: bool = False) -> Example | None:
    """The training example that a label makes of what was served; ``None`` where it says not suspicious, and the
    payment's permanent random ``number`` is not below the probability with which such are learned.

    It weighs what the label does (the inverse of the share of such payments that are labelled at all), over the
    probability that it was learned, times the reliability of the label's source. ``again`` says that its payment made
    an example before, which this one is to replace.
    """
    probability = kept.inclusion
    if label.disposition != "suspicious":
        if number < kept.inclusion_cleared:
            probability = kept.inclusion_cleared
        elif not again:
            return None
    return Example(
        example_id=example_id(label.tenant, label.payment_id, label.label_id),
        payment_id=label.payment_id,
        tenant=label.tenant,
        event_time_ms=kept.event_time_ms,
        label_time_ms=label.label_time_ms,
        label=label.disposition == "suspicious",
        weight=_weight(label.weight * reliability(label.source), probability),
        source=label.source,
        features=kept.numbers(),
        feature_schema_hash=kept.feature_schema_hash,
        score=kept.score,
        model_hash=kept.model_hash,
        payer=kept.payer,
    )


def silent_example_of(kept: Kept, maturity_ms: int, label_frequency: float) -> Example | None:
    """The weak example that a kept decision makes which nobody has labelled for ``maturity_ms`` of event time; ``None``
    where it would weigh nothing.

    It says *not suspicious* with the reliability of silence, times the probability that this is so
    (``models.learning.silence.certainty``), over the probability that it is learned.
    """
    probability = kept.inclusion_cleared
    weight = _weight(reliability(SILENCE) * certainty(kept.score, label_frequency), probability)
    if weight <= 0.0:
        return None
    return Example(
        example_id=silent_example_id(kept.tenant, kept.payment_id),
        payment_id=kept.payment_id,
        tenant=kept.tenant,
        event_time_ms=kept.event_time_ms,
        label_time_ms=kept.event_time_ms + maturity_ms,
        label=False,
        weight=weight,
        source=SILENCE,
        features=kept.numbers(),
        feature_schema_hash=kept.feature_schema_hash,
        score=kept.score,
        model_hash=kept.model_hash,
    )


def _weight(weight: float, probability: float) -> float:
    return min(EXAMPLE_WEIGHT_MAX, weight / probability)


def payment_label_of(label: Label, kept: Kept, schema: str) -> PaymentLabel:
    """What hops are to learn of a payment's first label.

    The amount, and what it was over the payer's cleared ones, are known of a decision under the feature schema
    ``schema``, that of this code, only.
    """
    amount = over_cleared = None
    if kept.feature_schema_hash == schema and len(kept.features) == 8 * len(NAMES):
        numbers = kept.numbers()
        amount, over_cleared = (numbers[INDEX[name]] for name in ("amount", "payer_amount_over_cleared"))
    return PaymentLabel(
        payment_id=label.payment_id,
        payer=kept.payer,
        payee=kept.payee,
        event_time_ms=kept.event_time_ms,
        confirmed=label.disposition == "suspicious",
        amount_eur=amount,
        amount_over_cleared=over_cleared,
        tenant=label.tenant,
    )
