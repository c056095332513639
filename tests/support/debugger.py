"""Stopping one thread of a process as a debugger does (Linux)."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_ALL = 0x40000000  # __WALL: threads, too
_WAIT_S = 10.0


@contextmanager
def stopped_thread(pid: int, thread: int | None = None) -> Iterator[None]:
    """Let ``thread`` of the process stand still, its first and main one by default, while all others go on.

    The kernel knows a debugger by its thread, so one of our own does all of it. Should the tests end before, the kernel
    lets the process go on.

    Raises
    ------
    PermissionError
        The system does not let us debug it.
    """
    stopped, let_go = threading.Event(), threading.Event()
    errors: list[OSError] = []

    def debug() -> None:
        try:
            with _attached(thread or pid):
                stopped.set()
                let_go.wait()
        except OSError as error:
            errors.append(error)
        finally:
            stopped.set()

    debugging = threading.Thread(target=debug, name="debugger", daemon=True)
    debugging.start()
    assert stopped.wait(_WAIT_S), f"thread {thread or pid} does not stop"
    try:
        if errors:
            raise errors[0]
        yield
    finally:
        let_go.set()
        debugging.join(_WAIT_S)


@contextmanager
def _attached(thread: int) -> Iterator[None]:
    _ptrace(_SEIZE, thread)
    try:
        _ptrace(_INTERRUPT, thread)
        # Whoever asks for the process's status meanwhile would get this instead: nobody does, the caller waits.
        os.waitpid(thread, _ALL)
        yield
    finally:
        _ptrace(_DETACH, thread)


def _ptrace(request: int, thread: int) -> None:
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.restype, ptrace.argtypes = ctypes.c_long, [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if ptrace(request, thread, None, None) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace: {os.strerror(number)}")
