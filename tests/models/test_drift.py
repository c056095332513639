"""Drift against its definition, read literally; and what is an alarm, over seeds."""

from __future__ import annotations

import bisect
import math
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift as river_drift

from models.drift import (
    ADWIN_CLOCK,
    ADWIN_DELTA,
    ADWIN_GRACE,
    BINS,
    DECILES,
    LOSS_MAX,
    MISSING,
    PSEUDO_COUNT,
    Change,
    LossDrift,
    count_bins,
    deciles,
    log_loss,
    stability_index,
)

Column = list[float]
values = st.one_of(st.just(math.nan), st.integers(-5, 5).map(float), st.floats(-1e9, 1e9))
columns = st.lists(values, min_size=1, max_size=80)
SEEDS = range(12)


def naive_deciles(column: Column) -> Column:
    known = sorted(value for value in column if value == value)
    out = []
    for tenth in range(1, 10):
        fitting = [v for v in known if sum(other <= v for other in known) * 10 >= tenth * len(known)]
        out.append(min(fitting) if fitting else math.nan)
    return out


def naive_bin(value: float, edges: Column) -> int:
    if value != value:
        return MISSING
    if edges[0] != edges[0]:
        return 0
    return bisect.bisect_left(edges, value) + bisect.bisect_right(edges, value)


def naive_index(reference: Column, current: Column) -> float:
    edges = naive_deciles(reference)
    before, after = (Counter(naive_bin(each, edges) for each in column) for column in (reference, current))
    filled = before.keys() | after.keys()
    index = 0.0
    for each in filled:
        p = (before[each] + PSEUDO_COUNT) / (len(reference) + PSEUDO_COUNT * len(filled))
        q = (after[each] + PSEUDO_COUNT) / (len(current) + PSEUDO_COUNT * len(filled))
        index += (q - p) * math.log(q / p)
    return index


def table(*columns: Column) -> np.ndarray:
    return np.array(columns, dtype=np.float64).T


def index_of(reference: Column, current: Column) -> float:
    edges = deciles(table(reference))
    return float(stability_index(count_bins(table(reference), edges), count_bins(table(current), edges))[0])


@given(columns)
def test_deciles_are_the_lowest_values_that_so_many_do_not_exceed(column: Column) -> None:
    assert deciles(table(column))[0].tolist() == pytest.approx(naive_deciles(column), nan_ok=True, abs=0)


@given(columns, columns)
def test_each_value_is_counted_in_its_bin(reference: Column, current: Column) -> None:
    edges = deciles(table(reference))
    counts = count_bins(table(current), edges)
    wanted = Counter(naive_bin(each, edges[0].tolist()) for each in current)
    assert counts.shape == (1, BINS)
    assert counts[0].tolist() == [wanted[each] for each in range(BINS)]


@given(columns, columns)
def test_the_index_is_what_its_definition_says(reference: Column, current: Column) -> None:
    assert index_of(reference, current) == pytest.approx(naive_index(reference, current), abs=1e-12)


@given(st.lists(st.tuples(values, values, values), min_size=1, max_size=40))
def test_columns_do_not_hear_of_each_other(rows: list[tuple[float, float, float]]) -> None:
    whole = table(*zip(*rows, strict=True))  # type: ignore[arg-type]
    edges = deciles(whole)
    counts = count_bins(whole, edges)
    for column in range(3):
        alone = whole[:, column : column + 1]
        assert np.array_equal(deciles(alone)[0], edges[column], equal_nan=True)
        assert np.array_equal(count_bins(alone, edges[column : column + 1])[0], counts[column])


@given(columns)
def test_nothing_has_moved_from_itself_and_moving_is_never_negative(column: Column) -> None:
    assert index_of(column, column) == 0.0
    assert index_of(column, [value + 1.0 for value in column]) >= 0.0


def test_without_decisions_there_is_no_index() -> None:
    empty, some = np.zeros((1, BINS), dtype=np.int64), np.ones((1, BINS), dtype=np.int64)
    for reference, current in ((empty, some), (some, empty), (empty, empty)):
        assert math.isnan(stability_index(reference, current)[0])


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        ([0.0] * 1_000, [0.0] * 500 + [1.0] * 500),  # a flag that was never set
        ([1.0] * 1_000, [0.0] * 500 + [1.0] * 500),  # or always
        ([0.0] * 50 + [1.0] * 950, [0.0] * 950 + [1.0] * 50),
        ([5.0] * 1_000, [math.nan] * 400 + [5.0] * 600),  # a field that senders no longer fill
        ([math.nan] * 1_000, [3.0] * 1_000),
    ],
)
def test_features_of_few_values_are_seen_to_move(reference: Column, current: Column) -> None:
    assert index_of(reference, current) > 0.25


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rule_of_thumb_holds_for_windows_of_two_thousand(seed: int) -> None:
    draw = np.random.default_rng(seed)
    reference = draw.normal(size=2_000).tolist()
    same, moved = draw.normal(size=2_000).tolist(), draw.normal(0.8, 1.0, size=2_000).tolist()
    assert index_of(reference, same) < 0.1
    assert index_of(reference, moved) > 0.25


