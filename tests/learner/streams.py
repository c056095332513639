"""Seeded decisions and labels, as the scorer and people would write them, and a store in memory."""

from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec

from services.contract.codec import encode
from services.contract.decision import Decision, Origin, Reason, RuleResult
from services.contract.identity import decision_id
from services.contract.label import Disposition, Example, Label
from services.learner.joining.join import Joined
from services.learner.joining.records import ServedDecision
from services.scorer.path.features.registry import FEATURES, NAMES

SCHEMA = "5c" * 32
MODEL = "30" * 32
RULESET = "44" * 32
START_MS = 1_700_000_000_000
MINUTE_MS = 60_000
BUSY = 20


PAYMENT = b'{"payer":{"account":"payer-1","country":"SE"},"payee":{"account":"payee-1"},"note":{"payer":1}}'


class MemoryStore:
    """An ordered map in memory with offsets: what ``Store`` is on disk."""

    def __init__(self, values: Mapping[bytes, bytes] | None = None) -> None:
        self.values = dict(values or {})

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key``."""
        return self.values.get(key)

    def scan(self, start: bytes, stop: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to ``limit`` entries with ``start <= key < stop``, ascending."""
        return sorted(entry for entry in self.values.items() if start <= entry[0] < stop)[:limit]

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Make all changes."""
        for key, value in changes.items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value


def features_of(draw: random.Random, suspicious: bool = False) -> tuple[float | None, ...]:
    """A feature vector in natural units: some missing, some flags, heavier amounts where ``suspicious``."""
    values: list[float | None] = []
    for feature in FEATURES:
        if draw.random() < 0.05:
            values.append(None)
        elif feature.unit == "flag":
            values.append(float(draw.random() < (0.5 if suspicious else 0.1)))
        elif feature.scale == "log":
            values.append(draw.lognormvariate(3.0 if suspicious else 2.0, 1.0))
        else:
            values.append(draw.gauss(0.5 if suspicious else 0.0, 1.0))
    return tuple(values)


def served(
    payment_id: str,
    event_time_ms: int = START_MS,
    features: tuple[float | None, ...] = (),
    score: float = -3.0,
    outcome: str = "pass",
) -> ServedDecision:
    """A decision, as far as the learner reads it."""
    payment = msgspec.Raw(PAYMENT)
    return ServedDecision(payment_id, "default", event_time_ms, score, features, MODEL, SCHEMA, payment, outcome)


def label(
    payment_id: str,
    label_id: str,
    label_time_ms: int = START_MS,
    disposition: Disposition = "suspicious",
    source: str = "analyst",
) -> Label:
    """A label of a payment."""
    return Label(label_id, payment_id, disposition, label_time_ms, source=source)


def taught(joined: Joined) -> Example:
    """The example that a label made."""
    assert joined.example is not None
    return joined.example


def decision(
    payment_id: str,
    event_time_ms: int,
    features: tuple[float | None, ...],
    schema: str = SCHEMA,
    payer: str = "payer-1",
) -> bytes:
    """A whole decision record, about 2 KB of JSON."""
    reasons = tuple(Reason(name, 1.5, 0.25) for name in NAMES[:5])
    payment = (
        b'{"payment_id":"%s","event_time_ms":%d,"amount_minor":2500,"currency":"EUR","payer":{"account":"%s",'
        b'"country":"SE"},"payee":{"account":"payee-1","country":"PH"},"rail":"remitter","reference":"for school"}'
    ) % (payment_id.encode(), event_time_ms, payer.encode())
    return encode(
        Decision(
            decision_id=decision_id("default", payment_id, RULESET),
            payment_id=payment_id,
            tenant="default",
            event_time_ms=event_time_ms,
            outcome="pass",
            score=-3.0,
            probability=0.0474,
            reasons=reasons,
            rules=(RuleResult("fan_in", "hit", 12.0, 8.0, "payers", "60 d"),),
            features=features,
            model_version=0,
            model_hash=MODEL,
            ruleset_hash=RULESET,
            feature_schema_hash=schema,
            origin=Origin(0, 0),
            payment=msgspec.Raw(payment),
        )
    )


def scenario(
    seed: int, payments: int, schema: str = SCHEMA, step_ms: int = MINUTE_MS
) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """Decision and label records as (payment id, value), the decisions ``step_ms`` apart. Some labels come twice, some
    are corrected, some are for payments that nobody decided. One payment in ``BUSY`` is of the same payer."""
    draw = random.Random(seed)
    decisions: list[tuple[str, bytes]] = []
    labels: list[tuple[str, bytes]] = []
    for number in range(payments):
        payment_id, at = f"p-{number}", START_MS + number * step_ms
        payer = "payer-1" if number % BUSY == 0 else f"payer-{number}"
        suspicious = draw.random() < 0.1
        decisions.append((payment_id, decision(payment_id, at, features_of(draw, suspicious), schema, payer)))
        if draw.random() < 0.8:
            said: Disposition = "suspicious" if suspicious else "not_suspicious"
            first = encode(label(payment_id, f"l-{number}", at + MINUTE_MS, said))
            labels.extend([(payment_id, first)] * (2 if draw.random() < 0.05 else 1))
        if draw.random() < 0.03:
            labels.append((payment_id, encode(label(payment_id, f"c-{number}", at + 2 * MINUTE_MS))))
        if draw.random() < 0.01:
            labels.append((f"x-{number}", encode(label(f"x-{number}", f"x-{number}", at))))
    return decisions, labels


def example(number: int, draw: random.Random, schema: str = SCHEMA) -> Example:
    """A training example."""
    suspicious = draw.random() < 0.1
    return Example(
        example_id=f"e-{number}",
        payment_id=f"p-{number}",
        tenant="default",
        event_time_ms=START_MS + number,
        label_time_ms=START_MS + 1_000 + number,
        label=suspicious,
        weight=1.0 if suspicious else draw.choice((1.0, 4.0, 10.0)),
        source="analyst",
        features=features_of(draw, suspicious),
        feature_schema_hash=schema,
        score=-3.0,
        model_hash=MODEL,
    )
