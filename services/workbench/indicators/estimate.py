"""How much more often an indicator hits those looked for than others: in a world, and over worlds that differ.

The ratio of two shares and its variance are those of Katz and others (*Obtaining confidence intervals for the risk
ratio in cohort studies*, Biometrics 34, 1978), with half a hit added to each group at the share of both. The mean over
worlds has random effects (DerSimonian and Laird, *Meta-analysis in clinical trials*, Controlled Clinical Trials 7,
1986): worlds do not share one ratio, and how much they differ widens the interval.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.measures import Flags, Floats, Whole
from services.workbench.indicators.counts import OTHERS, POSITIVES, Counts

PRIOR_HITS = 0.5
"""Added to each group, at the share of both together: without any hit, a ratio says little."""
Z_95 = 1.959964
"""Standard errors on either side of a 95 % interval."""


class Ratios(NamedTuple):
    """Log ratios of the share of hits among those looked for to that among others, and their variances."""

    value: Floats
    variance: Floats

    @property
    def low(self) -> Floats:
        """The lower ends of 95 % intervals."""
        return np.asarray(self.value - Z_95 * np.sqrt(self.variance))

    @property
    def high(self) -> Floats:
        """The upper ends."""
        return np.asarray(self.value + Z_95 * np.sqrt(self.variance))


class Pooled(NamedTuple):
    """A mean over worlds, float64 each: the mean, the ends of its 95 % interval, and the standard deviation between
    worlds. Not a number where no world could measure."""

    mean: Floats
    low: Floats
    high: Floats
    spread: Floats
    error: Floats
    """The standard error of the mean."""
    worlds: Whole
    """Over how many worlds."""


def log_ratios(hits: Floats, subjects: Floats) -> Ratios:
    """The ratios of one world, float64[I].

    Parameters
    ----------
    hits
        float64[2, I]: hits among others and among those looked for; of a subject the share of its payments that hit.
    subjects
        float64[2, I]: of how many subjects each, of whom the indicator was measured. Without any in one of the groups,
        a ratio is not a number.
    """
    both = subjects.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (hits.sum(axis=0) + PRIOR_HITS) / (both + PRIOR_HITS)
        more, of = hits + PRIOR_HITS, subjects + PRIOR_HITS / share
        value = np.log(more[POSITIVES] / of[POSITIVES]) - np.log(more[OTHERS] / of[OTHERS])
        variance = (1.0 / more - 1.0 / of).sum(axis=0)
    told = (subjects > 0.0).all(axis=0)
    return Ratios(np.where(told, value, np.nan), np.where(told, np.maximum(variance, 0.0), np.nan))


def of_world(counts: tuple[Counts, Counts], speaks: Flags) -> Ratios:
    """The ratios of one world: of payer and payee the mean, where an indicator speaks of both (``speaks`` bool[2, I]).

    Payers and payees of a world are no two worlds: the variance of a mean is the larger of the two.
    """
    each = [log_ratios(of.shares, of.measured.astype(np.float64)) for of in counts]
    value = np.where(speaks, np.stack([of.value for of in each]), np.nan)
    variance = np.where(speaks, np.stack([of.variance for of in each]), np.nan)
    told = ~np.isnan(value)
    number = told.sum(axis=0)
    mean = np.where(told, value, 0.0).sum(axis=0) / np.maximum(number, 1)
    widest = np.where(told, variance, 0.0).max(axis=0)
    return Ratios(np.where(number > 0, mean, np.nan), np.where(number > 0, widest, np.nan))


def pooled(ratios: Ratios) -> Pooled:
    """The random-effects mean of W worlds' ratios, float64[W, I]; worlds without one are left out."""
    told = ~np.isnan(ratios.value)
    worlds = told.sum(axis=0)
    variance = np.where(told, np.maximum(ratios.variance, 1e-12), np.inf)
    value = np.where(told, ratios.value, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = 1.0 / variance
        total = weights.sum(axis=0)
        common = (weights * value).sum(axis=0) / total
        excess = (weights * np.square(value - common)).sum(axis=0) - (worlds - 1)
        scale = total - np.square(weights).sum(axis=0) / total
        between = np.where((worlds > 1) & (scale > 0.0), np.maximum(excess / scale, 0.0), 0.0)
        weights = 1.0 / (variance + between)
        total = weights.sum(axis=0)
        mean, error = (weights * value).sum(axis=0) / total, 1.0 / np.sqrt(total)
    error = np.where(worlds > 0, error, np.nan)
    return Pooled(mean, mean - Z_95 * error, mean + Z_95 * error, np.sqrt(between), error, worlds)


def flips(ratios: Ratios) -> Flags:
    """bool[I]: whether of W worlds, float64[W, I], one's interval lies above zero and another's below."""
    with np.errstate(invalid="ignore"):
        return np.asarray((ratios.low > 0.0).any(axis=0) & (ratios.high < 0.0).any(axis=0))
