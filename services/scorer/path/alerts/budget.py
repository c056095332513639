"""How many alerts people can read, and which: the riskiest subjects of a sliding stretch of event time."""

from __future__ import annotations

from services.contract.units import DAY_MS

KEPT = 4_096
"""Admissions remembered per queue, the riskiest: as many as the largest budget of a partition that means anything."""

Entry = tuple[int, float]
"""Event time of an admission, and the subject's risk."""


class Budget:
    """The budget of one partition: ``per_day`` alerts a day of event time in each queue, 0 for no limit.

    A subject is admitted while, within the last day, fewer than the budget of those admitted in its queue are at least
    as risky: so the threshold follows the stream, and rises to the riskiest. A budget below one a day looks back as
    many days as make one.

    >>> budget = Budget(1.0)
    >>> [budget.admits("q", 0, 1.0), budget.admits("q", 1, 0.5), budget.admits("q", 2, 2.0)]
    [True, False, True]
    >>> budget.threshold("q")
    2.0
    """

    def __init__(self, per_day: float) -> None:
        self._limit = max(1, round(per_day))
        self._window_ms = round(DAY_MS * max(1.0, 1.0 / per_day)) if per_day > 0 else 0
        self.entries: dict[str, list[Entry]] = {}
        """By queue, riskiest first."""

    def admits(self, queue: str, event_ms: int, risk: float) -> bool:
        """Whether a subject that nobody has seen is among those that people are to see; if so, it takes its place."""
        if not self._window_ms:
            return True
        known = [each for each in self.entries.get(queue, ()) if each[0] > event_ms - self._window_ms]
        admitted = sum(each[1] >= risk for each in known) < self._limit
        if admitted:
            known.append((event_ms, risk))
        self.entries[queue] = sorted(known, key=lambda each: (-each[1], each[0]))[:KEPT]
        return admitted

    def threshold(self, queue: str) -> float:
        """The risk that a subject must exceed, as of the latest review; minus infinity while there is room."""
        known = self.entries.get(queue, [])
        return known[self._limit - 1][1] if len(known) >= self._limit else float("-inf")
