"""What labels say of an account: state fed by labels as they are joined, read before each payment.

The features are in the registry (``PAYER_CONFIRMED`` and ``PAYEE_CONFIRMED``), whose words on labels these functions
follow; the rows are ``PAYER_LABELS`` and ``PAYEE_LABELS`` in ``rows.py``. A *label* here is one
payment's, re-keyed to its payer's and to its payee's log. The log orders it among payments, so the state is exact and a
replay gives it again. A payment is taken once, with its first label; the order of labels is the log's.

- An **excess** needs no label of its own payment, so a run of payments that are too large shows before the first of
  them is confirmed.
- Where a **usual** payment is confirmed the habits of the payer do not explain it, which points at the payee.

While an account has no label, and no payment that is large against what was cleared, it has no row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from services.contract.units import DAY_MS
from services.scorer.path.features.kernels import decayed
from services.scorer.path.features.registry import PAYEE_AT, PAYER_AT
from services.scorer.path.features.rows import LABEL_IDS

USUAL_MAX = 2.5
EXCESS_MIN = 2.0
"""Amount over cleared from which on a payment has an excess."""
GAP_DAYS_MAX = 365.0
CLEARED_MIN = 3
"""Cleared payments from which an account has an amount of its own."""
_CLEARED_MS = 90.0 * DAY_MS
_H1, _H7, _H30 = 1.0 * DAY_MS, 7.0 * DAY_MS, 30.0 * DAY_MS
_DEVIATION_SHARE = 0.1
_AMOUNT_MIN = 0.01


@njit(cache=True)
def write_payer_confirmed(x: Any, labels: Any, effective_ms: int, amount: float) -> None:
    """Write ``PAYER_CONFIRMED`` of a payment into its row of the payer hop's features."""
    x[PAYER_AT.payer_confirmed_share_30d] = (
        labels.confirmed_30d / labels.matured_30d if labels.matured_30d > 0.0 else 0.0
    )
    x[PAYER_AT.payer_confirmed_gap] = (
        _days(effective_ms - labels.confirmed_ms) if labels.confirmations > 0 else GAP_DAYS_MAX
    )
    x[PAYER_AT.payer_cleared_amount] = 0.0
    x[PAYER_AT.payer_amount_over_cleared] = 1.0
    x[PAYER_AT.payer_amount_from_cleared] = 0.0
    if labels.cleared >= CLEARED_MIN and labels.weight > 0.0:
        mean = labels.amount / labels.weight
        deviation = np.sqrt(max(labels.squares / labels.weight - mean * mean, 0.0))
        x[PAYER_AT.payer_cleared_amount] = mean
        x[PAYER_AT.payer_amount_over_cleared] = amount / max(mean, _AMOUNT_MIN)
        x[PAYER_AT.payer_amount_from_cleared] = (amount - mean) / max(
            deviation, _DEVIATION_SHARE * max(mean, 0.0) + _AMOUNT_MIN
        )
    if np.isnan(amount):
        x[PAYER_AT.payer_amount_over_cleared] = x[PAYER_AT.payer_amount_from_cleared] = np.nan
    elapsed_ms = effective_ms - labels.excess_ms
    x[PAYER_AT.payer_excess_1d] = decayed(labels.excess[0], elapsed_ms, _H1)
    x[PAYER_AT.payer_excess_7d] = decayed(labels.excess[1], elapsed_ms, _H7)
    x[PAYER_AT.payer_excess_30d] = decayed(labels.excess[2], elapsed_ms, _H30)


@njit(cache=True)
def write_payee_confirmed(x: Any, labels: Any, effective_ms: int) -> None:
    """Write ``PAYEE_CONFIRMED`` of a payment into its row of the payee hop's features."""
    for h in range(3):
        x[PAYEE_AT.payee_confirmed_share_1d + h] = (
            labels.confirmed[h] / labels.matured[h] if labels.matured[h] > 0.0 else 0.0
        )
    x[PAYEE_AT.payee_usual_confirmed_share_7d] = (
        labels.usual_confirmed_7d / labels.usual_matured_7d if labels.usual_matured_7d > 0.0 else 0.0
    )
    x[PAYEE_AT.payee_usual_matured_30d] = decayed(labels.usual_matured_30d, effective_ms - labels.label_ms, _H30)
    x[PAYEE_AT.payee_confirmed_run] = float(labels.run)
    x[PAYEE_AT.payee_confirmed_run_age] = x[PAYEE_AT.payee_confirmed_run_gap] = 0.0
    if labels.run > 0:
        x[PAYEE_AT.payee_confirmed_run_age] = (effective_ms - labels.run_ms) / DAY_MS
        x[PAYEE_AT.payee_confirmed_run_gap] = _days(labels.run_gap_ms) if labels.run_gap_ms >= 0 else GAP_DAYS_MAX
    x[PAYEE_AT.payee_cleared_gap] = _days(effective_ms - labels.cleared_ms) if labels.usual_cleared > 0 else 0.0
    elapsed_ms = effective_ms - labels.excess_ms
    x[PAYEE_AT.payee_excess_1d] = decayed(labels.excess[0], elapsed_ms, _H1)
    x[PAYEE_AT.payee_excess_7d] = decayed(labels.excess[1], elapsed_ms, _H7)


