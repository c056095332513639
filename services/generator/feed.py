"""A run as events for Kafka: payments in the order of publication, and each label when event time has reached it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from services.contract.label import Label
from services.generator.stream import Day, Stream
from services.generator.truth import LabelTruth


def events(stream: Stream, days: Iterable[Day]) -> Iterator[Label | bytes]:
    """The ``days`` of a ``stream``: payments (JSON bytes, damaged ones too) and the labels due within the horizon.

    ``services.ingest.replay.send_payments`` holds every label until the event time of the payments has reached it,
    and keys payments by payer; labels that nobody would have within the horizon are not among the events.
    """
    yield from _due(stream, stream.case_labels())
    for day in days:
        yield from _due(stream, day.labels)
        for chunk in stream.written(day.rows):
            yield from chunk.values


def _due(stream: Stream, labels: Iterable[LabelTruth]) -> Iterator[Label]:
    for each in labels:
        if each.label_time_ms < stream.configuration.end_ms:
            yield label_of(each)


def label_of(truth: LabelTruth) -> Label:
    """A label as it is published."""
    return Label(**msgspec.structs.asdict(truth))
