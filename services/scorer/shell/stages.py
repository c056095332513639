"""How long a batch spends in each stage of its path."""

from __future__ import annotations

import time

from services.runtime.metrics import Metrics


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
