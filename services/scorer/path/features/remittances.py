"""The payer hop's typology features: this payment, and the payer's remittances so far.

Sums over remittances stand in the row as of the latest one (``remit_ms``) and decay when they are read. Compiled by
numba: no fastmath, fixed order of operations, float64 throughout. The words are in the registry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from services.contract.units import DAY_MS, HOUR_MS
from services.scorer.path.features.crowd import bits
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.inputs import NO_MERCHANT, UNTOLD_MERCHANT
from services.scorer.path.features.kernels import DEVIATION_MIN, ROUND_MIN, decayed, no_border_told, share
from services.scorer.path.features.registry import PAYER_AT
from services.scorer.path.features.rows import PRICES, RAILS, REMIT_PAYEES, REMIT_TIMES

_H30_MS, _H180_MS = 30.0 * DAY_MS, 180.0 * DAY_MS
_MONTH_MS = 30.436875 * DAY_MS
CORRIDOR_MIN = 30
SESSION_MS = 3 * HOUR_MS
DROPPED_MS = 45 * DAY_MS
DROPPED_PAYMENTS_MAX = 5
RAIL_MS = 90 * DAY_MS
LIFE_MAX = 365.0


@njit(cache=True)
def write_typology_payment(x: Any, payment: Any, corridor: Any) -> None:
    """What typologies ask of this payment. ``corridor`` is its corridor's row, or another's if it is no remittance."""
    border = x[PAYER_AT.is_cross_border]
    is_remittance = border == 1.0 and payment.merchant == NO_MERCHANT
    is_blind = np.isnan(border) or (border == 1.0 and payment.merchant == UNTOLD_MERCHANT)
    x[PAYER_AT.is_remittance] = np.nan if is_blind else (1.0 if is_remittance else 0.0)
    is_known = not np.isnan(x[PAYER_AT.reference_is_absent])
    x[PAYER_AT.reference_is_handle] = (1.0 if payment.is_handle else 0.0) if is_known else np.nan
    x[PAYER_AT.reference_is_excuse] = (1.0 if payment.excuse >= 0 else 0.0) if is_known else np.nan
    x[PAYER_AT.payee_is_minor] = payment.payee_minor
    x[PAYER_AT.is_unrelated] = payment.unrelated
    is_to_merchant = 0.0 if payment.merchant == NO_MERCHANT else 1.0
    x[PAYER_AT.is_to_merchant] = np.nan if payment.merchant == UNTOLD_MERCHANT else is_to_merchant
    x[PAYER_AT.amount_against_corridor] = x[PAYER_AT.round_against_corridor] = np.nan
    has_mean = is_remittance and corridor.remits >= CORRIDOR_MIN and corridor.weight > 0.0
    if has_mean and not np.isnan(payment.amount):
        mean = corridor.log_sum / corridor.weight
        deviation = np.sqrt(max(corridor.squares / corridor.weight - mean * mean, 0.0))
        x[PAYER_AT.amount_against_corridor] = (np.log1p(payment.amount) - mean) / max(deviation, DEVIATION_MIN)
    if is_remittance and corridor.rounds >= CORRIDOR_MIN and corridor.round_weight > 0.0:
        x[PAYER_AT.round_against_corridor] = _is_round(x) - corridor.rounded / corridor.round_weight


@njit(cache=True)
def _is_round(x: Any) -> float:
    """1 when the amount is round in the sender's or the receiver's currency; NaN where the latter is not known, though
    the former is round: a share of those alone would be 1."""
    if np.isnan(x[PAYER_AT.received_roundness]):
        return np.nan
    return 1.0 if x[PAYER_AT.amount_roundness] >= ROUND_MIN or x[PAYER_AT.received_roundness] >= ROUND_MIN else 0.0


@njit(cache=True)
def write_remittances(x: Any, account: Any, row: Any, effective_ms: int) -> None:
    """The features of the payer's earlier remittances, from ``remit_payments_30d`` to ``remit_signs``.

    ``account`` is the payer's own row, ``row`` that of its remittances, as everywhere here."""
    if np.isnan(x[PAYER_AT.is_cross_border]) or no_border_told(account):
        x[PAYER_AT.remit_payments_30d : PAYER_AT.remit_signs + 1] = np.nan
        return
    since_ms = effective_ms - row.remit_ms
    f180 = decayed(1.0, since_ms, _H180_MS) if row.remits > 0 else 0.0
    x[PAYER_AT.remit_payments_30d] = decayed(row.remit_30d, since_ms, _H30_MS) if row.remits > 0 else 0.0
    x[PAYER_AT.remit_payments_180d] = row.remit_180d * f180
    x[PAYER_AT.remit_gap_median] = _gap_median(row)
    x[PAYER_AT.remit_gap_trend] = _gap_trend(row)
    x[PAYER_AT.remit_small_share_180d] = share(row.remit_small, row.remit_small_known, row.remits)
    amount = share(row.remit_amount, row.remit_amount_known, row.remits)
    x[PAYER_AT.remit_amount_against_corridor_180d] = amount
    x[PAYER_AT.remit_round_share_180d] = share(row.remit_round, row.remit_round_told, row.remits)
    x[PAYER_AT.remit_round_excess_180d] = share(row.remit_round_excess, row.remit_round_known, row.remits)
    x[PAYER_AT.remit_amount_slope] = _slope(row)
    x[PAYER_AT.remit_price_point_payees] = _price_point_payees(row)
    night = x[PAYER_AT.remit_night_share_180d] = share(row.remit_night, row.remit_night_known, row.remits)
    known = row.remit_night_known > 0.0 and account.other_night_known > 0.0
    x[PAYER_AT.remit_night_excess_180d] = night - account.other_night / account.other_night_known if known else np.nan
    x[PAYER_AT.remit_sessions_180d] = row.remit_sessions * f180
    x[PAYER_AT.remit_rhythm] = _rhythm(row)
    x[PAYER_AT.remit_new_payees_180d] = row.remit_new_payees * f180
    _write_payees(x, row, effective_ms)
    x[PAYER_AT.remit_rails_90d] = _rails(row, effective_ms)
    x[PAYER_AT.remit_excuse_kinds] = min(bits(row.excuse_kinds), bits(row.excuse_payees))
    if row.remits > 0 and row.remit_absent_known <= 0.0:
        x[PAYER_AT.remit_excuse_kinds] = np.nan
    x[PAYER_AT.remit_absent_share_180d] = share(row.remit_absent, row.remit_absent_known, row.remits)
    x[PAYER_AT.remit_signs] = (
        _sign(x[PAYER_AT.remit_new_payees_180d] >= 2.5)
        + _sign(x[PAYER_AT.remit_small_share_180d] >= 0.8)
        + _sign(x[PAYER_AT.remit_night_share_180d] >= 0.4)
        + _sign(x[PAYER_AT.remit_dropped_payees] >= 2.0)
        + _sign(x[PAYER_AT.remit_gap_median] < 20.0)
        + _sign(x[PAYER_AT.remit_price_point_payees] >= 2.0)
    )


