"""Reading topics back: for ``recompute`` and for operators' commands."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from aiokafka import ConsumerRecord
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from services import kafka
from services.contract.errors import TocsinError
from services.runtime.progress import Progress
from services.runtime.settings import Settings

BATCH = 5_000
THERE_MS = 1_000
"""To wait for a record that may be there."""


class NotInLogs(TocsinError, RuntimeError):
    """The logs do not hold what is asked for. The message says what."""


async def read_log(
    settings: Settings,
    topic: str,
    partition: int,
    doing: str,
    whole: bool = False,
    tail: int | None = None,
    since_ms: int = 0,
) -> AsyncGenerator[ConsumerRecord, None]:
    """The committed records of a partition, oldest first, up to its present end.

    Parameters
    ----------
    doing
        What people are told this is for, while it lasts.
    whole
        Whether the beginning of the log must still be there.
    tail
        Read the last so many offsets only; none: all.
    since_ms
        Begin with the first record that has this timestamp or a later one.

    Raises
    ------
    NotInLogs
        When ``whole`` and the beginning is deleted.
    """
    source = TopicPartition(topic, partition)
    async with kafka.opened(kafka.consumer(settings, max_partition_fetch_bytes=8 * 1024 * 1024)) as reader:
        reader.assign([source])
        begin, end = (await reader.beginning_offsets([source]))[source], (await reader.end_offsets([source]))[source]
        if whole and begin > 0:
            raise NotInLogs(f"{topic}[{partition}]: the log begins at {begin}; what came before is deleted")
        if tail is not None:
            begin = max(begin, end - tail)
        if since_ms > 0:
            found_at = (await reader.offsets_for_times({source: since_ms}))[source]
            begin = max(begin, end if found_at is None else found_at.offset)
        reader.seek(source, begin)
        with Progress(f"{doing} [{partition}]", end - begin) as progress:
            while await reader.position(source) < end:
                found = await reader.getmany(source, timeout_ms=200, max_records=BATCH)
                for record in found.get(source, ()):
                    yield record
                progress.at(await reader.position(source) - begin)


async def is_there(settings: Settings, source: TopicPartition, offset: int) -> bool:
    """Whether the record at ``offset`` can be read.

    Raises
    ------
    KafkaError
        When no broker answers.
    """
    async with kafka.opened(kafka.consumer(settings, auto_offset_reset="none")) as reader:
        reader.assign([source])
        reader.seek(source, offset)
        try:
            found = await reader.getmany(source, timeout_ms=THERE_MS, max_records=1)
        except OffsetOutOfRangeError:
            return False
        return any(record.offset == offset for record in found.get(source, ()))


async def read_batches(
    settings: Settings, topic: str, partition: int, doing: str, last: int | None = None
) -> AsyncIterator[list[ConsumerRecord]]:
    """A partition's log from its beginning, up to and including offset ``last``, in batches."""
    batch: list[ConsumerRecord] = []
    async for record in read_log(settings, topic, partition, doing, whole=True):
        if last is not None and record.offset > last:
            break
        batch.append(record)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
