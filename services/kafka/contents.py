"""What topics hold, as people ask for it: people's records as they are, machines' batches row by row."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import orjson
from aiokafka import ConsumerRecord

from services.contract.codec import RecordInvalid, Rejection
from services.contract.columns import Columns, Layout
from services.contract.dead_letter import read_dead_letter
from services.contract.errors import TocsinError
from services.contract.layouts import LAYOUTS, rows_of
from services.contract.topics import Topic
from services.kafka.reading import read_log
from services.runtime.settings import Settings


class NotReadable(TocsinError, ValueError):
    """No such topic or partition says anything that people could read. The message names those that do."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a topic: all, or what speaks of a payment, of a decision, or of both."""

    payment_id: str | None = None
    decision_id: UUID | None = None

    @property
    def names(self) -> Mapping[str, str]:
        """What a record must have, by field."""
        named = {"payment_id": self.payment_id, "decision_id": self.decision_id}
        return {field: str(value) for field, value in named.items() if value is not None}


class Said(NamedTuple):
    """A record that people can read, or a row of one, and where the record stands."""

    partition: int
    offset: int
    timestamp_ms: int
    key: str | None
    value: Any
    """As JSON has it; a ``Rejection`` of a batch that cannot be read."""


def readable_topic(settings: Settings, name: str) -> Topic:
    """The topic called ``name``, which may lack the deployment's prefix.

    Raises
    ------
    NotReadable
        When there is no such topic, or what it holds is neither JSON nor columns.
    """
    topics = settings.topics
    readable = {each.name: each for each in topics.all() if each.records or each.columns}
    readable[topics.dead_letters.name] = topics.dead_letters
    found = readable.get(name) or readable.get(settings.topic_prefix + name)
    if found is None:
        raise NotReadable(f"{name}: no topic of JSON or of columns; there are {', '.join(readable)}")
    return found


async def contents(
    settings: Settings, topic: Topic, asked: Asked, partition: int | None = None
) -> AsyncGenerator[Said, None]:
    """What the committed records of ``topic`` say of what is ``asked``, oldest first in each partition; of all
    partitions, where none is chosen.

    Raises
    ------
    NotReadable
        When there is no such partition.
    """
    layout, count = LAYOUTS.get(topic.columns), topic.partitions or settings.partitions
    if partition is not None and partition >= count:
        raise NotReadable(f"{topic.name}: no partition {partition}; there are {count}, from 0 on")
    for number in range(count) if partition is None else (partition,):
        async with aclosing(read_log(settings, topic.name, number, f"reading {topic.name}")) as log:
            async for record in log:
                for value in _values(record, topic, layout, asked, settings):
                    key = None if record.key is None else record.key.decode(errors="backslashreplace")
                    yield Said(record.partition, record.offset, record.timestamp, key, value)


def _values(
    record: ConsumerRecord, topic: Topic, layout: Layout | None, asked: Asked, settings: Settings
) -> Iterator[Any]:
    if layout is not None:
        yield from _rows(record.value, layout, asked)
        return
    value = _json(record.value)
    if not _speaks_of(value, asked.names):
        return
    yield value if topic != settings.topics.dead_letters else _dead_letter(record, value)


def _rows(value: bytes | None, layout: Layout, asked: Asked) -> Iterator[Any]:
    """The rows that are asked for. Texts and ids stand in a batch as they are, so one without them is left unread."""
    sought = [asked.payment_id and asked.payment_id.encode(), asked.decision_id and asked.decision_id.bytes]
    if not all(each in (value or b"") for each in sought if each):
        return
    batch = layout.read(value, "columns_invalid")
    yield from (batch,) if isinstance(batch, Rejection) else rows_of(layout, batch, _asked_for(batch, asked))


def _asked_for(batch: Columns, asked: Asked) -> list[int]:
    chosen = np.ones(batch.rows, dtype=np.bool_)
    if asked.payment_id is not None:
        chosen &= np.array([each == asked.payment_id for each in batch.texts("payment_id")], dtype=np.bool_)
    if asked.decision_id is not None:
        sought = np.frombuffer(asked.decision_id.bytes, dtype=np.uint8)
        chosen &= (batch.arrays["decision_id"] == sought).all(axis=1)
    rows: list[int] = np.flatnonzero(chosen).tolist()
    return rows


def _json(value: bytes | None) -> Any:
    """JSON as it is; of what is none, its text."""
    if value is None:
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value.decode(errors="backslashreplace")


def _speaks_of(value: Any, names: Mapping[str, str]) -> bool:
    """Whether a record, or one of the payments that an alert lists, has all of ``names``."""
    if not names:
        return True
    listed = value.get("payments") if isinstance(value, dict) else None
    places = [value, *(listed if isinstance(listed, list) else ())]
    return any(
        isinstance(place, dict) and all(place.get(field) == name for field, name in names.items()) for place in places
    )


def _dead_letter(record: ConsumerRecord, value: Any) -> dict[str, Any]:
    """Why a record was put aside, and the record."""
    try:
        why = msgspec.to_builtins(read_dead_letter(list(record.headers)))
    except RecordInvalid:  # nobody of ours wrote it
        why = {}
    return {**why, "value": value}
