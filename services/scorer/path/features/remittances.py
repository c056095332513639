"""The payer hop's typology features: this payment, the payer's remittances so far, and what else the payer does.

Sums over remittances stand in the row as of the latest one (``remit_ms``) and decay when they are read. Compiled by
numba: no fastmath, fixed order of operations, float64 throughout. The words are in ``features.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from services.scorer.path.features.columns import ADULT, NO_MERCHANT, TRAVEL
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.kernels import DAY_MS, DEVIATION_MIN, H_7D, ROUND_MIN, decayed
from services.scorer.path.features.rows import PRICES, RAILS, REMIT_PAYEES, REMIT_TIMES

PAYMENT, _REMITTANCES, _CONTEXT = 8, 22, 3
TYPOLOGY = PAYMENT + _REMITTANCES + _CONTEXT
"""How many features this file writes."""

_LN2 = 0.6931471805599453
_H30_MS, _H180_MS = 30.0 * DAY_MS, 180.0 * DAY_MS
_MONTH_MS = 30.436875 * DAY_MS
CORRIDOR_MIN = 30
SESSION_MS = 3 * 3_600_000
DROPPED_MS = 45 * 86_400_000
DROPPED_PAYMENTS_MAX = 5
RAIL_MS = 90 * 86_400_000
TRAVEL_MS = 90 * 86_400_000
TRAVEL_REMITTANCES_MIN = 5
RETRY_MS = 86_400_000
LIFE_MAX = 365.0
_REFUSED = 2

# Features of the payment that are read again, by their place in the vector (see payer.py) or in this block.
_SMALL, _NIGHT, _ABSENT = 3, 8, 11
_AGAINST_CORRIDOR, _ROUND_AGAINST = 5, 6


@njit(cache=True)
def write_typology_payment(
    x: Any, at: int, corridor: Any, merchant: int, is_handle: bool, excuse: int, payee_minor: float, unrelated: float
) -> None:
    """The eight features of this payment. ``corridor`` is its corridor's row; of another's when it is no remittance."""
    x[at] = np.nan if np.isnan(x[5]) else (1.0 if x[5] == 1.0 and merchant == NO_MERCHANT else 0.0)
    x[at + 1] = 1.0 if is_handle else 0.0
    x[at + 2] = 1.0 if excuse >= 0 else 0.0
    x[at + 3] = payee_minor
    x[at + 4] = unrelated
    x[at + 7] = 0.0 if merchant == NO_MERCHANT else 1.0
    x[at + _AGAINST_CORRIDOR] = x[at + _ROUND_AGAINST] = np.nan
    if x[at] == 1.0 and corridor.remits >= CORRIDOR_MIN and corridor.weight > 0.0:
        if not np.isnan(x[0]):
            mean = corridor.log_sum / corridor.weight
            deviation = np.sqrt(max(corridor.squares / corridor.weight - mean * mean, 0.0))
            x[at + _AGAINST_CORRIDOR] = (np.log1p(x[0]) - mean) / max(deviation, DEVIATION_MIN)
        x[at + _ROUND_AGAINST] = is_round(x) - corridor.rounded / corridor.weight


@njit(cache=True)
def is_round(x: Any) -> float:
    """1 when the amount is round in the sender's or the receiver's currency."""
    return 1.0 if x[1] >= ROUND_MIN or x[2] >= ROUND_MIN else 0.0


@njit(cache=True)
def write_remittances(x: Any, at: int, row: Any, effective_ms: int, factors: Any) -> None:
    """The features of the payer's earlier remittances, and of what else it does."""
    context = at + _REMITTANCES
    elapsed_ms = effective_ms - row.last_ms
    x[context] = row.retries_7d * factors[H_7D]
    x[context + 1] = decayed(row.adult_180d, elapsed_ms, _H180_MS)
    x[context + 2] = decayed(row.travel_180d, elapsed_ms, _H180_MS)
    if np.isnan(x[5]):
        x[at : at + _REMITTANCES] = np.nan
        return
    since_ms = effective_ms - row.remit_ms
    f180 = np.exp(-since_ms * (_LN2 / _H180_MS)) if row.remits > 0 else 0.0
    count = row.remit_180d * f180
    x[at] = decayed(row.remit_30d, since_ms, _H30_MS) if row.remits > 0 else 0.0
    x[at + 1] = count
    x[at + 2] = _gap_median(row)
    x[at + 3] = _gap_trend(row)
    x[at + 4] = _mean(row.remit_small, row.remit_small_known)
    x[at + 5] = _mean(row.remit_amount, row.remit_amount_known)
    x[at + 6] = _mean(row.remit_round, row.remit_180d)
    x[at + 7] = _mean(row.remit_round_excess, row.remit_round_known)
    x[at + 8] = _slope(row)
    x[at + 9] = _price_point_payees(row)
    x[at + 10] = _mean(row.remit_night, row.remit_night_known)
    known = row.remit_night_known > 0.0 and row.other_night_known > 0.0
    x[at + 11] = x[at + 10] - row.other_night / row.other_night_known if known else np.nan
    x[at + 12] = row.remit_sessions * f180
    x[at + 13] = _rhythm(row)
    x[at + 14] = row.remit_new_payees * f180
    _write_payees(x, at + 15, row, effective_ms)
    x[at + 18] = _rails(row, effective_ms)
    x[at + 19] = min(_bits(row.excuse_kinds), _bits(row.excuse_payees))
    x[at + 20] = _mean(row.remit_absent, row.remit_180d)
    x[at + 21] = (
        _sign(x[at + 14] >= 2.5) + _sign(x[at + 4] >= 0.8) + _sign(x[at + 10] >= 0.4)
        + _sign(x[at + 16] >= 2.0) + _sign(x[at + 2] < 20.0) + _sign(x[at + 9] >= 2.0)
    )  # fmt: skip


