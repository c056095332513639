"""Record batches made whole, from columns, for aiokafka's producer to send as they are.

``AIOKafkaProducer.send_batch`` takes what its ``create_batch`` gave, record by record filled. It asks little of it:
how many records there are, whether more may come, and, once the producer knows its id and the sequence, the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from services.kafka.batches import CRC_FROM, HEADER, LENGTH_FROM, MAGIC, TRANSACTION_BIT, BatchHeader
from services.kafka.compression import NONE, NUMBERS, compressed
from services.wire.columns import Outgoing
from services.wire.framing import Framed, framed
from services.wire.headers import Header, header_column
from services.wire.reading import read_records
from services.wire.texts import Texts
from services.wire.varints import frozen

BATCH_BYTES_MAX = 1_000_000
"""Before compression: below the 1,048,588 that brokers and topics allow unless told otherwise, in any case."""
_NO_EPOCH = -1
_NO_PRODUCER = (-1, -1, -1)


def batches_of(records: Outgoing, producer: AIOKafkaProducer) -> list[BuiltBatch]:
    """``records`` in as few batches as have room for them, in order, as ``producer`` compresses and marks its own."""
    codec = NUMBERS[producer._compression_type or "none"]  # it has no public name, nor has the next
    manager = producer._txn_manager
    is_transactional = manager is not None and manager.transactional_id is not None
    return [BuiltBatch(each, codec, is_transactional) for each in framed(records, BATCH_BYTES_MAX)]


def outgoing_of(
    timestamps: Sequence[int],
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    headers: Sequence[Sequence[Header]],
) -> Outgoing:
    """Records of which each is an object, in columns: their timestamps (ms), keys, values and headers."""
    return Outgoing(np.array(timestamps, dtype=np.int64), Texts.of(keys), Texts.of(values), header_column(headers))


class BuiltBatch:
    """A whole batch, with the part of the interface of aiokafka's ``BatchBuilder`` that its accumulator uses."""

    def __init__(self, records: Framed, codec: int, is_transactional: bool) -> None:
        body = compressed(records.data, codec)
        if len(body) >= len(records.data):
            codec, body = NONE, records.data
        self._body, self._record_count = body, records.record_count
        self._timestamps = (records.first_timestamp, records.max_timestamp)
        self._attributes = codec | (TRANSACTION_BIT if is_transactional else 0)
        self._producer = _NO_PRODUCER
        self._built: bytearray | None = None

    def record_count(self) -> int:
        """How many records it holds."""
        return self._record_count

    def size(self) -> int:
        """Bytes on the wire."""
        return HEADER.size + len(self._body)

    def close(self) -> None:
        """Nothing can be added anyway."""

    def closed(self) -> bool:
        """True: nothing can be added, so there is nothing to wait for."""
        return True

    def append(self, **record: object) -> None:
        """``None``: there is no room for a record."""

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        if self._built is None:
            header = BatchHeader(
                0,
                self.size() - LENGTH_FROM,
                _NO_EPOCH,
                MAGIC,
                0,
                self._attributes,
                self._record_count - 1,
                *self._timestamps,
                *self._producer,
                self._record_count,
            )
            built = bytearray(HEADER.pack(*header))
            built += memoryview(self._body)
            crc = calc_crc32c(memoryview(built)[CRC_FROM:])
            built[CRC_FROM - 4 : CRC_FROM] = crc.to_bytes(4, "big")
            self._built = built
        return self._built


def warm_up() -> None:
    """Compile what builds and reads batches, or load it from numba's cache, so that no record waits for it."""
    rows = ([0, 1], [b"key", None], [b"value", b""], [[("id", b"1")], [("id", b"2")]])
    (records,) = framed(outgoing_of(*rows), BATCH_BYTES_MAX)
    columns = read_records(frozen(records.data), records.record_count, 0, 0, 0)
    columns.headers.having(("id", b"2"))
