"""Batches of served features for tests, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import numpy as np

from services.contract.columns import Texts
from services.contract.identity import decision_id
from services.contract.served import NO_HIT, PASS, REVIEW, Served, ServedBy
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.model import probability

SCHEMA = "5c" * 32
MODEL = "30" * 32
RULESET = "44" * 32
RULES = ("fan_in", "burst")
START_MS = 1_700_000_000_000


class Row(NamedTuple):
    """A decision, and what it was made of."""

    payment_id: str
    event_time_ms: int = START_MS
    features: tuple[float | None, ...] = ()
    score: float = -3.0
    outcome: str = "pass"
    payer: str = "payer-1"
    payee: str = "payee-1"
    tenant: str = "default"
    rules: tuple[int, int] = (NO_HIT, NO_HIT)
    appended_ms: int | None = None
    """``None``: when it was made."""


def served_batch(rows: Sequence[Row], schema: str = SCHEMA, model: str = MODEL) -> Served:
    """``rows``, which have equally many features, as a batch."""
    count = len(rows)
    features = np.array([row.features for row in rows], dtype=np.float64).reshape(count, -1 if count else 0)
    width = features.shape[1]
    names = NAMES if width == len(NAMES) else tuple(f"feature_{at}" for at in range(width))
    at_ms = [row.event_time_ms for row in rows]
    appended_ms = [row.event_time_ms if row.appended_ms is None else row.appended_ms for row in rows]
    ids = [decision_id(row.tenant, row.payer, row.payment_id, RULESET) for row in rows]
    return Served(
        ServedBy(0, model, RULESET, schema, names, RULES, ()),
        np.array([list(UUID(each).bytes) for each in ids], dtype=np.uint8).reshape(count, 16),
        tenant=Texts.of([row.tenant.encode() for row in rows]),
        payment_id=Texts.of([row.payment_id.encode() for row in rows]),
        payer=Texts.of([row.payer.encode() for row in rows]),
        payee=Texts.of([row.payee.encode() for row in rows]),
        event_time_ms=np.array(at_ms, dtype=np.int64),
        appended_ms=np.array(appended_ms, dtype=np.int64),
        partition=np.zeros(count, dtype=np.int32),
        offset=np.arange(count, dtype=np.int64),
        outcome=np.array([REVIEW if row.outcome == "review" else PASS for row in rows], dtype=np.uint8),
        score=np.array([row.score for row in rows], dtype=np.float64),
        probability=np.array([probability(row.score) for row in rows], dtype=np.float64),
        rules=np.array([row.rules for row in rows], dtype=np.uint8).reshape(count, len(RULES)),
        packs=np.empty((count, 0)),
        features=features,
    )
