"""The payee hop's kernel: features from the payee's side, then the payee's state, payment by payment.

Besides payments the hop's log carries *outflows*, notes that an account, seen here as a payee, has paid money out, and
the labels of payments.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.units import DAY_MS
from services.scorer.path.features.confirmed import EXCESS_MIN, add_excess, label_payee, write_payee_confirmed
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.inputs import REFUSED
from services.scorer.path.features.kernels import (
    ROUND_MIN,
    Act,
    decay_factors,
    decayed,
    no_border_told,
    share,
    start_row,
    update_activity,
    write_activity,
)
from services.scorer.path.features.parameters import Parameters
from services.scorer.path.features.partners import partner_position, remember_partner
from services.scorer.path.features.registry import PAYEE_AT, PAYEE_HOP
from services.scorer.path.features.rows import HALF_LIVES, PRICES
from services.scorer.path.features.state import AccountState
from services.scorer.path.features.tables import Pool, disown, own

PASSED_ON_MAX = 10.0
_H1_MS, _H180_MS = 1.0 * DAY_MS, 180.0 * DAY_MS
RISKY_SIGNS_MIN = 3.0
RISKY_MS = 360 * DAY_MS


class _State(NamedTuple):
    """What the kernel updates."""

    rows: Any
    """``PAYEE_ROW[...]``."""
    crowd: Pool
    labels: Pool
    remits: Pool
    further: Pool


def payee_features(
    records: NDArray[Any],
    slots: NDArray[np.int64],
    state: AccountState,
    parameters: Parameters,
    labels: NDArray[Any],
    label_slots: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Features of a batch at the payee hop, in the order of the log, and the state after it.

    Parameters
    ----------
    records
        ``PAYEE_INPUT[n]``, the batch, payments and outflows.
    slots
        int64[n]: the payees' rows in ``state``, which is updated in place; -1 for an outflow of an account that has
        received nothing here.
    labels, label_slots
        ``LABEL_INPUT[k]``, the batch's labels, and int64[k], their payees' rows; -1 where an account has none.

    Returns
    -------
    float64[n, len(PAYEE_HOP)]; rows of outflows are unspecified.
    """
    features = np.empty((len(slots), len(PAYEE_HOP)), dtype=np.float64)
    idle_ms = parameters.account_idle_ms
    pools = state.pools(len(slots) + len(label_slots))
    updated = _State(state.rows, **pools)
    _payee_kernel(records, slots, labels, label_slots, idle_ms, updated, features)
    return features


@njit(cache=True)
def _payee_kernel(
    records: Any, slots: Any, labels: Any, label_slots: Any, idle_ms: int, state: _State, features: Any
) -> None:
    rows = state.rows
    factors = np.empty(HALF_LIVES)
    k = 0
    for i in range(len(slots)):
        while k < len(label_slots) and labels[k].before <= i:
            _take_label(state, label_slots[k], idle_ms, labels[k])
            k += 1
        record = records[i]
        if slots[i] < 0:
            continue
        row = rows[slots[i]]
        if row.payments > 0 and record.now_ms - row.last_ms > idle_ms:
            _forget(state, slots[i])
        if record.outflow:
            if row.payments > 0:
                _pay_out(row, record.event_ms, record.amount)
            continue
        if row.payments == 0:
            start_row(row, record.event_ms)
        effective_ms = max(record.event_ms, row.last_ms)
        decay_factors(effective_ms - row.last_ms, factors)
        _write(features[i], row, state, record, effective_ms, factors)
        _update(row, state, record, effective_ms, factors)
    while k < len(label_slots):
        _take_label(state, label_slots[k], idle_ms, labels[k])
        k += 1


@njit(cache=True)
def _write(x: Any, row: Any, state: _State, payment: Any, effective_ms: int, factors: Any) -> None:
    """Write ``PAYEE_HOP`` of a payment into ``x``."""
    opened_ms = payment.opened_ms
    write_activity(x, PAYEE_AT.payee_payments_1h, row, state.crowd, effective_ms, factors, payment.amount)
    x[PAYEE_AT.payee_passed_on_share_1d] = _passed_on(row, effective_ms, x[PAYEE_AT.payee_value_1d])
    x[PAYEE_AT.payee_account_age] = max(payment.event_ms - opened_ms, 0) / DAY_MS if opened_ms >= 0 else np.nan
    x[PAYEE_AT.payee_is_confirmed] = payment.confirmed
    x[PAYEE_AT.reference_in_lexicon] = payment.in_lexicon
    _write_remittances(x, row, state.remits.rows[row.remits_at], payment, effective_ms)
    write_payee_confirmed(x, state.labels.rows[row.labels_at], effective_ms)


