"""Progress of long work: a bar on a terminal; elsewhere nothing, or a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


class Progress:
    """A bar on standard error for work of ``total`` steps.

    >>> with Progress("counting", 3) as progress:
    ...     progress.at(3)
    """

    def __init__(self, doing: str, total: int) -> None:
        console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task(doing, total=total)

    def at(self, done: int) -> None:
        """``done`` steps are behind us."""
        self._bars.update(self._task, completed=done)

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


LINE_SECONDS = 5.0
DRAW_SECONDS = 0.1


class RateProgress:
    """A bar with a rate on a terminal, a line every five seconds elsewhere, nothing when ``quiet``; on standard error.

    A context manager.
    """

    def __init__(self, doing: str, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._quiet = quiet
        self._next_seconds = time.monotonic() + (0.0 if console.is_terminal else LINE_SECONDS)
        self._bar: Bars | None = None
        if console.is_terminal and not quiet:
            self._bar = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(doing, total=None, rate="")

    def show(self, share: float | None, rate: str, line: Callable[[], str]) -> None:
        """Show that ``share`` of the work (``None``: who knows) is done at ``rate``, unless that was just shown;
        ``line`` writes what is printed where there is no terminal."""
        now = time.monotonic()
        if self._quiet or now < self._next_seconds:
            return
        if self._bar is None:
            self._next_seconds = now + LINE_SECONDS
            print(line(), file=sys.stderr, flush=True)
            return
        self._next_seconds = now + DRAW_SECONDS
        self._bar.update(self._task, completed=share or 0.0, total=None if share is None else 1.0, rate=rate)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
