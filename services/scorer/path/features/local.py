"""What fills a gap of a payment: the payer's local time, and the amount received.

Local time is by the offset that the payment tells; else by the one that its payer told last; else by the one that is
usual in the payer's country. The amount received is what the payment tells; else the amount paid, where the payee's
country has the currency that is paid in. ``services.contract.local`` says what is usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.local import CURRENCY, OFFSET_MINUTES
from services.contract.units import DAY_MS, HOUR_MS
from services.scorer.path.features.inputs import COUNTRY_CODE, CURRENCY_CODE, UNKNOWN_OFFSET
from services.scorer.path.features.registry import PAYER_AT

_MINUTE_MS = 60_000
_NONE = 0
_SHIFT = 841
"""An offset stands in a row with this added, so that ``_NONE`` is that of no offset: the contract's least is -840."""


def _by_country(usual: Mapping[str, int], absent: int) -> NDArray[np.int64]:
    """By the number of a country."""
    out = np.full(26 * 26, absent, dtype=np.int64)
    for country, number in usual.items():
        out[COUNTRY_CODE[country]] = number
    return out


_OFFSETS = _by_country(OFFSET_MINUTES, UNKNOWN_OFFSET)
_CURRENCIES = _by_country({country: CURRENCY_CODE[code] for country, code in CURRENCY.items()}, -1)


@njit(cache=True)
def write_local_time(x: Any, row: Any, payment: Any) -> None:
    """Write what is asked of the payer's local time; ``row`` is the payer's."""
    offset, implied = payment.offset_minutes, 0.0
    if offset == UNKNOWN_OFFSET:
        implied = 1.0
        if row.last_offset != _NONE:
            offset = np.int64(row.last_offset) - _SHIFT
        elif payment.payer_country >= 0:
            offset = _OFFSETS[payment.payer_country]
    if offset == UNKNOWN_OFFSET:
        x[PAYER_AT.local_hour_sin] = x[PAYER_AT.local_hour_cos] = np.nan
        x[PAYER_AT.local_is_night] = x[PAYER_AT.local_time_is_implied] = np.nan
        return
    hour = ((payment.event_ms + offset * _MINUTE_MS) % DAY_MS) / HOUR_MS
    x[PAYER_AT.local_hour_sin] = np.sin(2.0 * np.pi * hour / 24.0)
    x[PAYER_AT.local_hour_cos] = np.cos(2.0 * np.pi * hour / 24.0)
    x[PAYER_AT.local_is_night] = 1.0 if hour >= 22.0 or hour < 5.0 else 0.0
    x[PAYER_AT.local_time_is_implied] = implied


@njit(cache=True)
def remember_offset(row: Any, payment: Any) -> None:
    """Keep the offset that a payment tells in its payer's row."""
    if payment.offset_minutes != UNKNOWN_OFFSET:
        row.last_offset = payment.offset_minutes + _SHIFT


@njit(cache=True)
def received_minor(payment: Any) -> int:
    """Minor units of the amount received, told or implied; -1 where it is neither."""
    if payment.received_minor >= 0:
        return int(payment.received_minor)
    if payment.payee_country >= 0 and _CURRENCIES[payment.payee_country] == payment.currency:
        return int(payment.amount_minor)
    return -1
