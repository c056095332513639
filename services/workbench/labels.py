"""Which of several labels of one payment counts, as of a moment: a stated order, so that nobody has to guess."""

from __future__ import annotations

from collections.abc import Iterable

from services.contract.types import Label

RANKS: dict[str, int] = {
    "authority": 6,
    "correction": 5,
    "report": 4,
    "chargeback": 3,
    "analyst": 2,
    "matured": 0,
}
"""What is taken over what: an authority's confirmation over all; a correction over what it corrects; a report that was
filed over a chargeback, that over an analyst's disposition; and any of them over mere silence (``matured``)."""
OTHER_RANK = 1
RELIABILITY: dict[str, float] = {
    "authority": 1.0,
    "correction": 0.95,
    "report": 0.9,
    "chargeback": 0.9,
    "analyst": 0.8,
    "matured": 0.3,
}
"""How much a label of each source weighs in learning, on top of the inverse of its sampling share. Tocsin's assumption:
silence is weak evidence, because most of what is suspicious is never looked at."""
OTHER_RELIABILITY = 0.5


def rank(label: Label) -> tuple[int, int, str]:
    """What labels of one payment are ordered by; the highest counts."""
    return RANKS.get(label.source, OTHER_RANK), label.label_time_ms, label.label_id


def resolved(labels: Iterable[Label], as_of_ms: int | None = None) -> Label | None:
    """The label that counts: of those known by ``as_of_ms`` the one of the highest ``rank``; ``None`` without any.

    >>> found = [Label("1", "p", "suspicious", 10, source="analyst"), Label("2", "p", "not_suspicious", 5)]
    >>> resolved(found).label_id
    '1'
    >>> resolved(found, as_of_ms=7).label_id
    '2'
    """
    known = (each for each in labels if as_of_ms is None or each.label_time_ms <= as_of_ms)
    return max(known, key=rank, default=None)


def reliability(source: str) -> float:
    """How much a label of ``source`` weighs."""
    return RELIABILITY.get(source, OTHER_RELIABILITY)
