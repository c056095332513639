"""The payer hop's kernel: features from the payer's side, then the payer's state, payment by payment."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.scorer.path.features.columns import UNKNOWN_OFFSET, LabelColumns, PayerColumns
from services.scorer.path.features.confirmed import AMOUNT_OVER_CLEARED, add_excess, label_payer, write_payer_confirmed
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.definitions.labels import PAYER_CONFIRMED
from services.scorer.path.features.kernels import (
    ACTIVITY,
    DAY_MS,
    H_1D,
    H_7D,
    H_30D,
    HOUR_MS,
    ROUND_MIN,
    country_bit,
    decay_factors,
    forget,
    partner_position,
    remember_partner,
    roundness,
    share,
    start_row,
    update_activity,
    write_activity,
)
from services.scorer.path.features.parameters import Parameters
from services.scorer.path.features.registry import PAYER_HOP
from services.scorer.path.features.remittances import (
    PAYMENT,
    TYPOLOGY,
    remember_other,
    remember_refused,
    update_remittance,
    write_recent_payees,
    write_remittances,
    write_typology_payment,
)
from services.scorer.path.features.rows import DEVICES, HALF_LIVES, PAYMENT_IDS
from services.scorer.path.features.state import AccountState
from services.scorer.path.features.tokens import LINKED

FORWARD, DUPLICATE, STATUS_UPDATE = 0, 1, 2
"""Verdicts: a payment goes on; a repeat of an id is dropped; a repeat with another status only updates state."""

_PAYMENT = 12
_PAYER_ONLY = _PAYMENT + ACTIVITY
_PAIR = _PAYER_ONLY + 5
_TYPOLOGY = _PAIR + 4
_DEVICE = _TYPOLOGY + TYPOLOGY
_CONFIRMED = _DEVICE + 1 + LINKED
assert len(PAYER_HOP) == _CONFIRMED + len(PAYER_CONFIRMED), "the kernel and the registry must agree"

_REFUSED = 2  # statuses are attempted 0, accepted 1, rejected 2, returned 3
_REFUSED_BITS = np.uint64(12)  # 1 << 2 | 1 << 3
_AMOUNT_MIN = 0.01


def payer_features(
    columns: PayerColumns,
    slots: NDArray[np.int64],
    corridor_slots: NDArray[np.int64],
    state: AccountState,
    parameters: Parameters,
    labels: LabelColumns,
    label_slots: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.uint16], NDArray[np.bool_]]:
    """Features of a batch at the payer hop, in the order of the log, and the state after it.

    Parameters
    ----------
    columns
        The batch, n payments.
    slots
        int64[n], the payers' rows in ``state``, which is updated in place.
    corridor_slots
        int64[n], the corridors' rows in ``state.corridors``; -1 for payments that are no remittance.
    labels, label_slots
        The batch's k labels, and int64[k], their payers' rows; -1 where an account has none.

    Returns
    -------
    features
        float64[n, len(PAYER_HOP)]; rows of payments that do not go on are unspecified, and so are the
        features of shared tokens, which ``tokens.write_linked`` writes.
    verdicts
        uint8[n]: ``FORWARD``, ``DUPLICATE`` or ``STATUS_UPDATE``.
    recent_payees
        uint16[n, RECENT_PAYEES]: marks of the payees of remittances that the payer paid last, the latest first, 0 for
        none: what the payee hop is told of them.
    fresh
        bool[k]: which labels are no repeats.
    """
    n = len(slots)
    features = np.empty((n, len(PAYER_HOP)), dtype=np.float64)
    verdicts = np.empty(n, dtype=np.uint8)
    recent_payees = np.zeros((n, RECENT_PAYEES), dtype=np.uint16)
    fresh = np.ones(len(label_slots), dtype=np.bool_)
    bands = np.array(
        [
            parameters.small_from,
            parameters.small_to,
            parameters.near_threshold_from,
            parameters.near_threshold_to,
        ]
    )
    _payer_kernel(
        state.rows, slots, state.watermark, parameters.account_idle_ms, bands,
        columns.event_ms, columns.amount, columns.amount_minor, columns.received_minor, columns.status,
        columns.cross_border, columns.payee_country, columns.offset_minutes, columns.opened_ms,
        columns.reference_absent, columns.payment_digest, columns.payee_digest,
        state.corridors.rows, corridor_slots, columns.is_handle, columns.excuse, columns.currency, columns.merchant,
        columns.payee_minor, columns.unrelated, columns.rail, columns.device,
        labels.before, label_slots, labels.event_ms, labels.value, labels.confirmed, labels.digest,
        features, verdicts, recent_payees, fresh,
    )  # fmt: skip
    return features, verdicts, recent_payees, fresh


@njit(cache=True)
def _payer_kernel(
    rows: Any, slots: Any, watermark: Any, idle_ms: int, bands: Any,
    event_ms: Any, amount: Any, amount_minor: Any, received_minor: Any, status: Any,
    cross_border: Any, payee_country: Any, offset_minutes: Any, opened_ms: Any,
    reference_absent: Any, payment_digest: Any, payee_digest: Any,
    corridors: Any, corridor_slots: Any, is_handle: Any, excuse: Any, currency: Any, merchant: Any,
    payee_minor: Any, unrelated: Any, rail: Any, device: Any,
    label_before: Any, label_slots: Any, label_ms: Any, label_amount: Any, label_confirmed: Any, label_digest: Any,
    features: Any, verdicts: Any, recent_payees: Any, fresh: Any,
) -> None:  # fmt: skip
    factors = np.empty(HALF_LIVES)
    k = 0
    for i in range(len(slots)):
        while k < len(label_slots) and label_before[k] <= i:
            fresh[k] = _take_label(rows, label_slots[k], watermark[0], idle_ms, label_digest[k], label_ms[k],
                                   label_amount[k], label_confirmed[k])  # fmt: skip
            k += 1
        row = rows[slots[i]]
        watermark[0] = max(watermark[0], event_ms[i])
        if row.payments > 0 and watermark[0] - row.last_ms > idle_ms:
            forget(rows, slots[i])
        if row.payments == 0:
            start_row(row, event_ms[i])
            row.last_amount = np.nan
        effective_ms = max(event_ms[i], row.last_ms)
        decay_factors(effective_ms - row.last_ms, factors)
        refused_before = row.refused_1d
        verdicts[i] = _recognise(row, payment_digest[i], status[i])
        if row.refused_1d > refused_before:
            remember_refused(row, row.last_ms, payee_digest[i], rail[i], amount_minor[i], currency[i])
        if verdicts[i] != FORWARD:
            continue

        x = features[i]
        _write_payment(
            x, bands, event_ms[i], amount[i], amount_minor[i], received_minor[i], status[i],
            cross_border[i], offset_minutes[i], opened_ms[i], reference_absent[i],
        )  # fmt: skip
        write_activity(x, _PAYMENT, row, effective_ms, factors, amount[i])
        _write_payer_only(x, row, factors, amount[i], payee_country[i])
        position = partner_position(row, payee_digest[i])
        _write_pair(x, row, position, effective_ms)
        corridor = corridors[max(corridor_slots[i], 0)]
        write_typology_payment(
            x, _TYPOLOGY, corridor, merchant[i], is_handle[i], excuse[i], payee_minor[i], unrelated[i]
        )
        write_remittances(x, _TYPOLOGY + PAYMENT, row, effective_ms, factors)
        x[_DEVICE] = _device_is_new(row, device[i])
        write_payer_confirmed(x, _CONFIRMED, row.labels, effective_ms, amount[i])
        if row.remits > 0:
            write_recent_payees(recent_payees[i], row, payee_digest[i])

        remember_partner(row, position, payee_digest[i], effective_ms)
        _remember_device(row, device[i])
        remember_other(row, x, _TYPOLOGY, effective_ms, factors, merchant[i], status[i], payee_digest[i], rail[i],
                       amount_minor[i], currency[i])  # fmt: skip
        if x[_TYPOLOGY] == 1.0:
            update_remittance(row, corridor, x, _TYPOLOGY, effective_ms, watermark[0], amount[i], payee_digest[i],
                              rail[i], amount_minor[i], currency[i], excuse[i])  # fmt: skip
        _update_payer_only(row, x, factors, amount[i], status[i])
        add_excess(row.labels, effective_ms, x[_CONFIRMED + AMOUNT_OVER_CLEARED])
        update_activity(row, effective_ms, factors, amount[i], status[i] < _REFUSED, x[3], x[5], x[1] >= ROUND_MIN,
                        payee_digest[i], position < 0, payee_country[i])  # fmt: skip
    while k < len(label_slots):
        fresh[k] = _take_label(rows, label_slots[k], watermark[0], idle_ms, label_digest[k], label_ms[k],
                               label_amount[k], label_confirmed[k])  # fmt: skip
        k += 1


@njit(cache=True)
def _take_label(
    rows: Any, slot: int, watermark: int, idle_ms: int, digest: Any, event_ms: int, amount: float, confirmed: bool
) -> bool:
    """Whether a label is no repeat. One of an account that has no payment here says nothing of it."""
    if slot < 0 or rows[slot].payments == 0 or watermark - rows[slot].last_ms > idle_ms:
        return True
    row = rows[slot]
    return bool(label_payer(row.labels, row.last_ms, digest, event_ms, amount, confirmed))


@njit(cache=True)
def _recognise(row: Any, digest: Any, status: int) -> int:
    """Look the payment id up among the payer's recent ones, and remember it.

    The low four bits hold the set of statuses it came with: a sequence of them that is sent again is all duplicates.
    """
    identity = digest & ~np.uint64(15)
    seen = np.uint64(1) << np.uint64(status)
    for j in range(PAYMENT_IDS):
        known = row.payment_ids[j]
        if known != 0 and (known & ~np.uint64(15)) == identity:
            if known & seen:
                return DUPLICATE
            if status >= _REFUSED and known & _REFUSED_BITS == 0:
                row.refused_1d += 1.0
            row.payment_ids[j] = known | seen
            return STATUS_UPDATE
    row.payment_ids[row.payment_ids_next] = identity | seen
    row.payment_ids_next = (row.payment_ids_next + 1) % PAYMENT_IDS
    return FORWARD


@njit(cache=True)
def _write_payment(
    x: Any, bands: Any, event_ms: int, amount: float, amount_minor: int, received_minor: int, status: int,
    cross_border: float, offset_minutes: int, opened_ms: int, reference_absent: bool,
) -> None:  # fmt: skip
    x[0] = amount
    x[1] = roundness(amount_minor)
    x[2] = roundness(received_minor) if received_minor >= 0 else np.nan
    x[3] = np.nan if np.isnan(amount) else (1.0 if bands[0] <= amount <= bands[1] else 0.0)
    x[4] = np.nan if np.isnan(amount) else (1.0 if bands[2] <= amount < bands[3] else 0.0)
    x[5] = cross_border
    if offset_minutes == UNKNOWN_OFFSET:
        x[6] = x[7] = x[8] = np.nan
    else:
        local_ms = (event_ms + offset_minutes * 60_000) % 86_400_000
        hour = local_ms / HOUR_MS
        x[6] = np.sin(2.0 * np.pi * hour / 24.0)
        x[7] = np.cos(2.0 * np.pi * hour / 24.0)
        x[8] = 1.0 if hour >= 22.0 or hour < 5.0 else 0.0
    x[9] = max(event_ms - opened_ms, 0) / DAY_MS if opened_ms >= 0 else np.nan
    x[10] = 1.0 if status >= _REFUSED else 0.0
    x[11] = 1.0 if reference_absent else 0.0


@njit(cache=True)
def _write_payer_only(x: Any, row: Any, factors: Any, amount: float, payee_country: int) -> None:
    at = _PAYER_ONLY
    x[at] = share(row.night_30d, row.night_known_30d, row.payments)
    if payee_country < 0:
        x[at + 1] = np.nan
    else:
        seen = (row.countries[payee_country // 64] & country_bit(payee_country)) != 0
        x[at + 1] = 0.0 if seen else 1.0
    if np.isnan(amount):
        x[at + 2] = np.nan
    elif row.payments == 0:
        x[at + 2] = 1.0
    elif np.isnan(row.last_amount):
        x[at + 2] = np.nan
    else:
        x[at + 2] = amount / max(row.last_amount, _AMOUNT_MIN)
    x[at + 3] = row.near_threshold_7d * factors[H_7D]
    x[at + 4] = row.refused_1d * factors[H_1D]


@njit(cache=True)
def _write_pair(x: Any, row: Any, position: int, effective_ms: int) -> None:
    at = _PAIR
    if position < 0:
        x[at] = 1.0
        x[at + 1] = x[at + 2] = x[at + 3] = 0.0
        return
    partner = row.partners[position]
    x[at] = 0.0
    x[at + 1] = float(partner.payments)
    x[at + 2] = (effective_ms - partner.first_ms) / DAY_MS
    x[at + 3] = (effective_ms - partner.last_ms) / DAY_MS


@njit(cache=True)
def _device_is_new(row: Any, device: Any) -> float:
    if device == 0:
        return np.nan
    for i in range(DEVICES):
        if row.devices[i] == device:
            return 0.0
    return 1.0 if row.devices[0] != 0 else 0.0


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
def _update_payer_only(row: Any, x: Any, factors: Any, amount: float, status: int) -> None:
    f30 = factors[H_30D]
    row.night_30d = row.night_30d * f30 + (0.0 if np.isnan(x[8]) else x[8])
    row.night_known_30d = row.night_known_30d * f30 + (0.0 if np.isnan(x[8]) else 1.0)
    row.near_threshold_7d = row.near_threshold_7d * factors[H_7D] + (0.0 if np.isnan(x[4]) else x[4])
    row.refused_1d = row.refused_1d * factors[H_1D] + (1.0 if status >= _REFUSED else 0.0)
    if not np.isnan(amount):
        row.last_amount = amount
