"""Reading a changelog back: the state of a partition as its last committed transaction left it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiokafka.structs import TopicPartition

from services import kafka
from services.runtime.health import Loop
from services.runtime.settings import Settings
from services.runtime.supervisor import within
from services.scorer.path.features.state import whole
from services.scorer.shell.delivery import ChangelogEntry
from services.scorer.shell.position import POSITION_KEY, Position, read_position

_BATCH = 5_000
_CLOSE_S = 5.0


async def restore_state(
    apply: Callable[[Iterable[ChangelogEntry]], None],
    settings: Settings,
    topic: str,
    partition: int,
    stopped: Callable[[], bool],
    loop: Loop,
) -> tuple[int, Position | None]:
    """Give the entries of ``topic``, oldest first, to ``apply``; returns how many were read, and the input's position,
    which is not given to ``apply``.

    Ends early once ``stopped()``; ``loop`` takes a step with every batch. Call it only once the previous owner is
    fenced: then the end of the log can no longer move. Without transactions the last checkpoint may be cut short, so
    the whole log is read before any of it is applied.
    """
    source = TopicPartition(topic, partition)
    reader = kafka.consumer(settings, fetch_max_wait_ms=100, max_partition_fetch_bytes=8 * 1024 * 1024)
    position: Position | None = None
    read = 0
    latest: dict[bytes, bytes | None] = {}
    try:
        await reader.start()
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
                entries = [(record.key, record.value) for record in batch if record.key not in (None, POSITION_KEY)]
                if settings.repeats_possible:
                    latest.update(entries)
                else:
                    apply(entries)
                for record in batch:
                    if record.key == POSITION_KEY:
                        position = read_position(record.value)
                read += len(batch)
                loop.step()
    finally:
        await within(_CLOSE_S, reader.stop(), "closing a reader")
    apply(whole(latest))
    return read, position
