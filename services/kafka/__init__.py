"""Kafka, as this project uses it: clients, topics, reading a topic back, announcing models."""

from services.kafka.clients import (
    REQUEST_BYTES_MAX,
    admin,
    answered_ms,
    check_group,
    connection,
    consumer,
    looked_at,
    opened,
    producer,
    transaction,
)

__all__ = [
    "REQUEST_BYTES_MAX",
    "admin",
    "answered_ms",
    "check_group",
    "connection",
    "consumer",
    "looked_at",
    "opened",
    "producer",
    "transaction",
]
