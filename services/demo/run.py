"""The demo from end to end: broker, topics, workers, the stream with its labels, and what the topics hold then."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal, Protocol

from aiokafka.errors import KafkaError

from services import kafka
from services.broker import open_broker
from services.broker.probe import free_ports
from services.contract.errors import TocsinError
from services.contract.label import Label
from services.demo.plan import Stretch, snapshot_examples, stretches
from services.demo.readback import count, gather_evidence, measured_latencies
from services.demo.sending import Sender
from services.demo.stream import Record, Stream
from services.demo.summary import Conditions, Summary, summarise
from services.demo.watch import Seen, Watch
from services.demo.workers import Workers
from services.ingest.report import Report
from services.kafka.topics import create_topics
from services.runtime.settings import Settings, load_settings

BOOT_SECONDS_MAX, STALL_SECONDS_MAX, LEARN_SECONDS_MAX, LATENCY_SECONDS_MAX = 90.0, 45.0, 20.0, 5.0


class DemoError(TocsinError, RuntimeError):
    """The demo could not go on. The message says at what."""

    may_quote = True


@dataclass(frozen=True, slots=True)
class Options:
    """What the command's options say."""

    payments: int
    seed: int
    keep: bool = False
    bootstrap: str | None = None
    broker: Literal["auto", "kafka", "memory"] = "auto"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a demo runs: what to look at while it does."""

    settings: Settings
    broker: str
    folder: Path
    ports: dict[str, int]


class View(Protocol):
    """Who is told how it goes."""

    def phase(self, text: str) -> None:
        """Something begins."""

    def line(self, text: str) -> None:
        """Something that people should know whatever else is shown."""

    def sent(self, payments: int, labels: int) -> None:
        """So much of the stream has been handed over."""

    def seen(self, seen: Seen) -> None:
        """The workers' latest counts."""


def run_demo(options: Options, view: View, finished: Callable[[Summary, Place], None]) -> Summary:
    """Run it, and leave nothing behind: no process, no temporary folder, no topic on a cluster that is not ours.

    ``finished`` is called with the summary while broker and workers still run; with ``options.keep`` they go on until
    the process is interrupted.

    Raises
    ------
    DemoError, BrokerError, WorkerEndedError, SettingsError, TopicsError, KafkaFailedError
        What made it impossible.
    KeyboardInterrupt
        On Ctrl-C and SIGTERM, after everything has been stopped.
    """
    started = time.monotonic()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it retries is no news; what fails is raised
    with ExitStack() as stack:
        stack.enter_context(_terminated_as_interrupted())
        place, workers = _open(options, view, stack)
        try:
            return asyncio.run(_Run(options, place, workers, view, finished, started).run())
        finally:
            view.phase("stopping")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM counts as Ctrl-C, which works even where a shell has it ignored. Afterwards both are as before."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    before = {
        number: signal.signal(number, handler)
        for number, handler in ((signal.SIGTERM, interrupt), (signal.SIGINT, signal.default_int_handler))
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open(options: Options, view: View, stack: ExitStack) -> tuple[Place, Workers]:
    """Folder, broker and the context of the workers; ``stack`` closes them in the opposite order."""
    folder = _folder(options, stack)
    chosen: dict[str, object] = {"registry": folder / "registry", "state_dir": folder / "state", "pinned_model": ""}
    chosen |= {"snapshot_examples": snapshot_examples(options.payments), "metrics_port": 0}
    # So few payments: every label teaches, and labels alone.
    chosen |= {"keep_share": 1.0, "learn_share": 1.0, "label_maturity_days": 0}
    chosen |= {"event_behind_days": 0}  # its payments are those of a year that is over
    chosen |= {"challengers": ""}  # learning them takes as much CPU again as all the rest of the learner
    if options.bootstrap is None:
        view.phase("starting the broker")
        broker = open_broker(options.broker)
        if broker.fallback_reason:
            view.line(f"no Kafka here, so a broker in memory, at least once: {broker.fallback_reason}")
        stack.enter_context(broker)
        kind, delivery = broker.kind, broker.delivery
        chosen |= {"bootstrap": broker.bootstrap, "delivery": delivery, "security_protocol": "PLAINTEXT"}
        chosen |= {"topic_prefix": "", "replication_factor": 1, "partitions": min(4, os.cpu_count() or 1)}
        if delivery == "at_least_once":
            chosen["session_timeout_ms"] = 3_000
        settings = load_settings(**chosen)
    else:
        prefix = f"demo.{uuid.uuid4().hex[:8]}."
        settings, kind = load_settings(**chosen, bootstrap=options.bootstrap, topic_prefix=prefix), "existing cluster"
        stack.callback(_remove_topics, settings, view)
    scorer, learner = free_ports(2)
    workers = stack.enter_context(Workers(folder, scratch=not options.keep))
    return Place(settings, kind, folder, {"scorer": scorer, "learner": learner}), workers


def _folder(options: Options, stack: ExitStack) -> Path:
    if options.keep:
        Path("var/demo").mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="run-", dir="var/demo")).absolute()
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-demo-", ignore_cleanup_errors=True)))


def _remove_topics(settings: Settings, view: View) -> None:
    """Remove what the demo made on a cluster that goes on without it; say so if that cannot be done."""

    async def remove() -> None:
        async with kafka.opened(kafka.admin(settings)) as admin:
            ours = [name for name in await admin.list_topics() if name.startswith(settings.topic_prefix)]
            await admin.delete_topics(ours)

    try:
        asyncio.run(remove())
    except KafkaError as error:
        view.line(f"topics {settings.topic_prefix}* may be left at {settings.bootstrap}: {type(error).__name__}")


