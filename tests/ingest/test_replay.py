"""A replay on a real Kafka: what is in the file is in the topics, in order, once, and nothing is lost silently."""

from __future__ import annotations

import asyncio
import csv
import gzip
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic

from services import kafka as clients
from services.broker import KafkaBroker
from services.contract.codec import decode, decode_payment, encode
from services.contract.dead_letter import read_dead_letter
from services.contract.label import Label
from services.contract.partitioner import partition_of
from services.contract.payment import Party, Payment
from services.ingest.files import MappedFile
from services.ingest.mapping_file import load_mapping
from services.ingest.pacing import Pace
from services.ingest.replay import Clock, KafkaFailedError, SourceFailedError, replay_rows, send_payments
from services.ingest.report import Report
from services.ingest.rows import MappedRow, Ready, Windowed
from services.runtime.settings import Settings, load_settings

pytestmark = pytest.mark.kafka
T = TypeVar("T")
PARTITIONS = 3


@dataclass(frozen=True)
class Record:
    """What a topic holds, without what the broker adds."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def create_topics(settings: Settings, **configuration: str) -> None:
    topics = settings.topics
    admin = clients.admin(settings)
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(topic.name, PARTITIONS, 1, topic_configs=topic.configuration() | configuration)
                for topic in (topics.payments, topics.dead_letters, topics.labels)
            ]
        )
    finally:
        await admin.close()


async def read(settings: Settings, topic: str) -> list[Record]:
    """All of ``topic``, partition by partition."""
    consumer = clients.consumer(settings)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, index) for index in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Record] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [Record(r.partition, r.offset, r.key, r.value, tuple(r.headers)) for r in records]
    finally:
        await consumer.stop()
    return sorted(found, key=lambda record: (record.partition, record.offset))


@pytest.fixture
def settings(kafka: KafkaBroker) -> Settings:
    """A deployment of the test's own on the shared broker."""
    mine = load_settings(bootstrap=kafka.bootstrap, topic_prefix=f"{uuid4().hex[:12]}.")
    run(create_topics(mine))
    return mine


START_MS = 1_522_540_800_000


def payment(number: int, payer: str = "a", event_time_ms: int | None = None) -> Payment:
    at_ms = START_MS + number * 1_000 if event_time_ms is None else event_time_ms
    return Payment(str(number), at_ms, 100, "EUR", Party(payer), Party("b"))


def label(number: int, label_time_ms: int) -> Label:
    return Label(f"l{number}", str(number), "suspicious", label_time_ms)


def test_payments_arrive_keyed_by_payer_in_order_and_as_they_were(settings: Settings) -> None:
    sent = [payment(number, f"payer-{number % 7}") for number in range(5_000)]
    report = run(send_payments(sent, settings))
    assert (report.rows_read, report.payments_sent, report.rows_bad) == (5_000, 5_000, 0)
    records = run(read(settings, settings.topics.payments.name))
    assert len(records) == 5_000
    assert {decode_payment(record.value) for record in records} == set(sent)
    last: dict[bytes, int] = {}
    for record in records:
        read_back = decode_payment(record.value)
        assert isinstance(read_back, Payment)
        assert record.key == read_back.payer.account.encode()
        assert record.partition == partition_of(record.key, PARTITIONS)
        assert record.headers == (
            ("ce_specversion", b"1.0"),
            ("ce_type", b"org.tocsin.payment.v1"),
            ("ce_source", b"/tocsin"),
            ("ce_id", read_back.payment_id.encode()),
            ("content-type", b"application/json"),
        )
        assert last.get(record.key, -1) < int(read_back.payment_id)
        last[record.key] = int(read_back.payment_id)


def test_two_runs_of_a_source_give_the_same_bytes(settings: Settings, tmp_path: Path) -> None:
    lines = [encode(payment(number, f"p{number % 11}")) for number in range(3_000)]
    lines[7::500] = [b'{"payment_id":"x"}'] * len(lines[7::500])
    path = tmp_path / "payments.ndjson.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    runs = []
    for _ in range(2):
        with MappedFile(path, load_mapping("tocsin")) as rows:
            run(replay_rows(rows, settings, source="file:payments.ndjson.gz"))
        topics = settings.topics
        runs.append([run(read(settings, topic.name)) for topic in (topics.payments, topics.dead_letters)])
    for first, both in zip(*runs, strict=True):
        for partition in range(PARTITIONS):
            once = [(r.key, r.value, r.headers) for r in first if r.partition == partition]
            twice = [(r.key, r.value, r.headers) for r in both if r.partition == partition]
            assert twice == once + once


