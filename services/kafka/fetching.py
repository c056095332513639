"""Reading records as columns from a consumer of aiokafka, without an object for each.

aiokafka keeps what it fetched, by partition, until somebody asks for records, and only then takes it apart. Here what
takes it apart is replaced, for one consumer and no other, by ``Batches``. That rests on private parts of aiokafka 0.14;
where they are not as expected, records are read the public way.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import cache
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.structs import TopicPartition

from services.kafka.batches import Batches, Fetched
from services.kafka.records import Records
from services.wire.columns import Columns

logger = logging.getLogger(__name__)

_PARTS = {"_records", "_aborted_transactions", "_check_crcs", "_isolation_level", "next_fetch_offset"}
_ITEMS = 2
"""Records, and whether there is more: what ``Batches`` gives at a time."""


async def read_columns(
    consumer: AIOKafkaConsumer, source: TopicPartition, wait_ms: int, rows_max: int
) -> Columns | list[ConsumerRecord]:
    """The next records of ``source``, at most ``rows_max``; empty where none come within ``wait_ms``.

    Whoever reads a partition of ``consumer`` this way reads all of its partitions this way. Plain records are given
    where aiokafka is not as expected, which is logged once.

    Raises
    ------
    KafkaError
        As the consumer's ``getmany``.
    """
    if not is_as_expected():
        records = await consumer.getmany(source, timeout_ms=wait_ms, max_records=rows_max)
        return records.get(source, [])  # type: ignore[no-any-return]
    _replace(consumer, rows_max)
    items = (await consumer.getmany(source, timeout_ms=wait_ms, max_records=_ITEMS)).get(source)
    return items[0] if items else []


@cache
def is_as_expected() -> bool:
    """Whether aiokafka has the parts that are replaced here."""
    source = TopicPartition("", 0)
    records: Any = PartitionRecords(source, Records(b""), [], 0, None, None, True, READ_COMMITTED)
    result: Any = FetchResult(source, assignment=None, partition_records=records, backoff=0)
    expected = vars(records).keys() >= _PARTS and getattr(result, "_partition_records", None) is records
    if not expected or "_records" not in Fetcher.__init__.__code__.co_names:
        logger.warning("this aiokafka is not the one that records in columns were made for: reading is slower")
        return False
    return True


class _Mailbox(OrderedDict[TopicPartition, Any]):
    """What a fetcher keeps by partition: results, which are taken apart by ``Batches``, and errors."""

    def __init__(self, kept: OrderedDict[TopicPartition, Any], rows_max: int) -> None:
        self._rows_max = rows_max
        super().__init__(kept)

    def __setitem__(self, source: TopicPartition, kept: Any) -> None:
        if type(kept) is FetchResult:
            records: Any = kept._partition_records
            fetched = Fetched(
                source,
                records._records.data,
                records._aborted_transactions,
                records.next_fetch_offset,
                records._check_crcs,
                records._isolation_level == READ_COMMITTED,
            )
            kept._partition_records = Batches(fetched, self._rows_max)
        super().__setitem__(source, kept)


def _replace(consumer: AIOKafkaConsumer, rows_max: int) -> None:
    fetcher: Any = consumer._fetcher
    if not isinstance(fetcher._records, _Mailbox):
        fetcher._records = _Mailbox(fetcher._records, rows_max)
