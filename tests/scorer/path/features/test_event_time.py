"""What time it is in a partition: no single payer's word moves it far."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.units import DAY_MS
from services.scorer.path.features.event_time import CLOCK_SIZE, NOBODY, advance
from tests.scorer.path.features.clock_twin import ClockTwin

SEEDED = settings(derandomize=True, deadline=None, max_examples=300, database=None)
START_MS = 1_700_000_000_000
YEARS_50_MS = 50 * 365 * DAY_MS
Told = list[tuple[int, int]]
"""Event time and payer of each record."""
LOGS = st.lists(
    st.tuples(st.integers(0, 40).map(lambda quarter: START_MS + quarter * DAY_MS // 4), st.integers(NOBODY, 4)),
    max_size=40,
)
CUTS = st.lists(st.integers(1, 40), max_size=5)


def times(log: Told, cuts: list[int] | None = None) -> list[int]:
    clock = np.zeros(CLOCK_SIZE, dtype=np.int64)
    out: list[int] = []
    for start, stop in pairwise(sorted({0, len(log), *(cut for cut in cuts or [] if cut < len(log))})):
        event_ms = np.array([at for at, _ in log[start:stop]], dtype=np.int64)
        payers = np.array([payer for _, payer in log[start:stop]], dtype=np.uint64)
        now_ms = advance(clock, event_ms, payers).tolist()
        assert now_ms[0] == (out[-1] if out else 0)
        out += now_ms[1:]
    return out


def twin(log: Told) -> list[int]:
    clock = ClockTwin()
    return [clock.take(at, None if payer == NOBODY else payer) for at, payer in log]


@SEEDED
@given(log=LOGS, cuts=CUTS)
def test_the_clock_equals_its_twin_however_the_log_is_cut(log: Told, cuts: list[int]) -> None:
    assert times(log, cuts) == twin(log)


@SEEDED
@given(log=LOGS, wrong=st.integers(0, 40), at=st.integers(0, 39))
def test_one_payer_that_is_50_years_ahead_changes_nothing_for_others(log: Told, wrong: int, at: int) -> None:
    """Whatever else the log holds, once two payers have spoken."""
    begun = [(START_MS, 1), (START_MS, 2)]
    liar = 9
    at = min(at, len(log))
    lied = [*log[:at], (START_MS + YEARS_50_MS + wrong, liar), *log[at:]]
    assert max(times([*begun, *lied])) <= START_MS + 10 * DAY_MS


def test_a_second_payer_confirms_that_time_has_passed() -> None:
    begun = [(START_MS, 1), (START_MS, 2)]
    assert times([*begun, (START_MS + 9 * DAY_MS, 1), (START_MS + 9 * DAY_MS, 1)])[-1] == START_MS
    assert times([*begun, (START_MS + 9 * DAY_MS, 1), (START_MS + 8 * DAY_MS, 2)])[-1] == START_MS + 9 * DAY_MS
    assert times([*begun, (START_MS + YEARS_50_MS, 1), (START_MS + 8 * DAY_MS, 2)])[-1] == START_MS + 8 * DAY_MS


def test_the_first_payer_of_all_cannot_set_the_time_of_the_others() -> None:
    assert times([(START_MS + YEARS_50_MS, 1), (START_MS, 2), (START_MS + 5, 3)]) == [
        START_MS + YEARS_50_MS, START_MS, START_MS + 5,
    ]  # fmt: skip


def test_a_note_of_a_payment_does_not_confirm_the_payment() -> None:
    begun = [(START_MS, 1), (START_MS, 2)]
    assert times([*begun, (START_MS + YEARS_50_MS, 3), (START_MS + YEARS_50_MS, NOBODY)])[-1] == START_MS
