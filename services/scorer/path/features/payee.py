"""The payee hop's kernel: features from the payee's side, then the payee's state, payment by payment.

Besides payments the hop's log carries *outflows*, notes that an account, seen here as a payee, has paid money out, and
the labels of payments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.scorer.path.features.columns import LabelColumns, PayeeColumns
from services.scorer.path.features.confirmed import add_excess, label_payee, write_payee_confirmed
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.definitions.labels import PAYEE_CONFIRMED
from services.scorer.path.features.kernels import (
    ACTIVITY,
    DAY_MS,
    H_1D,
    ROUND_MIN,
    decay_factors,
    decayed,
    forget,
    partner_position,
    remember_partner,
    start_row,
    update_activity,
    write_activity,
)
from services.scorer.path.features.parameters import Parameters
from services.scorer.path.features.registry import PAYEE_HOP
from services.scorer.path.features.rows import HALF_LIVES, PRICES
from services.scorer.path.features.state import AccountState

PASSED_ON_MAX = 10.0
_REMITTANCES = ACTIVITY + 2
_CONFIRMED = _REMITTANCES + 9
assert len(PAYEE_HOP) == _CONFIRMED + len(PAYEE_CONFIRMED), "the kernel and the registry must agree"
_H180_MS = 180.0 * DAY_MS
RISKY_SIGNS_MIN = 3.0
RISKY_MS = 360 * 86_400_000


def payee_features(
    columns: PayeeColumns,
    slots: NDArray[np.int64],
    state: AccountState,
    parameters: Parameters,
    labels: LabelColumns,
    label_slots: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Features of a batch at the payee hop, in the order of the log, and the state after it.

    Parameters
    ----------
    columns
        The batch, n records, payments and outflows.
    slots
        int64[n]: the payees' rows in ``state``, which is updated in place; -1 for an outflow of an account that has
        received nothing here.
    labels, label_slots
        The batch's k labels, and int64[k], their payees' rows; -1 where an account has none.

    Returns
    -------
    float64[n, len(PAYEE_HOP)]; rows of outflows are unspecified.
    """
    features = np.empty((len(slots), len(PAYEE_HOP)), dtype=np.float64)
    _payee_kernel(
        state.rows, slots, state.watermark, parameters.account_idle_ms, columns.outflow,
        columns.event_ms, columns.amount, columns.status, columns.is_small, columns.cross_border, columns.roundness,
        columns.payer_country, columns.opened_ms, columns.payer_digest, columns.payer_signs, columns.is_remittance,
        columns.text, columns.confirmed, columns.in_lexicon, columns.recent_payees,
        columns.over_cleared, labels.before, label_slots, labels.event_ms, labels.value, labels.confirmed, features,
    )  # fmt: skip
    return features


@njit(cache=True)
def _payee_kernel(
    rows: Any, slots: Any, watermark: Any, idle_ms: int, outflow: Any,
    event_ms: Any, amount: Any, status: Any, is_small: Any, cross_border: Any, roundness: Any,
    payer_country: Any, opened_ms: Any, payer_digest: Any, payer_signs: Any, is_remittance: Any,
    text: Any, confirmed: Any, in_lexicon: Any, recent_payees: Any, over_cleared: Any,
    label_before: Any, label_slots: Any, label_ms: Any, label_ratio: Any, label_confirmed: Any, features: Any,
) -> None:  # fmt: skip
    factors = np.empty(HALF_LIVES)
    k = 0
    for i in range(len(slots)):
        while k < len(label_slots) and label_before[k] <= i:
            _take_label(rows, label_slots[k], watermark[0], idle_ms, label_ms[k], label_ratio[k], label_confirmed[k])
            k += 1
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
        x[_REMITTANCES + 7] = confirmed[i]
        x[_REMITTANCES + 8] = in_lexicon[i]
        _write_remittances(x, _REMITTANCES, row, effective_ms, payer_digest[i], is_remittance[i], recent_payees[i])
        write_payee_confirmed(x, _CONFIRMED, row.labels, effective_ms)

        position = partner_position(row, payer_digest[i])
        if is_remittance[i] == 1.0:
            _update_remittance(row, effective_ms, is_small[i], payer_digest[i], position < 0, payer_country[i],
                               payer_signs[i], text[i], recent_payees[i])  # fmt: skip
        remember_partner(row, position, payer_digest[i], effective_ms)
        add_excess(row.labels, effective_ms, over_cleared[i])
        update_activity(row, effective_ms, factors, amount[i], status[i] < 2, is_small[i], cross_border[i],
                        roundness[i] >= ROUND_MIN, payer_digest[i], position < 0, payer_country[i])  # fmt: skip
    while k < len(label_slots):
        _take_label(rows, label_slots[k], watermark[0], idle_ms, label_ms[k], label_ratio[k], label_confirmed[k])
        k += 1


