"""Questions of Kafka's protocol that aiokafka 0.14 cannot ask: topics with their ids, ends of leaders' epochs, sizes of
logs, and what of a transaction is open (KIP-516, KIP-320, KIP-113, KIP-664); and what answers of brokers mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    LeaderNotAvailableError,
    NoError,
    ProducerFenced,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)
from aiokafka.structs import TopicPartition

NO_TAGS: dict[int, bytes] = {}

_FENCED = frozenset({47, 90})
"""Somebody else took possession meanwhile: as coordinators said it before Kafka 2.7, and since."""

_TAGS = ("tags", TaggedFields)
_TEXT = CompactString("utf-8")


class _Uuid(AbstractType):  # type: ignore[misc]
    """16 bytes, as hexadecimal digits."""

    @classmethod
    def encode(cls, value: str) -> bytes:
        return bytes.fromhex(value)

    @classmethod
    def decode(cls, data: Any) -> str:
        return bytes(data.read(16)).hex()


async def answer_of(client: AIOKafkaClient, broker: int, question: Request[Any]) -> dict[str, Any] | None:
    """What a broker answers; ``None`` where it is too old for the question.

    Raises
    ------
    KafkaError
        When it does not answer.
    """
    try:
        response = await client.send(broker, question)
    except (IncompatibleBrokerVersion, NotImplementedError):
        return None
    answer: dict[str, Any] = response.to_object()
    return answer


def leader_of(client: AIOKafkaClient, source: TopicPartition) -> int:
    """The broker that leads a partition.

    Raises
    ------
    LeaderNotAvailableError
        When none is known.
    """
    leader = client.cluster.leader_for_partition(source)
    if leader is None or leader < 0:
        raise LeaderNotAvailableError(source.topic)
    return int(leader)


def require(code: int, what: str) -> None:
    """Raise the error that ``code`` stands for, about ``what``."""
    if code in _FENCED:
        raise ProducerFenced
    error: Any = for_code(code)
    if error is not NoError:
        raise error(what) if issubclass(error, KafkaError) else KafkaError(f"{code}: {what}")


def _rows(*fields: tuple[str, Any]) -> CompactArray:
    return CompactArray(*fields, _TAGS)


def _question(api_key: int, version: int, asked: Schema, answered: Schema) -> Callable[..., Request[Any]]:
    """What asks a broker that: made of the values of ``asked``, in order. Both are of a flexible version."""
    named = {"API_KEY": api_key, "API_VERSION": version}
    answer = type("Answer", (Response,), {**named, "SCHEMA": answered})
    struct = type(
        "Asked", (RequestStruct,), {**named, "SCHEMA": asked, "RESPONSE_TYPE": answer, "FLEXIBLE_VERSION": True}
    )

    class Question(Request[struct]):  # type: ignore[misc]
        API_KEY = api_key

        def __init__(self, *values: Any) -> None:
            self._values = values

        def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
            return request_struct_class(*self._values)

    return Question


ask_topics = _question(
    3, 12,
    Schema(
        ("topics", _rows(("topic_id", _Uuid), ("name", _TEXT))),
        ("allow_auto_topic_creation", Boolean), ("include_topic_authorized_operations", Boolean), _TAGS,
    ),
    Schema(
        ("throttle_time_ms", Int32),
        ("brokers", _rows(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        ("topics", _rows(
            ("error_code", Int16), ("name", _TEXT), ("topic_id", _Uuid), ("is_internal", Boolean),
            ("partitions", _rows(
                ("error_code", Int16), ("partition", Int32), ("leader", Int32), ("leader_epoch", Int32),
                ("replicas", CompactArray(Int32)), ("isr", CompactArray(Int32)),
                ("offline_replicas", CompactArray(Int32)),
            )),
            ("authorized_operations", Int32),
        )),
        _TAGS,
    ),
)  # fmt: skip
"""Metadata of topics by name or id."""

ask_epoch_ends = _question(
    23, 4,
    Schema(
        ("replica_id", Int32),
        ("topics", _rows(
            ("topic", _TEXT),
            ("partitions", _rows(("partition", Int32), ("current_leader_epoch", Int32), ("leader_epoch", Int32))),
        )),
        _TAGS,
    ),
    Schema(
        ("throttle_time_ms", Int32),
        ("topics", _rows(
            ("topic", _TEXT),
            ("partitions", _rows(
                ("error_code", Int16), ("partition", Int32), ("leader_epoch", Int32), ("end_offset", Int64)
            )),
        )),
        _TAGS,
    ),
)  # fmt: skip
"""Where the records of a leader's epoch end, asked of a partition's leader."""

ask_log_sizes = _question(
    35, 2,
    Schema(("topics", _rows(("topic", _TEXT), ("partitions", CompactArray(Int32)))), _TAGS),
    Schema(
        ("throttle_time_ms", Int32),
        ("results", _rows(
            ("error_code", Int16), ("log_dir", _TEXT),
            ("topics", _rows(
                ("name", _TEXT),
                ("partitions", _rows(
                    ("partition", Int32), ("partition_size", Int64), ("offset_lag", Int64), ("is_future_key", Boolean)
                )),
            )),
        )),
        _TAGS,
    ),
)  # fmt: skip
"""How large partitions are on a broker's disks, asked of that broker."""

ask_transactions = _question(
    65, 0,
    Schema(("transactional_ids", CompactArray(_TEXT)), _TAGS),
    Schema(
        ("throttle_time_ms", Int32),
        ("transactions", _rows(
            ("error_code", Int16), ("transactional_id", _TEXT), ("state", _TEXT), ("timeout_ms", Int32),
            ("start_time_ms", Int64), ("producer_id", Int64), ("producer_epoch", Int16),
            ("topics", _rows(("topic", _TEXT), ("partitions", CompactArray(Int32)))),
        )),
        _TAGS,
    ),
)  # fmt: skip
"""How the last transaction of an id stands, asked of its coordinator."""

ask_producers = _question(
    61, 0,
    Schema(("topics", _rows(("topic", _TEXT), ("partitions", CompactArray(Int32)))), _TAGS),
    Schema(
        ("throttle_time_ms", Int32),
        ("topics", _rows(
            ("topic", _TEXT),
            ("partitions", _rows(
                ("partition", Int32), ("error_code", Int16), ("error_message", _TEXT),
                ("producers", _rows(
                    ("producer_id", Int64), ("producer_epoch", Int32), ("last_sequence", Int32),
                    ("last_timestamp_ms", Int64), ("coordinator_epoch", Int32), ("open_since_offset", Int64),
                )),
            )),
        )),
        _TAGS,
    ),
)  # fmt: skip
"""Who writes to partitions, and since which offset in a transaction that is open, asked of their leader."""
