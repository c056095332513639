"""The payee hop's kernel: features from the payee's side, then the payee's state, payment by payment.

Besides payments the hop's log carries *outflows*: notes that an account, seen here as a payee, has paid money out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.scorer.path.columns import PayeeColumns
from services.scorer.path.features import PAYEE_HOP
from services.scorer.path.kernels import (
    ACTIVITY,
    DAY_MS,
    H_1D,
    ROUND_MIN,
    decay_factors,
    forget,
    partner_position,
    remember_partner,
    start_row,
    update_activity,
    write_activity,
)
from services.scorer.path.ruleset import Parameters
from services.scorer.path.state import HALF_LIVES, AccountState

PASSED_ON_MAX = 10.0
assert len(PAYEE_HOP) == ACTIVITY + 2, "the kernel and the registry must agree"


def payee_features(
    columns: PayeeColumns, slots: NDArray[np.int64], state: AccountState, parameters: Parameters
) -> NDArray[np.float64]:
    """Features of a batch at the payee hop, in the order of the log, and the state after it.

    Parameters
    ----------
    columns
        The batch, n records, payments and outflows.
    slots
        int64[n]: the payees' rows in ``state``, which is updated in place; -1 for an outflow of an account that has
        received nothing here.

    Returns
    -------
    float64[n, len(PAYEE_HOP)]; rows of outflows are unspecified.
    """
    features = np.empty((len(slots), len(PAYEE_HOP)), dtype=np.float64)
    _payee_kernel(
        state.rows, slots, state.watermark, parameters.account_idle_ms, columns.outflow,
        columns.event_ms, columns.amount, columns.status, columns.is_small, columns.cross_border, columns.roundness,
        columns.payer_country, columns.opened_ms, columns.payer_digest, features,
    )  # fmt: skip
    return features


@njit(cache=True)
def _payee_kernel(
    rows: Any, slots: Any, watermark: Any, idle_ms: int, outflow: Any,
    event_ms: Any, amount: Any, status: Any, is_small: Any, cross_border: Any, roundness: Any,
    payer_country: Any, opened_ms: Any, payer_digest: Any, features: Any,
) -> None:  # fmt: skip
    factors = np.empty(HALF_LIVES)
    for i in range(len(slots)):
        watermark[0] = max(watermark[0], event_ms[i])
        if slots[i] < 0:
            continue
        row = rows[slots[i]]
        if row.payments > 0 and watermark[0] - row.last_ms > idle_ms:
            forget(rows, slots[i])
        if outflow[i]:
            if row.payments > 0:
                _pay_out(row, event_ms[i], amount[i])
            continue
        if row.payments == 0:
            start_row(row, event_ms[i])
        effective_ms = max(event_ms[i], row.last_ms)
        decay_factors(effective_ms - row.last_ms, factors)

        x = features[i]
        write_activity(x, 0, row, effective_ms, factors, amount[i])
        x[ACTIVITY] = _passed_on(row, effective_ms, row.value[H_1D] * factors[H_1D])
        x[ACTIVITY + 1] = max(event_ms[i] - opened_ms[i], 0) / DAY_MS if opened_ms[i] >= 0 else np.nan

        position = partner_position(row, payer_digest[i])
        remember_partner(row, position, payer_digest[i], effective_ms)
        update_activity(row, effective_ms, factors, amount[i], status[i] < 2, is_small[i], cross_border[i],
                        roundness[i] >= ROUND_MIN, payer_digest[i], position < 0, payer_country[i])  # fmt: skip


@njit(cache=True)
def _pay_out(row: Any, event_ms: int, amount: float) -> None:
    """Add an outflow to the account's decayed sum, which has its own effective time (``out_ms``)."""
    at_ms = max(event_ms, row.out_ms)
    row.out_value_1d = row.out_value_1d * np.exp(-(at_ms - row.out_ms) * (np.log(2.0) / DAY_MS)) + amount
    row.out_ms = at_ms


@njit(cache=True)
def _passed_on(row: Any, effective_ms: int, in_value: float) -> float:
    """Money out over money in, both decayed to ``effective_ms``."""
    if in_value <= 0.0:
        return 0.0
    elapsed_ms = max(effective_ms - row.out_ms, 0)
    out_value = row.out_value_1d * np.exp(-elapsed_ms * (np.log(2.0) / DAY_MS))
    return float(min(out_value / in_value, PASSED_ON_MAX))
