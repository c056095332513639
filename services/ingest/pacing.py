"""When to send: event time turned into waiting. Pure; the clock belongs to the caller."""

from __future__ import annotations

import math

TICK_MS = 5.0
"""Payments that are due within the same tick go out together, at its end: never early, at most this late."""


class Pace:
    """How fast event time passes.

    Parameters
    ----------
    speed
        Event seconds in a second: 1 is time-accurate, 60 a minute a second. ``None`` never waits.

    Raises
    ------
    ValueError
        When ``speed`` is not above 0 and finite.

    >>> pace = Pace(speed=10)
    >>> pace.wait_ms(event_time_ms=5_000, now_ms=100.0), pace.wait_ms(event_time_ms=6_000, now_ms=120.0)
    (0.0, 80.0)
    """

    def __init__(self, speed: float | None = None) -> None:
        if speed is not None and not (speed > 0 and math.isfinite(speed)):
            raise ValueError("speed must be above 0 and finite")
        self.speed = speed
        self._anchor: tuple[int, float] | None = None

    def wait_ms(self, event_time_ms: int, now_ms: float) -> float:
        """Milliseconds to wait, at ``now_ms`` on the caller's clock, before what happened at ``event_time_ms``.

        The first call sets the two clocks against each other. Anything out of order, or due already, waits 0.
        """
        if self.speed is None:
            return 0.0
        if self._anchor is None:
            self._anchor = event_time_ms, now_ms
        start_event_ms, start_now_ms = self._anchor
        due_ms = (event_time_ms - start_event_ms) / self.speed
        ticks_ms = math.ceil(due_ms / TICK_MS) * TICK_MS
        return max(0.0, start_now_ms + ticks_ms - now_ms)