@given(st.floats(-700.0, 700.0), st.booleans())
def test_a_loss_is_the_surprise_in_nats_up_to_its_bound(score: float, label: bool) -> None:
    probability = 1.0 / (1.0 + math.exp(-score if label else score))
    wanted = min(-math.log(probability), LOSS_MAX) if probability > 0.0 else LOSS_MAX
    assert log_loss(score, label) == pytest.approx(wanted, abs=1e-12)


def losses(seed: int, count: int, mean: float) -> list[float]:
    """What a calibrated model's scores cost: skewed, most of them small, a few large."""
    draw = random.Random(seed)
    return [min(draw.expovariate(1.0 / mean), LOSS_MAX) for _ in range(count)]


def changes(detector: LossDrift, stream: list[float]) -> list[tuple[int, Change]]:
    found = ((at, detector.take("stream", loss)) for at, loss in enumerate(stream))
    return [(at, change) for at, change in found if change is not None]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stationary_stream_alarms_nobody(seed: int) -> None:
    assert changes(LossDrift(), losses(seed, 20_000, 0.3)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_an_abrupt_rise_is_found_within_a_few_hundred_and_said_with_both_means(seed: int) -> None:
    detector = LossDrift()
    assert changes(detector, losses(seed, 5_000, 0.3)) == []
    (at, change), *later = changes(detector, losses(seed + 100, 5_000, 1.0))
    assert at < 400
    assert change.before == pytest.approx(0.3, abs=0.05)
    assert change.after == pytest.approx(1.0, abs=0.35)
    assert later == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fall_is_a_change_whose_mean_after_is_lower(seed: int) -> None:
    detector = LossDrift()
    changes(detector, losses(seed, 5_000, 1.0))
    found = changes(detector, losses(seed + 100, 5_000, 0.3))
    assert found
    assert found[0][1].before == pytest.approx(1.0, abs=0.1)
    assert found[0][1].after == pytest.approx(0.3, abs=0.15)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_small_rise_takes_longer_and_is_told_as_a_rise(seed: int) -> None:
    detector = LossDrift()
    changes(detector, losses(seed, 10_000, 0.3))
    found = changes(detector, losses(seed + 100, 10_000, 0.36))
    assert found
    assert found[0][1].after > found[0][1].before


def test_it_is_rivers_adwin_on_shares_of_the_greatest_loss() -> None:
    stream = losses(1, 3_000, 0.3) + losses(2, 3_000, 1.5)
    theirs = river_drift.ADWIN(delta=ADWIN_DELTA, clock=ADWIN_CLOCK, grace_period=ADWIN_GRACE)
    detected = []
    for at, loss in enumerate(stream):
        theirs.update(loss / LOSS_MAX)
        if theirs.drift_detected:
            detected.append(at)
    assert detected
    assert [at for at, _ in changes(LossDrift(), stream)] == detected


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 4_000), max_size=4))
@settings(max_examples=25, deadline=None)
def test_a_detector_restored_anywhere_goes_on_identically(seed: int, cuts: list[int]) -> None:
    stream = losses(seed, 2_000, 0.3) + losses(seed + 1, 2_000, 1.5)
    whole, resumed, found = LossDrift(), LossDrift(), []
    expected = changes(whole, stream)
    places = [0, *sorted(cuts), len(stream)]
    for start, stop in pairwise(places):
        resumed = LossDrift(resumed.state())
        found += [(start + at, change) for at, change in changes(resumed, stream[start:stop])]
    assert found == expected
    assert resumed.state() == whole.state()


def test_streams_are_apart_and_their_means_are_told() -> None:
    detector = LossDrift()
    for _ in range(100):
        detector.take("a", 1.0)
        detector.take("b", 4.0)
    assert detector.means() == pytest.approx({"a": 1.0, "b": 4.0})
    assert DECILES == 9