def test_bad_rows_are_dead_lettered_with_bytes_reason_and_line(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "trans.asc"
    header = ["trans_id", "account_id", "date", "type", "operation", "amount", "balance", "k_symbol", "bank", "account"]
    good = ["1", "2", "930101", "VYDAJ", "PREVOD NA UCET", "12.50", "0", "", "YZ", "77"]
    bad = [*good[:5], "12.505", *good[6:]]
    with path.open("w", encoding="utf-8") as file:
        csv.writer(file, delimiter=";", lineterminator="\n").writerows([header, good, bad, good, [*good, "x"]])
    with MappedFile(path, load_mapping("berka")) as rows:
        report = run(replay_rows(rows, settings, source="file:trans.asc"))
    assert (report.rows_read, report.payments_sent, report.dead_letters_sent) == (4, 2, 2)
    assert report.bad == {"inexact": 1, "columns_mismatch": 1}
    assert [(row.line, row.reason, row.field) for row in report.bad_rows] == [
        (3, "inexact", "amount_minor"),
        (5, "columns_mismatch", ""),
    ]
    letters = run(read(settings, settings.topics.dead_letters.name))
    found = {}
    for record in letters:
        letter = read_dead_letter(list(record.headers))
        found[letter.offset] = (record.value.decode(), letter.topic, letter.partition, letter.reason, letter.field)
    assert found == {
        3: (";".join(bad), "file:trans.asc", 0, "inexact", "amount_minor"),
        5: (";".join([*good, "x"]), "file:trans.asc", 0, "columns_mismatch", ""),
    }


def test_labels_are_published_when_event_time_reaches_them_and_the_rest_at_the_end(settings: Settings) -> None:
    rows: list[Payment | Label | bytes] = [payment(0), label(0, START_MS + 2_000), payment(1), payment(2)]
    rows += [label(2, START_MS + 99_000), label(1, START_MS + 50_000), payment(3)]
    seen: list[tuple[int, int]] = []

    def progress(report: Report) -> None:
        seen.append((report.payments_sent, report.labels_sent))

    report = run(send_payments(rows, settings, progress=progress))
    assert (report.payments_sent, report.labels_sent, report.labels_early, report.rows_read) == (4, 3, 0, 4)
    assert seen[-1] == (4, 3)
    labels = run(read(settings, settings.topics.labels.name))
    for record in labels:
        found = decode(record.value, Label)
        assert record.key == found.payment_id.encode()
        assert ("ce_type", b"org.tocsin.label.v1") in record.headers
    assert {decode(record.value, Label).label_id for record in labels} == {"l0", "l1", "l2"}


class FakeClock(Clock):
    """Sleeping moves it, and lets the world go on a little."""

    def __init__(self) -> None:
        self.time_ms = 0.0

    def now_ms(self) -> float:
        return self.time_ms

    async def sleep(self, wait_ms: float) -> None:
        self.time_ms += wait_ms
        await asyncio.sleep(0)


def test_a_paced_replay_sends_what_is_due_before_it_waits_for_the_next(settings: Settings) -> None:
    clock = FakeClock()
    taken: list[tuple[str, float]] = []

    def rows() -> Iterator[MappedRow]:
        for line, at_ms in enumerate([0, 1_000, 1_000, 61_000], 1):
            taken.append((str(line), clock.time_ms))
            one = payment(line, event_time_ms=at_ms)
            yield Ready(line, "a", encode(one), one.payment_id, at_ms, label(line, at_ms + 30_000))

    report = run(replay_rows(rows(), settings, source="x", pace=Pace(2), clock=clock))
    assert (report.payments_sent, report.labels_sent) == (4, 4)
    assert taken == [("1", 0.0), ("2", 0.0), ("3", 500.0), ("4", 500.0)]
    assert clock.time_ms == (61_000 + 30_000) / 2
    assert report.seconds == pytest.approx(45.5)


def test_a_payment_too_large_to_be_one_is_dead_lettered_and_the_rest_goes_on(settings: Settings) -> None:
    report = run(send_payments([payment(1), b"x" * 300_000, payment(2)], settings, name="demo"))
    assert (report.payments_sent, report.bad) == (2, {"oversized": 1})
    (letter,) = run(read(settings, settings.topics.dead_letters.name))
    assert letter.value == b"x" * 300_000
    assert read_dead_letter(list(letter.headers)).topic == "stream:demo"


def test_a_record_that_the_broker_refuses_ends_the_replay_and_is_not_counted_as_sent(kafka: KafkaBroker) -> None:
    settings = load_settings(bootstrap=kafka.bootstrap, topic_prefix=f"{uuid4().hex[:12]}.")
    run(create_topics(settings, **{"max.message.bytes": "200"}))
    with pytest.raises(KafkaFailedError, match="MessageSizeTooLarge") as caught:
        run(send_payments([payment(number) for number in range(2_000)], settings))
    assert caught.value.report.payments_sent == 0


def test_topics_that_do_not_exist_are_named_and_not_created(kafka: KafkaBroker) -> None:
    settings = load_settings(bootstrap=kafka.bootstrap, topic_prefix=f"{uuid4().hex[:12]}.")
    for _ in range(2):
        with pytest.raises(KafkaFailedError, match=rf"no topic {settings.topics.payments.name}, .* tocsin topics"):
            run(send_payments([payment(1)], settings))


def test_a_source_that_breaks_has_what_came_before_sent_and_counted(settings: Settings, tmp_path: Path) -> None:
    lines = b"\n".join(encode(payment(number, f"p{number * 7919 % 9973}")) for number in range(3_000))
    path = tmp_path / "cut.ndjson.gz"
    path.write_bytes(gzip.compress(lines)[:-3_000])
    with MappedFile(path, load_mapping("tocsin")) as rows, pytest.raises(SourceFailedError) as caught:
        run(replay_rows(rows, settings, source="file:cut.ndjson.gz"))
    report = caught.value.report
    records = run(read(settings, settings.topics.payments.name))
    assert 0 < report.payments_sent == report.rows_read == len(records) < 3_000


@pytest.mark.data
def test_the_handbook_arrives_whole_with_its_labels_apart(settings: Settings, data: Path) -> None:
    with MappedFile(data / "fdh_raw.parquet", load_mapping("handbook"), labels=True) as mapped:
        report = run(replay_rows(Windowed(mapped, limit=20_000), settings, source="file:fdh_raw.parquet"))
    assert (report.rows_read, report.payments_sent, report.labels_sent) == (20_000, 20_000, 20_000)
    records = run(read(settings, settings.topics.payments.name))
    assert {orjson.loads(record.value)["payment_id"] for record in records} == {str(n) for n in range(20_000)}
    assert not any(b"label" in record.value or b"FRAUD" in record.value for record in records)
    labels = [decode(record.value, Label) for record in run(read(settings, settings.topics.labels.name))]
    assert len({each.label_id for each in labels}) == 20_000