@njit(cache=True)
def _forget(state: _State, slot: int) -> None:
    """Zero an account's row and free those of its pools: it starts afresh."""
    row = state.rows[slot]
    disown(state.further, row.further_at)
    disown(state.crowd, row.crowd_at)
    disown(state.labels, row.labels_at)
    disown(state.remits, row.remits_at)
    zero = np.zeros(1, state.rows.dtype)
    state.rows[slot] = zero[0]


@njit(cache=True)
def _update(row: Any, state: _State, payment: Any, effective_ms: int, factors: Any) -> None:
    """Take a payment into its payee's rows."""
    position = partner_position(row, state.further, payment.payer)
    if payment.is_remittance == 1.0:
        row.remits_at = own(state.remits, row.remits_at)
        _update_remittance(state.remits.rows[row.remits_at], payment, position < 0, effective_ms)
    remember_partner(row, state.further, position, payment.payer, effective_ms)
    if payment.payer_amount_over_cleared > EXCESS_MIN:
        row.labels_at = own(state.labels, row.labels_at)
        add_excess(state.labels.rows[row.labels_at], effective_ms, payment.payer_amount_over_cleared)
    act = Act(
        amount=payment.amount,
        moves_money=payment.status < REFUSED,
        is_small=payment.amount_is_small,
        cross_border=payment.is_cross_border,
        is_round=payment.amount_roundness >= ROUND_MIN,
        partner=payment.payer,
        partner_is_new=position < 0,
        country=payment.payer_country,
    )
    update_activity(row, state.crowd, effective_ms, factors, act)


@njit(cache=True)
def _take_label(state: _State, slot: int, idle_ms: int, label: Any) -> None:
    """Take a label; one of an account that has received nothing here says nothing of it."""
    if slot < 0:
        return
    row = state.rows[slot]
    if row.payments == 0 or label.now_ms - row.last_ms > idle_ms:
        return
    row.labels_at = own(state.labels, row.labels_at)
    label_payee(state.labels.rows[row.labels_at], row.last_ms, label)


@njit(cache=True)
def _pay_out(row: Any, event_ms: int, amount: float) -> None:
    """Add an outflow to the account's decayed sum, which has its own effective time (``out_ms``)."""
    at_ms = max(event_ms, row.out_ms)
    row.out_value_1d = decayed(row.out_value_1d, at_ms - row.out_ms, _H1_MS) + amount
    row.out_ms = at_ms


@njit(cache=True)
def _passed_on(row: Any, effective_ms: int, in_value: float) -> float:
    """Money out over money in, both decayed to ``effective_ms``; missing where the money in is."""
    if not in_value > 0.0:
        return float(in_value)
    out_value = decayed(row.out_value_1d, max(effective_ms - row.out_ms, 0), _H1_MS)
    return float(min(out_value / in_value, PASSED_ON_MAX))


@njit(cache=True)
def _write_remittances(x: Any, account: Any, row: Any, payment: Any, effective_ms: int) -> None:
    """The features of the payee's earlier remittances, from ``payee_remit_180d`` to ``payee_shared_payees_360d``. Sums
    stand as of the latest one and decay when they are read."""
    if np.isnan(payment.is_cross_border) or no_border_told(account):
        x[PAYEE_AT.payee_remit_180d : PAYEE_AT.payee_shared_payees_360d + 1] = np.nan
        return
    f180 = decayed(1.0, effective_ms - row.remit_ms, _H180_MS) if row.remits > 0 else 0.0
    small_share = share(row.remit_small, row.remit_small_known, row.remits)
    new_payers = np.nan if np.isnan(small_share) else row.small_new_payers * f180
    x[PAYEE_AT.payee_remit_180d] = row.remit_180d * f180
    x[PAYEE_AT.payee_small_new_payers_180d] = new_payers
    x[PAYEE_AT.payee_small_remit_share_180d] = small_share
    x[PAYEE_AT.payee_country_entropy_180d] = _entropy(row)
    x[PAYEE_AT.payee_text_collisions_180d] = row.collisions * f180 if _any_text(row) else np.nan
    risky, most = 0, 0
    for i in range(PRICES):
        other = row.risky_payers[i]
        if other.used > 0 and other.payer != payment.payer and effective_ms - other.ms <= RISKY_MS:
            risky += 1
            most = max(most, 1 + _in_common(payment.recent_payees, other.payees))
    x[PAYEE_AT.payee_risky_payers_360d] = float(risky)
    x[PAYEE_AT.payee_shared_payees_360d] = float(most)


