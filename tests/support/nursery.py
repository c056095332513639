"""Processes of ``tocsin``, forked from one that has imported it already: a start costs milliseconds, not seconds.

What runs is what the console script runs, in a process with environment, folder and streams of its own. That the script
starts as people start it is shown by ``tests/demo``, and by ``tests/runtime/test_worker.py`` for each role.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

_REQUEST_BYTES_MAX = 1 << 20
_PR_SET_PDEATHSIG = 1
_PROGRAMS = ("services.scorer.shell.app", "services.learner.app", "services.shadow.app")
"""What a worker imports once it knows which it is."""


def die_with_the_tests() -> None:
    """Leave no process behind when the one that started it is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A process of the nursery, with what of ``subprocess.Popen`` tests use."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its status, negative if a signal ended it; ``None`` while it lives."""
        if self._status is None:
            self._status = self._nursery.ask({"status_of": self.pid})
        return self._status

    @property
    def returncode(self) -> int | None:
        """Its status as it was seen last."""
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Its status once it has ended; raises ``subprocess.TimeoutExpired`` after ``timeout`` seconds."""
        if self.poll() is None:
            ended = os.pidfd_open(self.pid)
            try:
                select.select([ended], [], [], timeout)
            finally:
                os.close(ended)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a crash would."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that others are forked from. It ends with this one."""

    def __init__(self) -> None:
        self._calls, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one_at_a_time = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=Path(__file__).parents[2],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                preexec_fn=die_with_the_tests,
            )

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        output: IO[bytes],
        error: IO[bytes] | None = None,
    ) -> Process:
        """Run ``tocsin`` with ``arguments``; what it says goes to ``output``, and its errors to ``error``, if given."""
        streams = [output.fileno(), (error or output).fileno()]
        request = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder)}
        return Process(self, self.ask(request, streams))

    def ask(self, request: Mapping[str, Any], streams: Sequence[int] = ()) -> Any:
        """What the nursery answers."""
        with self._one_at_a_time:
            socket.send_fds(self._calls, [json.dumps(request).encode()], streams)
            answer = self._calls.recv(_REQUEST_BYTES_MAX)
        assert answer, f"the nursery ended with status {self._process.wait()}"
        return json.loads(answer)


@functools.cache
def nursery() -> Nursery:
    """The one of this process, which it starts when it first needs it."""
    return Nursery()


def run_command(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None = None, timeout: float = 300.0
) -> subprocess.CompletedProcess[bytes]:
    """Run ``tocsin`` with ``arguments`` to its end, as ``subprocess.run`` would with its output captured."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error:
        process = nursery().start(arguments, environment, folder or Path.cwd(), output, error)
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        for each in (output, error):
            each.seek(0)
        return subprocess.CompletedProcess(list(arguments), status, output.read(), error.read())


def run_command_text(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """``run_command``, with its output as text."""
    done = run_command(arguments, environment, folder)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def _serve(calls: socket.socket) -> Mapping[str, Any]:
    """Answer as long as somebody asks. Returns in each process that is forked, with what it was asked to be."""
    while True:
        message, streams, _, _ = socket.recv_fds(calls, _REQUEST_BYTES_MAX, 2)
        if not message:
            os._exit(0)
        request = json.loads(message)
        if "status_of" in request:
            pid, status = os.waitpid(request["status_of"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif (answer := os.fork()) == 0:
            calls.close()
            for number, stream in enumerate(streams, start=1):
                os.dup2(stream, number)
            return request  # type: ignore[no-any-return]
        for stream in streams:
            os.close(stream)
        calls.send(json.dumps(answer).encode())


def _become(request: Mapping[str, Any]) -> None:
    die_with_the_tests()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["tocsin", *request["arguments"]]


if __name__ == "__main__":
    from services import cli

    cli.app_of()
    for each in _PROGRAMS:
        import_module(each)
    gc.collect()
    gc.freeze()
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
    sys.exit(cli.main())  # type: ignore[func-returns-value]
