"""Taking possession while a partition has no leader yet, as each for a moment after it was made, or while another does
so, too."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidProducerEpoch,
    NotLeaderForPartitionError,
    ProducerFenced,
)
from aiokafka.protocol.transaction import AddOffsetsToTxnRequest
from aiokafka.structs import TopicPartition

from services.kafka import possession
from services.kafka.possession import Possession
from services.kafka.protocol import ask_producers

TOPIC, OWN_ID = "decisions", 7
NO_SUCH_ID = 105


class OneBroker:
    """A cluster of one, as a producer and its client see it. ``errors`` are its answers before it leads."""

    def __init__(self, *errors: int) -> None:
        self._errors = list(errors)
        self.asked = 0
        self.client = self.cluster = self
        self._txn_manager = SimpleNamespace(producer_id=OWN_ID, producer_epoch=4)

    async def start(self) -> None:
        """Be there."""

    async def force_metadata_update(self) -> None:
        """Have nothing new."""

    async def partitions_for(self, topic: str) -> set[int]:
        return {0}

    def leader_for_partition(self, partition: TopicPartition) -> int:
        return 1

    async def coordinator_lookup(self, kind: int, key: str) -> int:
        return 1

    async def send(self, node: int, request: Any) -> Any:
        if request.API_KEY != ask_producers([], {}).API_KEY:
            return SimpleNamespace(to_object=lambda: {"transactions": [{"error_code": NO_SUCH_ID}]})
        self.asked += 1
        code = self._errors.pop(0) if self._errors else 0
        partition = {"partition": 0, "error_code": code, "producers": []}
        return SimpleNamespace(to_object=lambda: {"topics": [{"topic": TOPIC, "partitions": [partition]}]})


class Fencing(OneBroker):
    """The same, where somebody else takes possession while the end of the last transaction is being seen to."""

    async def send(self, node: int, request: Any) -> Any:
        if isinstance(request, AddOffsetsToTxnRequest):
            return SimpleNamespace(error_code=InvalidProducerEpoch.errno)
        if request.API_KEY == ask_producers([], {}).API_KEY:
            return await super().send(node, request)
        last = {"error_code": 0, "state": "CompleteCommit", "producer_epoch": 3}
        return SimpleNamespace(to_object=lambda: {"transactions": [last]})


def take(broker: Any) -> None:
    asyncio.run(Possession("id", "group", [TOPIC]).take(broker, broker))


def test_a_partition_that_has_no_leader_yet_is_waited_for() -> None:
    broker = OneBroker(NotLeaderForPartitionError.errno, NotLeaderForPartitionError.errno)
    take(broker)
    assert broker.asked == 3


def test_what_does_not_pass_is_told() -> None:
    with pytest.raises(ClusterAuthorizationFailedError):
        take(OneBroker(ClusterAuthorizationFailedError.errno))


def test_a_leader_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(possession, "_LED_S", 0.2)
    with pytest.raises(TimeoutError):
        take(OneBroker(*[NotLeaderForPartitionError.errno] * 100))


def test_who_is_fenced_meanwhile_is_told_so() -> None:
    with pytest.raises(ProducerFenced):
        take(Fencing())
