"""A worker under measurement: a real process on one core, watched through its metrics and the kernel's accounts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from types import TracebackType

from services.broker.probe import free_ports
from services.runtime.settings import PREFIX, Settings

POLL_S = 1.0
"""Seldom: an exposition takes the worker some milliseconds."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a worker was at a moment: payments done, wall seconds, CPU seconds of its process."""

    done: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Rates between two readings."""

    payments_per_second: float
    cpu_us_per_payment: float

    @classmethod
    def between(cls, first: Reading, last: Reading) -> Measured:
        """What happened from ``first`` to ``last``."""
        payments = last.done - first.done
        return cls(payments / (last.wall_s - first.wall_s), 1e6 * (last.cpu_s - first.cpu_s) / payments)


def reserve_core() -> int | None:
    """Leave the last core to the worker that is measured, and take this process and all it will start (the broker) to
    the others, as they would be on machines of their own. ``None`` where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return None
    os.sched_setaffinity(0, cores[:-1])
    return cores[-1]


class MeasuredWorker:
    """Runs ``arguments`` of this Python in a process of its own.

    ``counter`` is the beginning of the line of its Prometheus exposition that counts payments done; ``core`` the core
    it has to itself (``reserve_core``), or none.
    """

    def __init__(
        self, arguments: list[str], settings: Settings, counter: str, core: int | None, poll_s: float = POLL_S
    ) -> None:
        self._counter, self._poll_s = counter, poll_s
        self._port = free_ports(1)[0]
        self._folder = tempfile.TemporaryDirectory(prefix="tocsin-bench-")
        environment = os.environ | {
            PREFIX + "BOOTSTRAP": settings.bootstrap,
            PREFIX + "TOPIC_PREFIX": settings.topic_prefix,
            PREFIX + "PARTITIONS": str(settings.partitions),
            PREFIX + "DELIVERY": settings.delivery,
            PREFIX + "COMPRESSION": settings.compression,
            PREFIX + "EVENT_BEHIND_DAYS": "0",
            PREFIX + "METRICS_PORT": str(self._port),
            PREFIX + "STATE_DIR": self._folder.name,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})

    def measure(self, total: int, warm_share: float = 0.15, timeout_s: float = 300.0) -> Measured:
        """Wait until ``total`` payments are done; rates from when ``warm_share`` of them were to when few were left.

        Raises
        ------
        RuntimeError
            When the worker ends, or the time is up, with the end of what it said; or ``total`` is too small.
        """
        readings: list[Reading] = []
        done, deadline = 0, time.monotonic() + timeout_s
        while done < total and time.monotonic() < deadline and self._process.poll() is None:
            time.sleep(self._poll_s)
            reading = self._read()
            done = reading.done
            if total * warm_share <= done < total:
                readings.append(reading)
        if len(readings) > 1:
            return Measured.between(readings[0], readings[-1])
        if done >= total:
            raise RuntimeError(f"{total} payments are too few to measure a rate on")
        self._process.kill()
        _, said = self._process.communicate()
        raise RuntimeError(
            f"too few payments to measure, or the worker ended: {said.decode(errors='replace')[-2_000:]}"
        )

    def _read(self) -> Reading:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5.0) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            lines = []
        done = sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(self._counter))
        return Reading(int(done), time.perf_counter(), _cpu_s(self._process.pid))

    def __enter__(self) -> MeasuredWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.communicate(timeout=30.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()
        self._folder.cleanup()


def _cpu_s(pid: int) -> float:
    """User and system time of a process so far, all threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
