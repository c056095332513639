"""Weights beside one another: the fit is its naive twin, stays inside its bounds, and is pulled where it is told to."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.measures import Floats
from services.workbench.indicators.fit import Pull, Stratum, curvature, fitted


def strata(seed: int, number: int = 2, indicators: int = 3) -> list[Stratum]:
    """Worlds in which the first indicator raises, the last lowers, and those between say little."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        hits = np.array([[bool(row >> at & 1) for at in range(indicators)] for row in range(2**indicators)])
        tilt = hits @ np.linspace(1.0, -1.0, indicators)
        mass = draw.uniform(0.5, 1.5, (len(hits), 2)) * np.exp(np.stack([-tilt, tilt], axis=1) / 2.0)
        made.append(Stratum(hits, mass / (2.0 * mass.sum(axis=0))))
    return made


def free(indicators: int = 3, strength: float = 1e-9) -> Pull:
    """No bounds worth the name, and next to no pull."""
    ends = np.full(indicators, 50.0)
    return Pull(np.zeros(indicators), np.full(indicators, strength), -ends, ends)


def loss_of(worlds: list[Stratum], pull: Pull, weights: list[float], levels: list[float]) -> float:
    """The naive twin's loss: payment by payment, without a vector."""
    total = 0.0
    for each, level in zip(worlds, levels, strict=True):
        for row, (others, positives) in zip(each.hits.tolist(), each.mass.tolist(), strict=True):
            chance = 1.0 / (1.0 + math.exp(-level - sum(w for w, hit in zip(weights, row, strict=True) if hit)))
            total -= float(positives * math.log(chance) + others * math.log(1.0 - chance)) / len(worlds)
    held = zip(weights, pull.target.tolist(), pull.strength.tolist(), strict=True)
    return total + float(sum(strength / 2.0 * (weight - target) ** 2 for weight, target, strength in held))


def naive(worlds: list[Stratum], pull: Pull) -> list[float]:
    """One number after the other is moved while the loss falls, by ever smaller steps, inside the bounds."""
    indicators = len(pull.target)
    ends = [*zip(pull.low.tolist(), pull.high.tolist(), strict=True), *([(-50.0, 50.0)] * len(worlds))]
    numbers = [*np.clip(pull.target, pull.low, pull.high).tolist(), *([0.0] * len(worlds))]
    best, step = loss_of(worlds, pull, numbers[:indicators], numbers[indicators:]), 1.0
    while step > 1e-5:
        gained = False
        for at, (low, high) in enumerate(ends):
            for way in (-step, step):
                tried = list(numbers)
                tried[at] = min(max(tried[at] + way, low), high)
                loss = loss_of(worlds, pull, tried[:indicators], tried[indicators:])
                if loss < best - 1e-15:
                    numbers, best, gained = tried, loss, True
        if not gained:
            step /= 2.0
    return numbers[:indicators]


PULLS = {
    "free": free(),
    "pulled": Pull(np.ones(3), np.array([0.01, 0.1, 1.0]), np.full(3, -50.0), np.full(3, 50.0)),
    "in bounds": Pull(np.zeros(3), np.full(3, 1e-9), np.array([0.0, 0.0, -0.4]), np.array([0.7, 0.0, 0.0])),
    "pulled in bounds": Pull(np.array([0.5, 0.3, -0.5]), np.full(3, 0.05), np.array([0.0, 0.0, -2.0]),
                             np.array([2.0, 2.0, 0.0])),
}  # fmt: skip


@pytest.mark.parametrize("pull", PULLS.values(), ids=PULLS)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_fit_is_its_naive_twin(seed: int, pull: Pull) -> None:
    worlds = strata(seed)
    np.testing.assert_allclose(fitted(worlds, pull), naive(worlds, pull), atol=2e-3)


def test_of_one_indicator_it_is_the_log_odds_ratio() -> None:
    """Where .4 of others and .7 of those looked for are hit."""
    mass: Floats = np.array([[0.3, 0.15], [0.2, 0.35]])
    (weight,) = fitted([Stratum(np.array([[False], [True]]), mass)], free(1))
    assert weight == pytest.approx(math.log(0.35 / 0.15) - math.log(0.2 / 0.3), abs=1e-6)


def test_the_stronger_the_pull_the_nearer_the_target() -> None:
    worlds = strata(3)
    found = [fitted(worlds, Pull(np.ones(3), np.full(3, strength), np.full(3, -9.0), np.full(3, 9.0)))
             for strength in (1e-6, 1e-2, 1.0, 100.0)]  # fmt: skip
    distances = [float(np.abs(each - 1.0).sum()) for each in found]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.01 < distances[0]


def test_a_world_of_more_patterns_weighs_no_more_than_another() -> None:
    first, other = strata(4)
    twice = Stratum(np.concatenate([first.hits, first.hits]), np.concatenate([first.mass, first.mass]) / 2.0)
    np.testing.assert_allclose(fitted([first, other], free()), fitted([twice, other], free()), atol=1e-6)


def test_curvature_is_a_quarter_of_what_is_hit() -> None:
    mass: Floats = np.array([[0.3, 0.15], [0.2, 0.35]])
    assert curvature([Stratum(np.array([[False], [True]]), mass)]).tolist() == pytest.approx([0.25 * 0.55])
