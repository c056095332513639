"""What else a payer does: retries after a refusal, adult platforms, travel, the hours of other payments.

Compiled by numba: no fastmath, fixed order of operations, float64 throughout. The words are in the registry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from services.contract.units import DAY_MS
from services.scorer.path.features.inputs import ADULT, REFUSED, TRAVEL
from services.scorer.path.features.kernels import H_7D, decayed
from services.scorer.path.features.registry import PAYER_AT
from services.scorer.path.features.rows import MERCHANTS, OUTCOMES
from services.scorer.path.features.tables import Pool, own

_H180_MS = 180.0 * DAY_MS
TRAVEL_MS = 90 * DAY_MS
TRAVEL_REMITTANCES_MIN = 5
RETRY_MS = DAY_MS


@njit(cache=True)
def write_context(x: Any, row: Any, rare: Any, effective_ms: int, factors: Any) -> None:
    """What else the payer does."""
    elapsed_ms = effective_ms - row.last_ms
    x[PAYER_AT.payer_retries_7d] = rare.retries_7d * factors[H_7D] if is_told(row, OUTCOMES) else np.nan
    if is_told(row, MERCHANTS):
        x[PAYER_AT.payer_adult_merchants_180d] = decayed(rare.adult_180d, elapsed_ms, _H180_MS)
        x[PAYER_AT.payer_travel_180d] = decayed(rare.travel_180d, elapsed_ms, _H180_MS)
    else:
        x[PAYER_AT.payer_adult_merchants_180d] = x[PAYER_AT.payer_travel_180d] = np.nan


@njit(cache=True)
def is_told(row: Any, what: int) -> bool:
    """Whether some payment of a payer has told ``what`` (a bit of ``told``), or it has none yet."""
    return bool(row.payments == 0 or row.told & what)


@njit(cache=True)
def remember_refused(rare: Any, at_ms: int, payment: Any) -> None:
    """The latest payment that was refused."""
    rare.refused.known = 1
    rare.refused.ms = at_ms
    rare.refused.payee = payment.payee
    rare.refused.rail = payment.rail
    rare.refused.amount_minor = payment.amount_minor
    rare.refused.currency = payment.currency


@njit(cache=True)
def remember_other(account: Any, row: Any, rare: Pool, x: Any, payment: Any, effective_ms: int, factors: Any) -> None:
    """Take any payment into what is known of the payer besides remittances."""
    followed = row.remits >= TRAVEL_REMITTANCES_MIN and effective_ms - row.remit_ms <= TRAVEL_MS
    travels = payment.merchant == TRAVEL and followed
    retried = _is_retry(rare.rows[account.rare_at].refused, payment, effective_ms)
    refused = payment.status >= REFUSED
    if account.rare_at != 0 or retried or refused or travels or payment.merchant == ADULT:
        account.rare_at = own(rare, account.rare_at)
        habits, elapsed_ms = rare.rows[account.rare_at], effective_ms - account.last_ms
        habits.retries_7d = habits.retries_7d * factors[H_7D] + (1.0 if retried else 0.0)
        if refused:
            remember_refused(habits, effective_ms, payment)
        is_adult = payment.merchant == ADULT
        habits.adult_180d = decayed(habits.adult_180d, elapsed_ms, _H180_MS) + (1.0 if is_adult else 0.0)
        habits.travel_180d = decayed(habits.travel_180d, elapsed_ms, _H180_MS) + (1.0 if travels else 0.0)
    night = x[PAYER_AT.local_is_night]
    if x[PAYER_AT.is_remittance] == 0.0 and not np.isnan(night):
        since_ms = effective_ms - account.other_ms
        account.other_night = decayed(account.other_night, since_ms, _H180_MS) + night
        account.other_night_known = decayed(account.other_night_known, since_ms, _H180_MS) + 1.0
        account.other_ms = effective_ms


@njit(cache=True)
def _is_retry(refused: Any, payment: Any, effective_ms: int) -> bool:
    """Whether the payment is another than the one that was refused a short while ago."""
    return bool(
        payment.status < REFUSED
        and refused.known == 1
        and effective_ms - refused.ms <= RETRY_MS
        and (
            payment.payee != refused.payee
            or (payment.rail != refused.rail and payment.rail != 0 and refused.rail != 0)
            or payment.amount_minor != refused.amount_minor
            or payment.currency != refused.currency
        )
    )
