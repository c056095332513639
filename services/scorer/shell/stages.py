"""A partition's batches in time: how soon one may follow another, and how long each is in each stage of its path."""

from __future__ import annotations

import time
from typing import NamedTuple

from services.runtime.clock import now_ms
from services.runtime.metrics import Metrics
from services.scorer.path.records import Records

BEHIND_MS = 1_000
"""A partition whose latest record is older is behind."""


class Pace(NamedTuple):
    """How long after each other batches of a partition begin, at least, unless the one before was full: what comes
    meanwhile becomes one batch, and not several. A record that comes alone waits for nothing."""

    fresh_s: float = 0.0
    behind_s: float = 0.0

    def after(self, records: Records) -> float:
        """Seconds from the beginning of a batch of ``records`` to that of the next."""
        is_behind = 0 <= int(records.timestamps.max()) < now_ms() - BEHIND_MS
        return self.behind_s if is_behind else self.fresh_s


NO_PACE = Pace()


class StageClock:
    """Measures how long a batch spends in each stage; ``mark`` is what the path calls."""

    def __init__(self, metrics: Metrics, hop: str) -> None:
        self._stage, self._hop = metrics.stage, hop
        self._since = time.perf_counter()

    def mark(self, stage: str) -> None:
        """The batch leaves ``stage``."""
        now = time.perf_counter()
        self._stage.observe(now - self._since, self._hop, stage)
        self._since = now
