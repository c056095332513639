"""Runs pytest in forks of one process that has the libraries, so that a mutant costs its tests and not their imports.

Reads a line of JSON a run, ``[patience in seconds, arguments of pytest]``, and writes its exit code, or -1 where it was
stopped. Nothing of ours is imported before the fork: each run reads the code anew.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

LIBRARIES = ("aiokafka", "hypothesis", "lightgbm", "msgspec", "numba", "numpy", "orjson", "river", "sklearn")
"""What takes long to import; one that is not there costs each run its own time."""
SAID = Path("said.txt")
"""What pytest said last, in the folder it runs in."""


def ran(arguments: list[str], patience_s: float) -> int:
    """The exit code of pytest on ``arguments``; -1 where it took longer than ``patience_s`` and was killed."""
    child = os.fork()
    if child == 0:
        os.setsid()
        said = os.open(SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(said, 1)
        os.dup2(said, 2)
        code = 1
        try:
            code = int(pytest.main(arguments))
        finally:
            sys.stdout.flush()
            os._exit(code)
    late = threading.Timer(patience_s, os.kill, (child, signal.SIGKILL))
    late.start()
    _, status = os.waitpid(child, 0)
    late.cancel()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests left running
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    """Until there is no further line."""
    for each in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(each)
    for line in sys.stdin:
        patience_s, arguments = json.loads(line)
        print(ran(arguments, patience_s), flush=True)


if __name__ == "__main__":
    main()
