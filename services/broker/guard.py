"""Run a broker as a child, and end it when the process that asked for it is gone, even by SIGKILL.

Run by path, with the standard library only: ``python -I -S guard.py PARENT_PID SCRATCH COMMAND...``. ``SCRATCH`` is a
folder to remove after an orphaned broker, or an empty string. SIGTERM asks the broker to stop, SIGUSR1 kills it. The
exit status is the broker's, or 128 + the number of the signal that ended it.

A process of its own, because the kernel's parent-death signal follows the *thread* that forked: a broker started from
a worker thread would die with that thread. The broker itself has the signal set against this guard, whose only
thread lives as long as the guard.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from types import FrameType

POLL_INTERVAL_S = 0.05
ORPHAN_GRACE_S = 10.0
PR_SET_PDEATHSIG = 1

_requests: list[signal.Signals] = []


def _remember(signum: int, _frame: FrameType | None) -> None:
    _requests.append(signal.SIGKILL if signum == signal.SIGUSR1 else signal.SIGTERM)


def _die_with_the_guard() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    # Descriptors stay open: the broker inherits the lock on its data folder, and so holds it as long as it lives.
    dying = _die_with_the_guard if sys.platform == "linux" else None
    return subprocess.Popen(command, close_fds=False, preexec_fn=dying)


def _end_orphan(child: subprocess.Popen[bytes], scratch: str) -> None:
    child.terminate()
    try:
        child.wait(ORPHAN_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Run ``arguments`` (see the module) and return the broker's exit status."""
    parent, scratch, command = int(arguments[0]), arguments[1], arguments[2:]
    for signum in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(signum, _remember)
    child = _spawn(command)
    while child.poll() is None:
        if os.getppid() != parent:
            _end_orphan(child, scratch)
        elif _requests:
            child.send_signal(_requests.pop(0))
        else:
            # A poll, not a wait: no portable call waits for a parent and a child at once.
            time.sleep(POLL_INTERVAL_S)
    status = child.returncode
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
