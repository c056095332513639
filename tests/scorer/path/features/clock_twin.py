"""The event time of a partition, in the rule's words."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from services.contract.units import DAY_MS


@dataclass
class ClockTwin:
    """What time it is. ``None`` stands for whoever can neither move it far nor confirm that another did."""

    now_ms: int = 0
    only: Hashable = None
    ahead: tuple[int, Hashable] | None = None

    def take(self, at_ms: int, payer: Hashable) -> int:
        """The time as of the next record."""
        if payer is not None and (self.only == payer or self.now_ms == 0):
            self.only, self.now_ms = payer, max(self.now_ms, at_ms)
            return self.now_ms
        if payer is not None and self.only is not None:
            if self.now_ms > at_ms + DAY_MS:
                self.ahead, self.now_ms = (self.now_ms, self.only), at_ms
            self.only = None
        if at_ms <= self.now_ms + DAY_MS:
            self.now_ms = max(self.now_ms, at_ms)
        elif payer is not None:
            self._take_far(at_ms, payer)
        return self.now_ms

    def _take_far(self, at_ms: int, payer: Hashable) -> None:
        if self.ahead is None or self.ahead[0] <= self.now_ms:
            self.ahead = at_ms, payer
        elif self.ahead[1] == payer:
            self.ahead = min(self.ahead[0], at_ms), payer
        else:
            nearer, self.ahead = sorted([self.ahead, (at_ms, payer)], key=lambda each: each[0])
            self.now_ms = nearer[0]
            if self.ahead[0] <= self.now_ms + DAY_MS:
                self.now_ms, self.ahead = self.ahead[0], None
