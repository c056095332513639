"""What a fetch brought, batch by batch, as columns: checks, transactions and positions as aiokafka has them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from services.kafka.compression import decompressed
from services.wire.columns import Columns, joined
from services.wire.headers import NO_HEADERS, HeaderColumn
from services.wire.reading import RecordsCorrupt, read_records
from services.wire.texts import Texts
from services.wire.varints import frozen

LENGTH_FROM = 12
"""A batch's length counts the bytes behind its first two fields, whatever its magic."""
CRC_FROM = 21
"""The checksum covers all that is behind it."""
HEADER = struct.Struct(">qiibIhiqqqhii")
CODEC_BITS, APPEND_TIME_BIT, TRANSACTION_BIT, CONTROL_BIT = 0x07, 0x08, 0x10, 0x20
MAGIC = 2
_MAGIC_AT = 16
_CONTROL_KEY_BYTES = 4


class BatchHeader(NamedTuple):
    """The 61 bytes before a batch's records, in their order."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def next_offset(self) -> int:
        """The offset behind the batch, also where compaction took its last records."""
        return self.base_offset + self.last_offset_delta + 1


class Fetched(NamedTuple):
    """What was asked of the broker, and what came."""

    source: object
    data: memoryview
    aborted: Sequence[tuple[int, int]]
    """Producer and first offset of the aborted transactions in it."""
    position: int
    check_crcs: bool
    read_committed: bool


class Batches(Iterator[Columns | None]):
    """Records of at most ``rows_max`` at a time; ``None`` after each time behind which there is more.

    It stands where aiokafka's ``PartitionRecords`` does. A consumer that asks for two items at a time thus learns with
    the first whether to fetch on, and does so while the first is worked on.

    Raises
    ------
    CorruptRecordException, UnsupportedCodecError
        At a batch that cannot be read, once all before it was given. A consumer then fetches it again.
    """

    def __init__(self, fetched: Fetched, rows_max: int) -> None:
        self.next_fetch_offset = fetched.position
        """Behind what was given: where a consumer goes on."""
        self._fetched, self._rows_max = fetched, rows_max
        self._aborted = sorted(fetched.aborted, key=lambda each: each[1])
        self._aborting: set[int] = set()
        """Producers in the middle of a transaction that was aborted."""
        self._behind = fetched.position
        """Behind what was read, which is ahead of what was given."""
        self._items = self._given()

    def __next__(self) -> Columns | None:
        return next(self._items)

    def _given(self) -> Iterator[Columns | None]:
        turns = self._turns()
        turn = next(turns, None)
        while turn is not None:
            columns, self.next_fetch_offset = turn
            yield columns
            try:
                turn = next(turns, None)
            except KafkaError:
                yield None
                raise
            if turn is not None:
                yield None
        self.next_fetch_offset = self._behind

    def _turns(self) -> Iterator[tuple[Columns, int]]:
        """Records of whole and parts of batches, as many as make a turn, and the offset behind them."""
        waiting: list[Columns] = []
        rows = 0
        try:
            for batch in self._batches():
                part = batch
                while rows + len(part.offsets) >= self._rows_max:
                    cut = self._rows_max - rows
                    head, part = part.rows(0, cut), part.rows(cut)
                    behind = int(head.offsets[-1]) + 1 if len(part.offsets) else self._behind
                    yield joined([*waiting, head]), behind
                    waiting, rows = [], 0
                if len(part.offsets):
                    waiting.append(part)
                    rows += len(part.offsets)
        except KafkaError:
            if waiting:
                yield joined(waiting), self._behind
            raise
        if waiting:
            yield joined(waiting), self._behind

    def _batches(self) -> Iterator[Columns]:
        """The records of each batch from the position on, without aborted and control batches."""
        data, at = self._fetched.data, 0
        while len(data) - at >= LENGTH_FROM:
            end = at + LENGTH_FROM + int.from_bytes(data[at + 8 : at + LENGTH_FROM], "big", signed=True)
            if end > len(data):  # the broker cut it off; it is fetched whole the next time
                return
            if end <= at + _MAGIC_AT:
                raise CorruptRecordException(f"Batch without a magic - {self._fetched.source}")
            batch, at = data[at:end], end
            yield from self._old(batch) if batch[_MAGIC_AT] < MAGIC else self._read(batch)

    def _read(self, batch: memoryview) -> list[Columns]:
        """The records of a batch, if it is not left out; moves ``_behind``."""
        if len(batch) < HEADER.size:
            raise CorruptRecordException(f"Batch without records - {self._fetched.source}")
        header = BatchHeader(*HEADER.unpack_from(batch))
        if self._fetched.check_crcs and calc_crc32c(batch[CRC_FROM:]) != header.crc:
            raise CorruptRecordException(f"Invalid CRC - {self._fetched.source}")
        records = [] if self._is_left_out(header, batch) else [self._columns(header, batch, self._behind)]
        last = max((int(each.offsets[-1]) for each in records if len(each.offsets)), default=-1)
        self._behind = max(self._behind, header.next_offset, last + 1)
        return records

    def _is_left_out(self, header: BatchHeader, batch: memoryview) -> bool:
        is_control = bool(header.attributes & CONTROL_BIT)
        if not self._fetched.read_committed:
            return is_control
        while self._aborted and self._aborted[0][1] <= header.base_offset:
            self._aborting.add(self._aborted.pop(0)[0])
        if is_control and self._ends_an_aborted(header, batch):
            self._aborting.discard(header.producer_id)
        return is_control or bool(header.attributes & TRANSACTION_BIT and header.producer_id in self._aborting)

    def _ends_an_aborted(self, header: BatchHeader, batch: memoryview) -> bool:
        records = self._columns(header, batch, header.base_offset)
        start, length = records.keys[0].tolist() if len(records.keys) else (0, 0)
        if length < _CONTROL_KEY_BYTES:
            raise CorruptRecordException(f"Control batch that says nothing - {self._fetched.source}")
        return bool(ControlRecord.parse(records.data[start : start + length].tobytes()) == ABORT_MARKER)

    def _columns(self, header: BatchHeader, batch: memoryview, position: int) -> Columns:
        data = decompressed(batch[HEADER.size :], header.attributes & CODEC_BITS)
        try:
            records = read_records(data, header.record_count, header.base_offset, header.base_timestamp, position)
        except RecordsCorrupt as error:
            raise CorruptRecordException(f"{error} - {self._fetched.source}") from error
        if header.attributes & APPEND_TIME_BIT:
            records.timestamps[:] = header.max_timestamp
        return records

    def _old(self, batch: memoryview) -> list[Columns]:
        """As ``_read``, of a batch from before Kafka 0.11, whose records aiokafka reads one by one."""
        found: Any = MemoryRecords(bytes(batch)).next_batch()
        if self._fetched.check_crcs and not found.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {self._fetched.source}")
        records = [record for record in found if record.offset >= self._behind]
        self._behind = max(self._behind, found.next_offset)
        return [_columns_of(records)]


def _columns_of(records: Sequence[Any]) -> Columns:
    keys, values = Texts.of([each.key for each in records]), Texts.of([each.value for each in records])
    data = frozen(np.concatenate([keys.data, values.data, frozen(NO_HEADERS)]))
    return Columns(
        data,
        np.array([each.offset for each in records], dtype=np.int64),
        np.array([-1 if each.timestamp is None else each.timestamp for each in records], dtype=np.int64),
        keys.spans,
        values.spans + np.array([len(keys.data), 0]),
        HeaderColumn(data, np.full((len(records), 2), [len(data) - 1, 1], dtype=np.int64)),
    )
