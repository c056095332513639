"""What labels say of an account: state fed by labels as they are joined, read before each payment.

A *label* here is one payment's, re-keyed to its payer's and to its payee's log: confirmed or cleared, with the event
time and the amount of the payment. The log orders it among payments, so the state is exact and a replay gives it again.
A payment is taken once, with its first label; the order of labels is the log's.

- **Matured** payments of an account are those whose label has been read. Each counts from the effective time of its
  *payment*: the latest event time of a matured payment of the account so far, its own included.
- **Amount over cleared** of a payment is its amount over the mean of its payer's cleared payments, as the payer hop
  served it: what a payment weighs against what is known to be the payer's own. It is 1 where that was not known.
- **Excess** of a payment is ``log(amount over cleared / 2)``, at least 0: it needs no label of its own, so a run of
  payments that are too large shows before the first of them is confirmed.
- A payment is **usual** when its amount over cleared is below 2.5. Where a usual payment is confirmed the habits
  of the payer do not explain it, which points at the payee.

Missing is NaN; what an account has no history for stands at its most innocent value, which the meaning gives.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.scorer.path.features import Feature
from services.scorer.path.kernels import DAY_MS, decayed

PAYMENT, LABEL = 0, 1
"""Kinds of entry in an account's log."""

USUAL_MAX = 2.5
EXCESS_MIN = 2.0
GAP_DAYS_MAX = 365.0
CLEARED_MIN = 3
"""Cleared payments from which an account has an amount of its own."""
_CLEARED_MS = 90.0 * DAY_MS
_H1, _H7, _H30 = 1.0 * DAY_MS, 7.0 * DAY_MS, 30.0 * DAY_MS
_DEVIATION_SHARE = 0.1
_AMOUNT_MIN = 0.01

PAYER_CONFIRMED_ROW = np.dtype(
    [
        ("payments", "i8"),
        ("pay_ms", "i8"),
        ("excess", "f8", (3,)),  # half-lives 1, 7 and 30 d, as of pay_ms
        ("labels", "i8"),
        ("label_ms", "i8"),
        ("confirmed_30d", "f8"),  # as of label_ms, like all that follows
        ("matured_30d", "f8"),
        ("confirmations", "i8"),
        ("confirmed_ms", "i8"),
        ("cleared", "i8"),
        ("weight", "f8"),  # half-life 90 d, of cleared payments with a known amount
        ("amount", "f8"),
        ("squares", "f8"),
    ],
    align=True,
)
PAYEE_CONFIRMED_ROW = np.dtype(
    [
        ("payments", "i8"),
        ("pay_ms", "i8"),
        ("excess", "f8", (2,)),  # half-lives 1 and 7 d, as of pay_ms
        ("labels", "i8"),
        ("label_ms", "i8"),
        ("confirmed", "f8", (3,)),  # half-lives 1, 7 and 30 d, as of label_ms, like all that follows
        ("matured", "f8", (3,)),
        ("usual_confirmed_7d", "f8"),
        ("usual_matured_7d", "f8"),
        ("usual_matured_30d", "f8"),
        ("run", "i8"),
        ("run_ms", "i8"),
        ("run_gap_ms", "i8"),  # -1 where nothing was cleared before the run
        ("usual_cleared", "i8"),
        ("cleared_ms", "i8"),
    ],
    align=True,
)

_LABELS = "share of confirmed among matured payments: labels as features"
_OWN = "amount against the payer's cleared payments: confirmed ones must not pass for habit"
_EXCESS = "too large for the payer, several times over: seen before any label"
_COMPROMISE = "a payee that is used for fraud: confirmed one after another, since when (common point of compromise)"


def _of(
    side: Literal["payer", "payee"], name: str, unit: str, meaning: str, source: str,
    scale: Literal["linear", "log"] = "linear",
) -> Feature:  # fmt: skip
    return Feature(name, unit, meaning, side, scale, source=source)


