"""What a batch of ``payments.v1`` is, record by record and by the contract's types alone; and what ``decode`` says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from services.contract.codec import Rejection, decode_payment, decode_payment_label
from services.contract.events import PAYMENT_LABEL, type_header
from services.contract.label import PaymentLabel
from services.contract.partitioner import partitions_of
from services.contract.payment import Payment
from services.scorer.path.decode import Decoded, Reading, dead_letter
from services.scorer.path.decoding.content import content_digest
from services.scorer.path.decoding.fields import AT
from services.scorer.path.features.accounts import digests_of_keys
from services.scorer.path.features.inputs import PAYER_INPUT, payer_rows
from services.scorer.path.features.state import account_key
from services.scorer.path.intake import Intake
from services.scorer.path.records import Record

TOPIC, PARTITION = "payments.v1", 3
OF_PAYMENT = (
    "payment_id", "currency", "tenant", "received_currency", "rail", "purpose", "reference", "merchant_category",
    "device", "relationship",
)  # fmt: skip
OF_PARTY = ("account", "country", "agent", "device", "phone", "pickup")
"""The fields whose texts are told; ``status`` is one of the row's numbers."""

OF_OTHERS = ("verdict", "first_refused", "now_ms")
"""Columns that say what other payments make of one: they are written later."""

Fate = tuple[Any, ...]
"""What one record is: a payment, a label or a dead letter, and all that is said of it."""


def expected(records: Sequence[Record], reading: Reading) -> list[Fate]:
    """The fate of each record."""
    fates: list[Fate] = []
    payments = 0
    for record in records:
        found = _typed(record, reading.intake)
        if isinstance(found, Rejection):
            fates.append(("dead", found.reason, dead_letter(record, found, TOPIC, PARTITION)))
        elif isinstance(found, Payment):
            payments += 1
            rows = payer_rows([found], reading.eur_per_minor, reading.private)
            rows["content"] = content_digest(found, reading.private.texts.digests.key)
            accounts = [_digest(found.tenant, party.account, reading) for party in (found.payer, found.payee)]
            corridor = (
                found.payer.country, found.payee.country, found.currency, found.received_currency, found.rail
            )  # fmt: skip
            fates.append(
                ("payment", _numbers(rows[0]), _texts_of(found), *accounts, corridor, record.value, found)
            )  # fmt: skip
        else:
            fates.append(("label", found, payments))
    return fates


def decoded(records: Sequence[Record], batch: Decoded) -> list[Fate]:
    """The same of what ``decode`` made of them."""
    fates: dict[int, Fate] = {}
    raw = batch.values(np.arange(len(batch.at)))
    for row, at in enumerate(batch.at.tolist()):
        start, length = int(raw.starts[row]), int(raw.lengths[row])
        fates[at] = (
            "payment", _numbers(batch.rows[row]), _texts_in(batch, row), _pair(batch.payers[row]),
            _pair(batch.payees[row]), tuple(batch.corridor(row)), raw.data[start : start + length].tobytes(),
            batch.payments[row],
        )  # fmt: skip
    for at, label, before in zip(batch.label_at, batch.labels, batch.payments_before().tolist(), strict=True):
        fates[at] = ("label", label, before)
    dead = zip(batch.reasons, batch.dead, strict=True)
    return [fates[at] if at in fates else ("dead", *next(dead)) for at in range(len(records))]


def _typed(record: Record, intake: Intake) -> Payment | PaymentLabel | Rejection:
    is_label = type_header(PAYMENT_LABEL) in record.headers
    found = decode_payment_label(record.value) if is_label else decode_payment(record.value)
    if isinstance(found, Rejection):
        return found
    key = (found.payer if isinstance(found, PaymentLabel) else found.payer.account).encode()
    if record.key != key:
        return Rejection("key_mismatch", "key", "The record's key must be the payer's account, in UTF-8")
    if intake.partitions and partitions_of([key], intake.partitions)[0] != PARTITION:
        return Rejection("wrong_partition", "key", "Kafka's default partitioner (murmur2) puts this key elsewhere")
    if isinstance(found, PaymentLabel):
        return found
    return intake.time_refused(found.event_time_ms, record.timestamp) or found


def _digest(tenant: str, account: str, reading: Reading) -> tuple[int, int]:
    key = reading.private.texts.digests.key
    return _pair(digests_of_keys([account_key(tenant.encode(), account.encode())], key)[0])


def _pair(digest: Any) -> tuple[int, int]:
    return int(digest[0]), int(digest[1])


def _numbers(row: Any) -> dict[str, bytes]:
    """The bits of each column that a payment says by itself, and not of what fills the gaps between them."""
    return {name: row[name].tobytes() for name in PAYER_INPUT.names or () if name not in OF_OTHERS}


def _texts_of(payment: Payment) -> dict[str, str | None]:
    texts = {name: getattr(payment, name) for name in OF_PAYMENT}
    for role in ("payer", "payee"):
        texts |= {f"{role}_{name}": getattr(getattr(payment, role), name) for name in OF_PARTY}
    return texts


def _texts_in(batch: Decoded, row: int) -> dict[str, str | None]:
    parties = [f"{role}_{name}" for role in ("payer", "payee") for name in OF_PARTY]
    return {name: batch.text(row, getattr(AT, name)) for name in (*OF_PAYMENT, *parties)}
