"""The payer hop's kernel: features from the payer's side, then the payer's state, payment by payment."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.units import DAY_MS
from services.scorer.path.features.confirmed import EXCESS_MIN, add_excess, label_payer, write_payer_confirmed
from services.scorer.path.features.context import is_told, remember_other, remember_refused, write_context
from services.scorer.path.features.crowd import count_countries, has_country
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.identities import FORWARD, STATUS_UPDATE
from services.scorer.path.features.inputs import ATTEMPTED, NO_MERCHANT, REFUSED, UNTOLD_MERCHANT
from services.scorer.path.features.kernels import (
    H_1D,
    H_7D,
    H_30D,
    ROUND_MIN,
    Act,
    decay_factors,
    no_amount_told,
    roundness,
    share,
    start_row,
    update_activity,
    write_activity,
)
from services.scorer.path.features.local import received_minor, remember_offset, write_local_time
from services.scorer.path.features.parameters import Parameters
from services.scorer.path.features.partners import (
    first_ms_of,
    last_ms_of,
    partner_of,
    partner_position,
    remember_partner,
)
from services.scorer.path.features.registry import PAYER_AT, PAYER_HOP
from services.scorer.path.features.remittances import (
    update_remittance,
    write_recent_payees,
    write_remittances,
    write_typology_payment,
)
from services.scorer.path.features.rows import DEVICES, HALF_LIVES, MERCHANTS, OUTCOMES, TEXTS
from services.scorer.path.features.state import AccountState
from services.scorer.path.features.tables import Pool, disown, own

_AMOUNT_MIN = 0.01


class _Limits(NamedTuple):
    """What the ruleset says of payments and accounts: bands in EUR, and the retention horizon."""

    small_from: float
    small_to: float
    near_threshold_from: float
    near_threshold_to: float
    idle_ms: int


class _State(NamedTuple):
    """What the kernel updates."""

    rows: Any
    """``PAYER_ROW[...]``."""
    corridors: Any
    """``CORRIDOR_ROW[...]``."""
    crowd: Pool
    labels: Pool
    remits: Pool
    rare: Pool
    further: Pool


class Measured(NamedTuple):
    """What the kernel makes of n payments and k labels."""

    features: NDArray[np.float64]
    """[n, len(PAYER_HOP)]; rows of payments that do not go on are unspecified, and so are the features of shared
    tokens, which ``tokens.write_linked`` writes."""
    recent_payees: NDArray[np.uint16]
    """[n, RECENT_PAYEES]: marks of the payees of remittances that the payer paid last, the latest first, 0 for none:
    what the payee hop is told of them."""
    fresh: NDArray[np.bool_]
    """[k]: which labels are no repeats."""


def payer_features(
    payments: NDArray[Any],
    slots: NDArray[np.int64],
    corridor_slots: NDArray[np.int64],
    state: AccountState,
    parameters: Parameters,
    labels: NDArray[Any],
    label_slots: NDArray[np.int64],
) -> Measured:
    """Features of a batch at the payer hop, in the order of the log, and the state after it.

    Parameters
    ----------
    payments
        ``PAYER_INPUT[n]``, the batch: what goes on, and what only updates a status.
    slots
        int64[n], the payers' rows in ``state``, which is updated in place; -1 for a status of an account that has none.
    corridor_slots
        int64[n], the corridors' rows in ``state.corridors``; -1 for payments that are no remittance.
    labels, label_slots
        ``LABEL_INPUT[k]``, the batch's labels, and int64[k], their payers' rows; -1 where an account has none.
    """
    n = len(slots)
    limits = _Limits(
        float(parameters.small_from),
        float(parameters.small_to),
        float(parameters.near_threshold_from),
        float(parameters.near_threshold_to),
        parameters.account_idle_ms,
    )
    measured = Measured(
        features=np.empty((n, len(PAYER_HOP)), dtype=np.float64),
        recent_payees=np.zeros((n, RECENT_PAYEES), dtype=np.uint16),
        fresh=np.ones(len(label_slots), dtype=np.bool_),
    )
    pools = state.pools(n + len(label_slots))
    updated = _State(state.rows, state.corridors.rows, **pools)
    _payer_kernel(payments, slots, corridor_slots, labels, label_slots, limits, updated, measured)
    return measured


@njit(cache=True)
def _payer_kernel(
    payments: Any, slots: Any, corridor_slots: Any, labels: Any, label_slots: Any, limits: _Limits, state: _State,
    out: Measured,
) -> None:  # fmt: skip
    rows = state.rows
    factors = np.empty(HALF_LIVES)
    k = 0
    for i in range(len(slots)):
        while k < len(label_slots) and labels[k].before <= i:
            out.fresh[k] = _take_label(state, label_slots[k], limits.idle_ms, labels[k])
            k += 1
        payment = payments[i]
        if slots[i] < 0:
            continue
        row = rows[slots[i]]
        if row.payments > 0 and payment.now_ms - row.last_ms > limits.idle_ms:
            _forget(state, slots[i])
        if payment.verdict != FORWARD:
            if payment.verdict == STATUS_UPDATE and row.payments > 0:
                row.told |= OUTCOMES
            if payment.first_refused and row.payments > 0:
                row.refused_1d += 1.0
                row.rare_at = own(state.rare, row.rare_at)
                remember_refused(state.rare.rows[row.rare_at], row.last_ms, payment)
            continue
        if row.payments == 0:
            start_row(row, payment.event_ms)
            row.last_amount = np.nan
        effective_ms = max(payment.event_ms, row.last_ms)
        decay_factors(effective_ms - row.last_ms, factors)
        x = out.features[i]
        corridor = state.corridors[max(corridor_slots[i], 0)]
        remits = state.remits.rows[row.remits_at]
        position = partner_position(row, state.further, payment.payee)
        _write_payment(x, row, payment, limits)
        write_activity(x, PAYER_AT.payer_payments_1h, row, state.crowd, effective_ms, factors, payment.amount)
        _write_payer_only(x, row, state.crowd, payment, factors)
        _write_pair(x, row, state.further, position, effective_ms)
        write_typology_payment(x, payment, corridor)
        write_remittances(x, row, remits, effective_ms)
        write_context(x, row, state.rare.rows[row.rare_at], effective_ms, factors)
        x[PAYER_AT.device_is_new] = _device_is_new(row, payment.payer_device)
        write_payer_confirmed(x, state.labels.rows[row.labels_at], effective_ms, payment.amount)
        if remits.remits > 0:
            write_recent_payees(out.recent_payees[i], remits, payment.payee)
        _update(row, state, corridor, x, payment, position, effective_ms, factors)
    while k < len(label_slots):
        out.fresh[k] = _take_label(state, label_slots[k], limits.idle_ms, labels[k])
        k += 1


@njit(cache=True)
def _forget(state: _State, slot: int) -> None:
    """Zero an account's row and free those of its pools: it starts afresh."""
    row = state.rows[slot]
    disown(state.crowd, row.crowd_at)
    disown(state.labels, row.labels_at)
    disown(state.remits, row.remits_at)
    disown(state.rare, row.rare_at)
    disown(state.further, row.further_at)
    zero = np.zeros(1, state.rows.dtype)
    state.rows[slot] = zero[0]


