"""A broker's process: started under its guard, holding its data folder's lock, and ended without remains."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from services.broker.errors import BrokerError

GUARD: Final = Path(__file__).with_name("guard.py")
LOCK_WAIT_S: Final = 3.0
"""How long a start waits for the data folder and the port: a broker that was just killed frees them within it."""

POLL_INTERVAL_S: Final = 0.03
KILL_WAIT_S: Final = 10.0
TAIL_LINES: Final = 15
_FRAMES = ("\tat ", "\t... ")


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Ask ``condition`` until it holds or ``timeout_s`` seconds are over, and return whether it held."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_INTERVAL_S)
    return True


def tail(*logs: Path, lines: int = TAIL_LINES) -> str:
    """The last ``lines`` lines of each log that exists, oldest first, without the frames of Java's stack traces."""
    parts = []
    for log in logs:
        if log.is_file():
            said = log.read_text(errors="replace").splitlines()
            parts.extend([line for line in said if not line.startswith(_FRAMES)][-lines:])
    return "\n".join(parts)


def guarded(
    command: Sequence[str], folder: Path, console: Path, *, scratch: bool, **options: Any
) -> subprocess.Popen[bytes]:
    """Start ``command`` in ``folder``, in a session of its own, under a guard that ends it when this process is gone.

    ``console`` receives standard output and error; ``scratch``: the guard of an orphan removes ``folder``;
    ``options`` are those of ``subprocess.Popen``. SIGTERM asks the guard to stop the command, SIGUSR1 to kill it.
    """
    guard = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(folder) if scratch else ""]
    with console.open("wb") as output:
        return subprocess.Popen(
            [*guard, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )


def run_to_end(command: Sequence[str | Path], timeout_s: float, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``command`` to its end and keep what it says. Raises ``OSError`` or ``subprocess.TimeoutExpired``."""
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False, **options
    )


class GuardedProcess:
    """One broker process in a folder, at most one at a time.

    Parameters
    ----------
    folder
        The broker's working folder, which must exist. ``console.log`` in it receives standard output and error,
        ``broker.lock`` is held as long as a broker lives in the folder, whoever started it.
    scratch
        Whether ``folder`` is to be removed if the broker outlives this process.
    """

    def __init__(self, folder: Path, *, scratch: bool) -> None:
        self.folder = folder
        self.console = folder / "console.log"
        self._scratch = scratch
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the broker's process lives."""
        return self._guard is not None and self._guard.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status of the broker that ran last (128 + signal, if by a signal); ``None``: it lives, or none."""
        return None if self._guard is None else self._guard.poll()

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the folder's lock, to be given to ``spawn``, whose broker then holds it for its life.

        Raises ``BrokerError`` when another broker runs in the folder.
        """
        descriptor = os.open(self.folder / "broker.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not wait_until(lambda: _try_lock(descriptor), LOCK_WAIT_S):
                raise BrokerError(f"data_dir {self.folder}: another broker runs on it")
            yield descriptor
        finally:
            os.close(descriptor)

    def spawn(self, command: Sequence[str], lock: int) -> None:
        """Start ``command`` under its guard, and hand it the folder's ``lock``."""
        self._guard = guarded(command, self.folder, self.console, scratch=self._scratch, pass_fds=(lock,))

    def stop(self, timeout_s: float) -> None:
        """Ask the broker to stop, and kill it if it lives ``timeout_s`` seconds later. Nothing of it is left."""
        if not self._ended_by(signal.SIGTERM, timeout_s):
            self.kill()

    def kill(self) -> None:
        """Kill the broker (SIGKILL) and wait until it is gone."""
        if self._ended_by(signal.SIGUSR1, KILL_WAIT_S) or self._guard is None:
            return
        os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.wait()

    def _ended_by(self, signum: signal.Signals, timeout_s: float) -> bool:
        if self._guard is None:
            return True
        self._guard.send_signal(signum)
        try:
            self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
