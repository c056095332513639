"""The handbook's own fifteen features (chapter 3.3), to meet its figures with: not what Tocsin serves."""

from __future__ import annotations

import numpy as np

from models.measures import Floats, Whole
from services.workbench.handbook.handbook import DAY_SECONDS, DELAY_DAYS, Cards

WINDOWS_DAYS = (1, 7, 30)
NAMES: tuple[str, ...] = (
    "amount",
    "is_weekend",
    "is_night",
    *(f"customer_{what}_{w}d" for w in WINDOWS_DAYS for what in ("payments", "mean_amount")),
    *(f"terminal_{what}_{w}d" for w in WINDOWS_DAYS for what in ("payments", "fraud_share")),
)
_WEEKEND = (0, 6)
"""Of days since day 0, a Sunday, modulo 7."""
_NIGHT_HOUR_MAX = 6


def book_features(cards: Cards) -> Floats:
    """float64[n, 15] in the order of ``NAMES``.

    The customer's count and mean are over (t - w, t], this payment included, as in the book; the terminal's count and
    share of fraud are over (t - 7 d - w, t - 7 d].
    """
    t, delay = cards.seconds, DELAY_DAYS * DAY_SECONDS
    hour = t % DAY_SECONDS // 3_600
    columns = [cards.amounts, np.isin(cards.days % 7, _WEEKEND), hour <= _NIGHT_HOUR_MAX]
    for days in WINDOWS_DAYS:
        count, value = _window(cards.customers, t, cards.amounts, 0, days * DAY_SECONDS)
        columns += [count, value / count]
    for days in WINDOWS_DAYS:
        count, frauds = _window(cards.terminals, t, cards.truth.astype(np.float64), delay, days * DAY_SECONDS)
        columns += [count, np.divide(frauds, count, out=np.zeros(len(t)), where=count > 0)]
    return np.column_stack(columns).astype(np.float64)


def _window(accounts: Whole, t: Whole, values: Floats, delay: int, width: int) -> tuple[Floats, Floats]:
    """Count and sum of an account's ``values`` in (t - delay - width, t - delay], at each payment."""
    order = np.lexsort((t, accounts))
    span = int(t.max()) + delay + width + 2
    keys = accounts[order] * span + t[order]
    at = accounts * span + t - delay
    floor = accounts * span - 1  # nothing of the account before this one
    upto = np.searchsorted(keys, np.maximum(at, floor), side="right")
    since = np.searchsorted(keys, np.maximum(at - width, floor), side="right")
    sums = np.concatenate([[0.0], np.cumsum(values[order])])
    return (upto - since).astype(np.float64), sums[upto] - sums[since]
