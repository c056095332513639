"""Reading a changelog back: the state of a partition as its last committed transaction left it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiokafka.structs import TopicPartition

from services import kafka
from services.scorer.shell.delivery import ChangelogEntry
from services.settings import Settings

_BATCH = 5_000


async def restore_state(
    apply: Callable[[Iterable[ChangelogEntry]], None],
    settings: Settings,
    topic: str,
    partition: int,
    stopped: Callable[[], bool],
) -> int:
    """Give the entries of ``topic``, oldest first, to ``apply``; returns the number of entries read.

    Ends early once ``stopped()``. Call it only once the previous owner is fenced: then the end of the
    log can no longer move.
    """
    source = TopicPartition(topic, partition)
    reader = kafka.consumer(settings, fetch_max_wait_ms=100, max_partition_fetch_bytes=8 * 1024 * 1024)
    await reader.start()
    read = 0
    try:
        reader.assign([source])
        await reader.seek_to_beginning(source)
        end = (await reader.end_offsets([source]))[source]
        while not stopped():
            reached = await reader.position(source) >= end
            if reached and settings.delivery == "exactly_once":
                break
            records = await reader.getmany(source, timeout_ms=200, max_records=_BATCH)
            if reached and not records:  # the memory broker tells of an end that lies within the last batch
                break
            for batch in records.values():
                apply((record.key, record.value) for record in batch)
                read += len(batch)
    finally:
        await reader.stop()
    return read
