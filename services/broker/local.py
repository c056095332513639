"""What the two brokers share: a port, a folder, a process, and the life of it."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Literal, Self

from services.broker.errors import BrokerError, PortTaken
from services.broker.probe import HOST, free_ports, is_free, serving_cluster
from services.broker.process import LOCK_WAIT_S, GuardedProcess, tail, wait_until

PROBE_TIMEOUT_S: Final = 2.0
PORT_ATTEMPTS: Final = 5
_PORT_MAX = 65_535


class Broker(ABC):
    """A broker on the loopback address. Its methods block; from a coroutine, call them in a thread.

    It dies with the process that made it, however that ends, and does not receive the terminal's interrupts. One
    object runs one broker at a time and is not to be used from two threads at once.

    Clients connect to ``port`` on 127.0.0.1; ``None``: a free one, chosen at the first start and kept from then on.
    """

    kind: ClassVar[str]
    """``apache-kafka-4.3.1`` or ``memory``."""
    delivery: ClassVar[Literal["exactly_once", "at_least_once"]]
    """The strongest delivery that it can give."""
    start_timeout_s: ClassVar[float]
    stop_timeout_s: ClassVar[float]

    def __init__(self, *, port: int | None, data_dir: Path | None) -> None:
        if port is not None and not 0 < port <= _PORT_MAX:
            raise BrokerError(f"port {port}: must be from 1 to {_PORT_MAX}")
        self.fallback_reason: str | None = None
        """Why this is not the broker that was hoped for, in one line; ``None``: it is."""
        self._chosen_port = port
        self._port = port
        self._data_dir = data_dir
        self._process: GuardedProcess | None = None
        self._discard: weakref.finalize[[GuardedProcess, Path | None, int], Broker] | None = None

    @property
    def bootstrap(self) -> str:
        """``host:port``, for clients. Raises ``BrokerError`` before the first start, unless ``port`` was given."""
        if self._port is None:
            raise BrokerError("the broker has no port before its first start")
        return f"{HOST}:{self._port}"

    @property
    def process(self) -> GuardedProcess:
        """The broker's process. Raises ``BrokerError`` before the first start and after ``close``."""
        if self._process is None:
            raise BrokerError("the broker has no process before its first start")
        return self._process

    @property
    def folder(self) -> Path:
        """The folder of its data and logs. Raises as ``process`` does."""
        return self.process.folder

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start, and return when the broker answers clients. Nothing is done if it runs.

        Raises
        ------
        BrokerError
            It did not come up; the message ends with the tail of its log. ``NoJava``, ``JarsUnavailable``,
            ``JarCorrupted`` and ``PortTaken`` say what was missing.
        """
        if self.running:
            return
        self._open_folder()
        for attempt in range(PORT_ATTEMPTS):
            try:
                self._start_once()
                return
            except PortTaken:
                if self._chosen_port is not None or attempt == PORT_ATTEMPTS - 1:
                    raise
                self._port = None  # it was free a moment ago: another process was faster

    def stop(self) -> None:
        """Let the broker end in order, and kill it if it does not. Its data stays, and ``start`` finds it again."""
        if self._process is not None:
            self._process.stop(self.stop_timeout_s)

    def kill(self) -> None:
        """End the broker at once, as a crash would (SIGKILL). Its data stays as it was."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and remove its data, unless ``data_dir`` was given. The object may be started again."""
        self.stop()
        if self._discard is not None:
            self._discard()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _configure(self, port: int) -> tuple[list[str], str]:
        """Write what the broker reads, in ``folder``; return its command and the cluster's id to wait for."""

    @abstractmethod
    def _failure(self) -> BrokerError:
        """The error of a broker that ended before it served."""

    def _open_folder(self) -> None:
        if self._process is not None:
            return
        scratch = self._data_dir is None
        folder = self._data_dir or Path(tempfile.mkdtemp(prefix="tocsin-broker-"))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BrokerError(f"data_dir {folder}: {error.strerror}") from error
        self._process = GuardedProcess(folder.resolve(), scratch=scratch)
        discarded = folder if scratch else None
        self._discard = weakref.finalize(self, _discard, self._process, discarded, os.getpid())

    def _start_once(self) -> None:
        with self.process.locked() as lock:
            self._port = self._port or free_ports(1)[0]
            port = self._port
            if not wait_until(lambda: is_free(port), LOCK_WAIT_S):
                raise PortTaken(f"port {port}: another process listens on it")
            command, cluster = self._configure(port)
            self.process.spawn(command, lock)
        self._await(port, cluster)
        self._chosen_port = port

    def _await(self, port: int, cluster: str) -> None:
        def settled() -> bool:
            return not self.running or serving_cluster(port, PROBE_TIMEOUT_S) == cluster

        try:
            if not wait_until(settled, self.start_timeout_s):
                said = tail(self.folder / "server.log", self.process.console)
                raise BrokerError(f"no answer on port {port} in {self.start_timeout_s:.0f} s. Its log ends:\n{said}")
            if not self.running:
                raise self._failure()
        except BaseException:
            self.kill()
            raise


def _discard(process: GuardedProcess, folder: Path | None, owner: int) -> None:
    """End the broker and remove its folder; done by the process that made them, not by one forked from it."""
    if os.getpid() != owner:
        return
    process.kill()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
