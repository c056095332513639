"""Whether a worker does its work: every loop says when it last took a step, and anybody may ask at any time.

A *step* is work that the loop is there for: a batch committed, an answer of the broker, a fit that is under way. A
loop that waits in vain takes none. So a broker that stands still, a thread that stands still, and an await that never
ends look alike from here: the loop's last step grows old, and ``report`` says so, from whatever thread asks.

A loop that was *stopped* goes on only when people have decided something: the worker lives, and is not ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

State = Literal["starting", "running", "retrying", "stopped"]
STALL_S = 20.0
"""How long a loop may stand still before it counts as hung: red shows within thirty seconds."""


@dataclass(frozen=True, slots=True)
class LoopReport:
    """How one loop is. ``why`` is for people, and never holds anything of a record."""

    name: str
    state: State
    last_step_s_ago: float
    stalled: bool
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """How a worker is: ``live`` while no loop stands still, ``ready`` while, besides, all of them run."""

    live: bool
    ready: bool
    loops: tuple[LoopReport, ...]

    @property
    def red(self) -> tuple[str, ...]:
        """A sentence for each loop that keeps the worker from being ready."""
        return tuple(_sentence(each) for each in self.loops if each.stalled or each.state != "running")


class Loop:
    """One loop of a worker. It is told of from the loop's own thread, and read from any."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.state: State = "starting"
        self.why = ""
        self.stepped_unix_s = 0.0
        """When it last took a step, by the machine's clock; 0 before the first."""
        self._clock = clock
        self.stepped_s = clock()

    def step(self) -> None:
        """It did what it is there for."""
        self.state, self.why = "running", ""
        self.alive()
        self.stepped_unix_s = time.time()  # noqa: TID251 - dashboards compare it with their own clock

    def alive(self) -> None:
        """It waits for something that is known to go on, such as a fit in another process; that is no hang."""
        self.stepped_s = self._clock()

    def retries(self, why: str) -> None:
        """A fault that may pass ended its latest attempt. Until the next step its age goes on."""
        self.state, self.why = "retrying", why

    def stop(self, why: str) -> None:
        """It does not go on before people have decided something; ``why`` says what."""
        self.state, self.why = "stopped", why
        self.alive()


class Health:
    """The loops of one worker. By ``clock`` (seconds that never go back) none may be without a step for ``stall_s``."""

    def __init__(self, stall_s: float = STALL_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.stall_s = stall_s
        self._clock = clock
        self._loops: dict[str, Loop] = {}

    @contextmanager
    def loop(self, name: str) -> Iterator[Loop]:
        """A loop that counts while the block lasts. A loop of the same name that comes later takes its place."""
        loop = self._loops[name] = Loop(name, self._clock)
        try:
            yield loop
        finally:
            if self._loops.get(name) is loop:
                del self._loops[name]

    def __iter__(self) -> Iterator[Loop]:
        return iter(list(self._loops.values()))

    def report(self) -> Report:
        """How the worker is now. A worker without loops is on its way up or down: live, and not ready."""
        now_s = self._clock()
        loops = tuple(
            LoopReport(each.name, each.state, round(now_s - each.stepped_s, 1), self._stalled(each, now_s), each.why)
            for each in sorted(self, key=lambda loop: loop.name)
        )
        live = not any(each.stalled for each in loops)
        return Report(live, live and bool(loops) and all(each.state == "running" for each in loops), loops)

    def _stalled(self, loop: Loop, now_s: float) -> bool:
        return loop.state != "stopped" and now_s - loop.stepped_s > self.stall_s


def _sentence(loop: LoopReport) -> str:
    stands = f"{loop.name} has taken no step for {loop.last_step_s_ago:.0f} s" if loop.stalled else ""
    is_so = "" if loop.state == "running" else f"{loop.name} is {loop.state}"
    return "; ".join(each for each in (stands, is_so, loop.why) if each)
