"""Real workers: ``tocsin worker`` processes that tests start, stop, kill, freeze and thaw."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from services.runtime.settings import PREFIX, Settings
from tests.support.nursery import Process, nursery

TAIL_BYTES = 6_000
STOP_TIMEOUT_S = 60.0


def environment(settings: Settings) -> dict[str, str]:
    """The process environment under which ``load_settings()`` gives ``settings``."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    said = {name: getattr(settings, name) for name in settings.model_fields_set}
    plain = {name: each.get_secret_value() if isinstance(each, SecretStr) else each for name, each in said.items()}
    return own | {f"{PREFIX}{name.upper()}": str(value) for name, value in plain.items() if value is not None}


def command() -> str:
    """The console script of the environment that runs the tests."""
    return str(Path(sys.executable).with_name("tocsin"))


class Worker:
    """One worker at a time, under one name; its log goes on in the same file from start to start."""

    def __init__(
        self, role: Literal["scorer", "learner", "shadow"], settings: Settings, folder: Path, name: str
    ) -> None:
        self.settings, self.name = settings, name
        self.log = folder / f"{name}.log"
        self.starts = 0
        self._role, self._folder = role, folder
        self._process: Process | None = None
        self._is_to_live = False
        self._marked = 0

    @property
    def alive(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def ended_by_itself(self) -> bool:
        """Whether it is gone although nobody here ended it."""
        return self._is_to_live and not self.alive

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    def start(self) -> None:
        """Start the worker; it must not be running."""
        assert not self.alive, f"{self.name} runs already"
        self.starts += 1
        with self.log.open("ab") as log:
            log.write(f"---- start {self.starts} ----\n".encode())
            log.flush()
            self.mark()
            self._process = nursery().start(["worker", self._role], environment(self.settings), self._folder, log)
        self._is_to_live = True

    def kill(self) -> None:
        """End it as a crash would. It must be running: a test that kills a dead worker tests nothing."""
        assert self.alive, f"{self.name} ended by itself:\n{self.tail()}"
        self._is_to_live = False
        self._signal(signal.SIGKILL)
        assert self._process is not None, "it was alive"
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end, and see that it does so in order."""
        status = self.end()
        assert status == 0, f"{self.name} ended with status {status}:\n{self.tail()}"

    def end(self) -> int:
        """Ask it to end, and return its status once it has, in order or cut short."""
        assert self.alive, f"{self.name} ended by itself:\n{self.tail()}"
        self._is_to_live = False
        self._signal(signal.SIGTERM)
        assert self._process is not None, "it was alive"
        return self._process.wait(STOP_TIMEOUT_S)

    def freeze(self) -> None:
        """Stop the process where it stands (SIGSTOP): to others it looks dead."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on: a zombie, if others took its place."""
        self._signal(signal.SIGCONT)

    def discard(self) -> None:
        """Leave nothing running, whatever state it is in."""
        self._is_to_live = False
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def mark(self) -> None:
        """Let ``said`` begin here. Each start does so."""
        self._marked = self.log.stat().st_size if self.log.exists() else 0

    @property
    def said(self) -> str:
        """Its log since the last mark."""
        return self.log.read_bytes()[self._marked :].decode(errors="replace")

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace") if self.log.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)
