"""A payment, as ``payments.v1`` takes it. Unknown fields are kept: its bytes travel with it into the decision."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from services.contract.codes import CountryCode, CurrencyCode
from services.contract.fields import (
    DEFAULT_TENANT,
    AmountMinor,
    Code,
    EventTimeMs,
    Id,
    PaidMs,
    Text,
    Token,
    UtcOffsetMinutes,
)

Status = Literal["attempted", "accepted", "rejected", "returned"]
Role = Literal["payer", "payee"]


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
    event_time_ms: PaidMs
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
    """An empty one says that the payer wrote none."""
    merchant_category: Code | None = None
    """ISO 18245 merchant category code."""
    device: Token | None = None
    relationship: Code | None = None
    """What payer and payee are to each other, as declared: ``family``, ``work``, ``self``, ..., or ``none``."""
