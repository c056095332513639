"""What time it is in a partition, by the rule in its words (``features.event_time``)."""

from __future__ import annotations

from dataclasses import dataclass

from services.contract.units import DAY_MS


@dataclass
class Clock:
    """The watermark of a partition; ``None`` is nobody's word."""

    now_ms: int = 0
    only: str | None = None
    ahead: tuple[int, str] | None = None

    def take(self, at_ms: int, payer: str | None) -> int:
        """Take a record; returns the watermark as of it."""
        if payer is not None and (self.only == payer or (self.now_ms == 0 and self.ahead is None)):
            self.only, self.now_ms = payer, max(self.now_ms, at_ms)
            return self.now_ms
        if payer is not None and self.only is not None:
            if self.now_ms > at_ms + DAY_MS:
                self.ahead, self.now_ms = (self.now_ms, self.only), at_ms
            self.only = None
        if at_ms <= self.now_ms + DAY_MS:
            self.now_ms = max(self.now_ms, at_ms)
        elif payer is not None:
            self._far(at_ms, payer)
        return self.now_ms

    def _far(self, at_ms: int, payer: str) -> None:
        if self.ahead is None or self.ahead[0] <= self.now_ms:
            self.ahead = at_ms, payer
        elif self.ahead[1] == payer:
            self.ahead = min(self.ahead[0], at_ms), payer
        else:
            nearer, farther = sorted([self.ahead, (at_ms, payer)], key=lambda each: each[0])
            self.now_ms, self.ahead = nearer[0], farther
            if farther[0] <= self.now_ms + DAY_MS:
                self.now_ms, self.ahead = farther[0], None
