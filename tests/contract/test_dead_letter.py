"""Dead letters: whatever a record is, its dead letter can be written, and says all that was known of it."""

from __future__ import annotations

import json
from hashlib import sha256

import jsonschema
import msgspec
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from services.contract.codec import RecordInvalid, Rejection
from services.contract.dead_letter import (
    BEGINNING_BYTES,
    ORIGINAL,
    ORIGINAL_BYTES_MAX,
    ORIGINALS_MAX,
    TEXT_BYTES_MAX,
    WHOLE_BYTES_MAX,
    DeadLetter,
    Written,
    dead_letter,
    read_dead_letter,
)
from services.contract.events import Headers
from services.contract.schema import json_schema
from services.contract.topics import BATCH_BYTES_MAX, Topics
from tests.contract.payloads import SEEDED

WHY = Rejection("not_json", "", "unexpected end")
ORIGIN = ("payments.v1", 3, 12)
TOPIC_BYTES = int(Topics().dead_letters.configuration()["max.message.bytes"])


def original_headers(headers: Headers) -> Headers:
    """The headers that the record had, as far as they were kept."""
    return [(name.removeprefix(ORIGINAL), value) for name, value in headers if name.startswith(ORIGINAL)]


def as_kafka_carries_it(letter: Written) -> int:
    """Write the letter as a batch of its own, and read it back; returns the batch's size."""
    batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, TOPIC_BYTES)
    assert batch.append(0, 0, letter.key, letter.value, letter.headers) is not None
    written = bytes(batch.build())
    (record,) = list(MemoryRecords(written).next_batch())
    assert (record.key, record.value, list(record.headers)) == tuple(letter)
    return len(written)


def test_a_record_of_usual_size_is_kept_whole_with_its_headers() -> None:
    value, headers = b"x" * BATCH_BYTES_MAX, [("ce_id", b"p-1"), ("tocsin_reason", b"mine"), ("ce_id", b"\xff")]
    letter = dead_letter(WHY, ORIGIN, b"key", value, headers)
    assert (letter.key, letter.value) == (b"key", value)
    assert read_dead_letter(letter.headers) == DeadLetter("not_json", "", "unexpected end", *ORIGIN)
    assert original_headers(letter.headers) == headers
    assert as_kafka_carries_it(letter) < TOPIC_BYTES
    assert dict(letter.headers)["ce_id"] == b"payments.v1/3/12"


@pytest.mark.parametrize(
    ("key_bytes", "value_bytes", "truncated"),
    [
        (3, WHOLE_BYTES_MAX - 3, None),
        (3, WHOLE_BYTES_MAX - 2, "value"),
        (3, 80_000_000, "value"),
        (BATCH_BYTES_MAX, BATCH_BYTES_MAX, "key,value"),
        (5_000_000, BEGINNING_BYTES, "key"),
        (5_000_000, 0, "key"),
    ],
)
def test_a_record_that_is_too_large_is_cut_to_its_beginning(
    key_bytes: int, value_bytes: int, truncated: str | None
) -> None:
    key, value = b"k" * key_bytes, bytes(value_bytes)
    letter = dead_letter(WHY, ORIGIN, key, value)
    said = read_dead_letter(letter.headers)
    assert said.truncated == truncated
    assert as_kafka_carries_it(letter) < TOPIC_BYTES
    for name, whole, kept, size, digest in (
        ("key", key, letter.key, said.key_size, said.key_sha256),
        ("value", value, letter.value, said.size, said.sha256),
    ):
        if name in (truncated or ""):
            assert kept == whole[:BEGINNING_BYTES]
            assert (size, digest) == (len(whole), sha256(whole).hexdigest())
        else:
            assert kept == whole
            assert (size, digest) == (None, None)


def test_nothing_stays_nothing() -> None:
    assert dead_letter(WHY, ORIGIN, None, None)[:2] == (None, None)
    assert dead_letter(WHY, ORIGIN, None, b"x" * 2 * WHOLE_BYTES_MAX).key is None


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ([(f"h{at}", b"x") for at in range(1_000)], ORIGINALS_MAX),
        ([("large", b"x" * ORIGINAL_BYTES_MAX), ("small", b"x")], 1),
        ([("n" * 2 * ORIGINAL_BYTES_MAX, b"")], 0),
        ([("none", None)], 1),
        ([("", b"")], 1),
    ],
)
def test_too_many_headers_are_left_out_and_counted(headers: list[tuple[str, bytes | None]], kept: int) -> None:
    letter = dead_letter(WHY, ORIGIN, b"k", b"v", headers)
    assert len(original_headers(letter.headers)) == kept
    assert read_dead_letter(letter.headers).headers_left_out == len(headers) - kept
    as_kafka_carries_it(letter)


HOSTILE_TEXT = st.text(max_size=40) | st.just("\ud800") | st.just("\U0001f3e6" * 2_000) | st.just("x\r\n\0")
BYTES = st.none() | st.binary(max_size=60)


@SEEDED
@given(
    why=st.builds(Rejection, HOSTILE_TEXT, HOSTILE_TEXT, HOSTILE_TEXT),
    topic=HOSTILE_TEXT,
    key=BYTES,
    value=BYTES,
    headers=st.lists(st.tuples(st.text(max_size=20), BYTES), max_size=4),
)
def test_headers_can_be_written_and_read_whatever_they_have_to_say(
    why: Rejection, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    letter = dead_letter(why, (topic, 2**31 - 1, 2**63 - 1), key, value, headers)
    as_kafka_carries_it(letter)
    said = read_dead_letter(letter.headers)
    assert (said.partition, said.offset) == (2**31 - 1, 2**63 - 1)
    for text, told in ((why.reason, said.reason), (why.field, said.field), (why.detail, said.detail)):
        spelled = text.encode(errors="backslashreplace").decode()
        assert told == spelled or (
            spelled.startswith(told) and TEXT_BYTES_MAX - 4 < len(told.encode()) <= TEXT_BYTES_MAX
        )
    assert original_headers(letter.headers) == [(name, value or b"") for name, value in headers]


def test_other_headers_than_a_dead_letters_are_refused_by_the_name_of_the_missing_one() -> None:
    headers = dead_letter(WHY, ORIGIN, b"k", b"v").headers
    for at, (name, _) in enumerate(headers):
        if name.startswith("tocsin_"):
            with pytest.raises(RecordInvalid, match=name):
                read_dead_letter(headers[:at] + headers[at + 1 :])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tocsin_reason", b"\xff"),
        ("tocsin_offset", b"-1"),
        ("tocsin_offset", b"9" * 5_000),
        ("tocsin_partition", "\u0663".encode()),
        ("tocsin_size", b"many"),
        ("tocsin_topic", None),
    ],
)
def test_headers_that_cannot_be_read_are_refused_by_name(name: str, value: bytes | None) -> None:
    headers = [*dead_letter(WHY, ORIGIN, b"k", b"v").headers, (name, value)]
    with pytest.raises(RecordInvalid, match=f"{name}: Missing, or not readable"):
        read_dead_letter(headers)


def test_what_is_said_of_a_record_that_was_cut_fits_the_schema() -> None:
    letter = dead_letter(WHY, ORIGIN, b"k" * 2**20, b"v" * 2**20, [("h", b"")] * 40)
    said = read_dead_letter(letter.headers)
    assert said.headers_left_out == 8
    jsonschema.validate(json.loads(msgspec.json.encode(said)), json_schema("dead-letter.v1"))