PAYER_CONFIRMED: tuple[Feature, ...] = (
    _of("payer", "payer_confirmed_share_30d", "share",
        "Share of matured payments that was confirmed; 0 while none is", _LABELS),
    _of("payer", "payer_confirmed_gap", "days",
        "Time since the latest payment that was confirmed, at most 365; 365 while none is", _LABELS, "log"),
    _of("payer", "payer_cleared_amount", "EUR",
        "Mean amount of cleared payments (half-life 90 d); 0 until there are three with a known amount", _OWN, "log"),
    _of("payer", "payer_amount_over_cleared", "ratio",
        "Amount over payer_cleared_amount, the latter at least 0.01 EUR; 1 until there are three", _OWN, "log"),
    _of("payer", "payer_amount_from_cleared", "standard deviations",
        "Amount less payer_cleared_amount, over the standard deviation (half-life 90 d), the latter at least a tenth "
        "of the mean plus 0.01 EUR; 0 until there are three", _OWN),
    *(
        _of("payer", f"payer_excess_{h}", "1", "Decayed sum of the excess of earlier payments", _EXCESS, "log")
        for h in ("1d", "7d", "30d")
    ),
)  # fmt: skip
PAYEE_CONFIRMED: tuple[Feature, ...] = (
    *(
        _of("payee", f"payee_confirmed_share_{h}", "share",
            "Share of matured payments that was confirmed; 0 while none is", _LABELS)
        for h in ("1d", "7d", "30d")
    ),
    _of("payee", "payee_usual_confirmed_share_7d", "share", "The same of usual matured payments", _LABELS),
    _of("payee", "payee_usual_matured_30d", "payments", "Decayed count of usual matured payments", _LABELS, "log"),
    _of("payee", "payee_confirmed_run", "payments",
        "How many usual matured payments were confirmed since the latest that was cleared", _COMPROMISE, "log"),
    _of("payee", "payee_confirmed_run_age", "days",
        "Time since the first payment of that run; 0 while there is none", _COMPROMISE, "log"),
    _of("payee", "payee_confirmed_run_gap", "days",
        "Time from the cleared payment before that run to its first, at most 365; 365 where nothing was cleared "
        "before, 0 while there is no run", _COMPROMISE, "log"),
    _of("payee", "payee_cleared_gap", "days",
        "Time since the latest usual payment that was cleared, at most 365; 0 while none is", _COMPROMISE, "log"),
    *(
        _of("payee", f"payee_excess_{h}", "1", "Decayed sum of the excess of payments received", _EXCESS, "log")
        for h in ("1d", "7d")
    ),
)  # fmt: skip
AMOUNT_OVER_CLEARED = 3
"""Where ``payer_amount_over_cleared`` stands in ``PAYER_CONFIRMED``: the payee's log carries it."""


