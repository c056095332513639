"""CloudEvents 1.0 attributes as Kafka headers (binary content mode).

Every attribute is a function of the record alone: no clock is read, so a replay writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

Headers = list[tuple[str, bytes]]

SOURCE = "/tocsin"
SNOOZE = "snooze.v1"
PAYMENT_LABEL = "payment-label.v1"
_JSON = ("content-type", b"application/json")
_SPEC = ("ce_specversion", b"1.0")


def cloud_event(kind: str, event_id: str, source: str = SOURCE) -> Headers:
    """Headers of an event: ``kind`` such as ``payment.v1``, ``event_id`` unique within ``source``."""
    return [
        _SPEC,
        type_header(kind),
        ("ce_source", source.encode()),
        ("ce_id", event_id.encode()),
        _JSON,
    ]


def is_event(headers: Sequence[tuple[str, bytes]], kind: str) -> bool:
    """Whether ``headers`` are those of an event of ``kind``.

    >>> is_event(cloud_event(SNOOZE, "s-1"), SNOOZE)
    True
    """
    return type_header(kind) in headers


@lru_cache
def type_header(kind: str) -> tuple[str, bytes]:
    """The header that says of what kind an event is."""
    return "ce_type", b"org.tocsin." + kind.encode()
