"""What is learned of payments later, and what never is: labels with delays, errors and gaps."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

import numpy as np

from services.contract.types import Label
from services.demo.population import DAY_MS

FOUND_SHARE = 0.85
"""Of suspicious payments: the rest is never found."""
MISJUDGED_SHARE = 0.05
"""Of those found by analysts: closed as not suspicious."""
SAMPLED_SHARE = 0.10
"""Of other payments: looked at by chance, so each stands for ``1 / SAMPLED_SHARE`` of them."""
ANALYST_DAYS, ANALYST_SIGMA = 7.0, 0.8
CHARGEBACK_DAYS, CHARGEBACK_SIGMA = 12.0, 0.5
DELAY_MIN_MS = 3_600_000
_BY_CHARGEBACK = ("account-takeover", "card-testing")


class Labeller:
    """Decides which payments get a label, and holds labels until their time. Delays are in event time."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._held: list[tuple[int, str, Label]] = []

    def __len__(self) -> int:
        return len(self._held)

    def consider(self, arrival_ms: int, payment_id: str, tenant: str, typology: str | None) -> None:
        """Perhaps a label for the payment that arrived at ``arrival_ms``, never before it."""
        chance = self._rng.random()
        if typology is None:
            if chance < SAMPLED_SHARE:
                self._hold(arrival_ms, payment_id, tenant, "analyst", False, 1.0 / SAMPLED_SHARE)
        elif chance < FOUND_SHARE:
            if typology in _BY_CHARGEBACK:
                self._hold(arrival_ms, payment_id, tenant, "chargeback", True, 1.0)
            else:
                self._hold(arrival_ms, payment_id, tenant, "analyst", bool(self._rng.random() >= MISJUDGED_SHARE), 1.0)

    def due(self, now_ms: int) -> Iterator[Label]:
        """The labels whose time has come, earliest first."""
        while self._held and self._held[0][0] <= now_ms:
            yield heappop(self._held)[2]

    def _hold(self, arrival_ms: int, payment_id: str, tenant: str, source: str, found: bool, weight: float) -> None:
        days, sigma = (CHARGEBACK_DAYS, CHARGEBACK_SIGMA) if source == "chargeback" else (ANALYST_DAYS, ANALYST_SIGMA)
        delay_ms = max(DELAY_MIN_MS, int(np.exp(self._rng.normal(np.log(days), sigma)) * DAY_MS))
        label = Label(
            label_id=f"l-{payment_id}",
            payment_id=payment_id,
            disposition="suspicious" if found else "not_suspicious",
            label_time_ms=arrival_ms + delay_ms,
            tenant=tenant,
            source=source,
            weight=weight,
        )
        heappush(self._held, (label.label_time_ms, payment_id, label))
