"""How long a fault lasts, how often it strikes, and what the table of faults says of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROLES: Final = ("scorer", "learner", "shadow")
TABLE: Final = Path("var/torture.md")
HEAD: Final = ("fault", "workers", "recovery, s", "lost", "doubled")
Row = tuple[str, str, str, int, int]


@dataclass(frozen=True)
class Form:
    """The short form is part of ``make test``; the long one has the time-outs of production."""

    request_timeout_ms: int
    transaction_timeout_ms: int
    session_timeout_ms: int
    health_stall_s: int
    stop_grace_s: int
    stall_s: float
    """Longer than a request may take."""
    frozen_s: float
    """Longer than a transaction may take, and until the broker has ended it."""
    freezes: int
    """Of the learner."""
    freezes_of_others: int
    kills: int
    resets: int
    payments: int
    """In each of the rounds of a run."""
    deadline_s: float
    """Until a worker must have noticed, or recovered: it tells *never* from *later*."""
    thorough: bool
    """Every fault by itself. Otherwise some are played at once, or once where they could be played twice."""

    @property
    def settings(self) -> dict[str, object]:
        """Those of a deployment under which the faults are what they are."""
        return {
            "partitions": 2,
            "request_timeout_ms": self.request_timeout_ms,
            "transaction_timeout_ms": self.transaction_timeout_ms,
            "session_timeout_ms": self.session_timeout_ms,
            "health_stall_s": self.health_stall_s,
            "stop_grace_s": self.stop_grace_s,
            "batch_payments_max": 100,
            "snapshot_examples": 100,
            "label_maturity_days": 0,
            "challengers": "halfspace",
        }


SHORT: Final = Form(
    request_timeout_ms=1_200, transaction_timeout_ms=1_500, session_timeout_ms=2_000, health_stall_s=3, stop_grace_s=3,
    stall_s=2.7, frozen_s=2.3, freezes=5, freezes_of_others=2, kills=1, resets=6, payments=200, deadline_s=120.0,
    thorough=False,
)  # fmt: skip
LONG: Final = Form(
    request_timeout_ms=40_000, transaction_timeout_ms=10_000, session_timeout_ms=10_000, health_stall_s=20,
    stop_grace_s=25, stall_s=85.0, frozen_s=13.0, freezes=5, freezes_of_others=5, kills=15, resets=30, payments=3_000,
    deadline_s=600.0, thorough=True,
)  # fmt: skip


class Table:
    """The rows that one test has to tell: what it did, how long it took to recover, what was lost and what doubled."""

    def __init__(self, tell: Callable[[str, object], None]) -> None:
        self._tell = tell

    def add(self, fault: str, workers: str, recovery_s: float | str, lost: int = 0, doubled: int = 0) -> None:
        """A row. ``recovery_s`` is from the fault's end until all is decided, or a word on it."""
        seconds = recovery_s if isinstance(recovery_s, str) else f"{recovery_s:.1f}"
        self._tell("fault", (fault, workers, seconds, lost, doubled))


def markdown(rows: list[Row]) -> str:
    """The table, as it goes into documents."""
    lines = [HEAD, tuple("---" for _ in HEAD), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


async def seconds(work: Callable[[], Awaitable[object]]) -> float:
    """How long ``work`` takes."""
    began = time.monotonic()
    await work()
    return time.monotonic() - began
