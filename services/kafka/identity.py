"""Which topic this is: its id, and which history of a partition its leader has.

A topic that is deleted and made again has the same name and another id. A partition whose new leader had not all of it
goes on from an earlier end: every leader's term has an epoch, and a leader says where an earlier epoch's records end.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.structs import TopicPartition

from services.kafka.protocol import NO_TAGS, answer_of, ask_epoch_ends, ask_topics, leader_of, require

UNKNOWN_EPOCH = -1
_NO_ID = "0" * 32
_NO_REPLICA = -1


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """A topic as the cluster has it: ``topic_id`` is 32 hexadecimal digits, ``epochs`` those of the leaders, by
    partition."""

    topic_id: str
    epochs: dict[int, int]


def accepted_as(topic_id: str) -> str:
    """The metadata of an offset by which people accepted this topic in the place of another of its name."""
    return f"accepted:{topic_id}"


def client_of(consumer: AIOKafkaConsumer) -> AIOKafkaClient:
    """The connections of a started consumer: what is asked on them is asked of the brokers that it reads from."""
    client: AIOKafkaClient = consumer._client  # aiokafka gives it no public name
    return client


async def identity_of(client: AIOKafkaClient, topic: str) -> TopicIdentity | None:
    """Which topic bears the name now, by the first broker that answers; ``None`` where they know no topic ids (Kafka
    before 2.8).

    Raises
    ------
    KafkaError
        When there is no such topic, or no broker answers.
    """
    failed: KafkaError = NodeNotReadyError("no broker is known")
    for node in [broker.nodeId for broker in client.cluster.brokers()]:
        try:
            answer = await answer_of(client, node, ask_topics([(_NO_ID, topic, NO_TAGS)], False, False, NO_TAGS))
            break
        except KafkaError as error:
            failed = error
    else:
        raise failed
    if answer is None:
        return None
    (found,) = answer["topics"]
    require(found["error_code"], topic)
    return TopicIdentity(found["topic_id"], {each["partition"]: each["leader_epoch"] for each in found["partitions"]})


async def end_of_epoch(client: AIOKafkaClient, source: TopicPartition, epoch: int) -> int | None:
    """The offset where the records of ``epoch`` and those before it end, as the partition's leader has them; ``None``
    where brokers do not tell.

    Raises
    ------
    KafkaError
        When the leader is not known or does not answer.
    """
    topics = [(source.topic, [(source.partition, UNKNOWN_EPOCH, epoch, NO_TAGS)], NO_TAGS)]
    answer = await answer_of(client, leader_of(client, source), ask_epoch_ends(_NO_REPLICA, topics, NO_TAGS))
    if answer is None:
        return None
    (found,) = answer["topics"][0]["partitions"]
    require(found["error_code"], source.topic)
    end: int = found["end_offset"]
    return end if end >= 0 else None
