"""Kafka, as this project uses it: how its clients are opened, the one place that knows addresses, security and limits.

The modules here are about topics, reading one back, announcing models, and taking possession of a partition.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalOperation, KafkaError
from aiokafka.producer import sender
from aiokafka.structs import TopicPartition

from services.kafka.records import read_any_header
from services.runtime.settings import Settings

__all__ = [
    "REQUEST_BYTES_MAX",
    "admin",
    "answered_ms",
    "check_group",
    "connection",
    "consumer",
    "enlist",
    "looked_at",
    "opened",
    "producer",
    "transaction",
]

T = TypeVar("T")

read_any_header()
sender.BACKOFF_OVERRIDE = 0.005  # no option of aiokafka
"""Until a transaction is begun anew that was begun before the last one's end was written everywhere, in seconds.
aiokafka waits 20 ms; the broker needs a few."""

REQUEST_BYTES_MAX = 4 * 1024 * 1024
"""Largest produce request; the broker's ``message.max.bytes`` must be at least this for large batches."""


def connection(settings: Settings) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client needs to reach the cluster."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": settings.request_timeout_ms,
    }
    if settings.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    if settings.security_protocol.endswith("SSL"):
        cafile = str(settings.ssl_cafile) if settings.ssl_cafile else None
        options["ssl_context"] = ssl.create_default_context(cafile=cafile)
    return options


def admin(settings: Settings) -> AIOKafkaAdminClient:
    """An admin client, not yet started."""
    return AIOKafkaAdminClient(**connection(settings))


def producer(
    settings: Settings, transactional_id: str | None = None, transaction_ms_max: int | None = None
) -> AIOKafkaProducer:
    """A producer, not yet started: transactional if given an id, else idempotent where the broker can.

    ``transaction_ms_max`` shortens the time after which the broker aborts a transaction that nobody ends."""
    timeout_ms = settings.transaction_timeout_ms
    if transactional_id is not None:
        guarantee: dict[str, Any] = {
            "transactional_id": transactional_id,
            "transaction_timeout_ms": min(timeout_ms, transaction_ms_max or timeout_ms),
        }
    else:
        guarantee = {"enable_idempotence": settings.delivery == "exactly_once", "acks": "all"}
    return AIOKafkaProducer(
        **connection(settings),
        **guarantee,
        max_request_size=REQUEST_BYTES_MAX,
        max_batch_size=512 * 1024,
        compression_type=None if settings.compression == "none" else settings.compression,
    )


@asynccontextmanager
async def transaction(producer: AIOKafkaProducer) -> AsyncIterator[None]:
    """A transaction: committed at the end of the block, or left open for the next owner of its id to abort.

    Raises
    ------
    KafkaError
        What ended the transaction. aiokafka's sender meets it (fenced, timed out) in a task of its own; whatever its
        user does next is then refused as ``IllegalOperation`` or by an assertion, which say neither that nor why.
    """
    manager = producer._txn_manager  # aiokafka tells what ended a transaction nowhere else
    try:
        await producer.begin_transaction()
        looked_at(manager.wait_for_transaction_end())
        yield
        await producer.commit_transaction()
    except (IllegalOperation, AssertionError) as refused:
        ended = manager.wait_for_transaction_end()
        error = ended.exception() if ended is not None and ended.done() else None
        if not isinstance(error, KafkaError):
            raise
        raise error from refused


def enlist(producer: AIOKafkaProducer, partitions: Iterable[TopicPartition]) -> None:
    """Have ``partitions`` added to the open transaction of ``producer`` in one request, before anything else of it.

    Who then sends the offsets, and batches after those, has a transaction without a wait. Since KIP-890 brokers ask the
    coordinator, at the first batch for a partition and at the offsets, whether the transaction holds it. Two such
    questions about one producer at a time, or one while something is being added, are refused, and aiokafka waits
    ``retry_backoff_ms`` before it sends again what had made the broker ask: one transaction in five met that.
    """
    for each in partitions:
        producer._txn_manager.maybe_add_partition_to_txn(each)  # it has no public name


def looked_at(future: asyncio.Future[T]) -> asyncio.Future[T]:
    """``future``, whose error counts as seen even if nobody comes to wait for it: another one was raised first."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def consumer(settings: Settings, *topics: str, group_id: str | None = None, **options: Any) -> AIOKafkaConsumer:
    """A consumer of committed records, not yet started. It commits nothing by itself."""
    chosen: dict[str, Any] = {
        "group_id": group_id,
        "isolation_level": "read_committed" if settings.delivery == "exactly_once" else "read_uncommitted",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "session_timeout_ms": settings.session_timeout_ms,
        "heartbeat_interval_ms": max(300, settings.session_timeout_ms // 5),
    }
    return AIOKafkaConsumer(*topics, **connection(settings), **chosen | options)


@asynccontextmanager
async def opened(client: T) -> AsyncIterator[T]:
    """``client``, started; closed at the end, also where its start failed: aiokafka would log half a client otherwise.

    Raises
    ------
    KafkaError
        When no broker answers, or what the block raises.
    """
    running: Any = client
    try:
        await running.start()
        yield client
    finally:
        await (running.close() if isinstance(client, AIOKafkaAdminClient) else running.stop())


def check_group(consumer: AIOKafkaConsumer) -> None:
    """Raise what ended the consumer's part in its group. aiokafka tells it to whoever asks for records next; without a
    partition nobody does, and the consumer would wait for one for ever.

    Raises
    ------
    Exception
        Whatever the group's coordination met.
    """
    consumer._coordinator.check_errors()  # it has no public name


def answered_ms(consumer: AIOKafkaConsumer, sources: Iterable[TopicPartition]) -> int:
    """The time (ms) of the answer to a fetch that is oldest among the latest of each of ``sources``; 0 where one had
    none. It moves on even while there is nothing to read, and stands still when a broker does.
    """
    return min((consumer.last_poll_timestamp(each) or 0 for each in sources), default=0)
