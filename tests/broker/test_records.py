"""A record whose header has a name that is no text is read, like those before and behind it."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

import services.kafka  # noqa: F401 - opening clients is what makes them read such records
from services.kafka.records import Records

NAME = "name-to-be-changed"
NO_TEXT = NAME.encode().replace(b"to-be", b"\xff\xfe-\xff\xfe")


def batch(first: int, codec: int, names: list[str]) -> bytearray:
    made = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 2**20)
    for at, name in enumerate(names):
        made.append(at, first + at, b"key", b"value", [("ce_id", b"1"), (name, b"\xff"), ("none", None)])
    built = bytearray(made.build())
    built[:8] = first.to_bytes(8, "big")
    return built


def read(data: bytes, records: Any, offset: int = 0) -> list[Any]:
    source = TopicPartition("t", 0)
    return list(PartitionRecords(source, records(data), [], offset, None, None, False, READ_UNCOMMITTED))


def fetched() -> bytes:
    """Two batches of three records; the second record of the first has a name that is no text."""
    first = bytes(batch(0, 0, ["a", NAME, "c"])).replace(NAME.encode(), NO_TEXT)
    return first + bytes(batch(3, 0, ["d", "e", "f"]))


def test_every_record_is_read_once_and_what_is_no_text_is_spelled() -> None:
    found = read(fetched(), Records)
    assert [each.offset for each in found] == [0, 1, 2, 3, 4, 5]
    names = [each.headers[1][0] for each in found]
    assert names == ["a", NAME.replace("to-be", r"\xff\xfe-\xff\xfe"), "c", "d", "e", "f"]
    assert {(each.key, each.value, each.headers[1][1], each.headers[2]) for each in found} == {
        (b"key", b"value", b"\xff", ("none", None))
    }


def test_it_is_read_from_the_middle_of_its_batch_too() -> None:
    assert [each.offset for each in read(fetched(), Records, offset=2)] == [2, 3, 4, 5]


@pytest.mark.parametrize("codec", [0, 1, 2])
def test_all_other_batches_are_read_as_aiokafka_reads_them(codec: int) -> None:
    data = bytes(batch(0, codec, ["a", "b", "\u20ac"]) + batch(3, codec, ["d"]))
    assert read(data, Records) == read(data, MemoryRecords)


def test_aiokafka_alone_cannot_read_it() -> None:
    """Or what is done here could go."""
    with pytest.raises(UnicodeDecodeError):
        read(fetched(), MemoryRecords)
    assert fetcher.MemoryRecords is Records
