"""What the workers say of themselves while they run: their Prometheus metrics, read a few times a second."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from prometheus_client.parser import text_string_to_metric_families

from services.demo.workers import Workers

EVERY_SECONDS = 0.2
WAIT_SECONDS = 0.05
ANSWER_SECONDS_MAX = 5.0

Samples = dict[tuple[str, str], float]
"""Values by metric, and by the values of its labels in the order of their names, with spaces between."""


@dataclass(slots=True)
class Seen:
    """The latest of what workers count. Nothing here decides a figure of the summary; the topics do."""

    decided: int = 0
    reviews: int = 0
    alerts: int = 0
    alert_events: int = 0
    model: int = 0
    """Version that the scorer uses."""
    examples: int = 0
    """That the learner has learned, or left out because their account's labels say one thing too often."""
    newest_model: int = 0
    """Version that the learner published last."""


@dataclass(slots=True)
class Watch:
    """Reads metrics in the background, and waits for counts. ``shown`` is called after every reading."""

    workers: Workers
    ports: dict[str, int]
    shown: Callable[[Seen], None]
    seen: Seen = field(default_factory=Seen)
    _task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read while the block lasts."""
        async with beside(self._follow(), "watch") as self._task:
            yield

    async def until(self, reached: Callable[[Seen], bool], measure: Callable[[Seen], int], stall_s: float) -> bool:
        """Wait until ``reached``; false when ``measure`` has not moved for ``stall_s``.

        Raises ``WorkerEndedError`` when a worker ends meanwhile.
        """
        assert self._task is not None, "reading"
        last, since = measure(self.seen), time.monotonic()
        while not reached(self.seen):
            await asyncio.wait({self._task}, timeout=WAIT_SECONDS)
            if self._task.done():
                self._task.result()  # an error of the reader
            self.workers.check()
            now = measure(self.seen)
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > stall_s:
                return False
        return True

    async def _follow(self) -> None:
        while True:
            for name, port in self.ports.items():
                samples = await asyncio.to_thread(scrape, port)
                if name == "scorer":
                    self._take_scorer(samples)
                else:
                    self._take_learner(samples)
            self.shown(self.seen)
            await asyncio.sleep(EVERY_SECONDS)

    def _take_scorer(self, samples: Samples) -> None:
        seen = self.seen
        seen.decided = int(samples.get(("tocsin_payments_total", "payee decided"), 0))
        seen.reviews = int(samples.get(("tocsin_decisions_total", "review"), 0))
        seen.alerts = int(_sum(samples, "tocsin_alerts_total", " new"))
        further = sum(_sum(samples, "tocsin_alerts_total", f" {status}") for status in ("snoozed", "superseded"))
        seen.alert_events = int(_sum(samples, "tocsin_alerts_total") - further)
        seen.model = _version(samples)

    def _take_learner(self, samples: Samples) -> None:
        limited = samples.get(("tocsin_learner_skipped_total", "example_limited"), 0)
        self.seen.examples = int(_sum(samples, "tocsin_examples_total") + limited)
        self.seen.newest_model = _version(samples)


@asynccontextmanager
async def beside(doing: Coroutine[Any, Any, None], name: str) -> AsyncIterator[asyncio.Task[None]]:
    """A task that runs while the block lasts."""
    task = asyncio.create_task(doing, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def scrape(port: int) -> Samples:
    """Every sample at ``port``, histograms left out; nothing while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=ANSWER_SECONDS_MAX) as answer:
            text = answer.read().decode()
    except (URLError, HTTPException, TimeoutError, ConnectionError):
        return {}
    return {
        (sample.name, " ".join(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        if family.type != "histogram"
        for sample in family.samples
    }


def _sum(samples: Samples, name: str, ending: str = "") -> float:
    return sum(value for (metric, labels), value in samples.items() if metric == name and labels.endswith(ending))


def _version(samples: Samples) -> int:
    return max((int(labels.rpartition(" ")[2]) for name, labels in samples if name == "tocsin_model_info"), default=0)
