"""How a generation looks: a bar with rate and time left on a terminal, a line now and then elsewhere, and a table."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from services.generator.check import Finding

_LINE_SECONDS = 5.0
_DRAW_SECONDS = 0.1


class ShownDays:
    """Progress over the days of a horizon, on standard error. A context manager.

    Parameters
    ----------
    days
        How many days there are.
    quiet
        Whether to show nothing at all.
    """

    def __init__(self, days: int, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._days, self._quiet, self._began = days, quiet, time.monotonic()
        self._next_seconds = self._began + (0.0 if console.is_terminal else _LINE_SECONDS)
        self._bar: Progress | None = None
        if console.is_terminal and not quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("generate", total=days, rate="")

    def at(self, days: int, records: int) -> None:
        """``days`` are behind us, with ``records`` so far."""
        now = time.monotonic()
        if self._quiet or now < self._next_seconds:
            return
        seconds = max(now - self._began, 1e-9)
        rate = f"{records:,} records, {records / seconds:,.0f}/s"
        if self._bar is not None:
            self._next_seconds = now + _DRAW_SECONDS
            self._bar.update(self._task, completed=days, rate=rate)
            return
        self._next_seconds = now + _LINE_SECONDS
        left = f", about {seconds * (self._days - days) / days:,.0f} s left" if days else ""
        print(f"generate: day {days} of {self._days}, {rate}{left}", file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()


def findings_table(found: list[Finding]) -> Table:
    """Each parameter beside what the stream shows."""
    table = Table(box=None, header_style="bold")
    for name, justify in (
        ("parameter", "left"), ("specified", "right"), ("shown", "right"), ("may deviate", "right"), ("of", "right"),
        ("basis", "left"), ("", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for each in found:
        verdict = {True: "", False: "DEVIATES", None: "too few"}[each.within]
        table.add_row(
            each.parameter, _number(each.specified), _number(each.shown), _number(each.tolerance), f"{each.n:,}",
            each.basis, verdict,
        )  # fmt: skip
    return table


def finding_dict(finding: Finding) -> dict[str, Any]:
    """One finding for machines."""
    names = ("parameter", "specified", "shown", "tolerance", "basis", "n", "within")
    return {name: getattr(finding, name) for name in names}


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