@njit(cache=True)
def add_excess(labels: Any, effective_ms: int, ratio: float) -> None:
    """Take a payment, of which no label is known, into its payer's or payee's row.

    ``ratio`` is its amount over cleared, more than ``EXCESS_MIN``."""
    elapsed_ms, excess = effective_ms - labels.excess_ms, np.log(ratio / EXCESS_MIN)
    labels.excess[0] = decayed(labels.excess[0], elapsed_ms, _H1) + excess
    labels.excess[1] = decayed(labels.excess[1], elapsed_ms, _H7) + excess
    if len(labels.excess) > 2:
        labels.excess[2] = decayed(labels.excess[2], elapsed_ms, _H30) + excess
    labels.excess_ms = effective_ms


@njit(cache=True)
def label_payer(labels: Any, last_ms: int, label: Any) -> bool:
    """Take a label (``LABEL_INPUT``) into its payer's row, unless it is a repeat; returns whether it was taken.

    ``last_ms`` is the effective time of the account's latest payment."""
    for i in range(LABEL_IDS):
        if labels.ids[i] == label.digest:
            return False
    labels.ids[labels.labels % LABEL_IDS] = label.digest
    elapsed_ms = _pass(labels, last_ms, label.event_ms)
    labels.matured_30d = decayed(labels.matured_30d, elapsed_ms, _H30) + 1.0
    labels.confirmed_30d = decayed(labels.confirmed_30d, elapsed_ms, _H30) + (1.0 if label.confirmed else 0.0)
    labels.weight = decayed(labels.weight, elapsed_ms, _CLEARED_MS)
    labels.amount = decayed(labels.amount, elapsed_ms, _CLEARED_MS)
    labels.squares = decayed(labels.squares, elapsed_ms, _CLEARED_MS)
    if label.confirmed:
        labels.confirmations += 1
        labels.confirmed_ms = labels.label_ms
    elif not np.isnan(label.value):
        labels.cleared += 1
        labels.weight += 1.0
        labels.amount += label.value
        labels.squares += label.value * label.value
    return True


@njit(cache=True)
def label_payee(labels: Any, last_ms: int, label: Any) -> None:
    """Take a label (``LABEL_INPUT``) into its payee's row. A payment whose value is missing is no usual one."""
    elapsed_ms = _pass(labels, last_ms, label.event_ms)
    flag = 1.0 if label.confirmed else 0.0
    labels.matured[0] = decayed(labels.matured[0], elapsed_ms, _H1) + 1.0
    labels.matured[1] = decayed(labels.matured[1], elapsed_ms, _H7) + 1.0
    labels.matured[2] = decayed(labels.matured[2], elapsed_ms, _H30) + 1.0
    labels.confirmed[0] = decayed(labels.confirmed[0], elapsed_ms, _H1) + flag
    labels.confirmed[1] = decayed(labels.confirmed[1], elapsed_ms, _H7) + flag
    labels.confirmed[2] = decayed(labels.confirmed[2], elapsed_ms, _H30) + flag
    labels.usual_matured_7d = decayed(labels.usual_matured_7d, elapsed_ms, _H7)
    labels.usual_confirmed_7d = decayed(labels.usual_confirmed_7d, elapsed_ms, _H7)
    labels.usual_matured_30d = decayed(labels.usual_matured_30d, elapsed_ms, _H30)
    if not label.value < USUAL_MAX:
        return
    labels.usual_matured_7d += 1.0
    labels.usual_confirmed_7d += flag
    labels.usual_matured_30d += 1.0
    if not label.confirmed:
        labels.run = 0
        labels.usual_cleared += 1
        labels.cleared_ms = labels.label_ms
        return
    if labels.run == 0:
        labels.run_ms = labels.label_ms
        labels.run_gap_ms = labels.label_ms - labels.cleared_ms if labels.usual_cleared > 0 else -1
    labels.run += 1


@njit(cache=True)
def _pass(labels: Any, last_ms: int, event_ms: int) -> int:
    """Move the row on to the effective time of a labelled payment; returns how much time that is, 0 at first.

    No label is later than the account's latest payment: only a forged one would be."""
    before_ms, at_ms = labels.label_ms, min(event_ms, last_ms)
    if labels.labels > 0:
        at_ms = max(at_ms, before_ms)
    elapsed_ms = at_ms - before_ms if labels.labels > 0 else 0
    labels.labels += 1
    labels.label_ms = at_ms
    return elapsed_ms


@njit(cache=True)
def _days(elapsed_ms: int) -> float:
    return float(min(elapsed_ms / DAY_MS, GAP_DAYS_MAX))
