"""What a deployment takes from ``payments.v1``, and how long it remembers it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.contract.codec import Rejection
from services.contract.units import DAY_MS, HOUR_MS

AHEAD_MS_MAX = 7 * DAY_MS
"""No deployment takes a payment that is dated further ahead of its record's append."""
BEHIND_SETTING = "TOCSIN_EVENT_BEHIND_DAYS"
_NO_LIMIT = np.iinfo(np.int64).max


class Intake(NamedTuple):
    """As settings choose it. Without: a log of any partitions, of payments as old as they like."""

    partitions: int = 0
    """Of ``payments.v1``; 0: not known, and any key may stand in any of them."""
    ahead_ms_max: int = DAY_MS
    """How far ahead of its record's append a payment may be dated."""
    behind_ms_max: int = _NO_LIMIT
    """The same behind it."""
    window_payments: int = 10_000_000
    """Payments that are remembered to know repeats by (``features.identities``)."""
    window_days: int = 400

    @classmethod
    def chosen(
        cls, partitions: int, ahead_hours: int, behind_days: int, window_payments: int, window_days: int
    ) -> Intake:
        """That of a deployment; 0 ``behind_days`` are no limit."""
        behind_ms = behind_days * DAY_MS or _NO_LIMIT
        return cls(partitions, ahead_hours * HOUR_MS, behind_ms, window_payments, window_days)

    def time_refused(self, event_time_ms: int, appended_ms: int) -> Rejection | None:
        """Why a payment that was appended then (-1: not known) is not taken, if its time is why.

        >>> Intake().time_refused(1_700_100_000_000, 1_700_000_000_000).reason
        'event_time_in_future'
        >>> Intake().time_refused(1_700_100_000_000, -1)
        """
        if appended_ms < 0:
            return None
        if event_time_ms - appended_ms > self.ahead_ms_max:
            return Rejection(
                "event_time_in_future",
                "event_time_ms",
                f"More than {self.ahead_ms_max // HOUR_MS} hours after the record was appended "
                "(TOCSIN_EVENT_AHEAD_HOURS)",
            )
        if appended_ms - event_time_ms > self.behind_ms_max:
            return Rejection(
                "event_time_in_past",
                "event_time_ms",
                f"More than {self.behind_ms_max // DAY_MS} days before the record was appended; to read old payments "
                f"on purpose, set {BEHIND_SETTING}",
            )
        return None


ANY = Intake()


def is_far_ahead(event_time_ms: int, appended_ms: int) -> bool:
    """Whether a time is later than any deployment takes; nothing is said where the append is not known (-1)."""
    return appended_ms >= 0 and event_time_ms > appended_ms + AHEAD_MS_MAX
