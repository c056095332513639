"""The stream on its way: stretch by stretch through ingest, and what a careless processor sends past it."""

from __future__ import annotations

from collections import Counter
from itertools import chain

from services import kafka
from services.contract.label import Label
from services.contract.partitioner import partition_of
from services.demo.plan import PACED_PER_SECOND, Stretch
from services.demo.stream import Record, Stream
from services.ingest.pacing import Pace
from services.ingest.replay import send_payments
from services.ingest.report import Progress
from services.runtime.settings import Settings

SOURCE = "demo"


class Sender:
    """Takes a stream apart into stretches, and sends each. Every second malformed record goes straight into
    ``payments.v1``, as from a processor's own producer; ingest puts the others aside itself."""

    def __init__(self, stream: Stream, settings: Settings) -> None:
        self._events = stream.events()
        self._settings = settings
        self.sent: Counter[str] = Counter()
        """What has been handed over so far, by kind of record; labels are of the kind ``label``."""

    def prepare(self, stretch: Stretch) -> list[Record | Label]:
        """Make the events of the next stretch: its payments, and what arrives among them."""
        events, payments = [], 0
        for event in self._events:
            if isinstance(event, Record) and event.kind == "payment":
                if payments == stretch.payments:
                    self._events = chain([event], self._events)
                    break
                payments += 1
            events.append(event)
        return events

    async def send(self, events: list[Record | Label], paced: bool, progress: Progress) -> None:
        """Send a stretch; returns when the broker has acknowledged all of it. Raises as ``send_payments``."""
        straight: list[Record] = []
        through: list[Label | bytes] = []
        for event in events:
            if isinstance(event, Label):
                self.sent["label"] += 1
                through.append(event)
                continue
            self.sent[event.kind] += 1
            if event.kind == "malformed" and self.sent["malformed"] % 2 == 0:
                straight.append(event)
            else:
                through.append(event.value)
        await self._send_straight(straight)
        pace = Pace(_speed(events)) if paced else None
        await send_payments(through, self._settings, name=SOURCE, pace=pace, progress=progress)

    async def _send_straight(self, records: list[Record]) -> None:
        topic, partitions = self._settings.topics.payments.name, self._settings.partitions
        if not records:
            return
        async with kafka.opened(kafka.producer(self._settings)) as producer:
            for record in records:
                partition = partition_of(record.key, partitions)
                await producer.send(topic, value=record.value, key=record.key, partition=partition)


def _speed(events: list[Record | Label]) -> float:
    """Event seconds a second, such that ``events`` go out at ``PACED_PER_SECOND`` on average."""
    times = [event.event_time_ms for event in events if isinstance(event, Record) and event.kind == "payment"]
    span_ms = max(times) - times[0] if times else 0
    return max(1.0, span_ms / 1_000 / (len(times) / PACED_PER_SECOND)) if times else 1.0