class _Run:
    """What happens while the broker runs."""

    def __init__(
        self,
        options: Options,
        place: Place,
        workers: Workers,
        view: View,
        finished: Callable[[Summary, Place], None],
        started: float,
    ) -> None:
        self._options, self._place, self._settings, self._view = options, place, place.settings, view
        self._workers, self._finished, self._started = workers, finished, started
        self._stream = Stream(options.seed, options.payments)
        self._sender = Sender(self._stream, place.settings)
        self._sent = self._sender.sent
        self._watch = Watch(workers, place.ports, view.seen)
        self._payments_per_second: float | None = None
        self._latencies_ms: list[float] = []
        self._evaluated_from: int | None = None

    async def run(self) -> Summary:
        """Topics, workers, stream, evidence; then wait, if the demo is to be kept."""
        self._view.phase("creating topics, starting scorer and learner")
        try:
            await create_topics(self._settings)
        except KafkaError as error:
            raise DemoError(f"{self._settings.bootstrap}: {type(error).__name__}") from error
        for name, port in self._place.ports.items():
            self._workers.start(name, self._settings, port)
        async with self._watch.reading():
            await self._send_all()
            if self._sent["payment"] != self._options.payments:
                raise DemoError(f"{self._sent['payment']:,} of {self._options.payments:,} payments were sent")
            await self._settle_alerts()
            self._view.phase("reading the topics back")
            summary = await self._summary()
            self._finished(summary, self._place)
            while self._options.keep:
                await asyncio.sleep(0.5)
                self._workers.check()
            return summary

    async def _send_all(self) -> None:
        planned = stretches(self._options.payments)
        for number, stretch in enumerate(planned):
            self._view.phase(_describe(stretch, number, planned))
            events = await asyncio.to_thread(self._sender.prepare, stretch)
            if stretch.kind == "paced":
                await self._send_paced(events)
            else:
                began = time.monotonic()
                await self._send(events, BOOT_SECONDS_MAX if stretch.kind == "lead" else STALL_SECONDS_MAX)
                if stretch.kind == "bulk":
                    self._payments_per_second = stretch.payments / (time.monotonic() - began)
            if number < len(planned) - 1:
                await self._learn()

    async def _send(self, events: list[Record | Label], stall_seconds: float, paced: bool = False) -> None:
        """Send a stretch, and wait for its decisions. Whether any is missing, the topics will tell."""
        before = self._sent["payment"], self._sent["label"]

        def progress(report: Report) -> None:
            self._view.sent(before[0] + report.payments_ready, before[1] + report.labels_sent)

        await self._sender.send(events, paced, progress)
        sent = self._sent["payment"]
        self._view.sent(sent, self._sent["label"])
        await self._watch.until(lambda seen: seen.decided >= sent, lambda seen: seen.decided, stall_seconds)

    async def _send_paced(self, events: list[Record | Label]) -> None:
        """Send a stretch at its own rhythm, and measure how long decisions take."""
        expected = sum(isinstance(event, Record) and event.kind == "payment" for event in events)
        async with measured_latencies(self._settings) as self._latencies_ms:
            await self._send(events, STALL_SECONDS_MAX, paced=True)
            for _ in range(round(LATENCY_SECONDS_MAX / 0.1)):
                if len(self._latencies_ms) < expected:
                    await asyncio.sleep(0.1)

    async def _learn(self) -> None:
        """Wait until every label sent so far has been learned, and the scorer uses the latest model of them."""
        labels, watch = self._sent["label"], self._watch
        if not await watch.until(lambda seen: seen.examples >= labels, lambda seen: seen.examples, LEARN_SECONDS_MAX):
            self._view.phase("going on: the learner did not take all labels in time")
        await watch.until(lambda seen: seen.model >= seen.newest_model, lambda seen: seen.model, LEARN_SECONDS_MAX)
        if self._evaluated_from is None and watch.seen.model > 0:
            self._evaluated_from = self._sent["payment"]

    async def _settle_alerts(self) -> None:
        """Wait until the alerter has taken every review: each makes one alert event."""
        reviews = await count(self._settings, self._settings.topics.reviews)
        await self._watch.until(
            lambda seen: seen.alert_events >= reviews, lambda seen: seen.alert_events, LEARN_SECONDS_MAX
        )

    async def _summary(self) -> Summary:
        conditions = Conditions(
            seed=self._options.seed,
            broker=self._place.broker,
            delivery=self._settings.delivery,
            payments_sent=self._sent["payment"],
            labels_sent=self._sent["label"],
            labels_to_come=self._stream.labels_to_come,
            payments_per_second=self._payments_per_second,
            latencies_ms=self._latencies_ms,
            evaluated_from=self._evaluated_from,
            alert_budget_share=self._settings.alert_budget_share,
        )
        evidence = await gather_evidence(self._settings)
        seconds = time.monotonic() - self._started
        return summarise(conditions, evidence, self._stream.truth, self._stream.positions, seconds)


def _describe(stretch: Stretch, number: int, planned: list[Stretch]) -> str:
    before = sum(each.kind == "block" for each in planned[:number])
    return {
        "lead": "waiting for the workers' first decisions",
        "bulk": "as fast as possible",
        "block": f"learning as labels arrive, part {before + 1} of {sum(each.kind == 'block' for each in planned)}",
        "paced": "at a steady rate, to measure latency",
    }[stretch.kind]
