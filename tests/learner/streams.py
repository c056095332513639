"""Seeded decisions and labels, as the scorer and people would write them, and a store in memory."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np

from services.contract.codec import encode
from services.contract.label import Disposition, Example, Label
from services.contract.served import HIT, NO_HIT, write_served
from services.learner.joining.join import Join, Joined
from services.learner.joining.records import Decisions
from services.scorer.path.features.registry import FEATURES
from tests.support.served_batches import MODEL, SCHEMA, START_MS, Row, served_batch

MINUTE_MS = 60_000
BUSY = 20


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
) -> Row:
    """A decision, and what it was made of."""
    return Row(payment_id, event_time_ms, features, score, outcome)


def take(join: Join, rows: Row | Sequence[Row], appended_ms: int) -> list[Joined]:
    """What the join makes of a batch of decisions, all appended at ``appended_ms``."""
    batch = served_batch([rows] if isinstance(rows, Row) else rows)
    batch = replace(batch, appended_ms=np.full(len(batch), appended_ms))
    return join.take_decisions(Decisions.of(batch, 0)).joined


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
    """A decision as a record of ``features.v1``: a batch of one, in which a rule hit."""
    return write_served(
        served_batch([Row(payment_id, event_time_ms, features, payer=payer, rules=(HIT, NO_HIT))], schema)
    )


def scenario(
    seed: int, payments: int, schema: str = SCHEMA, step_ms: int = MINUTE_MS
) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """Records of ``features.v1`` and of ``labels.v1`` as (a payment's id, value), the decisions ``step_ms`` apart and a
    few in each record. Some labels come twice, some are corrected, some are for payments that nobody decided. One
    payment in ``BUSY`` is of the same payer."""
    draw = random.Random(seed)
    rows: list[Row] = []
    labels: list[tuple[str, bytes]] = []
    for number in range(payments):
        payment_id, at = f"p-{number}", START_MS + number * step_ms
        payer = "payer-1" if number % BUSY == 0 else f"payer-{number}"
        suspicious = draw.random() < 0.1
        rows.append(Row(payment_id, at, features_of(draw, suspicious), payer=payer, rules=(HIT, NO_HIT)))
        if draw.random() < 0.8:
            said: Disposition = "suspicious" if suspicious else "not_suspicious"
            first = encode(label(payment_id, f"l-{number}", at + MINUTE_MS, said))
            labels.extend([(payment_id, first)] * (2 if draw.random() < 0.05 else 1))
        if draw.random() < 0.03:
            labels.append((payment_id, encode(label(payment_id, f"c-{number}", at + 2 * MINUTE_MS))))
        if draw.random() < 0.01:
            labels.append((f"x-{number}", encode(label(f"x-{number}", f"x-{number}", at))))
    return in_batches(rows, schema), labels


def in_batches(rows: Sequence[Row], schema: str = SCHEMA) -> list[tuple[str, bytes]]:
    """``rows`` as records of ``features.v1``, one to four in each, with the id of the first payment."""
    sizes, found = cycle((1, 3, 2, 4)), []
    while rows:
        size = next(sizes)
        found.append((rows[0].payment_id, write_served(served_batch(rows[:size], schema))))
        rows = rows[size:]
    return found


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
