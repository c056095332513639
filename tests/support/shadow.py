"""What challengers said, decision by decision, as tests compare it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from services.contract.columns import ids_of
from services.contract.shadow_scores import ShadowScores, read_shadow_scores


class Scored(NamedTuple):
    """What challengers said of one decision."""

    decision_id: str
    tenant: str
    payment_id: str
    scores: dict[str, float]
    """By the challenger's hash, where it gave a number."""


def scored_in(values: Iterable[bytes | None]) -> list[Scored]:
    """The rows of records of ``shadow-scores.v1``, one after the other."""
    return [row for value in values for row in _rows(value)]


def _rows(value: bytes | None) -> Iterable[Scored]:
    said = read_shadow_scores(value)
    assert isinstance(said, ShadowScores), said
    every = range(len(said))
    columns = zip(
        ids_of(said.decision_id), said.tenant.chosen(every), said.payment_id.chosen(every), said.scores.tolist(),
        strict=True,
    )  # fmt: skip
    for decision_id, tenant, payment_id, scores in columns:
        told = zip(said.challengers, scores, strict=True)
        yield Scored(decision_id, tenant, payment_id, {name: score for name, score in told if score == score})
