"""What was later learned of a payment: as it is told, as features read it, and as learning does."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from services.contract.fields import AMOUNT_EUR_MAX, DEFAULT_TENANT, OVER_CLEARED_MAX, Code, EventTimeMs, Id

Disposition = Literal["suspicious", "not_suspicious"]
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