@njit(cache=True)
def _sign(holds: bool) -> float:
    return 1.0 if holds else 0.0


@njit(cache=True)
def _mean(total: float, weight: float) -> float:
    """Both decayed alike, so the decay cancels; 0 while nothing is known."""
    return total / weight if weight > 0.0 else 0.0


@njit(cache=True)
def _bits(word: Any) -> float:
    count = 0
    while word != 0:
        word &= word - np.uint64(1)
        count += 1
    return float(count)


@njit(cache=True)
def _gap_median(row: Any) -> float:
    """Days; ``remit_times`` is a ring whose newest is at ``(remits - 1) % REMIT_TIMES``."""
    gaps = min(row.remits, REMIT_TIMES) - 1
    if gaps < 3:
        return LIFE_MAX
    found = np.empty(gaps)
    for i in range(gaps):
        newer, older = (row.remits - 1 - i) % REMIT_TIMES, (row.remits - 2 - i) % REMIT_TIMES
        found[i] = row.remit_times[newer] - row.remit_times[older]
    found.sort()
    middle = gaps // 2
    median = found[middle] if gaps % 2 else (found[middle - 1] + found[middle]) / 2.0
    return float(min(median / DAY_MS, LIFE_MAX))


@njit(cache=True)
def _gap_trend(row: Any) -> float:
    if row.remits < REMIT_TIMES:
        return 1.0
    newest = row.remit_times[(row.remits - 1) % REMIT_TIMES]
    middle = row.remit_times[(row.remits - 6) % REMIT_TIMES]
    oldest = row.remit_times[row.remits % REMIT_TIMES]
    new, old = float(newest - middle), float(middle - oldest)
    if old == 0.0:
        return 1.0 if new == 0.0 else 100.0
    return min(max(new / old, 0.01), 100.0)


@njit(cache=True)
def _slope(row: Any) -> float:
    """Of log(1 + amount) on the log of the remittance's number."""
    n = float(row.slope_n)
    spread = n * row.slope_xx - row.slope_x * row.slope_x
    if row.slope_n < 4 or spread == 0.0:  # 0 only in a row that is not ours
        return 0.0
    return float((n * row.slope_xy - row.slope_x * row.slope_y) / spread)


@njit(cache=True)
def _price_point_payees(row: Any) -> float:
    most = 0.0
    for i in range(PRICES):
        most = max(most, _bits(row.prices[i].payees))
    return most


@njit(cache=True)
def _rhythm(row: Any) -> float:
    if row.remits < 4 or row.remit_180d <= 0.0:
        return 1.0
    largest = 0.0
    for i in range(3):
        largest = max(largest, np.sqrt(row.remit_phases[i, 0] ** 2 + row.remit_phases[i, 1] ** 2))
    return float(min(largest / row.remit_180d, 1.0))


@njit(cache=True)
def _write_payees(x: Any, at: int, row: Any, effective_ms: int) -> None:
    """Share of the payee paid most, payees dropped, mean life of a relation: over those remembered."""
    remembered, total, most, dropped, life_ms = 0, 0, 0, 0, 0.0
    for i in range(REMIT_PAYEES):
        payee = row.remit_payees[i]
        if payee.payments == 0:
            continue
        remembered += 1
        total += payee.payments
        most = max(most, payee.payments)
        life_ms += payee.last_ms - payee.first_ms
        if payee.payments <= DROPPED_PAYMENTS_MAX and effective_ms - payee.last_ms > DROPPED_MS:
            dropped += 1
    x[at] = most / total if total > 0 else 1.0
    x[at + 1] = float(dropped)
    x[at + 2] = min(life_ms / remembered / DAY_MS, LIFE_MAX) if remembered >= 3 else LIFE_MAX


