"""Weights of indicators beside one another: a logistic regression in bounds, pulled towards a weight each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.measures import Flags, Floats

STEPS_MAX = 60
SWEEPS = 400
CLOSE = 1e-9


class Stratum(NamedTuple):
    """P patterns of hits in one role of one world. Every world weighs the same, those looked for as much as others."""

    hits: Flags | Floats
    """[P, I]: whether each hit, or how much."""
    mass: Floats
    """float64[P, 2]: how much of others and of those looked for is there; each sums to one half."""


class Pull(NamedTuple):
    """What holds the weights of I indicators, float64 each: the penalty is ``strength / 2 * (weight - target)**2``."""

    target: Floats
    strength: Floats
    low: Floats
    high: Floats


def fitted(strata: Sequence[Stratum], pull: Pull) -> Floats:
    """float64[I]: the weights that lose least, on the mean over ``strata`` and with the penalty, inside the bounds.

    Each stratum has a level of its own. Newton's steps, each the best inside the bounds, halved until it gains.
    """
    designs = [each.hits.astype(np.float64) for each in strata]
    weights = np.clip(pull.target, pull.low, pull.high)
    levels = np.zeros(len(strata))
    best = _loss(strata, designs, weights, levels, pull)
    for _ in range(STEPS_MAX):
        slope, curve = pull.strength * (weights - pull.target), np.diag(pull.strength)
        for each, design, level in zip(strata, designs, levels, strict=True):
            of_it = _derivatives(each, design, weights, level)
            slope, curve = slope + of_it[0] / len(strata), curve + of_it[1] / len(strata)
        step = _inside(slope, curve, pull.low - weights, pull.high - weights)
        while True:
            tried = weights + step
            loss = _loss(strata, designs, tried, levels, pull)
            if loss <= best or np.abs(step).max(initial=0.0) < CLOSE:
                break
            step = step / 2.0
        gained, best, weights = best - loss, min(loss, best), tried
        if gained < 1e-12 or np.abs(step).max(initial=0.0) < CLOSE:
            break
    return weights


def curvature(strata: Sequence[Stratum]) -> Floats:
    """float64[I]: how strongly the strata hold each weight where nothing is known yet: a quarter of the mass hit."""
    return np.asarray(np.mean([0.25 * each.mass.sum(axis=1) @ each.hits for each in strata], axis=0))


def _loss(strata: Sequence[Stratum], designs: list[Floats], weights: Floats, levels: Floats, pull: Pull) -> float:
    """Mean loss and penalty; ``levels`` become those that lose least."""
    total = 0.5 * float(pull.strength @ np.square(weights - pull.target))
    for at, (each, design) in enumerate(zip(strata, designs, strict=True)):
        scores = design @ weights
        levels[at] = _level(each, scores, levels[at])
        z = scores + levels[at]
        loss = each.mass[:, 0] @ np.logaddexp(0.0, z) + each.mass[:, 1] @ np.logaddexp(0.0, -z)
        total += float(loss) / len(strata)
    return total


def _level(stratum: Stratum, scores: Floats, level: float) -> float:
    """The level at which as much is expected as is there: by Newton's steps, each at most 2."""
    mass, wanted = stratum.mass.sum(axis=1), float(stratum.mass[:, 1].sum())
    for _ in range(100):
        p = _chance(scores + level)
        step = (wanted - float(mass @ p)) / max(float(mass @ (p * (1.0 - p))), 1e-12)
        level += min(max(step, -2.0), 2.0)
        if abs(step) < 1e-12:
            break
    return level


def _derivatives(stratum: Stratum, design: Floats, weights: Floats, level: float) -> tuple[Floats, Floats]:
    """Slope float64[I] and curvature float64[I, I] of the loss, the level following."""
    p, mass = _chance(design @ weights + level), stratum.mass.sum(axis=1)
    slope = design.T @ (mass * p - stratum.mass[:, 1])
    part = mass * p * (1.0 - p)
    along = design.T @ part
    return slope, design.T @ (design * part[:, None]) - np.outer(along, along) / max(float(part.sum()), 1e-12)


def _inside(slope: Floats, curve: Floats, low: Floats, high: Floats) -> Floats:
    """The step within ``low`` and ``high`` that lowers ``slope @ step + step @ curve @ step / 2`` most, one coordinate
    after the other."""
    step = np.zeros(len(slope))
    for _ in range(SWEEPS):
        before = step.copy()
        for at in range(len(step)):
            steep = curve[at, at]
            if steep > 0.0:
                rest = slope[at] + curve[at] @ step - steep * step[at]
                step[at] = min(max(-rest / steep, low[at]), high[at])
        if np.abs(step - before).max(initial=0.0) < CLOSE:
            break
    return step


def _chance(z: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -500.0, 500.0))))