@njit(cache=True)
def _sign(holds: bool) -> float:
    return 1.0 if holds else 0.0


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
    if row.slope_n < 4:
        return 0.0 if row.slope_n == row.remits else np.nan
    if spread == 0.0:  # only in a row that is not ours
        return 0.0
    return float((n * row.slope_xy - row.slope_x * row.slope_y) / spread)


@njit(cache=True)
def _price_point_payees(row: Any) -> float:
    most = 0
    for i in range(PRICES):
        most = max(most, bits(row.prices[i].payees))
    return float(most)


@njit(cache=True)
def _rhythm(row: Any) -> float:
    if row.remits < 4 or row.remit_180d <= 0.0:
        return 1.0
    largest = 0.0
    for i in range(3):
        largest = max(largest, np.sqrt(row.remit_phases[i, 0] ** 2 + row.remit_phases[i, 1] ** 2))
    return float(min(largest / row.remit_180d, 1.0))


@njit(cache=True)
def _write_payees(x: Any, row: Any, effective_ms: int) -> None:
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
    x[PAYER_AT.remit_top_payee_share] = most / total if total > 0 else np.nan
    x[PAYER_AT.remit_dropped_payees] = float(dropped)
    x[PAYER_AT.remit_relation_life] = min(life_ms / remembered / DAY_MS, LIFE_MAX) if remembered >= 3 else np.nan


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
            out[later] = _payee_mark(row.remit_payees[i].digest)


@njit(cache=True)
def _payee_mark(digest: Any) -> int:
    """16 bits of an account's digest, never 0. A mark is told from another with a chance of 65,534 in 65,535."""
    return int(digest % np.uint64(65_535)) + 1


@njit(cache=True)
def _rails(row: Any, effective_ms: int) -> float:
    """``rail_ms`` holds one more than the time, so that 0 is never; missing while remittances tell no rail."""
    count, is_known = 0, row.remits == 0
    for i in range(RAILS):
        is_known = is_known or row.rail_ms[i] > 0
        if row.rail_ms[i] > 0 and effective_ms - (row.rail_ms[i] - 1) <= RAIL_MS:
            count += 1
    return float(count) if is_known else np.nan