def payer_confirmed(
    rows: Any,
    slots: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    event_ms: NDArray[np.int64],
    amounts: NDArray[np.float64],
    confirmed: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Read and update payers' rows along a log of n payments and labels.

    Parameters
    ----------
    rows
        recarray of ``PAYER_CONFIRMED_ROW``, zero where an account is new; updated in place.
    slots
        int64[n], each entry's row.
    kinds
        uint8[n]: ``PAYMENT`` or ``LABEL``.
    event_ms, amounts
        int64[n] and float64[n] (EUR, NaN where not known), of the payment or of the payment that is labelled.
    confirmed
        bool[n], read for labels only.

    Returns
    -------
    float64[n, len(PAYER_CONFIRMED)]; rows of labels are NaN.
    """
    features = np.full((len(slots), len(PAYER_CONFIRMED)), np.nan)
    _payer_log(rows, slots, kinds, event_ms, amounts, confirmed, features)
    return features


def payee_confirmed(
    rows: Any,
    slots: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    event_ms: NDArray[np.int64],
    ratios: NDArray[np.float64],
    confirmed: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Read and update payees' rows along a log, as ``payer_confirmed`` does.

    ``ratios`` (float64[n]) are ``payer_amount_over_cleared`` of the payment as it was served, NaN where missing: a
    label carries it again.

    Returns
    -------
    float64[n, len(PAYEE_CONFIRMED)]; rows of labels are NaN.
    """
    features = np.full((len(slots), len(PAYEE_CONFIRMED)), np.nan)
    _payee_log(rows, slots, kinds, event_ms, ratios, confirmed, features)
    return features


@njit(cache=True)
def _payer_log(
    rows: Any, slots: Any, kinds: Any, event_ms: Any, amounts: Any, confirmed: Any, features: Any
) -> None:  # fmt: skip
    for i in range(len(slots)):
        row = rows[slots[i]]
        if kinds[i] == PAYMENT:
            write_payer_confirmed(features[i], 0, row, event_ms[i], amounts[i])
            add_excess(row, event_ms[i], features[i, AMOUNT_OVER_CLEARED])
        else:
            label_payer(row, event_ms[i], amounts[i], confirmed[i])


@njit(cache=True)
def _payee_log(
    rows: Any, slots: Any, kinds: Any, event_ms: Any, ratios: Any, confirmed: Any, features: Any
) -> None:  # fmt: skip
    for i in range(len(slots)):
        row = rows[slots[i]]
        if kinds[i] == PAYMENT:
            write_payee_confirmed(features[i], 0, row, event_ms[i])
            add_excess(row, event_ms[i], ratios[i])
        else:
            label_payee(row, event_ms[i], ratios[i], confirmed[i])


@njit(cache=True)
def write_payer_confirmed(x: Any, at: int, row: Any, event_ms: int, amount: float) -> None:
    """Write ``PAYER_CONFIRMED`` of a payment into ``x[at:]``."""
    now_ms = _effective(row, event_ms)
    x[at] = row.confirmed_30d / row.matured_30d if row.matured_30d > 0.0 else 0.0
    x[at + 1] = _days(now_ms - row.confirmed_ms) if row.confirmations > 0 else GAP_DAYS_MAX
    x[at + 2], x[at + 3], x[at + 4] = 0.0, 1.0, 0.0
    if row.cleared >= CLEARED_MIN and row.weight > 0.0:
        mean = row.amount / row.weight
        deviation = np.sqrt(max(row.squares / row.weight - mean * mean, 0.0))
        x[at + 2] = mean
        x[at + 3] = amount / max(mean, _AMOUNT_MIN)
        x[at + 4] = (amount - mean) / max(deviation, _DEVIATION_SHARE * mean + _AMOUNT_MIN)
    if np.isnan(amount):
        x[at + 3] = x[at + 4] = np.nan
    elapsed_ms = _elapsed(row.payments, row.pay_ms, event_ms)
    x[at + 5] = decayed(row.excess[0], elapsed_ms, _H1)
    x[at + 6] = decayed(row.excess[1], elapsed_ms, _H7)
    x[at + 7] = decayed(row.excess[2], elapsed_ms, _H30)


@njit(cache=True)
def write_payee_confirmed(x: Any, at: int, row: Any, event_ms: int) -> None:
    """Write ``PAYEE_CONFIRMED`` of a payment into ``x[at:]``."""
    now_ms = _effective(row, event_ms)
    for h in range(3):
        x[at + h] = row.confirmed[h] / row.matured[h] if row.matured[h] > 0.0 else 0.0
    x[at + 3] = row.usual_confirmed_7d / row.usual_matured_7d if row.usual_matured_7d > 0.0 else 0.0
    x[at + 4] = decayed(row.usual_matured_30d, now_ms - row.label_ms, _H30) if row.labels > 0 else 0.0
    x[at + 5] = float(row.run)
    x[at + 6] = x[at + 7] = 0.0
    if row.run > 0:
        x[at + 6] = (now_ms - row.run_ms) / DAY_MS
        x[at + 7] = _days(row.run_gap_ms) if row.run_gap_ms >= 0 else GAP_DAYS_MAX
    x[at + 8] = _days(now_ms - row.cleared_ms) if row.usual_cleared > 0 else 0.0
    elapsed_ms = _elapsed(row.payments, row.pay_ms, event_ms)
    x[at + 9] = decayed(row.excess[0], elapsed_ms, _H1)
    x[at + 10] = decayed(row.excess[1], elapsed_ms, _H7)


@njit(cache=True)
def add_excess(row: Any, event_ms: int, ratio: float) -> None:
    """Take a payment, of which no label is known, into its payer's or payee's row."""
    elapsed_ms = _elapsed(row.payments, row.pay_ms, event_ms)
    excess = np.log(ratio / EXCESS_MIN) if ratio > EXCESS_MIN else 0.0
    row.excess[0] = decayed(row.excess[0], elapsed_ms, _H1) + excess
    row.excess[1] = decayed(row.excess[1], elapsed_ms, _H7) + excess
    if len(row.excess) > 2:
        row.excess[2] = decayed(row.excess[2], elapsed_ms, _H30) + excess
    row.pay_ms = event_ms if row.payments == 0 else max(row.pay_ms, event_ms)
    row.payments += 1


@njit(cache=True)
def label_payer(row: Any, event_ms: int, amount: float, confirmed: bool) -> None:
    """Take a label into its payer's row."""
    elapsed_ms = _elapsed(row.labels, row.label_ms, event_ms)
    row.label_ms = event_ms if row.labels == 0 else max(row.label_ms, event_ms)
    row.labels += 1
    row.matured_30d = decayed(row.matured_30d, elapsed_ms, _H30) + 1.0
    row.confirmed_30d = decayed(row.confirmed_30d, elapsed_ms, _H30) + (1.0 if confirmed else 0.0)
    row.weight = decayed(row.weight, elapsed_ms, _CLEARED_MS)
    row.amount = decayed(row.amount, elapsed_ms, _CLEARED_MS)
    row.squares = decayed(row.squares, elapsed_ms, _CLEARED_MS)
    if confirmed:
        row.confirmations += 1
        row.confirmed_ms = row.label_ms
    elif not np.isnan(amount):
        row.cleared += 1
        row.weight += 1.0
        row.amount += amount
        row.squares += amount * amount


@njit(cache=True)
def label_payee(row: Any, event_ms: int, ratio: float, confirmed: bool) -> None:
    """Take a label into its payee's row. A payment of which ``ratio`` is missing (NaN) passes for a usual one."""
    elapsed_ms = _elapsed(row.labels, row.label_ms, event_ms)
    row.label_ms = event_ms if row.labels == 0 else max(row.label_ms, event_ms)
    row.labels += 1
    flag = 1.0 if confirmed else 0.0
    row.matured[0] = decayed(row.matured[0], elapsed_ms, _H1) + 1.0
    row.matured[1] = decayed(row.matured[1], elapsed_ms, _H7) + 1.0
    row.matured[2] = decayed(row.matured[2], elapsed_ms, _H30) + 1.0
    row.confirmed[0] = decayed(row.confirmed[0], elapsed_ms, _H1) + flag
    row.confirmed[1] = decayed(row.confirmed[1], elapsed_ms, _H7) + flag
    row.confirmed[2] = decayed(row.confirmed[2], elapsed_ms, _H30) + flag
    row.usual_matured_7d = decayed(row.usual_matured_7d, elapsed_ms, _H7)
    row.usual_confirmed_7d = decayed(row.usual_confirmed_7d, elapsed_ms, _H7)
    row.usual_matured_30d = decayed(row.usual_matured_30d, elapsed_ms, _H30)
    if ratio >= USUAL_MAX:
        return
    row.usual_matured_7d += 1.0
    row.usual_confirmed_7d += flag
    row.usual_matured_30d += 1.0
    if not confirmed:
        row.run = 0
        row.usual_cleared += 1
        row.cleared_ms = row.label_ms
        return
    if row.run == 0:
        row.run_ms = row.label_ms
        row.run_gap_ms = row.label_ms - row.cleared_ms if row.usual_cleared > 0 else -1
    row.run += 1


@njit(cache=True)
def _elapsed(count: int, last_ms: int, event_ms: int) -> int:
    """What effective time has passed since the row's latest; 0 for its first, and for what comes late."""
    return max(event_ms - last_ms, 0) if count > 0 else 0


@njit(cache=True)
def _effective(row: Any, event_ms: int) -> int:
    """The account's present: the latest event time of its payments, labelled or not."""
    now_ms = event_ms
    if row.payments > 0:
        now_ms = max(now_ms, row.pay_ms)
    if row.labels > 0:
        now_ms = max(now_ms, row.label_ms)
    return now_ms


@njit(cache=True)
def _days(elapsed_ms: int) -> float:
    return float(min(elapsed_ms / DAY_MS, GAP_DAYS_MAX))
