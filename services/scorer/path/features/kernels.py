"""What both hops' kernels share. Compiled by numba: no fastmath, fixed order of operations, float64 throughout."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from services.contract.units import DAY_MS, HOUR_MS
from services.scorer.path.features.crowd import add_country, add_distinct, count_countries, count_distinct, roll_block
from services.scorer.path.features.definitions.feature import HALF_LIFE_MS
from services.scorer.path.features.registry import ACTIVITY_AT
from services.scorer.path.features.rows import HALF_LIVES
from services.scorer.path.features.tables import Pool

BLOCK_MS = 30 * DAY_MS
"""Distinct counterparties are counted in blocks of 30 days of event time: this one and the one before."""
GAP_WEIGHT = 0.125
DEVIATION_MIN = 0.1
"""Floor of the standard deviation of log amounts: an account that always pays the same must not make 1 % look odd."""
HISTORY_MIN = 3
ROUND_MIN = 0.5
"""Roundness from which an amount counts as round."""

_LN2 = 0.6931471805599453
_H0, _H1, _H2, _H3 = (float(half_life) for half_life in HALF_LIFE_MS)

H_1H, H_1D, H_7D, H_30D = range(HALF_LIVES)


@njit(cache=True)
def decay_factors(elapsed_ms: int, factors: Any) -> None:
    """Fill ``factors`` (float64[4]) with what ``elapsed_ms`` leaves of a decayed sum under each half-life."""
    factors[0] = np.exp(-elapsed_ms * (_LN2 / _H0))
    factors[1] = np.exp(-elapsed_ms * (_LN2 / _H1))
    factors[2] = np.exp(-elapsed_ms * (_LN2 / _H2))
    factors[3] = np.exp(-elapsed_ms * (_LN2 / _H3))


@njit(cache=True)
def decayed(value: float, elapsed_ms: int, half_life_ms: float) -> float:
    """``value`` after ``elapsed_ms``."""
    return float(value * np.exp(-elapsed_ms * (_LN2 / half_life_ms)))


@njit(cache=True)
def roundness(amount_minor: int) -> float:
    """1 / number of significant decimal digits; 0 for an amount of 0."""
    if amount_minor <= 0:
        return 0.0
    while amount_minor % 10 == 0:
        amount_minor //= 10
    digits = 0
    while amount_minor > 0:
        digits += 1
        amount_minor //= 10
    return 1.0 / digits


@njit(cache=True)
def share(part: float, whole: float, payments: int) -> float:
    """A share as the registry defines it: 0 without history, NaN when nothing is known."""
    if payments == 0:
        return 0.0
    if whole <= 0.0:
        return np.nan
    return part / whole


@njit(cache=True)
def no_amount_told(row: Any) -> bool:
    """Whether an account has payments, and the amount of none of them is known."""
    return bool(row.payments > 0 and row.small_known_30d <= 0.0)


@njit(cache=True)
def no_border_told(row: Any) -> bool:
    """Whether an account has payments, and of none it is known whether it crossed a border."""
    return bool(row.payments > 0 and row.cross_border_known_30d <= 0.0)


@njit(cache=True)
def amount_deviation(row: Any, amount: float) -> float:
    """How far ``amount`` is from the row's decayed mean of log amounts, in standard deviations."""
    if np.isnan(amount) or no_amount_told(row):
        return np.nan
    if row.log_amounts < HISTORY_MIN:
        return 0.0
    if row.log_amount_weight <= 0.0:  # underflow, after some 88 years
        return 0.0
    mean = row.log_amount_sum / row.log_amount_weight
    variance = row.log_amount_squares / row.log_amount_weight - mean * mean
    deviation = max(np.sqrt(max(variance, 0.0)), DEVIATION_MIN)
    return float((np.log1p(amount) - mean) / deviation)


@njit(cache=True)
def start_row(row: Any, at_ms: int) -> None:
    """Begin an account's history. The row must be zeroed."""
    row.first_ms = at_ms
    row.last_ms = at_ms
    row.block = at_ms // BLOCK_MS


