"""A learner in a process of its own, to be watched and killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from services.runtime.settings import Settings
from tests.support.nursery import nursery
from tests.support.worker import environment

PATIENCE_S = 120.0
POLL_S = 0.1


class LearnerProcess:
    """``run_learner`` with ``settings``; what it says goes to ``log``."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = nursery().start(["worker", "learner"], environment(settings), log.parent, output)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask it to end; returns its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=PATIENCE_S)

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait until ``reached``, while it lives."""
        deadline = time.monotonic() + PATIENCE_S
        while not reached():
            assert self._process.poll() is None, f"the learner ended:\n{self._log.read_text()}"
            assert time.monotonic() < deadline, f"not reached in {PATIENCE_S} s:\n{self._log.read_text()}"
            time.sleep(POLL_S)
