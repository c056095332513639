"""Event time turned into waiting, on a clock that only moves when it is told to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.pacing import TICK_MS, Pace


class FakeClock:
    """Sleeping moves it; nothing else does."""

    def __init__(self) -> None:
        self.time_ms = 1_000_000.0

    def now_ms(self) -> float:
        return self.time_ms

    async def sleep(self, wait_ms: float) -> None:
        self.time_ms += wait_ms


def sent_at(pace: Pace, events_ms: list[int], work_ms: float = 0.0) -> list[float]:
    """When each event goes out, counted from the first, if each costs ``work_ms``."""
    clock = FakeClock()
    sent = []
    for event_ms in events_ms:
        clock.time_ms += pace.wait_ms(event_ms, clock.now_ms())
        sent.append(clock.now_ms() - 1_000_000.0)
        clock.time_ms += work_ms
    return sent


@pytest.mark.parametrize(
    ("speed", "events_ms", "expected"),
    [
        (None, [0, 10_000, 5_000], [0, 0, 0]),
        (1, [5_000, 6_000, 8_500], [0, 1_000, 3_500]),
        (10, [5_000, 6_000, 8_500], [0, 100, 350]),
        (0.5, [0, 1_000], [0, 2_000]),
        (1, [5_000, 4_000, 5_010], [0, 0, 10]),  # out of order: at once
        (1, [0, 1, 4, 5, 6], [0, 5, 5, 5, 10]),  # within one tick: together, at its end
    ],
)
def test_events_go_out_when_they_are_due(speed: float | None, events_ms: list[int], expected: list[float]) -> None:
    assert sent_at(Pace(speed), events_ms) == expected


def test_a_slow_sender_catches_up_without_shifting_what_follows() -> None:
    assert sent_at(Pace(1), [0, 10, 20, 1_000], work_ms=100) == [0, 100, 200, 1_000]


@given(st.lists(st.integers(0, 10**12), min_size=1), st.floats(0.001, 1e9))
def test_nothing_is_early_and_nothing_later_than_a_tick(events_ms: list[int], speed: float) -> None:
    events_ms = sorted(events_ms)
    for event_ms, sent_ms in zip(events_ms, sent_at(Pace(speed), events_ms), strict=True):
        late_ms = sent_ms - (event_ms - events_ms[0]) / speed
        slack_ms = 1e-6 + sent_ms * 1e-9 + math.ulp(2e6 + sent_ms) * len(events_ms) * 4
        assert -slack_ms <= late_ms <= TICK_MS + slack_ms


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_speed_that_makes_no_sense_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be above 0"):
        Pace(speed)
