"""Rows to ``payments.v1``: checked, keyed by payer, in order, paced, and every one of them accounted for.

``replay_rows`` is the machinery. ``send_payments`` feeds it from any Python iterable; ``services.ingest.files`` from
a file.

Payment ids come from the source, so sending a source twice gives the same keys, values and headers, and the scorer
drops what it has seen: a replay that was interrupted is resumed by running it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from heapq import heappop, heappush

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services import kafka
from services.contract.codec import Rejection, encode
from services.contract.dead_letter import dead_letter
from services.contract.errors import TocsinError
from services.contract.events import Headers, cloud_event
from services.contract.label import Label
from services.contract.partitioner import partition_of
from services.contract.payment import Payment
from services.contract.topics import Topic
from services.ingest.batches import BatchSender, Outlet, SendError, explain
from services.ingest.pacing import Pace
from services.ingest.readers import SourceError
from services.ingest.report import Progress, Report, no_progress
from services.ingest.rows import Bad, MappedRow, Ready, ready_of_bytes, share_of
from services.runtime.settings import Settings

CHUNK_ROWS = 500
"""Rows between two looks at the event loop: about 10 ms of work."""

LABELS_HELD_MAX = 1_000_000
"""Labels that wait for their event time. Beyond that the earliest goes out early, and is counted."""

SLEEP_MS_MAX = 500.0
STOP_SECONDS_MAX = 10.0


class ReplayError(TocsinError, RuntimeError):
    """A replay ended before its source did. ``report`` says how far it came."""

    may_quote = True

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


class KafkaFailedError(ReplayError):
    """Kafka could not be reached, or did not take a record."""


class SourceFailedError(ReplayError):
    """The source could not be read to its end. What had been read before was sent."""


class Clock:
    """What pacing waits by: the machine's."""

    def now_ms(self) -> float:
        """Milliseconds since some moment; never goes back."""
        return time.monotonic() * 1_000

    async def sleep(self, wait_ms: float) -> None:
        """Wait, while the event loop goes on."""
        await asyncio.sleep(wait_ms / 1_000)


async def send_payments(
    payments: Iterable[Payment | Label | bytes],
    settings: Settings,
    *,
    name: str = "python",
    pace: Pace | None = None,
    progress: Progress = no_progress,
) -> Report:
    """Send payments made in Python with the machinery of a replay: checked, dead-lettered if bad, in order.

    Parameters
    ----------
    payments
        ``Payment`` or its JSON bytes (sent as they are). A ``Label`` among them is published when event time, which
        is that of the payments, has reached its ``label_time_ms``; what is left goes out after the last payment.
        They are the lines of their source, from 1.
    settings, pace, progress
        As for ``replay_rows``, which also says what is returned and raised.
    name
        Of the source, in the origin of dead letters (``stream:<name>``).
    """
    rows = (_as_row(line, each) for line, each in enumerate(payments, 1))
    return await replay_rows(rows, settings, source=f"stream:{name}", pace=pace, progress=progress)


async def replay_rows(
    rows: Iterable[MappedRow],
    settings: Settings,
    *,
    source: str,
    pace: Pace | None = None,
    progress: Progress = no_progress,
    labels: bool = True,
    clock: Clock | None = None,
) -> Report:
    """Send rows: payments to ``payments.v1``, bad ones to ``payments.dlq.v1``, labels (when due) to ``labels.v1``.

    Parameters
    ----------
    rows
        See ``services.ingest.rows``; taken in bounded chunks. ``share()``, where it has one, feeds the progress.
    settings
        Which Kafka, and which topics. They must exist.
    source
        Origin topic of dead letters, such as ``file:payments.csv``; their offset is the row's line.
    pace
        As fast as possible, unless given.
    progress
        Called with the growing report after every chunk.
    labels
        Whether labels are sent; ``labels.v1`` need not exist when not.
    clock
        What ``pace`` waits by.

    Returns
    -------
    Report
        All of it acknowledged by the broker.

    Raises
    ------
    KafkaFailedError
        When Kafka cannot be reached or does not take a record; ``.report`` counts what was acknowledged.
    SourceFailedError
        When ``rows`` raises ``SourceError``; everything before it has been sent.
    """
    report = Report(source)
    clock = clock or Clock()
    started_ms = clock.now_ms()
    broken: SourceError | None = None
    try:
        async with _started(settings) as producer:
            run = _Replay(BatchSender(producer), report, pace or Pace(), clock, progress)
            await run.open(settings, labels)
            try:
                await run.send_all(rows, started_ms)
            except SourceError as error:
                broken = error
            await run.finish()
    except (SendError, KafkaError) as error:
        message = str(error) if isinstance(error, SendError) else explain(error)
        raise KafkaFailedError(message, report) from error
    finally:
        report.seconds = (clock.now_ms() - started_ms) / 1_000
    progress(report)
    if broken is not None:
        raise SourceFailedError(str(broken), report) from broken
    return report


