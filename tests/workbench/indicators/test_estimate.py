"""The ratio of an indicator's hits, in a world and over worlds, and when worlds contradict one another."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.workbench.indicators.counts import Counts
from services.workbench.indicators.estimate import PRIOR_HITS, Z_95, Ratios, flips, log_ratios, of_world, pooled


def naive_pooled(values: list[float], variances: list[float]) -> tuple[float, float, float]:
    """DerSimonian and Laird, as in their paper: mean, its standard error, and the standard deviation between worlds."""
    weights = [1.0 / each for each in variances]
    fixed = sum(w * y for w, y in zip(weights, values, strict=True)) / sum(weights)
    q = sum(w * (y - fixed) ** 2 for w, y in zip(weights, values, strict=True))
    scale = sum(weights) - sum(w * w for w in weights) / sum(weights)
    between = max(0.0, (q - (len(values) - 1)) / scale) if len(values) > 1 else 0.0
    weights = [1.0 / (each + between) for each in variances]
    mean = sum(w * y for w, y in zip(weights, values, strict=True)) / sum(weights)
    return mean, math.sqrt(1.0 / sum(weights)), math.sqrt(between)


@pytest.mark.parametrize("seed", range(4))
def test_the_mean_over_worlds_is_its_naive_twin(seed: int) -> None:
    draw = np.random.default_rng(seed)
    values, variances = draw.normal(0.5, draw.random() * 2.0, 9), draw.uniform(0.01, 1.0, 9)
    told = draw.random(9) < 0.8
    column = [np.where(told, each, np.nan)[:, None] for each in (values, variances)]
    found = pooled(Ratios(*column))
    mean, error, spread = naive_pooled(values[told].tolist(), variances[told].tolist())
    assert [float(each[0]) for each in (found.mean, found.error, found.spread)] == pytest.approx([mean, error, spread])
    assert (found.low[0], found.high[0]) == pytest.approx((mean - Z_95 * error, mean + Z_95 * error))
    assert found.worlds[0] == told.sum()


def test_worlds_that_differ_widen_the_interval() -> None:
    variances = np.full((4, 2), 0.01)
    found = pooled(Ratios(np.array([[1.0, 0.2], [1.0, 1.8], [1.0, 0.4], [1.0, 1.6]]), variances))
    assert found.mean.tolist() == pytest.approx([1.0, 1.0])
    assert found.spread[0] == 0.0 < found.spread[1]
    assert found.high[1] - found.low[1] > 3.0 * (found.high[0] - found.low[0])


def test_a_ratio_is_that_of_the_shares_and_many_subjects_make_it_sure() -> None:
    few, many = (log_ratios(np.array([[0.1], [0.4]]) * n, np.array([[1.0], [1.0]]) * n) for n in (40.0, 4_000.0))
    assert many.value[0] == pytest.approx(math.log(4.0), abs=0.01)
    assert few.variance[0] > 50.0 * many.variance[0]
    assert few.low[0] < math.log(4.0) < few.high[0]
    assert 0.0 < few.value[0] < math.log(4.0), "half a hit draws it towards nothing"


def test_without_any_hit_a_ratio_says_little_however_unequal_the_groups() -> None:
    found = log_ratios(np.zeros((2, 1)), np.array([[3_000.0], [30.0]]))
    assert found.low[0] < 0.0 < found.high[0]
    assert found.value[0] == pytest.approx(math.log(6030.5 / 3060.5), abs=0.01)
    assert PRIOR_HITS == 0.5


def test_a_group_of_whom_nothing_is_measured_has_no_ratio() -> None:
    found = log_ratios(np.array([[3.0, 3.0], [0.0, 2.0]]), np.array([[9.0, 9.0], [0.0, 4.0]]))
    assert [math.isnan(each) for each in found.value.tolist()] == [True, False]
    assert pooled(Ratios(found.value[None], found.variance[None])).worlds.tolist() == [0, 1]


def test_of_payers_and_payees_it_is_the_mean_and_no_surer_than_either() -> None:
    def counts(positives: float) -> Counts:
        nothing = np.zeros((2, 1), dtype=np.int64)
        shares = np.array([[20.0], [positives]])
        return Counts(nothing[:, 0], np.zeros((2, 3, 1), dtype=np.int64), nothing + 100, nothing, shares)

    both, roles = (counts(40.0), counts(80.0)), np.ones((2, 1), dtype=np.bool_)
    each = [of_world(both, roles & np.array([[side == 0], [side == 1]])) for side in (0, 1)]
    found = of_world(both, roles)
    assert found.value[0] == pytest.approx((each[0].value[0] + each[1].value[0]) / 2.0)
    assert found.variance[0] == max(each[0].variance[0], each[1].variance[0])


def test_an_indicator_flips_where_worlds_are_sure_of_both_signs() -> None:
    values = np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, 1.0], [0.1, 0.1, np.nan]])
    variances = np.array([[0.01, 0.01, 0.01], [0.01, 4.0, 0.01], [0.01, 0.01, np.nan]])
    assert flips(Ratios(values, variances)).tolist() == [True, False, False]
