"""The weights of a pack that follow from drawn worlds: no more than what the worlds agree on.

1. Each world gives each indicator a log ratio (``estimate``): how much more often it hits the payments of those looked
   for than of others. Payers and payees weigh the same, and so does every subject.
2. Their random-effects mean has an interval. The weight of evidence lies between zero and the lower end, that of
   counter-evidence between zero and the upper end. So no weight leaves the meaning that its source gives it.
3. Where one world's interval lies above zero and another's below, or the interval of the mean holds zero or lies on the
   other side, the indicator weighs nothing.
4. The others are weighed beside one another (``fit``): each is pulled towards one unit, which is what a plain count of
   them says for each, as strongly as worlds disagree about it.

Results on synthetic data show that the software works as specified, not that it finds offenders.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from models.measures import Flags, Floats
from services.scorer.path.rules.pack_format import ROLES, STRONG_FAMILIES, WEIGHT_MAX, Pack
from services.workbench.indicators.counts import World
from services.workbench.indicators.estimate import Pooled, Ratios, flips, of_world, pooled
from services.workbench.indicators.fit import Pull, Stratum, curvature, fitted

Why = Literal["counted", "flips", "open", "against", "nothing more", "unmeasured", "immediate"]
"""Why an indicator has its weight: it is counted; worlds contradict one another; the interval holds zero; it lies
against its meaning; beside the others it adds nothing; no world could measure it, or it asks by itself, and so it keeps
the weight that it has."""
DISAGREEMENT = 1.0
"""The standard deviation between worlds, log-odds, at which the pull to one unit is as strong as what worlds say."""
DIGITS = 2
"""To which weights and intervals are rounded."""
_LOOSE = 1e-6
"""The strength of the pull where nothing is to pull."""


class Weighed(NamedTuple):
    """What follows for a pack of I indicators."""

    weights: Floats
    """float64[I], rounded."""
    why: tuple[Why, ...]
    low: Floats
    """float64[I]: the ends of the intervals, rounded. Not a number where no world could measure."""
    high: Floats
    unit: float
    """What a plain count of indicators says for each, log-odds."""
    prior: float
    """With which the pack asks about as many others as with its weights of before, or the one that was given."""


def weighed(pack: Pack, worlds: Sequence[World], prior: float | None = None) -> tuple[Weighed, Ratios, Pooled]:
    """Weigh the indicators of ``pack`` by ``worlds``; with it, each world's ratios, float64[W, I], and their means."""
    speaks = np.array([[role in each.subjects for each in pack.indicators] for role in ROLES])
    each = [of_world(world.counts, speaks) for world in worlds]
    ratios = Ratios(np.stack([of.value for of in each]), np.stack([of.variance for of in each]))
    mean = pooled(ratios)
    sign = np.array([-1.0 if indicator.counters else 1.0 for indicator in pack.indicators])
    before = np.array([indicator.weight for indicator in pack.indicators])
    why = _reasons(pack, ratios, mean, sign)
    most = _most(mean, sign)
    counted = np.array([reason == "counted" for reason in why])
    kept = np.array([reason in ("unmeasured", "immediate") for reason in why])
    strata = [stratum for world in worlds for stratum in strata_of(world, speaks, counted)]
    unit, weights = _beside(strata, sign[counted], most[counted], doubt(mean)[counted])
    all_weights = np.where(kept, before, 0.0)
    all_weights[counted] = rounded(weights)
    reasons = tuple(
        "nothing more" if reason == "counted" and weight == 0.0 else reason
        for reason, weight in zip(why, all_weights.tolist(), strict=True)
    )
    low, high = (np.round(end, DIGITS) + 0.0 for end in (mean.low, mean.high))
    if prior is None:
        prior = same_asked(pack, worlds, all_weights)
    return Weighed(all_weights, reasons, low, high, unit, prior), ratios, mean


def strata_of(world: World, speaks: Flags, chosen: Flags) -> list[Stratum]:
    """The strata of a world, payers and payees, of the indicators ``chosen`` (bool[I]). Every subject weighs the same,
    and every payment of a subject."""
    strata = []
    for side, said in enumerate(world.said):
        payments = np.bincount(said.subject, weights=said.times, minlength=len(said.positive))
        mass = said.times / np.maximum(payments, 1.0)[said.subject]
        of_group = [
            np.bincount(said.pattern[group], weights=mass[group], minlength=len(world.hits))
            for group in (~said.positive[said.subject], said.positive[said.subject])
        ]
        if not all(each.any() for each in of_group):
            continue
        hits, of_pattern = np.unique((world.hits & speaks[side])[:, chosen], axis=0, return_inverse=True)
        merged = [np.bincount(of_pattern.ravel(), weights=each, minlength=len(hits)) for each in of_group]
        strata.append(Stratum(hits, np.stack([each / (2.0 * each.sum()) for each in merged], axis=1)))
    return strata


def rounded(weights: Floats) -> Floats:
    """Weights as they stand in a pack: rounded towards zero.

    >>> rounded(np.array([0.3, 0.2999, -0.195, -0.002])).tolist()
    [0.3, 0.29, -0.19, 0.0]
    """
    whole = np.trunc(weights * 10**DIGITS + np.sign(weights) * 1e-9)
    return np.asarray(np.round(whole / 10**DIGITS, DIGITS) + 0.0)


