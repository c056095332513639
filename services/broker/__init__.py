"""Brokers that Tocsin starts itself, on the loopback address: for its tests, its demo and a developer's machine.

>>> with open_broker() as broker:  # doctest: +SKIP
...     print(broker.kind, broker.bootstrap, broker.delivery, broker.fallback_reason)
apache-kafka-4.3.1 127.0.0.1:21345 exactly_once None
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from services.broker.errors import BrokerError, JarCorrupted, JarsUnavailable, NoJava, PortTaken
from services.broker.jars import resolve_jars
from services.broker.java import find_java
from services.broker.kafka import KafkaBroker
from services.broker.local import Broker
from services.broker.memory import MemoryBroker, find_binary

__all__ = [
    "open_broker",
    "Broker",
    "KafkaBroker",
    "MemoryBroker",
    "BrokerError",
    "JarCorrupted",
    "JarsUnavailable",
    "NoJava",
    "PortTaken",
]


def open_broker(
    kind: Literal["auto", "kafka", "memory"] = "auto",
    *,
    port: int | None = None,
    data_dir: Path | None = None,
) -> Broker:
    """Choose a broker, not yet started: Kafka if it can be had, else the memory-only one, which says why.

    Parameters
    ----------
    kind
        ``kafka`` and ``memory`` insist on one.
    port
        Where clients connect; ``None``: a free port.
    data_dir
        Where Kafka keeps its records; ``None``: in a temporary folder. The memory broker has no use for it.

    Raises
    ------
    NoJava, JarsUnavailable
        ``kind`` is ``kafka``, and it cannot be had.
    JarCorrupted
        A jar is not the one that is pinned, whatever the kind, unless it is ``memory``.
    BrokerError
        A setting is wrong, which the message names; or neither broker can be had.
    """
    if kind == "memory":
        if data_dir is not None:
            raise BrokerError("data_dir: the memory broker keeps no data")
        return MemoryBroker(port=port)
    try:
        java, jars = find_java(), resolve_jars()
    except (NoJava, JarsUnavailable) as missing:
        if kind == "kafka":
            raise
        try:
            find_binary()
        except BrokerError as also:
            raise BrokerError(f"{missing}; {also}") from also
        unused = "" if data_dir is None else "; data_dir is not used, records are kept in memory"
        return MemoryBroker(port=port, fallback_reason=f"{missing}{unused}")
    return KafkaBroker(port=port, data_dir=data_dir, java=java, jars=jars)
