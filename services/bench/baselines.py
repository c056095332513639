"""What users would pick instead of Tocsin, each measured as a process of its own over the same payments."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.bench import kafka_streams
from services.bench.plan import ChampionKind
from services.bench.worker import BOTH_HOPS, MeasuredWorker, Place, python
from services.broker.probe import free_ports
from services.broker.process import run_to_end
from services.contract.errors import TocsinError
from services.runtime.settings import Settings

_PROBE_S = 60.0


class Absent(TocsinError, RuntimeError):
    """What a baseline needs is not here. The message says what, in one line."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What every baseline runs under."""

    settings: Settings
    champion: ChampionKind
    core: int | None
    quix_python: Path


@dataclass(frozen=True, slots=True)
class Baseline:
    """One of them.

    ``command`` makes its command line, or raises ``Absent`` or ``CannotBuild``. ``weight`` is how many payments it
    takes for each that a slow one does; rates are taken once ``warm_share`` of them are done.
    """

    title: str
    command: Callable[[Conditions, Place], list[str]]
    weight: int = 1
    warm_share: float = 0.15


def _quix(conditions: Conditions, place: Place) -> list[str]:
    interpreter, how = conditions.quix_python, "make var/quix/bin/python installs it"
    if not interpreter.is_file():
        raise Absent(f"no Quix Streams: {interpreter} does not exist; {how}")
    try:
        answer = run_to_end([interpreter, "-c", "import quixstreams"], _PROBE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"no Quix Streams: {interpreter} does not run ({type(error).__name__}); {how}") from None
    if answer.returncode:
        raise Absent(f"no Quix Streams: {interpreter} cannot import quixstreams; {how}")
    return python("services.bench.quix", conditions.champion, interpreter=str(interpreter))


BASELINES: dict[str, Baseline] = {
    "ceiling": Baseline("ceiling: aiokafka and orjson, no work", lambda *_: python("services.bench.ceiling"), 60),
    "faust_agent": Baseline(
        "Faust agents, one event at a time",
        lambda conditions, place: python("services.bench.faust_agent", conditions.champion),
    ),
    "quix": Baseline("Quix Streams, one message at a time", _quix),
    "river_pipeline": Baseline(
        "River pipeline in aiokafka", lambda *_: python("services.bench.river_pipeline"), weight=8
    ),
    "kafka_streams": Baseline(
        "Kafka Streams, Java, state in memory",
        lambda conditions, place: kafka_streams.command(conditions.settings, place, "memory"),
        weight=100,
        warm_share=0.5,
    ),
    "kafka_streams_rocksdb": Baseline(
        "Kafka Streams, Java, state in RocksDB",
        lambda conditions, place: kafka_streams.command(conditions.settings, place, "rocksdb"),
        weight=100,
        warm_share=0.5,
    ),
}
"""By name, in the order in which they are measured and shown."""


def measure_baseline(
    name: str, conditions: Conditions, payments: int, prepare: Callable[[int], None]
) -> dict[str, Any]:
    """``payments_per_second`` and ``cpu_us_per_payment`` of a baseline, or why it was ``skipped``.

    ``payments`` are those of a slow one; ``prepare`` makes topics with as many payments as this one takes.
    """
    baseline = BASELINES[name]
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        place = Place(free_ports(1)[0], Path(folder))
        try:
            command = baseline.command(conditions, place)
        except (Absent, kafka_streams.CannotBuild) as missing:
            return {"skipped": str(missing)}
        total = payments * baseline.weight
        prepare(total)
        with MeasuredWorker(command, conditions.settings, BOTH_HOPS, conditions.core, place) as worker:
            return worker.measure(total, baseline.warm_share).figures | {"payments": total}
