"""What features depend on besides payments. A ruleset names it, and its hash covers it."""

from __future__ import annotations

from dataclasses import dataclass

from services.contract.codes import CURRENCY_EXPONENT


@dataclass(frozen=True, slots=True)
class Parameters:
    """What features depend on besides payments: bands in EUR, and units of each currency for one EUR."""

    small_from: float
    small_to: float
    near_threshold_from: float
    near_threshold_to: float
    rates: tuple[tuple[str, float], ...]
    account_idle_ms: int

    def eur_per_minor_unit(self) -> dict[str, float]:
        """What one minor unit of each currency with a rate is worth in EUR."""
        return {code: 1.0 / (rate * 10 ** CURRENCY_EXPONENT[code]) for code, rate in self.rates}
