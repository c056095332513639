"""What a batch gave is written whole and in a safe order: on a producer that keeps what it is told, without Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import TopicPartition

from services.kafka.building import BuiltBatch, batches_of
from services.kafka.possession import Possession
from services.scorer.path.records import Outbound, OutboundColumns
from services.scorer.shell.delivery import AtLeastOnce, ExactlyOnce, Row, by_partition

SOURCE = TopicPartition("payments.v1", 3)
NOW = -1
"""In place of a time that a clock told."""
OUTPUTS = {
    "decisions.v1": [Outbound(0, 7, b"a", b"1", [("h", b"x")]), Outbound(1, 8, b"b", b"2", []),
                     Outbound(0, 9, b"c", b"3", [])],
    "payments.dlq.v1": [],
    "reviews.v1": [Outbound(1, 7, None, b"4", [])],
}  # fmt: skip
CHANGELOG = [(b"k", b"state"), (b"gone", None)]
SENT: list[Any] = [
    ("decisions.v1", 0, [(7, b"a", b"1", [("h", b"x")]), (9, b"c", b"3", [])]),
    ("decisions.v1", 1, [(8, b"b", b"2", [])]),
    ("reviews.v1", 1, [(7, None, b"4", [])]),
]
STATE: tuple[str, int, list[Row]] = ("payer-state", 3, [(NOW, b"k", b"state", []), (NOW, b"gone", None, [])])


def rows_in(batch: BuiltBatch) -> list[Row]:
    """What aiokafka reads in a batch; times of the test's own day are ``NOW``."""
    records = DefaultRecordBatch(bytes(batch._build()))
    return [
        (NOW if each.timestamp > 9 else each.timestamp, each.key, each.value, list(each.headers)) for each in records
    ]


class Told:
    """A producer and a consumer that keep what they are told, in order. What is sent arrives when the loop is next
    free; that of the topic ``lost`` never does."""

    def __init__(self, lost: str = "") -> None:
        self.events: list[Any] = []
        self._lost = lost
        self._txn_manager = self
        self._client = self
        self._compression_type = "snappy"
        self.transactional_id = "payer.0"

    async def start(self) -> None:
        """As aiokafka's producer."""
        self.events.append("start")

    async def stop(self) -> None:
        """As aiokafka's producer."""
        self.events.append("stop")

    async def send_batch(self, batch: BuiltBatch, topic: str, *, partition: int) -> asyncio.Future[object]:
        """As aiokafka's producer."""
        arrived: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            if topic == self._lost:
                arrived.set_exception(ConnectionError(topic))
            else:
                self.events.append((topic, partition, rows_in(batch)))
                arrived.set_result(None)

        asyncio.get_running_loop().call_soon(arrive)
        return arrived

    async def begin_transaction(self) -> None:
        """As aiokafka's producer."""
        self.events.append("begin")

    async def commit_transaction(self) -> None:
        """As aiokafka's producer."""
        self.events.append("end")

    async def send_offsets_to_transaction(self, offsets: dict[TopicPartition, int], group: str) -> None:
        """As aiokafka's producer."""
        self.events.append(("offsets", offsets, group))

    def maybe_add_partition_to_txn(self, partition: TopicPartition) -> None:
        """As aiokafka's transaction manager."""
        self.events.append(("enlisted", *partition))

    def wait_for_transaction_end(self) -> asyncio.Future[object]:
        """As aiokafka's transaction manager."""
        return asyncio.get_running_loop().create_future()

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """As aiokafka's consumer."""
        self.events.append(("commit", offsets))


class Taken(Possession):
    """Says which producer was to take possession, and on whose connections."""

    def __init__(self) -> None:
        super().__init__("payer.0", "payer", [])
        self.by: list[Any] = []

    async def take(self, producer: Any, client: Any) -> None:
        """As ``Possession``."""
        self.by.append((producer, client))


def exactly_once(told: Told) -> ExactlyOnce:
    return ExactlyOnce(told, told, SOURCE, "payer-state", "payer", Possession("payer.0", "payer", []))


def at_least_once(told: Told) -> AtLeastOnce:
    return AtLeastOnce(told, told, SOURCE, "payer-state")


def write(make: Callable[[Told], ExactlyOnce | AtLeastOnce], told: Told) -> list[Any]:
    asyncio.run(make(told).write(OUTPUTS, CHANGELOG, 42))
    return told.events