@njit(cache=True)
def _update(
    row: Any, state: _State, corridor: Any, x: Any, payment: Any, position: int, effective_ms: int, factors: Any
) -> None:
    """Take a payment, of which ``x`` are the features, into its payer's rows and its corridor's."""
    remember_partner(row, state.further, position, payment.payee, effective_ms)
    _remember_device(row, payment.payer_device)
    remember_offset(row, payment)
    _remember_told(row, payment)
    remember_other(row, state.remits.rows[row.remits_at], state.rare, x, payment, effective_ms, factors)
    if x[PAYER_AT.is_remittance] == 1.0:
        row.remits_at = own(state.remits, row.remits_at)
        remits = state.remits.rows[row.remits_at]
        update_remittance(remits, corridor, x, payment, effective_ms, payment.now_ms)
    _update_payer_only(row, x, payment, factors)
    if x[PAYER_AT.payer_amount_over_cleared] > EXCESS_MIN:
        row.labels_at = own(state.labels, row.labels_at)
        labels = state.labels.rows[row.labels_at]
        add_excess(labels, effective_ms, x[PAYER_AT.payer_amount_over_cleared])
    act = Act(
        amount=payment.amount,
        moves_money=payment.status < REFUSED,
        is_small=x[PAYER_AT.amount_is_small],
        cross_border=payment.cross_border,
        is_round=x[PAYER_AT.amount_roundness] >= ROUND_MIN,
        partner=payment.payee,
        partner_is_new=position < 0,
        country=payment.payee_country,
    )
    update_activity(row, state.crowd, effective_ms, factors, act)


@njit(cache=True)
def _take_label(state: _State, slot: int, idle_ms: int, label: Any) -> bool:
    """Whether a label is no repeat. One of an account that has no payment here says nothing of it."""
    if slot < 0:
        return True
    row = state.rows[slot]
    if row.payments == 0 or label.now_ms - row.last_ms > idle_ms:
        return True
    row.labels_at = own(state.labels, row.labels_at)
    return bool(label_payer(state.labels.rows[row.labels_at], row.last_ms, label))


