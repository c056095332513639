"""What time it is in a partition: its *watermark*, the latest event time that is not one payer's word alone.

A payment up to a day ahead of the watermark moves it. One that is further ahead is remembered, and when another payer's
comes that is further ahead, too, the watermark moves to the earlier of the two; the later is remembered instead, unless
it is within a day by then. So one wrong clock ages nobody but its own account.

While all payments of a partition were one payer's, its word is all there is. The first of another payer sets the
watermark back if it was more than a day ahead of that: it never moves back again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.units import DAY_MS

NOBODY = 0
"""Stands for whoever can neither move the watermark far nor confirm that another did."""
CLOCK_SIZE = 4
"""int64[CLOCK_SIZE]: the watermark, the event time that waits to be confirmed, the digest of its payer, and that of the
only payer so far; zeros at first."""
_WATERMARK, _AHEAD, _AHEAD_PAYER, _ONLY_PAYER = range(CLOCK_SIZE)


def advance(clock: NDArray[np.int64], event_ms: NDArray[np.int64], payers: NDArray[np.uint64]) -> NDArray[np.int64]:
    """int64[n + 1]: the partition's event time before n records of its log and as of each; ``clock`` is updated.

    Parameters
    ----------
    clock
        int64[CLOCK_SIZE].
    event_ms, payers
        int64[n], ms, and uint64[n]: digests of accounts, or ``NOBODY``.
    """
    now_ms = np.empty(len(event_ms) + 1, dtype=np.int64)
    now_ms[0] = clock[_WATERMARK]
    _advance(clock, event_ms, payers.view(np.int64), now_ms)
    return now_ms


@njit(cache=True)
def _advance(clock: Any, event_ms: Any, payers: Any, now_ms: Any) -> None:
    for i in range(len(event_ms)):
        _move(clock, event_ms[i], payers[i])
        now_ms[i + 1] = clock[_WATERMARK]


@njit(cache=True)
def _move(clock: Any, at_ms: int, payer: int) -> None:
    if payer != NOBODY and (clock[_ONLY_PAYER] == payer or (clock[_WATERMARK] == 0 and clock[_AHEAD_PAYER] == NOBODY)):
        clock[_ONLY_PAYER] = payer
        clock[_WATERMARK] = max(clock[_WATERMARK], at_ms)
        return
    if payer != NOBODY and clock[_ONLY_PAYER] != NOBODY:
        if clock[_WATERMARK] > at_ms + DAY_MS:
            clock[_AHEAD], clock[_AHEAD_PAYER] = clock[_WATERMARK], clock[_ONLY_PAYER]
            clock[_WATERMARK] = at_ms
        clock[_ONLY_PAYER] = NOBODY
    if at_ms <= clock[_WATERMARK] + DAY_MS:
        clock[_WATERMARK] = max(clock[_WATERMARK], at_ms)
    elif payer != NOBODY:
        _move_far(clock, at_ms, payer)


@njit(cache=True)
def _move_far(clock: Any, at_ms: int, payer: int) -> None:
    """Take a payment that is more than a day ahead of the watermark."""
    other_ms, other = clock[_AHEAD], clock[_AHEAD_PAYER]
    if other == NOBODY or other_ms <= clock[_WATERMARK]:
        clock[_AHEAD], clock[_AHEAD_PAYER] = at_ms, payer
    elif other == payer:
        clock[_AHEAD] = min(other_ms, at_ms)
    else:
        clock[_WATERMARK] = min(at_ms, other_ms)
        if at_ms > other_ms:
            clock[_AHEAD], clock[_AHEAD_PAYER] = at_ms, payer
        if clock[_AHEAD] <= clock[_WATERMARK] + DAY_MS:
            clock[_WATERMARK] = clock[_AHEAD]
            clock[_AHEAD], clock[_AHEAD_PAYER] = 0, NOBODY
