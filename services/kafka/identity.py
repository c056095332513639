"""Which topic this is: its id, and which history of a partition its leader has.

A topic that is deleted and made again has the same name and another id. A partition whose new leader had not all of it
goes on from an earlier end: every leader's term has an epoch, and a leader says where an earlier epoch's records end.
aiokafka 0.14 speaks neither Metadata 12 nor OffsetForLeaderEpoch, so their messages are described here (KIP-516,
KIP-320).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)
from aiokafka.structs import TopicPartition

UNKNOWN_EPOCH = -1


class _Uuid(AbstractType):  # type: ignore[misc]
    """16 bytes, as hexadecimal digits."""

    @classmethod
    def encode(cls, value: str) -> bytes:
        return bytes.fromhex(value)

    @classmethod
    def decode(cls, data: Any) -> str:
        return bytes(data.read(16)).hex()


class _MetadataResponse_v12(Response):  # type: ignore[misc] # noqa: N801 - as aiokafka names its own
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequest_v12(RequestStruct):  # type: ignore[misc] # noqa: N801
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse_v12
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicRequest(Request[_MetadataRequest_v12]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_MetadataRequest_v12]) -> _MetadataRequest_v12:
        return request_struct_class([("0" * 32, self._topic, {})], False, False, {})


class _EpochEndResponse_v3(Response):  # type: ignore[misc] # noqa: N801
    API_KEY = 23
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(("error_code", Int16), ("partition", Int32), ("leader_epoch", Int32), ("end_offset", Int64)),
                ),
            ),
        ),
    )


class _EpochEndRequest_v3(RequestStruct):  # type: ignore[misc] # noqa: N801
    API_KEY = 23
    API_VERSION = 3
    RESPONSE_TYPE = _EpochEndResponse_v3
    SCHEMA = Schema(
        ("replica_id", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                ("partitions", Array(("partition", Int32), ("current_leader_epoch", Int32), ("leader_epoch", Int32))),
            ),
        ),
    )


class _EpochEnd(Request[_EpochEndRequest_v3]):  # type: ignore[misc]
    API_KEY = 23

    def __init__(self, source: TopicPartition, epoch: int) -> None:
        self._source, self._epoch = source, epoch

    def build(self, request_struct_class: type[_EpochEndRequest_v3]) -> _EpochEndRequest_v3:
        consumer = -1
        wanted = (self._source.partition, UNKNOWN_EPOCH, self._epoch)
        return request_struct_class(consumer, [(self._source.topic, [wanted])])


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
            response = await client.send(node, _TopicRequest(topic))
            break
        except (IncompatibleBrokerVersion, NotImplementedError):
            return None
        except KafkaError as error:
            failed = error
    else:
        raise failed
    (found,) = response.to_object()["topics"]
    if found["error_code"]:
        raise for_code(found["error_code"])(topic)
    return TopicIdentity(found["topic_id"], {each["partition"]: each["leader_epoch"] for each in found["partitions"]})


async def end_of_epoch(client: AIOKafkaClient, source: TopicPartition, epoch: int) -> int | None:
    """The offset where the records of ``epoch`` and those before it end, as the partition's leader has them; ``None``
    where brokers do not tell.

    Raises
    ------
    KafkaError
        When the leader is not known or does not answer.
    """
    leader = client.cluster.leader_for_partition(source)
    if leader is None or leader < 0:
        raise LeaderNotAvailableError(source.topic)
    try:
        response = await client.send(leader, _EpochEnd(source, epoch))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return None
    (found,) = response.to_object()["topics"][0]["partitions"]
    if found["error_code"]:
        raise for_code(found["error_code"])(source.topic)
    end: int = found["end_offset"]
    return end if end >= 0 else None
