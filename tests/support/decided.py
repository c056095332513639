"""What the two hops make of a log, without Kafka: decisions, and the batches of what they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.contract.codec import decode_payment
from services.contract.payment import Payment
from services.contract.units import HOUR_MS
from services.runtime.settings import load_settings
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Outbound, Record
from services.scorer.rulebook.ruleset_file import load_ruleset
from tests.support.models import random_model
from tests.support.offline import schema_hash
from tests.support.payments import Entry

CUT = 150
"""Frames a batch of the payee hop."""


class Decided(NamedTuple):
    """What the payee hop wrote."""

    decisions: list[Outbound]
    features: list[Outbound]
    """Batches of at most ``CUT`` rows."""


def decided(log: Sequence[Entry]) -> Decided:
    """The decisions on ``log``, by a model that sends some to review. Each record is appended an hour after the latest
    payment until then was made."""
    settings = load_settings()
    ruleset, model = load_ruleset(settings), random_model(1, schema_hash(settings))
    records: list[Record] = []
    now_ms = 0
    for at, each in enumerate(log):
        payment = decode_payment(each.value)
        now_ms = max(now_ms, payment.event_time_ms + HOUR_MS) if isinstance(payment, Payment) else now_ms
        records.append(Record(at, now_ms, each.key or b"", each.value))
    payer, payee, found = PayerHop(ruleset, "", 0, 1), PayeeHop(ruleset, "", 0, 1, 1), Decided([], [])
    offset = 0
    for start in range(0, len(records), CUT):
        for sent in payer.process(records[start : start + CUT], model).outputs["payments_by_payee"]:
            outputs = payee.process([Record(offset, sent.timestamp, sent.key, sent.value)], model).outputs
            found.decisions.extend(outputs["decisions"])
            found.features.extend(outputs["features"])
            offset += 1
    return found