class _Replay:
    """One run: where rows go, and what event time has reached."""

    def __init__(self, sender: BatchSender, report: Report, pace: Pace, clock: Clock, progress: Progress) -> None:
        self._sender, self._report, self._pace, self._clock, self._progress = sender, report, pace, clock, progress
        self._held: list[tuple[int, int, Label]] = []
        self._labels: Outlet | None = None

    async def open(self, settings: Settings, labels: bool) -> None:
        topics, report, outlet = settings.topics, self._report, self._sender.outlet
        await _require(settings, topics.payments, topics.dead_letters, *([topics.labels] if labels else []))

        def payments_sent(count: int) -> None:
            report.payments_sent += count

        def labels_sent(count: int) -> None:
            report.labels_sent += count

        def dead_letters_sent(count: int) -> None:
            report.dead_letters_sent += count

        self._payments = await outlet(topics.payments.name, payments_sent)
        self._dead_letters = await outlet(topics.dead_letters.name, dead_letters_sent)
        if labels:
            self._labels = await outlet(topics.labels.name, labels_sent)

    async def send_all(self, rows: Iterable[MappedRow], started_ms: float) -> None:
        """Send chunk by chunk, so that batches leave and acknowledgements arrive in between."""
        paced = self._pace.speed is not None
        for count, row in enumerate(rows, 1):
            if paced:
                await self._wait(row)
            self._take(row)
            if count % CHUNK_ROWS == 0:
                await self._submit(rows, started_ms)
                await asyncio.sleep(0)
        await self._submit(rows, started_ms)

    async def _submit(self, rows: Iterable[MappedRow], started_ms: float) -> None:
        await self._sender.submit()
        self._report.seconds = (self._clock.now_ms() - started_ms) / 1_000
        self._report.share = share_of(rows)
        self._progress(self._report)

    async def finish(self) -> None:
        """Send the labels that are left, each in its time, and wait for the broker."""
        while self._held:
            label_time_ms = self._held[0][0]
            await self._wait_until(label_time_ms)
            for _ in range(CHUNK_ROWS):
                if not self._held or (self._pace.speed is not None and self._held[0][0] > label_time_ms):
                    break
                self._send_label(heappop(self._held)[2])
            await self._sender.submit()
        await self._sender.drain()

    def _take(self, row: MappedRow) -> None:
        if isinstance(row, Label):
            self._hold(row)
            return
        self._report.count(row)
        if isinstance(row, Ready):
            self._send_payment(row)
        elif isinstance(row, Bad):
            self._send_dead_letter(row)

    def _send_payment(self, row: Ready) -> None:
        _, account, value, payment_id, event_time_ms, label = row
        report, outlet = self._report, self._payments
        if report.last_event_time_ms is None or event_time_ms > report.last_event_time_ms:
            report.last_event_time_ms = event_time_ms
            while self._held and self._held[0][0] <= event_time_ms:
                self._send_label(heappop(self._held)[2])
        self._send(outlet, account, value, cloud_event("payment.v1", payment_id))
        if label is not None:
            self._hold(label)

    def _hold(self, label: Label) -> None:
        if self._labels is None:
            return
        self._report.labels_ready += 1
        heappush(self._held, (label.label_time_ms, self._report.labels_ready, label))
        if len(self._held) > LABELS_HELD_MAX:
            self._report.labels_early += 1
            self._send_label(heappop(self._held)[2])

    def _send_label(self, label: Label) -> None:
        assert self._labels is not None
        self._send(self._labels, label.payment_id, encode(label), cloud_event("label.v1", label.label_id))

    def _send(self, outlet: Outlet, name: str, value: bytes, headers: Headers) -> None:
        """Send to the partition of ``name``, which is the key."""
        key = name.encode()
        self._sender.append(outlet, partition_of(key, outlet.partitions), key, value, headers)

    def _send_dead_letter(self, row: Bad) -> None:
        letter = dead_letter(row.rejection, (self._report.source, 0, row.line), None, row.original)
        partition = row.line % self._dead_letters.partitions
        self._sender.append(self._dead_letters, partition, None, letter.value or b"", letter.headers)

    async def _wait(self, row: MappedRow) -> None:
        """Labels that fall due before this payment go out in their own time."""
        if not isinstance(row, Ready):
            return
        while self._held and self._held[0][0] <= row.event_time_ms:
            await self._wait_until(self._held[0][0])
            self._send_label(heappop(self._held)[2])
        await self._wait_until(row.event_time_ms)

    async def _wait_until(self, event_time_ms: int) -> None:
        """Wait until an event is due, having sent everything before it. Failures are noticed while waiting."""
        flushed = False
        while (wait_ms := self._pace.wait_ms(event_time_ms, self._clock.now_ms())) > 0:
            await (self._sender.submit() if flushed else self._sender.flush())
            flushed = True
            self._progress(self._report)
            await self._clock.sleep(min(wait_ms, SLEEP_MS_MAX))


def _as_row(line: int, payment: Payment | Label | bytes) -> MappedRow:
    if isinstance(payment, Label):
        return payment
    value = payment if isinstance(payment, bytes) else encode(payment)
    ready = ready_of_bytes(line, value)  # a payment made in Python, too: its constructor checks nothing
    return Bad(line, ready, value) if isinstance(ready, Rejection) else ready


@asynccontextmanager
async def _started(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that runs and knows that the cluster is there; stopped at the end, whatever happened."""
    producer = kafka.producer(settings)
    try:
        await producer.start()
        yield producer
    finally:
        stopping = asyncio.ensure_future(producer.stop())
        stopped, _ = await asyncio.wait({stopping}, timeout=STOP_SECONDS_MAX)
        if stopped:
            await stopping
        else:  # the broker is gone, and what it did not acknowledge is not counted as sent
            stopping.cancel()


async def _require(settings: Settings, *topics: Topic) -> None:
    """Refuse to start without a topic: a broker that creates it on demand would configure it wrongly."""
    async with kafka.opened(kafka.admin(settings)) as admin:
        known = set(await admin.list_topics())
    missing = [topic.name for topic in topics if topic.name not in known]
    if missing:
        raise SendError(f"no topic {', '.join(missing)} at {settings.bootstrap}: tocsin topics create makes them")