@njit(cache=True)
def update_remittance(row: Any, corridor: Any, x: Any, payment: Any, effective_ms: int, watermark_ms: int) -> None:
    """Take a remittance into the payer's row and into its corridor's baseline."""
    since_ms = effective_ms - row.remit_ms
    f180 = decayed(1.0, since_ms, _H180_MS) if row.remits > 0 else 0.0
    row.remit_30d = (decayed(row.remit_30d, since_ms, _H30_MS) if row.remits > 0 else 0.0) + 1.0
    row.remit_180d = row.remit_180d * f180 + 1.0
    small, night = x[PAYER_AT.amount_is_small], x[PAYER_AT.local_is_night]
    row.remit_small = row.remit_small * f180 + (0.0 if np.isnan(small) else small)
    row.remit_small_known = row.remit_small_known * f180 + (0.0 if np.isnan(small) else 1.0)
    against = x[PAYER_AT.amount_against_corridor]
    row.remit_amount = row.remit_amount * f180 + (0.0 if np.isnan(against) else against)
    row.remit_amount_known = row.remit_amount_known * f180 + (0.0 if np.isnan(against) else 1.0)
    rounded = _is_round(x)
    excess = x[PAYER_AT.round_against_corridor]
    row.remit_round = row.remit_round * f180 + (0.0 if np.isnan(rounded) else rounded)
    row.remit_round_told = row.remit_round_told * f180 + (0.0 if np.isnan(rounded) else 1.0)
    row.remit_round_excess = row.remit_round_excess * f180 + (0.0 if np.isnan(excess) else excess)
    row.remit_round_known = row.remit_round_known * f180 + (0.0 if np.isnan(excess) else 1.0)
    row.remit_night = row.remit_night * f180 + (0.0 if np.isnan(night) else night)
    row.remit_night_known = row.remit_night_known * f180 + (0.0 if np.isnan(night) else 1.0)
    absent = x[PAYER_AT.reference_is_absent]
    row.remit_absent = row.remit_absent * f180 + (0.0 if np.isnan(absent) else absent)
    row.remit_absent_known = row.remit_absent_known * f180 + (0.0 if np.isnan(absent) else 1.0)
    _update_phases(row, effective_ms, f180)
    row.remit_times[row.remits % REMIT_TIMES] = effective_ms
    _remember_payee(row, payment.payee, effective_ms, f180)
    _remember_price(row, payment)
    if payment.rail != 0:
        row.rail_ms[int(payment.rail % np.uint64(RAILS))] = effective_ms + 1
    if payment.excuse >= 0:
        row.excuse_kinds |= np.uint64(1) << np.uint64(payment.excuse)
        row.excuse_payees |= np.uint64(1) << (payment.payee % np.uint64(64))
    if not np.isnan(payment.amount):
        _update_slope(row, payment.amount)
        _update_corridor(corridor, watermark_ms, np.log1p(payment.amount), rounded)
    row.remits += 1
    row.remit_ms = effective_ms


@njit(cache=True)
def _update_phases(row: Any, effective_ms: int, f180: float) -> None:
    for i in range(3):
        period_ms = _MONTH_MS if i == 0 else (_MONTH_MS / 2.0 if i == 1 else 7.0 * DAY_MS)
        phase = 2.0 * np.pi * ((effective_ms % period_ms) / period_ms)
        row.remit_phases[i, 0] = row.remit_phases[i, 0] * f180 + np.cos(phase)
        row.remit_phases[i, 1] = row.remit_phases[i, 1] * f180 + np.sin(phase)


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
    factor = decayed(1.0, watermark_ms - corridor.ms, _H30_MS) if corridor.remits > 0 else 0.0
    corridor.weight = corridor.weight * factor + 1.0
    corridor.log_sum = corridor.log_sum * factor + log_amount
    corridor.squares = corridor.squares * factor + log_amount * log_amount
    corridor.round_weight = corridor.round_weight * factor + (0.0 if np.isnan(rounded) else 1.0)
    corridor.rounded = corridor.rounded * factor + (0.0 if np.isnan(rounded) else rounded)
    corridor.rounds += 0 if np.isnan(rounded) else 1
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
def _remember_price(row: Any, payment: Any) -> None:
    position, oldest = -1, 0
    for i in range(PRICES):
        price = row.prices[i]
        if price.used > 0 and price.amount_minor == payment.amount_minor and price.currency == payment.currency:
            position = i
            break
        if row.prices[i].used < row.prices[oldest].used:
            oldest = i
    if position < 0:
        position = oldest
        row.prices[position].amount_minor = payment.amount_minor
        row.prices[position].currency = payment.currency
        row.prices[position].payees = 0
    row.prices[position].payees |= np.uint64(1) << (payment.payee % np.uint64(64))
    row.prices[position].used = row.remits + 1
