"""Progress of long work: a bar on a terminal; elsewhere nothing, or a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


class Progress(Bars):
    """A bar on standard error for work of ``total`` steps. A context manager.

    >>> with Progress("counting", 3) as progress:
    ...     progress.at(3)
    """

    def __init__(self, doing: str, total: int = 1_000) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        console = Console(stderr=True)
        super().__init__(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task, self._total = self.add_task(doing, total=total), total

    def at(self, done: int) -> None:
        """``done`` steps are behind us."""
        self.update(self._task, completed=done)

    def at_share(self, share: float) -> None:
        """``share`` of the work is behind us, 0 to 1."""
        self.at(round(self._total * share))


LINE_SECONDS = 5.0
DRAW_SECONDS = 0.1


class RateProgress(Bars):
    """A bar with a rate on a terminal, a line every five seconds elsewhere, nothing when ``quiet``; on standard error.

    A context manager.
    """

    def __init__(self, doing: str, quiet: bool = False) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}")
        console = Console(stderr=True)
        self._quiet, self._draws = quiet, console.is_terminal and not quiet
        super().__init__(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not self._draws)
        self._task = self.add_task(doing, total=None, rate="")
        self._next_seconds = time.monotonic() + (0.0 if console.is_terminal else LINE_SECONDS)

    def show(self, share: float | None, rate: str, line: Callable[[], str]) -> None:
        """Show that ``share`` of the work (``None``: who knows) is done at ``rate``, unless that was just shown;
        ``line`` writes what is printed where there is no terminal."""
        now = time.monotonic()
        if self._quiet or now < self._next_seconds:
            return
        if self._draws:
            self._next_seconds = now + DRAW_SECONDS
            self.update(self._task, completed=share or 0.0, total=None if share is None else 1.0, rate=rate)
        else:
            self._next_seconds = now + LINE_SECONDS
            print(line(), file=sys.stderr, flush=True)
