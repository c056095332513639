"""What measurements say, against plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bench.figures import QUANTILES, growth_of, latencies_ms, merged, ratios
from services.bench.schedule import due_count

SECONDS = st.floats(0.0, 100.0)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=300))
def test_a_quantile_is_the_smallest_latency_that_so_many_did_not_exceed(pairs: list[tuple[float, float]]) -> None:
    due, took = np.array(pairs).T
    found = latencies_ms(due, due + took)
    waited = sorted(round(1e3 * (seen - at), 2) for at, seen in zip(due, due + took, strict=True))
    for name, share in QUANTILES.items():
        assert found[name] == waited[math.ceil(share * len(waited)) - 1]
    assert found["max"] == waited[-1]


def test_no_latency_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no latency"):
        latencies_ms(np.empty(0), np.empty(0))


@given(st.floats(0.5, 5_000.0), st.integers(1, 200), st.floats(-1.0, 100.0))
def test_a_schedule_waits_for_nobody(rate: float, total: int, elapsed_s: float) -> None:
    """Whatever was sent before: those are due whose time has come, to within rounding."""
    due = due_count(elapsed_s, rate, total)
    rounding_s = 1e-6 / rate
    assert all(at / rate <= elapsed_s + rounding_s for at in range(due))
    assert all(at / rate >= elapsed_s - rounding_s for at in range(due, total))


def test_every_payment_of_a_schedule_becomes_due() -> None:
    rate, total = 700.0, 2_100
    assert [due_count(at / rate, rate, total) for at in range(total)] == list(range(1, total + 1))


def test_ratios_are_ours_to_theirs() -> None:
    ours = {"payments_per_second": 45_000.0, "cpu_us_per_payment": 22.0}
    theirs: dict[str, dict[str, Any]] = {
        "a": {"payments_per_second": 15_000, "cpu_us_per_payment": 44.0},
        "b": {"skipped": "no Java"},
    }
    assert ratios(ours, theirs, "payments_per_second") == {"a": 3.0}
    assert ratios(ours, theirs, "cpu_us_per_payment") == {"a": 0.5}


@pytest.mark.parametrize(
    "before, now, whole",
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": {"skipped": "no mvn"}}, {"a": {"rate": 3}}, {"a": {"rate": 3}}),
        ({"a": {"rate": 3}}, {"a": {"skipped": "no mvn"}}, {"a": {"skipped": "no mvn"}}),
    ],
)
def test_a_later_run_adds_to_an_earlier_one(before: dict[str, object], now: dict[str, object], whole: object) -> None:
    kept = dict(before)
    assert merged(before, now) == whole
    assert before == kept


def test_growth_is_of_the_most_accounts_to_the_fewest() -> None:
    assert growth_of({1_000_000: 6.0, 10_000: 4.0}) == 1.5
