"""The operating threshold against its definition, read literally."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.learning.threshold import WINDOW_EXAMPLES, ThresholdWindow

Pairs = list[tuple[float, float]]
pairs = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.integers(1, 64).map(float)), min_size=1)


def filled(examples: Pairs) -> ThresholdWindow:
    window = ThresholdWindow()
    for probability, weight in examples:
        window.add(probability, weight)
    return window


def twin(examples: Pairs, share: float) -> float:
    """Try every probability of the window as the threshold; weights are whole, so sums are exact."""
    total = sum(weight for _, weight in examples)
    fitting = [candidate for candidate, _ in examples if sum(w for p, w in examples if p >= candidate) <= share * total]
    return min(fitting) if fitting else math.nextafter(max(p for p, _ in examples), math.inf)


@given(pairs, st.sampled_from((0.001, 0.01, 0.1, 0.5, 0.9)))
def test_the_threshold_is_the_lowest_that_keeps_within_the_budget(examples: Pairs, share: float) -> None:
    assert filled(examples).threshold(share) == twin(examples, share)


@given(pairs)
def test_a_window_is_packed_and_unpacked_to_the_bit(examples: Pairs) -> None:
    window = filled(examples)
    again = ThresholdWindow(window.pack())
    assert again.pack() == window.pack()
    assert again.threshold(0.1) == window.threshold(0.1)


def test_where_everybody_is_to_be_looked_at_the_threshold_is_the_lowest_of_all() -> None:
    assert filled([(0.9, 1.0), (0.25, 1.0), (0.5, 1.0)]).threshold(1.0) == 0.25


@pytest.mark.parametrize("share, exact", [(0.5, 0.5), (0.001, math.nextafter(0.75, math.inf))])
def test_the_threshold_keeps_as_far_off_as_a_scorer_may_be_on_the_side_that_keeps_equals_together(
    share: float, exact: float
) -> None:
    """Below the lowest that fits, so that what says the same is not left out; above the highest where none fits, so
    that none gets in."""
    window = filled([(0.75, 1.0), (0.5, 1.0), (0.25, 2.0)])
    assert window.threshold(share) == window.threshold(share, 0.0) == exact
    outward = 1.0 - 0.125 if exact == 0.5 else 1.0 + 0.125
    assert window.threshold(share, 0.125) == exact * outward


def test_weights_count_as_so_many_payments() -> None:
    assert filled([(0.9, 1.0), (0.5, 99.0)]).threshold(0.01) == 0.9
    assert filled([(0.9, 1.0), (0.5, 97.0)]).threshold(0.01) > 0.9


def test_the_window_is_bounded_and_forgets_the_oldest() -> None:
    window = filled([(0.99, 1.0)] * 10 + [(0.1, 1.0)] * WINDOW_EXAMPLES)
    assert window.threshold(0.5) == pytest.approx(0.1)
    assert len(window.pack()) == 16 * WINDOW_EXAMPLES


def test_without_examples_nothing_goes_to_review() -> None:
    assert ThresholdWindow().threshold(0.5) == 1.0
