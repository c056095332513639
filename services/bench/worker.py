"""A process under measurement: on a core of its own, watched through its metrics and the kernel's accounts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from services.broker.probe import free_ports
from services.contract.errors import TocsinError
from services.runtime.settings import PREFIX, Settings

FORWARDED = 'tocsin_payments_total{hop="payer",result="forwarded"}'
DECIDED = 'tocsin_payments_total{hop="payee",result="decided"}'
BOTH_HOPS = (FORWARDED, DECIDED)
"""The beginnings of the lines by which a scorer, and each baseline, tells how many payments each of its hops has done.

Rates are of the mean of both: one hop may run ahead of the other, and who looked at decisions alone would then see
half the work as all of it."""
_GOING = "tocsin_partition_stopped{"
"""The beginning of the lines that a scorer has of each partition that it has taken up; 0 says that it reads it."""
POLL_S = 0.5
"""Seldom: an exposition takes a worker some milliseconds."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class MeasuringError(TocsinError, RuntimeError):
    """A process under measurement ended, or did too little to be measured. Its message has the end of what it said."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a worker was at a moment: payments done (mean of its hops), wall seconds, CPU seconds of its process."""

    done: float
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Rates between two readings. ``core_share`` is how much of a core the process had: little where others ran."""

    payments_per_second: float
    cpu_us_per_payment: float
    core_share: float

    @classmethod
    def between(cls, first: Reading, last: Reading) -> Measured:
        """What happened from ``first`` to ``last``."""
        payments, wall_s, cpu_s = last.done - first.done, last.wall_s - first.wall_s, last.cpu_s - first.cpu_s
        return cls(payments / wall_s, 1e6 * cpu_s / payments, cpu_s / wall_s)

    @property
    def figures(self) -> dict[str, Any]:
        """Rounded, by name."""
        return {
            "payments_per_second": round(self.payments_per_second),
            "cpu_us_per_payment": round(self.cpu_us_per_payment, 1),
            "core_share": round(self.core_share, 2),
        }


def reserve_core() -> int | None:
    """Leave the last core to the worker that is measured, and take this process and all it will start (the broker) to
    the others, as they would be on machines of their own. ``None`` where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return None
    os.sched_setaffinity(0, cores[:-1])
    return cores[-1]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process under measurement tells how far it is, and may keep what it keeps."""

    metrics_port: int
    folder: Path


def python(*arguments: str, interpreter: str = sys.executable) -> list[str]:
    """The command that runs a module of ours."""
    return [interpreter, "-m", *arguments]


def worker_command(role: str, *arguments: str) -> list[str]:
    """The command that runs a worker of ours."""
    return python("services.cli", "worker", role, *arguments, "--loglevel", "ERROR")


def environment_of(settings: Settings, place: Place) -> Mapping[str, str]:
    """This process's environment, with what a worker under measurement is told in place of a command line."""
    return os.environ | {
        PREFIX + "BOOTSTRAP": settings.bootstrap,
        PREFIX + "TOPIC_PREFIX": settings.topic_prefix,
        PREFIX + "PARTITIONS": str(settings.partitions),
        PREFIX + "DELIVERY": settings.delivery,
        PREFIX + "COMPRESSION": settings.compression,
        PREFIX + "EVENT_BEHIND_DAYS": "0",
        PREFIX + "EVENT_SPREAD_MINUTES": str(settings.event_spread_minutes),
        PREFIX + "METRICS_PORT": str(place.metrics_port),
        PREFIX + "STATE_DIR": str(place.folder / "state"),
        PREFIX + "REGISTRY": str(place.folder / "registry"),
    }


class MeasuredWorker:
    """Runs ``command`` in a process of its own, which counts at ``place.metrics_port`` what it has done.

    ``counters`` are the beginnings of the lines of its Prometheus exposition that count payments done, one a hop;
    ``core`` is the core it has to itself from its first moment (``reserve_core``), or none.
    """

    def __init__(
        self,
        command: Sequence[str],
        settings: Settings,
        counters: Sequence[str],
        core: int | None,
        place: Place | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        self._settings, self._counters, self._poll_s = settings, tuple(counters), poll_s
        self._folder = tempfile.TemporaryDirectory(prefix="tocsin-bench-")
        place = place or Place(free_ports(1)[0], Path(self._folder.name))
        self._port, self._said = place.metrics_port, Path(self._folder.name, "said.log")
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                command,
                env=environment_of(settings, place),
                stdout=subprocess.DEVNULL,
                stderr=said,
                preexec_fn=None if core is None else partial(os.sched_setaffinity, 0, {core}),
            )

    def measure(self, total: int, warm_share: float = 0.15, timeout_s: float = 300.0) -> Measured:
        """Wait until ``total`` payments are done; rates from when ``warm_share`` of them were to when few were left.

        Raises
        ------
        MeasuringError
            When the worker ends, or the time is up, with the end of what it said; or ``total`` is too small.
        """
        all_readings = list(self._readings(total, timeout_s))
        readings = [each for each in all_readings if total * warm_share <= each.done < total]
        moved = [each for each in readings if each.done > readings[0].done]
        if moved:
            return Measured.between(readings[0], next(each for each in moved if each.done == moved[-1].done))
        if all_readings[-1].done >= total:
            raise MeasuringError(f"{total} payments are too few to measure a rate on")
        raise self._gave_up("too few payments to measure")

    def finish(self, total: int, timeout_s: float = 300.0) -> None:
        """Wait until ``total`` payments are done.

        Raises
        ------
        MeasuringError
            When the worker ends, or the time is up, with the end of what it said.
        """
        *_, last = self._readings(total, timeout_s)
        if last.done < total:
            raise self._gave_up(f"{last.done:,.0f} of {total:,} payments done")

    def take_up(self, *topics: str, timeout_s: float = 60.0) -> None:
        """Wait until a scorer reads every partition of ``topics``.

        Raises
        ------
        MeasuringError
            As ``finish``.
        """
        deadline, left = time.monotonic() + timeout_s, {*topics}
        while left and time.monotonic() < deadline and self._process.poll() is None:
            time.sleep(self._poll_s)
            going = [line for line in self._exposition() if line.startswith(_GOING) and line.endswith(" 0.0")]
            left -= {
                each for each in left if sum(f'topic="{each}"' in line for line in going) == self._settings.partitions
            }
        if left:
            raise self._gave_up(f"{', '.join(sorted(left))} not taken up")

    def _readings(self, total: int, timeout_s: float) -> Iterator[Reading]:
        """How far it is, at least once, until ``total`` payments are done, the worker ends, or the time is up."""
        deadline = time.monotonic() + timeout_s
        while True:
            time.sleep(self._poll_s)
            reading = self._read()
            yield reading
            if reading.done >= total or time.monotonic() >= deadline or self._process.poll() is not None:
                return

    def _gave_up(self, why: str) -> MeasuringError:
        self._process.kill()
        self._process.wait()
        said = self._said.read_text(errors="replace")[-2_000:]
        return MeasuringError(f"{why}, or the worker ended: {said}")

    def _exposition(self) -> list[str]:
        """The lines of its metrics; none while it answers nothing."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5.0) as answer:
                return answer.read().decode().splitlines()  # type: ignore[no-any-return]
        except OSError:
            return []

    def _read(self) -> Reading:
        done = sum(float(line.rpartition(" ")[2]) for line in self._exposition() if line.startswith(self._counters))
        return Reading(done / len(self._counters), time.perf_counter(), _cpu_s(self._process.pid))

    def __enter__(self) -> MeasuredWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=30.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()


def _cpu_s(pid: int) -> float:
    """User and system time of a process so far, all threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
