"""Taking possession of a transactional id, and ending what the broker left open of its last transaction.

A producer that starts under a transactional id fences whoever had it before, and the broker aborts what that one left
open. Kafka's coordinator can do that by name only: while a partition has no leader, as each has for a moment when its
broker comes back from a crash, it takes the partition for deleted, writes no marker to it, and notes the transaction
as complete (KAFKA-5202 meant it so; Kafka 4.3.1 does). The records stay open, nobody can read beyond them, and they
are committed, or aborted, with the *next* transaction of the same producer: a batch that was aborted, and done again,
would be read twice. So whoever takes possession looks (KIP-664) and writes the missing end itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import CoordinatorNotAvailableError, KafkaError, NodeNotReadyError, for_code
from aiokafka.protocol.transaction import AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest
from aiokafka.structs import TopicPartition

from services.kafka.protocol import NO_TAGS, answer_of, ask_producers, ask_transactions, leader_of, require

logger = logging.getLogger(__name__)

_PAUSE_S = 0.05
_ENDED_S = 10.0
"""How long the broker may take to write an end."""
_LED_S = 10.0
"""How long partitions may be without a leader."""
_NO_SUCH_ID = 105
_NONE_OPEN = -1


class _Transaction(NamedTuple):
    """The last one of an id, as its coordinator has it."""

    state: str
    producer_epoch: int

    @property
    def is_told(self) -> bool:
        """Whether it says how a transaction ends: nobody had the id, or somebody took possession since, otherwise."""
        return self.state not in {"Empty", "Dead", ""}

    @property
    def commits(self) -> bool:
        """Whether it is, or will be, committed; otherwise aborted."""
        return self.state in {"PrepareCommit", "CompleteCommit"}

    @property
    def is_complete(self) -> bool:
        """Whether every end is written that the coordinator means to write."""
        return self.state in {"CompleteCommit", "CompleteAbort"}


class Possession:
    """Of one transactional id, by one process, again and again.

    ``group`` is that of the offsets committed in its transactions, ``topics`` are all that it may write to.
    """

    def __init__(self, transactional_id: str, group: str, topics: Iterable[str]) -> None:
        self.transactional_id, self._group, self._topics = transactional_id, group, tuple(topics)
        self._last_committed = False
        """How the last transaction ended. It is told only once, and kept for the next time if this one fails."""
        self._ending_as = -1
        """The epoch under which the end was being written when that failed: what is told of it is no news."""

    async def take(self, producer: AIOKafkaProducer, client: AIOKafkaClient) -> None:
        """Start ``producer``, and end its predecessor's last transaction where the broker has not.

        ``client`` has connections to the same cluster. Afterwards nothing of the id is open anywhere, so the end of
        each log that only it writes to can no longer move, nor the group's offsets.

        Raises
        ------
        ProducerFenced
            When somebody else took possession meanwhile.
        KafkaError, TimeoutError
            When the cluster does not answer. Taking possession again begins at the beginning.
        """
        last = await _last_of(client, self.transactional_id)
        if last is not None and last.is_told and last.producer_epoch != self._ending_as:
            self._last_committed = last.commits
        await producer.start()
        if last is None:  # a broker before Kafka 3.0 tells nothing of transactions
            return
        open_still = await self._open(producer)
        if open_still:
            logger.warning(
                "%s: the broker left %d partitions of the last transaction open; %s them",
                self.transactional_id, len(open_still), "committing" if self._last_committed else "aborting",
            )  # fmt: skip
        if open_still or last.is_told:  # nobody is told whether the group's offsets are open
            await self._end(producer, client, open_still)
        self._last_committed, self._ending_as = False, -1

    async def _open(self, producer: AIOKafkaProducer) -> list[TopicPartition]:
        """Where records of this id are neither committed nor aborted, once every partition has a leader to say so."""
        async with asyncio.timeout(_LED_S):
            while True:
                try:
                    return await self._open_by_leaders(producer)
                except KafkaError as error:  # a topic that was just made, or a broker that comes back
                    if not error.retriable:
                        raise
                await producer.client.force_metadata_update()
                await asyncio.sleep(_PAUSE_S)

    async def _open_by_leaders(self, producer: AIOKafkaProducer) -> list[TopicPartition]:
        every = [TopicPartition(name, each) for name in self._topics for each in await producer.partitions_for(name)]
        by_leader: dict[int, list[TopicPartition]] = defaultdict(list)
        for each in every:
            by_leader[leader_of(producer.client, each)].append(each)
        producer_id = producer._txn_manager.producer_id  # it has no public name
        open_still: list[TopicPartition] = []
        for leader, partitions in sorted(by_leader.items()):
            asked = [(topic, of_topic, NO_TAGS) for topic, of_topic in _by_topic(partitions)]
            response = await producer.client.send(leader, ask_producers(asked, NO_TAGS))
            for topic in response.to_object()["topics"]:
                for partition in topic["partitions"]:
                    require(partition["error_code"], topic["topic"])
                    if any(
                        each["producer_id"] == producer_id and each["open_since_offset"] > _NONE_OPEN
                        for each in partition["producers"]
                    ):
                        open_still.append(TopicPartition(topic["topic"], partition["partition"]))
        return open_still

    async def _end(self, producer: AIOKafkaProducer, client: AIOKafkaClient, partitions: list[TopicPartition]) -> None:
        """Have the coordinator write an end to ``partitions`` and to the group's offsets, and see it written."""
        manager = producer._txn_manager
        holder = (self.transactional_id, manager.producer_id, manager.producer_epoch)
        self._ending_as = manager.producer_epoch
        coordinator = await _coordinator_of(client, self.transactional_id)
        if partitions:
            answer = await client.send(coordinator, AddPartitionsToTxnRequest(*holder, _by_topic(partitions)))
            for topic, errors in answer.errors:
                for _, code in errors:
                    require(code, topic)
        for request in (AddOffsetsToTxnRequest(*holder, self._group), EndTxnRequest(*holder, self._last_committed)):
            answer = await client.send(coordinator, request)
            require(answer.error_code, self.transactional_id)
        async with asyncio.timeout(_ENDED_S):
            while not await self._is_ended(producer, client):  # noqa: ASYNC110 - it is the broker that gets there
                await asyncio.sleep(_PAUSE_S)

    async def _is_ended(self, producer: AIOKafkaProducer, client: AIOKafkaClient) -> bool:
        last = await _last_of(client, self.transactional_id)
        return last is not None and last.is_complete and not await self._open(producer)


async def _last_of(client: AIOKafkaClient, transactional_id: str) -> _Transaction | None:
    """What the coordinator knows of the id; ``None`` where brokers do not tell."""
    while True:
        coordinator = await _coordinator_of(client, transactional_id)
        answer = await answer_of(client, coordinator, ask_transactions([transactional_id], NO_TAGS))
        if answer is None:
            return None
        (found,) = answer["transactions"]
        code = found["error_code"]
        if code == _NO_SUCH_ID:
            return _Transaction("", -1)
        if not (code and for_code(code).retriable):
            require(code, transactional_id)
            return _Transaction(found["state"], found["producer_epoch"])
        await asyncio.sleep(_PAUSE_S)


async def _coordinator_of(client: AIOKafkaClient, transactional_id: str) -> int:
    """The broker that looks after the id. A new cluster has none until it has made its topic for that."""
    while True:
        try:
            return int(await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id))
        except (CoordinatorNotAvailableError, NodeNotReadyError):
            await client.force_metadata_update()
            await asyncio.sleep(_PAUSE_S)


def _by_topic(partitions: Iterable[TopicPartition]) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = defaultdict(list)
    for each in partitions:
        found[each.topic].append(each.partition)
    return list(found.items())
