"""The demo's workers: real processes of the command ``tocsin worker``, which end with the demo, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from services.broker.process import guarded, tail
from services.contract.errors import TocsinError
from services.runtime.settings import PREFIX, Settings

STOP_SECONDS_MAX = 20.0


class WorkerEndedError(TocsinError, RuntimeError):
    """A worker ended by itself. The message has the end of its log."""

    may_quote = True


def environment(settings: Settings, metrics_port: int) -> dict[str, str]:
    """This process's environment with ``settings``, and nothing else of ours, in it. Paths are absolute."""
    chosen = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    for name, value in settings:
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, Path):
            value = value.absolute()
        if value is not None:
            chosen[PREFIX + name.upper()] = str(value)
    chosen[PREFIX + "METRICS_PORT"] = str(metrics_port)
    return chosen


class Workers:
    """A context: workers started in it are stopped at its end, in order, and killed if they do not stop.

    Each runs under a guard that ends it when this process is gone, even by SIGKILL; the guard of the last to stop
    also removes ``scratch``. Workers run in ``folder``, where their logs are.
    """

    def __init__(self, folder: Path, *, scratch: bool) -> None:
        self._folder, self._scratch = folder, scratch
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, settings: Settings, metrics_port: int) -> None:
        """Start ``tocsin worker NAME``."""
        command = [sys.executable, "-m", "services.cli", "worker", name]
        self._running[name] = guarded(
            command, self._folder, self.log(name), scratch=self._scratch, env=environment(settings, metrics_port)
        )

    def log(self, name: str) -> Path:
        """Where a worker writes what it has to say."""
        return self._folder / f"{name}.log"

    def check(self) -> None:
        """Nothing, while all workers live. Raises ``WorkerEndedError`` when one has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                said = tail(self.log(name))
                raise WorkerEndedError(f"the {name} ended with status {process.returncode}:\n{said}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGUSR1)
                process.wait()