@njit(cache=True)
def write_recent_payees(out: Any, row: Any, payee: Any) -> None:
    """Marks of the remembered payees paid last, the latest first, ``payee`` left out. ``out`` is zeroed."""
    for i in range(REMIT_PAYEES):
        if row.remit_payees[i].payments == 0 or row.remit_payees[i].digest == payee:
            continue
        later = 0
        for j in range(REMIT_PAYEES):
            if row.remit_payees[j].used > row.remit_payees[i].used and row.remit_payees[j].digest != payee:
                later += 1
        if later < RECENT_PAYEES:
            out[later] = payee_mark(row.remit_payees[i].digest)


@njit(cache=True)
def payee_mark(digest: Any) -> int:
    """16 bits of an account's digest, never 0. A mark is told from another with a chance of 65,534 in 65,535."""
    return int(digest % np.uint64(65_535)) + 1


@njit(cache=True)
def _rails(row: Any, effective_ms: int) -> float:
    """``rail_ms`` holds one more than the time, so that 0 is never."""
    count = 0
    for i in range(RAILS):
        if row.rail_ms[i] > 0 and effective_ms - (row.rail_ms[i] - 1) <= RAIL_MS:
            count += 1
    return float(count)


@njit(cache=True)
def remember_refused(row: Any, at_ms: int, payee: Any, rail: Any, amount_minor: int, currency: int) -> None:
    """The latest payment that was refused."""
    row.refused.known = 1
    row.refused.ms = at_ms
    row.refused.payee = payee
    row.refused.rail = rail
    row.refused.amount_minor = amount_minor
    row.refused.currency = currency


@njit(cache=True)
def remember_other(
    row: Any, x: Any, at: int, effective_ms: int, factors: Any, merchant: int, status: int, payee: Any, rail: Any,
    amount_minor: int, currency: int,
) -> None:  # fmt: skip
    """Take any payment into what is known of the payer besides remittances."""
    elapsed_ms = effective_ms - row.last_ms
    retried = (
        status < _REFUSED
        and row.refused.known == 1
        and effective_ms - row.refused.ms <= RETRY_MS
        and (
            payee != row.refused.payee
            or rail != row.refused.rail
            or amount_minor != row.refused.amount_minor
            or currency != row.refused.currency
        )
    )
    row.retries_7d = row.retries_7d * factors[H_7D] + (1.0 if retried else 0.0)
    if status >= _REFUSED:
        remember_refused(row, effective_ms, payee, rail, amount_minor, currency)
    row.adult_180d = decayed(row.adult_180d, elapsed_ms, _H180_MS) + (1.0 if merchant == ADULT else 0.0)
    travels = merchant == TRAVEL and row.remits >= TRAVEL_REMITTANCES_MIN and effective_ms - row.remit_ms <= TRAVEL_MS
    row.travel_180d = decayed(row.travel_180d, elapsed_ms, _H180_MS) + (1.0 if travels else 0.0)
    if x[at] == 0.0 and not np.isnan(x[_NIGHT]):
        since_ms = effective_ms - row.other_ms
        row.other_night = decayed(row.other_night, since_ms, _H180_MS) + x[_NIGHT]
        row.other_night_known = decayed(row.other_night_known, since_ms, _H180_MS) + 1.0
        row.other_ms = effective_ms


