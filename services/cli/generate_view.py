"""How a generation looks: a bar with rate and time left on a terminal, a line now and then elsewhere, and a table."""

from __future__ import annotations

import time

from rich.table import Column, Table

from services.generator.check import Finding
from services.runtime.progress import RateProgress


class ShownDays(RateProgress):
    """Progress over the ``days`` of a horizon."""

    def __init__(self, days: int, quiet: bool = False) -> None:
        super().__init__("generate", quiet)
        self._days, self._began = days, time.monotonic()

    def at(self, days: int, records: int) -> None:
        """``days`` are behind us, with ``records`` so far."""
        seconds = max(self.seconds, 1e-9)
        rate = f"{records:,} records, {records / seconds:,.0f}/s"
        left = f", about {seconds * (self._days - days) / days:,.0f} s left" if days else ""
        self.show(days / self._days, rate, lambda: f"generate: day {days} of {self._days}, {rate}{left}")

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began


def findings_table(found: list[Finding]) -> Table:
    """Each parameter beside what the stream shows."""
    numbers = (Column(name, justify="right") for name in ("specified", "shown", "may deviate", "of"))
    table = Table("parameter", *numbers, "basis", "", box=None, header_style="bold")
    for each in found:
        verdict = {True: "", False: "DEVIATES", None: "too few"}[each.within]
        table.add_row(
            each.parameter, _number(each.specified), _number(each.shown), _number(each.tolerance), f"{each.n:,}",
            each.basis, verdict,
        )  # fmt: skip
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
