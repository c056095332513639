"""Rows of ``features.v1``, as tests compare them: how a log is cut moves rows between records, and changes none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.contract.served import Served, ServedBy, read_served
from services.scorer.path.records import Outbound


class Row(NamedTuple):
    """What one decision was made of. Rows are equal where all their bits are."""

    by: ServedBy
    decision_id: str
    tenant: str
    payment_id: str
    payer: str
    payee: str
    event_time_ms: int
    appended_ms: int
    partition: int
    offset: int
    outcome: int
    score: bytes
    probability: bytes
    rules: bytes
    packs: bytes
    features: bytes


def served_in(value: bytes | None) -> Served:
    """The batch in a record that has to be one."""
    found = read_served(value)
    assert isinstance(found, Served), found
    return found


def rows_of(records: Iterable[Outbound]) -> list[Row]:
    """The rows of all ``records``, one after the other."""
    return [row for each in records for row in _rows(served_in(each.value))]


def features_of(records: Iterable[Outbound]) -> NDArray[np.float64]:
    """Features of all rows of ``records``, of which there is one at least: float64[n, k], NaN where missing."""
    return np.concatenate([served_in(each.value).features for each in records])


def told_of(records: Iterable[Outbound]) -> list[list[float | None]]:
    """The same as lists, ``None`` where missing: ``nan`` equals nothing."""
    return [[None if math.isnan(value) else value for value in row] for row in features_of(records).tolist()]


def _rows(served: Served) -> Iterable[Row]:
    texts = (served.texts(name) for name in ("tenant", "payment_id", "payer", "payee"))
    numbers = (
        each.tolist()
        for each in (served.event_time_ms, served.appended_ms, served.partition, served.offset, served.outcome)
    )
    bits = (
        [row.tobytes() for row in each]
        for each in (served.score, served.probability, served.rules, served.packs, served.features)
    )
    for row in zip(served.decision_ids(), *texts, *numbers, *bits, strict=True):
        yield Row(served.by, *row)