@njit(cache=True)
def update_remittance(
    row: Any, corridor: Any, x: Any, at: int, effective_ms: int, watermark_ms: int, amount: float, payee: Any,
    rail: Any, amount_minor: int, currency: int, excuse: int,
) -> None:  # fmt: skip
    """Take a remittance into the payer's row and into its corridor's baseline."""
    since_ms = effective_ms - row.remit_ms
    f180 = np.exp(-since_ms * (_LN2 / _H180_MS)) if row.remits > 0 else 0.0
    row.remit_30d = (decayed(row.remit_30d, since_ms, _H30_MS) if row.remits > 0 else 0.0) + 1.0
    row.remit_180d = row.remit_180d * f180 + 1.0
    small, night = x[_SMALL], x[_NIGHT]
    row.remit_small = row.remit_small * f180 + (0.0 if np.isnan(small) else small)
    row.remit_small_known = row.remit_small_known * f180 + (0.0 if np.isnan(small) else 1.0)
    against = x[at + _AGAINST_CORRIDOR]
    row.remit_amount = row.remit_amount * f180 + (0.0 if np.isnan(against) else against)
    row.remit_amount_known = row.remit_amount_known * f180 + (0.0 if np.isnan(against) else 1.0)
    rounded = is_round(x)
    excess = x[at + _ROUND_AGAINST]
    row.remit_round = row.remit_round * f180 + rounded
    row.remit_round_excess = row.remit_round_excess * f180 + (0.0 if np.isnan(excess) else excess)
    row.remit_round_known = row.remit_round_known * f180 + (0.0 if np.isnan(excess) else 1.0)
    row.remit_night = row.remit_night * f180 + (0.0 if np.isnan(night) else night)
    row.remit_night_known = row.remit_night_known * f180 + (0.0 if np.isnan(night) else 1.0)
    row.remit_absent = row.remit_absent * f180 + x[_ABSENT]
    for i in range(3):
        period_ms = _MONTH_MS if i == 0 else (_MONTH_MS / 2.0 if i == 1 else 7.0 * DAY_MS)
        phase = 2.0 * np.pi * ((effective_ms % period_ms) / period_ms)
        row.remit_phases[i, 0] = row.remit_phases[i, 0] * f180 + np.cos(phase)
        row.remit_phases[i, 1] = row.remit_phases[i, 1] * f180 + np.sin(phase)
    row.remit_times[row.remits % REMIT_TIMES] = effective_ms
    _remember_payee(row, payee, effective_ms, f180)
    _remember_price(row, payee, amount_minor, currency)
    row.rail_ms[int(rail % np.uint64(RAILS))] = effective_ms + 1
    if excuse >= 0:
        row.excuse_kinds |= np.uint64(1) << np.uint64(excuse)
        row.excuse_payees |= np.uint64(1) << (payee % np.uint64(64))
    if not np.isnan(amount):
        _update_slope(row, amount)
        _update_corridor(corridor, watermark_ms, np.log1p(amount), rounded)
    row.remits += 1
    row.remit_ms = effective_ms


@njit(cache=True)
def _update_slope(row: Any, amount: float) -> None:
    row.slope_n += 1
    number, read = np.log(float(row.slope_n)), np.log1p(amount)
    row.slope_x += number
    row.slope_xx += number * number
    row.slope_y += read
    row.slope_xy += number * read


@njit(cache=True)
def _update_corridor(corridor: Any, watermark_ms: int, log_amount: float, rounded: float) -> None:
    factor = np.exp(-(watermark_ms - corridor.ms) * (_LN2 / _H30_MS)) if corridor.remits > 0 else 0.0
    corridor.weight = corridor.weight * factor + 1.0
    corridor.log_sum = corridor.log_sum * factor + log_amount
    corridor.squares = corridor.squares * factor + log_amount * log_amount
    corridor.rounded = corridor.rounded * factor + rounded
    corridor.remits += 1
    corridor.ms = watermark_ms


@njit(cache=True)
def _remember_payee(row: Any, payee: Any, effective_ms: int, f180: float) -> None:
    """Sessions and new payees are told from the payees remembered; the least recently paid makes room."""
    position, oldest = -1, 0
    for i in range(REMIT_PAYEES):
        if row.remit_payees[i].payments > 0 and row.remit_payees[i].digest == payee:
            position = i
            break
        if row.remit_payees[i].used < row.remit_payees[oldest].used:
            oldest = i
    in_session = position >= 0 and effective_ms - row.remit_payees[position].last_ms <= SESSION_MS
    row.remit_sessions = row.remit_sessions * f180 + (1.0 if in_session else 0.0)
    row.remit_new_payees = row.remit_new_payees * f180 + (1.0 if position < 0 else 0.0)
    if position < 0:
        position = oldest
        row.remit_payees[position].digest = payee
        row.remit_payees[position].first_ms = effective_ms
        row.remit_payees[position].payments = 0
    row.remit_payees[position].last_ms = effective_ms
    row.remit_payees[position].payments += 1
    row.remit_payees[position].used = row.remits + 1


@njit(cache=True)
def _remember_price(row: Any, payee: Any, amount_minor: int, currency: int) -> None:
    position, oldest = -1, 0
    for i in range(PRICES):
        price = row.prices[i]
        if price.used > 0 and price.amount_minor == amount_minor and price.currency == currency:
            position = i
            break
        if row.prices[i].used < row.prices[oldest].used:
            oldest = i
    if position < 0:
        position = oldest
        row.prices[position].amount_minor = amount_minor
        row.prices[position].currency = currency
        row.prices[position].payees = 0
    row.prices[position].payees |= np.uint64(1) << (payee % np.uint64(64))
    row.prices[position].used = row.remits + 1