@njit(cache=True)
def _in_common(some: Any, others: Any) -> int:
    """How many different marks stand in both."""
    count = 0
    for i in range(RECENT_PAYEES):
        if some[i] == 0:
            continue
        is_first, is_common = True, False
        for j in range(RECENT_PAYEES):
            is_first = is_first and not (j < i and some[j] == some[i])
            is_common = is_common or others[j] == some[i]
        if is_first and is_common:
            count += 1
    return count


@njit(cache=True)
def _entropy(row: Any) -> float:
    """Of the payers' countries, nats; missing while remittances tell none. All counts decay alike, so they stand as of
    the latest remittance."""
    total = 0.0
    for i in range(PRICES):
        total += row.payer_countries[i].count
    if total <= 0.0:
        return 0.0 if row.remits == 0 else np.nan
    entropy = 0.0
    for i in range(PRICES):
        part = row.payer_countries[i].count / total
        if part > 0.0:
            entropy -= part * np.log(part)
    return max(entropy, 0.0)


@njit(cache=True)
def _any_text(row: Any) -> bool:
    """Whether some remittance told a text that can be told from others, or there is none yet."""
    for i in range(PRICES):
        if row.texts[i].used > 0:
            return True
    return bool(row.remits == 0)


@njit(cache=True)
def _update_remittance(row: Any, payment: Any, payer_is_new: bool, effective_ms: int) -> None:
    f180 = decayed(1.0, effective_ms - row.remit_ms, _H180_MS) if row.remits > 0 else 0.0
    is_small = payment.amount_is_small
    row.remit_180d = row.remit_180d * f180 + 1.0
    row.remit_small = row.remit_small * f180 + (0.0 if np.isnan(is_small) else is_small)
    row.remit_small_known = row.remit_small_known * f180 + (0.0 if np.isnan(is_small) else 1.0)
    row.small_new_payers = row.small_new_payers * f180 + (1.0 if is_small == 1.0 and payer_is_new else 0.0)
    _meet_country(row, payment.payer_country, f180)
    row.collisions = row.collisions * f180 + (1.0 if _collides(row, payment.text, payment.payer) else 0.0)
    if payment.remit_signs >= RISKY_SIGNS_MIN:
        _remember_risky(row, payment.payer, effective_ms, payment.recent_payees)
    row.remits += 1
    row.remit_ms = effective_ms


@njit(cache=True)
def _meet_country(row: Any, country: int, f180: float) -> None:
    position, oldest = -1, 0
    for i in range(PRICES):
        row.payer_countries[i].count *= f180
        if row.payer_countries[i].used > 0 and row.payer_countries[i].country == country:
            position = i
        if row.payer_countries[i].used < row.payer_countries[oldest].used:
            oldest = i
    if country < 0:
        return
    if position < 0:
        position = oldest
        row.payer_countries[position].country = country
        row.payer_countries[position].count = 0.0
    row.payer_countries[position].count += 1.0
    row.payer_countries[position].used = row.remits + 1


@njit(cache=True)
def _collides(row: Any, text: Any, payer: Any) -> bool:
    """Whether another payer used the text before; remembers this payer as its last user."""
    if text == 0:
        return False
    position, oldest = -1, 0
    for i in range(PRICES):
        if row.texts[i].used > 0 and row.texts[i].digest == text:
            position = i
        if row.texts[i].used < row.texts[oldest].used:
            oldest = i
    collides = position >= 0 and row.texts[position].payer != payer
    if position < 0:
        position = oldest
        row.texts[position].digest = text
    row.texts[position].payer = payer
    row.texts[position].used = row.remits + 1
    return bool(collides)


@njit(cache=True)
def _remember_risky(row: Any, payer: Any, effective_ms: int, recent_payees: Any) -> None:
    position, oldest = -1, 0
    for i in range(PRICES):
        if row.risky_payers[i].used > 0 and row.risky_payers[i].payer == payer:
            position = i
        if row.risky_payers[i].used < row.risky_payers[oldest].used:
            oldest = i
    if position < 0:
        position = oldest
        row.risky_payers[position].payer = payer
    row.risky_payers[position].ms = effective_ms
    for i in range(RECENT_PAYEES):
        row.risky_payers[position].payees[i] = recent_payees[i]
    row.risky_payers[position].used = row.remits + 1
