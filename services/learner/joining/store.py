"""The learner's memory on disk: an ordered map on RocksDB, and how far it has read in each topic.

Changes and offsets are written in one batch, so the map is always what the records below its offsets made it. After
a crash of the process nothing is lost; after one of the machine the latest writes may be, together with their
offsets, and the learner reads them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rocksdict import BlockBasedOptions, Cache, Options, Rdict, ReadOptions, WriteBatch

from services.contract.errors import TocsinError

Position = tuple[str, int]
"""Topic and partition."""

_BLOCK_CACHE_BYTES = 64 * 1024 * 1024
_WRITE_BUFFER_BYTES = 32 * 1024 * 1024
_BLOOM_BITS = 10


class StoreError(TocsinError, RuntimeError):
    """The store cannot be opened. The message names its folder."""


class Store:
    """An ordered map of bytes with the offsets of what it was made from. One process at a time may open it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._rocks = Rdict(str(folder), _options())
        except Exception as error:  # rocksdict raises nothing more particular
            raise StoreError(f"{folder}: {error}") from error

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key``."""
        value: bytes | None = self._rocks.get(key)
        return value

    def scan(self, start: bytes, stop: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to ``limit`` entries with ``start <= key < stop``, ascending."""
        options = ReadOptions()
        options.set_iterate_upper_bound(stop)
        cursor = self._rocks.iter(options)
        cursor.seek(start)
        found: list[tuple[bytes, bytes]] = []
        while len(found) < limit and cursor.valid():
            found.append((cursor.key(), cursor.value()))
            cursor.next()
        return found

    def write(
        self,
        changes: Mapping[bytes, bytes | None],
        offsets: Mapping[Position, int] | None = None,
        topic_ids: Mapping[str, str] | None = None,
    ) -> None:
        """Make all changes and remember ``offsets`` (of the next record to read) and ``topic_ids``, or none of it."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        for position, offset in (offsets or {}).items():
            batch.put(_offset_key(position), offset.to_bytes(8, "big"))
        for topic, topic_id in (topic_ids or {}).items():
            batch.put(_topic_key(topic), topic_id.encode())
        self._rocks.write(batch)

    def offset(self, position: Position) -> int:
        """The next record of ``position`` that the store has not seen."""
        found = self.get(_offset_key(position))
        return int.from_bytes(found, "big") if found else 0

    def topic_id(self, topic: str) -> str:
        """The id of the topic that the store is of; empty where it is not known."""
        return (self.get(_topic_key(topic)) or b"").decode()

    def close(self) -> None:
        """Flush and let go of the folder."""
        self._rocks.close()


def _topic_key(topic: str) -> bytes:
    return b"i" + topic.encode()


def _offset_key(position: Position) -> bytes:
    topic, partition = position
    return b"o" + topic.encode() + b"/" + str(partition).encode()


def _options() -> Options:
    table = BlockBasedOptions()
    table.set_bloom_filter(_BLOOM_BITS, False)
    table.set_block_cache(Cache(_BLOCK_CACHE_BYTES))
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_keep_log_file_num(2)
    return options