@njit(cache=True)
def _write_payment(x: Any, row: Any, payment: Any, limits: _Limits) -> None:
    amount = payment.amount
    is_small = limits.small_from <= amount <= limits.small_to
    is_near = limits.near_threshold_from <= amount < limits.near_threshold_to
    received = received_minor(payment)
    x[PAYER_AT.amount] = amount
    x[PAYER_AT.amount_roundness] = roundness(payment.amount_minor)
    x[PAYER_AT.received_roundness] = roundness(received) if received >= 0 else np.nan
    x[PAYER_AT.amount_is_small] = np.nan if np.isnan(amount) else (1.0 if is_small else 0.0)
    x[PAYER_AT.amount_is_near_threshold] = np.nan if np.isnan(amount) else (1.0 if is_near else 0.0)
    x[PAYER_AT.is_cross_border] = payment.cross_border
    write_local_time(x, row, payment)
    opened_ms = payment.opened_ms
    x[PAYER_AT.payer_account_age] = max(payment.event_ms - opened_ms, 0) / DAY_MS if opened_ms >= 0 else np.nan
    x[PAYER_AT.is_refused] = 1.0 if payment.status >= REFUSED else 0.0
    is_absent = payment.reference_absent
    if np.isnan(is_absent) and row.told & TEXTS:
        is_absent = 1.0
    x[PAYER_AT.reference_is_absent] = is_absent


@njit(cache=True)
def _write_payer_only(x: Any, row: Any, crowd: Pool, payment: Any, factors: Any) -> None:
    country, amount = payment.payee_country, payment.amount
    x[PAYER_AT.payer_night_share_30d] = share(row.night_30d, row.night_known_30d, row.payments)
    if country < 0 or (row.payments > 0 and count_countries(row, crowd) == 0.0):
        x[PAYER_AT.corridor_is_new] = np.nan
    else:
        x[PAYER_AT.corridor_is_new] = 0.0 if has_country(row, crowd, country) else 1.0
    if np.isnan(amount):
        x[PAYER_AT.payer_amount_over_last] = np.nan
    elif row.payments == 0:
        x[PAYER_AT.payer_amount_over_last] = 1.0
    elif np.isnan(row.last_amount):
        x[PAYER_AT.payer_amount_over_last] = np.nan
    else:
        x[PAYER_AT.payer_amount_over_last] = amount / max(row.last_amount, _AMOUNT_MIN)
    x[PAYER_AT.payer_near_threshold_7d] = np.nan if no_amount_told(row) else row.near_threshold_7d * factors[H_7D]
    x[PAYER_AT.payer_refused_1d] = row.refused_1d * factors[H_1D] if is_told(row, OUTCOMES) else np.nan


@njit(cache=True)
def _write_pair(x: Any, row: Any, further: Pool, position: int, effective_ms: int) -> None:
    if position < 0:
        x[PAYER_AT.pair_is_new] = 1.0
        x[PAYER_AT.pair_payments] = x[PAYER_AT.pair_age] = x[PAYER_AT.pair_gap] = 0.0
        return
    partner = partner_of(row, further, position)
    x[PAYER_AT.pair_is_new] = 0.0
    x[PAYER_AT.pair_payments] = float(partner.payments)
    x[PAYER_AT.pair_age] = (effective_ms - first_ms_of(partner)) / DAY_MS
    x[PAYER_AT.pair_gap] = (effective_ms - last_ms_of(partner)) / DAY_MS


@njit(cache=True)
def _device_is_new(row: Any, device: Any) -> float:
    if device == 0:
        return np.nan
    if row.devices[0] == 0:
        return np.nan if row.payments > 0 else 0.0
    for i in range(DEVICES):
        if row.devices[i] == device:
            return 0.0
    return 1.0


@njit(cache=True)
def _remember_device(row: Any, device: Any) -> None:
    """``devices`` stand in the order of their latest use, the latest first; the last makes room."""
    if device == 0:
        return
    position = 0
    while position < DEVICES - 1 and row.devices[position] != device:
        position += 1
    for i in range(position, 0, -1):
        row.devices[i] = row.devices[i - 1]
    row.devices[0] = device


@njit(cache=True)
def _remember_told(row: Any, payment: Any) -> None:
    if not np.isnan(payment.reference_absent):
        row.told |= TEXTS
    if payment.merchant not in (NO_MERCHANT, UNTOLD_MERCHANT):
        row.told |= MERCHANTS
    if payment.status != ATTEMPTED:
        row.told |= OUTCOMES


@njit(cache=True)
def _update_payer_only(row: Any, x: Any, payment: Any, factors: Any) -> None:
    f30 = factors[H_30D]
    night, near = x[PAYER_AT.local_is_night], x[PAYER_AT.amount_is_near_threshold]
    row.night_30d = row.night_30d * f30 + (0.0 if np.isnan(night) else night)
    row.night_known_30d = row.night_known_30d * f30 + (0.0 if np.isnan(night) else 1.0)
    row.near_threshold_7d = row.near_threshold_7d * factors[H_7D] + (0.0 if np.isnan(near) else near)
    row.refused_1d = row.refused_1d * factors[H_1D] + (1.0 if payment.status >= REFUSED else 0.0)
    if not np.isnan(payment.amount):
        row.last_amount = payment.amount
