"""``tocsin demo`` itself, as a stranger runs it: the summary, the exit code, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from services import kafka as clients
from services.broker import KafkaBroker
from services.demo.summary import NOTE
from services.runtime.settings import PREFIX, load_settings

KEYS = {
    "payments_in", "decisions_out", "alerts", "dead_letters", "duplicates", "lost", "payments_per_second", "latency_ms",
    "precision", "recall", "average_precision", "broker", "delivery", "seed", "seconds", "models", "note",
}  # fmt: skip
PAYMENTS = 8_000
SECONDS_MAX = 240.0
pytestmark = pytest.mark.kafka


class Demo:
    """A demo in a process of its own, whose temporary folder and descendants can be told from all others."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._mark = f"DEMO_TEST={uuid.uuid4().hex}"
        name, value = self._mark.split("=")
        environment = {key: each for key, each in os.environ.items() if not key.startswith(PREFIX)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "demo", "--payments", str(PAYMENTS), *options],
            env={**environment, name: value, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def finish(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=SECONDS_MAX)
        return self.process.returncode, out.decode(), err.decode()

    def descendants(self) -> list[int]:
        """Every process that still carries the mark."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self._mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def leftovers(self) -> list[str]:
        """What is left in its temporary folder."""
        return sorted(path.name for path in self._folder.iterdir())


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def topics_of_demos(broker: KafkaBroker) -> list[str]:
    async def names() -> list[str]:
        admin = clients.admin(load_settings(bootstrap=broker.bootstrap))
        await admin.start()
        try:
            return [name for name in await admin.list_topics() if name.startswith("demo.")]
        finally:
            await admin.close()

    return asyncio.run(names())


def test_a_demo_decides_every_payment_once_tells_it_in_json_and_leaves_nothing(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    demo = Demo(tmp_path, "--json", "--broker", "kafka")
    code, out, err = demo.finish()
    assert code == 0, err
    told = json.loads(out)
    assert told.keys() >= KEYS
    assert told["payments_in"] == told["decisions_out"] == PAYMENTS
    assert told["lost"] == told["doubled"] == 0
    assert told["duplicates"] > 0
    assert told["dead_letters"] == sum(told["dead_letters_by_origin"].values()) > 0
    assert told["alerts"] > 0
    assert told["models"] > 0
    assert told["payments_per_second"] > 0
    assert 0 < told["latency_ms"]["p50"] <= told["latency_ms"]["p99"]
    assert all(0.0 <= told[name] <= 1.0 for name in ("precision", "recall", "average_precision"))
    assert told["broker"].startswith("apache-kafka-")
    assert told["delivery"] == "exactly_once"
    assert told["note"] == NOTE
    assert NOTE in err
    assert demo.descendants() == []
    assert demo.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_demo_leaves_no_process_no_folder_and_no_topic(
    kafka: KafkaBroker, tmp_path: Path, number: signal.Signals
) -> None:
    demo = Demo(tmp_path, "--bootstrap", kafka.bootstrap)
    assert wait_for(lambda: list(tmp_path.glob("*/learner.log")), 60), demo.process.poll()
    time.sleep(1.0)
    demo.process.send_signal(number)
    code, out, err = demo.finish()
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 130), err
    assert out == ""
    assert wait_for(lambda: not demo.descendants(), 30), demo.descendants()
    assert wait_for(lambda: not demo.leftovers(), 10), demo.leftovers()
    if number != signal.SIGKILL:  # nobody is left to remove them
        assert topics_of_demos(kafka) == []