def test_outputs_then_state_then_position_each_there_before_the_next() -> None:
    assert write(at_least_once, Told()) == [*SENT, STATE, ("commit", {SOURCE: 42})]


@pytest.mark.parametrize("lost, written", [("reviews.v1", SENT[:2]), ("payer-state", SENT)])
def test_nothing_follows_what_did_not_arrive(lost: str, written: list[Any]) -> None:
    told = Told(lost)
    with pytest.raises(ConnectionError, match=lost):
        write(at_least_once, told)
    assert told.events == written


def test_a_transaction_is_told_what_it_holds_then_given_it_and_ends_when_all_is_there() -> None:
    enlisted = [("enlisted", topic, partition) for topic, partition, _ in [*SENT, STATE]]
    offsets = ("offsets", {SOURCE: 42}, "payer")
    assert write(exactly_once, Told()) == ["begin", *enlisted, offsets, *SENT, STATE, "end"]


@pytest.mark.parametrize("ends", ["end", ("commit", {SOURCE: 42})])
def test_that_all_is_in_the_logs_is_told_before_a_batch_ends(ends: Any) -> None:
    told, possession = Told(), Possession("payer.0", "payer", [])

    def appended() -> None:
        told.events.append("appended")

    delivery: ExactlyOnce | AtLeastOnce = (
        ExactlyOnce(told, told, SOURCE, "payer-state", "payer", possession, appended)
        if ends == "end"
        else AtLeastOnce(told, told, SOURCE, "payer-state", appended)
    )
    asyncio.run(delivery.write(OUTPUTS, CHANGELOG, 42))
    at = told.events.index("appended")
    assert [each for each in told.events[:at] if each in SENT] == SENT
    assert ends in told.events[at:]


@pytest.mark.parametrize("make", [exactly_once, at_least_once])
def test_without_an_offset_the_group_is_told_nothing(make: Callable[[Told], ExactlyOnce | AtLeastOnce]) -> None:
    told = Told()
    asyncio.run(make(told).write(OUTPUTS, CHANGELOG, None))
    assert [each for each in told.events if each in [*SENT, STATE]] == [*SENT, STATE]
    assert not {"commit", "offsets"} & {each[0] for each in told.events}


@pytest.mark.parametrize("lost", ["decisions.v1", "payer-state"])
def test_a_transaction_of_which_something_is_lost_does_not_end(lost: str) -> None:
    told = Told(lost)
    with pytest.raises(ConnectionError, match=lost):
        write(exactly_once, told)
    assert "end" not in told.events


def test_records_go_by_topic_and_partition_in_their_order() -> None:
    batches = {place: batches_of(records, Told()) for place, records in by_partition(OUTPUTS).items()}
    assert [(*place, [row for each in of for row in rows_in(each)]) for place, of in batches.items()] == SENT
    assert by_partition({"decisions.v1": []}) == {}


def test_columns_are_written_as_the_records_that_they_are() -> None:
    records = [Outbound(2, 7, b"a", b"first", []), Outbound(2, 9, b"bc", b"2", [])]
    columns = OutboundColumns(
        2, np.array([7, 9]), np.frombuffer(b"abc", np.uint8), np.array([0, 1, 3]), np.frombuffer(b"first2", np.uint8),
        np.array([0, 5, 6]),
    )  # fmt: skip
    assert list(columns) == records
    one, other = (by_partition({"decisions.v1": each})["decisions.v1", 2] for each in (columns, records))
    assert [rows_in(each) for each in batches_of(one, Told())] == [rows_in(each) for each in batches_of(other, Told())]


def test_a_transactional_producer_opens_by_taking_possession_on_the_connections_of_its_consumer() -> None:
    producer, consumer, taken = Told(), Told(), Taken()
    delivery = ExactlyOnce(producer, consumer, SOURCE, "payer-state", "payer", taken)
    asyncio.run(delivery.open())
    assert taken.by == [(producer, consumer)]
    assert producer.events == [], "it is the possession that starts it"


def test_without_transactions_opening_starts_the_producer() -> None:
    told = Told()
    asyncio.run(at_least_once(told).open())
    assert told.events == ["start"]


@pytest.mark.parametrize("make", [exactly_once, at_least_once])
def test_closing_stops_the_producer(make: Callable[[Told], ExactlyOnce | AtLeastOnce]) -> None:
    told = Told()
    asyncio.run(make(told).close())
    assert told.events == ["stop"]