def asked(pack: Pack, worlds: Sequence[World], weights: Floats, prior: float) -> tuple[int, int]:
    """About how many others and how many of those looked for a pack asks with these weights and this prior, without a
    model: summed over worlds, payers and payees. What is immediate is left out."""
    counts = np.zeros(2, dtype=np.int64)
    for world in worlds:
        for side, said in enumerate(world.said):
            reached = highest(pack, world, side, weights) + prior >= pack.combination.score_min
            counts += [int((reached & ~said.positive).sum()), int((reached & said.positive).sum())]
    return int(counts[0]), int(counts[1])


def same_asked(pack: Pack, worlds: Sequence[World], weights: Floats) -> float:
    """The prior with which the pack, with other weights, asks about as many others as it does: summed over worlds,
    payers and payees. It is rounded so that it asks about no more."""
    before = np.array([each.weight for each in pack.indicators])
    most, _ = asked(pack, worlds, before, pack.prior)
    others = [
        highest(pack, world, side, weights)[~world.said[side].positive]
        for world in worlds
        for side in range(len(ROLES))
    ]
    reached = np.sort(np.concatenate(others))[::-1]
    reached = reached[np.isfinite(reached)]
    if not len(reached):
        return pack.prior
    at = reached[most] if most < len(reached) else reached[-1] - 10.0**-DIGITS
    steps = np.ceil((pack.combination.score_min - at) * 10**DIGITS - 1e-6) - 1.0
    return float(np.round(steps / 10**DIGITS, DIGITS))


def highest(pack: Pack, world: World, side: int, weights: Floats) -> Floats:
    """float64[subjects]: the highest sum of weights of each subject of a role over its payments where the combination
    is met and the pack is not silent; minus infinity where it never is. What is immediate is left out."""
    said = world.said[side]
    speaks = np.array([ROLES[side] in each.subjects for each in pack.indicators])
    hits = world.hits & speaks
    raising = hits[:, [each.raises for each in pack.indicators]]
    family = [each.family for each in pack.indicators if each.raises]
    by_family = [(name, raising[:, [each == name for each in family]].any(axis=1)) for name in sorted(set(family))]
    number = sum((met.astype(np.int64) for _, met in by_family), np.zeros(len(hits), dtype=np.int64))
    strong = np.any([met for name, met in by_family if name in STRONG_FAMILIES], axis=0)
    needed = pack.combination
    met = (raising.sum(axis=1) >= needed.indicators_min) & (number >= needed.families_min) & strong
    scores = np.where(met & ~world.silent[:, side], hits @ weights, -np.inf)
    found = np.full(len(said.positive), -np.inf)
    np.maximum.at(found, said.subject, scores[said.pattern])
    return found


def _reasons(pack: Pack, ratios: Ratios, mean: Pooled, sign: Floats) -> tuple[Why, ...]:
    turned = flips(ratios)
    toward, away = (np.where(sign > 0.0, ends[0], -ends[1]) for ends in ((mean.low, mean.high), (mean.high, mean.low)))
    return tuple(
        _reason(indicator.immediate, int(mean.worlds[at]), bool(turned[at]), float(toward[at]), float(away[at]))
        for at, indicator in enumerate(pack.indicators)
    )


def _reason(immediate: bool, worlds: int, turned: bool, near: float, far: float) -> Why:
    """``near`` and ``far`` are the ends of the interval, the sign turned so that the meaning is above zero."""
    if immediate:
        return "immediate"
    if worlds == 0:
        return "unmeasured"
    if far < 0.0:
        return "against"
    if turned:
        return "flips"
    return "counted" if near > 0.0 else "open"


def _most(mean: Pooled, sign: Floats) -> Floats:
    """float64[I]: how large each weight may be, either way."""
    return np.minimum(np.maximum(np.where(sign > 0.0, mean.low, -mean.high), 0.0), WEIGHT_MAX)


def doubt(mean: Pooled) -> Floats:
    """float64[I]: how far what worlds say of an indicator may be from what the next one says: the variance between
    worlds and of the mean, against ``DISAGREEMENT``."""
    return (np.square(mean.spread) + np.square(mean.error)) / DISAGREEMENT**2


def _beside(strata: Sequence[Stratum], sign: Floats, most: Floats, doubts: Floats) -> tuple[float, Floats]:
    """One unit, and the weights beside one another."""
    if not len(sign) or not strata:
        return 0.0, np.zeros(len(sign))
    net = [_net(each, sign) for each in strata]
    one = fitted(net, Pull(np.zeros(1), np.full(1, _LOOSE), np.zeros(1), np.full(1, WEIGHT_MAX)))
    unit = float(one[0])
    strength = np.maximum(curvature(strata) * doubts, _LOOSE)
    target = np.minimum(unit, most) * sign
    low, high = np.where(sign > 0.0, 0.0, -most), np.where(sign > 0.0, most, 0.0)
    return unit, fitted(strata, Pull(target, strength, low, high))


def _net(stratum: Stratum, sign: Floats) -> Stratum:
    """The stratum of one quantity: how many indicators hit for it, less those against."""
    number = (stratum.hits @ sign)[:, None]
    values, of_row = np.unique(number, axis=0, return_inverse=True)
    mass = [np.bincount(of_row.ravel(), weights=each, minlength=len(values)) for each in stratum.mass.T]
    return Stratum(values, np.stack(mass, axis=1))