@njit(cache=True)
def write_activity(x: Any, at: int, row: Any, crowd: Pool, effective_ms: int, factors: Any, amount: float) -> None:
    """Write the features that payer and payee have in common (``ACTIVITY_AT``) into ``x[at:]``."""
    for h in range(HALF_LIVES):
        x[at + ACTIVITY_AT.payments_1h + h] = row.count[h] * factors[h]
        x[at + ACTIVITY_AT.value_1h + h] = np.nan if no_amount_told(row) else row.value[h] * factors[h]
    x[at + ACTIVITY_AT.small_share_30d] = share(row.small_30d, row.small_known_30d, row.payments)
    x[at + ACTIVITY_AT.cross_border_share_30d] = share(row.cross_border_30d, row.cross_border_known_30d, row.payments)
    x[at + ACTIVITY_AT.round_share_30d] = share(row.round_30d, row.count[H_30D], row.payments)
    x[at + ACTIVITY_AT.gap] = (effective_ms - row.last_ms) / HOUR_MS
    x[at + ACTIVITY_AT.gap_mean] = row.gap_mean / HOUR_MS
    varies = row.payments > 2 and row.gap_mean > 0.0
    x[at + ACTIVITY_AT.gap_variation] = np.sqrt(row.gap_variance) / row.gap_mean if varies else np.nan
    x[at + ACTIVITY_AT.age] = (effective_ms - row.first_ms) / DAY_MS
    x[at + ACTIVITY_AT.payments_total] = float(row.payments)
    x[at + ACTIVITY_AT.others_60d] = count_distinct(row, crowd, effective_ms // BLOCK_MS)
    x[at + ACTIVITY_AT.new_others_1d] = row.new_partners_1d * factors[H_1D]
    x[at + ACTIVITY_AT.new_others_7d] = row.new_partners_7d * factors[H_7D]
    countries = count_countries(row, crowd)
    x[at + ACTIVITY_AT.corridors] = np.nan if countries == 0.0 and row.payments > 0 else countries
    x[at + ACTIVITY_AT.amount_deviation] = amount_deviation(row, amount)


class Act(NamedTuple):
    """What one payment is to the activity of its payer, or of its payee."""

    amount: float
    """EUR; NaN where the currency has no rate."""
    moves_money: bool
    is_small: float
    cross_border: float
    is_round: bool
    partner: Any
    """Digest of the other side's account."""
    partner_is_new: bool
    country: int
    """The other side's, or -1."""


@njit(cache=True)
def update_activity(row: Any, crowd: Pool, effective_ms: int, factors: Any, act: Act) -> None:
    """Take one payment into the part of a row that payer and payee share."""
    known_money = act.moves_money and not np.isnan(act.amount)
    for h in range(HALF_LIVES):
        row.count[h] = row.count[h] * factors[h] + 1.0
        row.value[h] = row.value[h] * factors[h] + (act.amount if known_money else 0.0)
    f30 = factors[H_30D]
    is_small, cross_border = act.is_small, act.cross_border
    row.small_30d = row.small_30d * f30 + (is_small if not np.isnan(is_small) else 0.0)
    row.small_known_30d = row.small_known_30d * f30 + (0.0 if np.isnan(is_small) else 1.0)
    row.cross_border_30d = row.cross_border_30d * f30 + (cross_border if not np.isnan(cross_border) else 0.0)
    row.cross_border_known_30d = row.cross_border_known_30d * f30 + (0.0 if np.isnan(cross_border) else 1.0)
    row.round_30d = row.round_30d * f30 + (1.0 if act.is_round else 0.0)
    row.log_amount_weight *= f30
    row.log_amount_sum *= f30
    row.log_amount_squares *= f30
    if known_money:
        log_amount = np.log1p(act.amount)
        row.log_amount_weight += 1.0
        row.log_amount_sum += log_amount
        row.log_amount_squares += log_amount * log_amount
        row.log_amounts += 1
    update_gap(row, float(effective_ms - row.last_ms))
    row.new_partners_1d = row.new_partners_1d * factors[H_1D] + (1.0 if act.partner_is_new else 0.0)
    row.new_partners_7d = row.new_partners_7d * factors[H_7D] + (1.0 if act.partner_is_new else 0.0)
    roll_block(row, crowd, effective_ms // BLOCK_MS)
    add_distinct(row, crowd, act.partner)
    if act.country >= 0:
        add_country(row, crowd, act.country)
    row.payments += 1
    row.last_ms = effective_ms


@njit(cache=True)
def update_gap(row: Any, gap_ms: float) -> None:
    """Take the gap before this payment into the exponentially weighted mean and variance of gaps."""
    if row.payments == 0:
        return
    if row.payments == 1:
        row.gap_mean = gap_ms
        row.gap_variance = 0.0
        return
    difference = gap_ms - row.gap_mean
    row.gap_mean += GAP_WEIGHT * difference
    row.gap_variance = (1.0 - GAP_WEIGHT) * (row.gap_variance + GAP_WEIGHT * difference * difference)