@njit(cache=True)
def _take_label(
    rows: Any, slot: int, watermark: int, idle_ms: int, event_ms: int, ratio: float, confirmed: bool
) -> None:
    """Take a label; one of an account that has received nothing here says nothing of it."""
    if slot < 0 or rows[slot].payments == 0 or watermark - rows[slot].last_ms > idle_ms:
        return
    row = rows[slot]
    label_payee(row.labels, row.last_ms, event_ms, ratio, confirmed)


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


@njit(cache=True)
def _write_remittances(
    x: Any, at: int, row: Any, effective_ms: int, payer: Any, is_remittance: float, recent_payees: Any
) -> None:
    """The features of the payee's earlier remittances. Sums stand as of the latest one and decay when they are read."""
    if np.isnan(is_remittance):
        x[at : at + 7] = np.nan
        return
    f180 = decayed(1.0, effective_ms - row.remit_ms, _H180_MS) if row.remits > 0 else 0.0
    x[at] = row.remit_180d * f180
    x[at + 1] = row.small_new_payers * f180
    x[at + 2] = row.remit_small / row.remit_small_known if row.remit_small_known > 0.0 else 0.0
    x[at + 3] = _entropy(row)
    x[at + 4] = row.collisions * f180
    risky, most = 0, 0
    for i in range(PRICES):
        other = row.risky_payers[i]
        if other.used > 0 and other.payer != payer and effective_ms - other.ms <= RISKY_MS:
            risky += 1
            most = max(most, 1 + _in_common(recent_payees, other.payees))
    x[at + 5] = float(risky)
    x[at + 6] = float(most)


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
    """Of the payers' countries, nats. All counts decay alike, so they stand as of the latest remittance."""
    total = 0.0
    for i in range(PRICES):
        total += row.payer_countries[i].count
    if total <= 0.0:
        return 0.0
    entropy = 0.0
    for i in range(PRICES):
        part = row.payer_countries[i].count / total
        if part > 0.0:
            entropy -= part * np.log(part)
    return max(entropy, 0.0)


@njit(cache=True)
def _update_remittance(
    row: Any, effective_ms: int, is_small: float, payer: Any, payer_is_new: bool, country: int, signs: float, text: Any,
    recent_payees: Any,
) -> None:  # fmt: skip
    f180 = decayed(1.0, effective_ms - row.remit_ms, _H180_MS) if row.remits > 0 else 0.0
    row.remit_180d = row.remit_180d * f180 + 1.0
    row.remit_small = row.remit_small * f180 + (0.0 if np.isnan(is_small) else is_small)
    row.remit_small_known = row.remit_small_known * f180 + (0.0 if np.isnan(is_small) else 1.0)
    row.small_new_payers = row.small_new_payers * f180 + (1.0 if is_small == 1.0 and payer_is_new else 0.0)
    _meet_country(row, country, f180)
    row.collisions = row.collisions * f180 + (1.0 if _collides(row, text, payer) else 0.0)
    if signs >= RISKY_SIGNS_MIN:
        _remember_risky(row, payer, effective_ms, recent_payees)
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
