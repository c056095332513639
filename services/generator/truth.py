"""What is true of accounts and payments: for evaluation, in a file of its own, never beside a payment.

Three kinds of record, told apart by ``record``:

- ``account``: one for every payer, and one for every payee that is more than plain background.
- ``payment``: one for every payment that belongs to a typology.
- ``label``: what a deployment would have learned, and when (``services.contract.label.Label``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec


class AccountTruth(msgspec.Struct, frozen=True, omit_defaults=True, tag="account", tag_field="record"):
    """What is true of an account in one role.

    Parameters
    ----------
    account
        As in the payments.
    role
        ``payer`` or ``payee``; an account that is both has two records.
    population
        What it is: ``diaspora``, ``lsac``, ``facilitator``, ``direct_beneficiary``, ``collector``, ``mule``, ...
    slice
        Under which slice a false alarm about it is counted.
    typology
        What its payments belong to, or nothing: ``lsac``, ``fsec``, ``mule``, ``account_takeover``, ...
    sub_type
        Of an LSAC payer: ``flat_cheap``, ``escalator``, ``sporadic``; in a drawn world others as well.
    payments
        Of a planned account: how many payments of its typology it makes or receives in the run.
    counterparties
        Of a planned account: how many different accounts these are with.
    lifetime_payments
        Of an LSAC payer: how many it would make without an end of the horizon.
    twin_of
        Of a twin: the LSAC payer whose corridor and monthly totals it has.
    person
        Of a payer with two accounts: the first of them.
    cluster
        Of a facilitator: accounts of one cluster share tokens.
    minor
        Whether the account is a minor's.
    source_system
        Of a payer of a drawn world: the system that tells of its payments.
    also
        Of a payer of a drawn world: the population of its second routine.
    """

    account: str
    role: str
    population: str
    slice: str
    typology: str | None = None
    sub_type: str | None = None
    payments: int | None = None
    counterparties: int | None = None
    lifetime_payments: int | None = None
    twin_of: str | None = None
    person: str | None = None
    cluster: int | None = None
    minor: bool = False
    source_system: str | None = None
    also: str | None = None


class PaymentTruth(msgspec.Struct, frozen=True, tag="payment", tag_field="record"):
    """A payment that belongs to a typology."""

    payment_id: str
    typology: str
    case: int


class LabelTruth(msgspec.Struct, frozen=True, omit_defaults=True, tag="label", tag_field="record"):
    """A label as it will be published at ``label_time_ms``."""

    label_id: str
    payment_id: str
    disposition: str
    label_time_ms: int
    source: str
    weight: float = 1.0


TruthRecord = AccountTruth | PaymentTruth | LabelTruth


@dataclass(slots=True)
class Notes:
    """What planning learns of accounts on its way, by account number."""

    sub_types: dict[int, str] = field(default_factory=dict)
    lifetime: dict[int, int] = field(default_factory=dict)
    typologies: dict[int, str] = field(default_factory=dict)
    persons: dict[int, int] = field(default_factory=dict)
