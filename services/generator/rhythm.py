"""When regular payments fall due."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.generator.chance import Bools, Ints, mixed
from services.generator.configuration import Configuration

CADENCES = ("monthly", "fortnightly", "weekly", "irregular", "bursts")
PERIOD_DAYS = {"fortnightly": 14, "weekly": 7}
JITTER_DAYS = {"monthly": 5, "fortnightly": 3, "weekly": 2}


@dataclass(slots=True)
class Rhythm:
    """When n regular payments fall due: cadence (codes of ``CADENCES``), payday, phase, and a salt of each."""

    cadence: Ints
    payday: Ints
    phase: Ints
    salt: NDArray[np.uint64]
    _month: int = -1
    _due_days: Ints = field(default_factory=lambda: np.zeros((2, 0), dtype=np.int64))
    """[2, n]: of this month and of the one before."""

    def due(self, configuration: Configuration, day: int) -> Bools:
        """bool[n]: whose regular payment falls on local ``day``."""
        due = self._monthly(configuration, day)
        for name, period in PERIOD_DAYS.items():
            which = np.flatnonzero(self.cadence == CADENCES.index(name))
            at = day + self.phase[which]
            jitter = (mixed(at // period, 0) ^ self.salt[which]) % np.uint64(JITTER_DAYS[name])
            due[which] = at % period == jitter.astype(np.int64)
        return due

    def _monthly(self, configuration: Configuration, day: int) -> Bools:
        """Whose monthly payment falls on ``day``: up to a few days after payday, perhaps in the next month."""
        month = configuration.month_of(day)
        if month != self._month:
            self._month = month
            self._due_days = np.stack([self._due_days_of(configuration, each) for each in (month - 1, month)])
        monthly: Bools = (self.cadence == 0) & (self._due_days == day).any(axis=0)
        return monthly

    def _due_days_of(self, configuration: Configuration, month: int) -> Ints:
        first = (configuration.month_start(month) - configuration.first_day).days
        jitter = (mixed(self.salt, month + 1_000) % np.uint64(JITTER_DAYS["monthly"])).astype(np.int64)
        return first + self.payday - 1 + jitter
