"""Which of several labels of one payment counts, as of a moment: a stated order, so that nobody has to guess."""

from __future__ import annotations

from collections.abc import Iterable

from services.contract.identity import example_id
from services.contract.label import Example, Label

SILENCE = "matured"
"""The source of what is concluded from silence alone."""
RANKS: dict[str, int] = {
    "authority": 6,
    "correction": 5,
    "report": 4,
    "chargeback": 3,
    "analyst": 2,
    SILENCE: 0,
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
    SILENCE: 0.3,
}
"""How much a label of each source weighs in learning, on top of the inverse of its sampling share. Tocsin's assumption:
silence is weak evidence, because most of what is suspicious is never looked at."""
OTHER_RELIABILITY = 0.5


Rank = tuple[int, int, str]
"""Of the source, time in ms, and the id of the example that the label makes."""


def rank(said: Label | Example) -> Rank:
    """What labels of one payment are ordered by; the highest counts. An example ranks as the label that made it."""
    name = said.example_id if isinstance(said, Example) else example_id(said.tenant, said.payment_id, said.label_id)
    return RANKS.get(said.source, OTHER_RANK), said.label_time_ms, name


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
