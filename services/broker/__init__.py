"""Brokers that Tocsin starts itself, on the loopback address: for its tests, its demo and a developer's machine.

>>> with open_broker() as broker:  # doctest: +SKIP
...     print(broker.kind, broker.bootstrap, broker.delivery, broker.fallback_reason)
apache-kafka-4.3.1 127.0.0.1:21345 exactly_once None
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from services.broker.errors import BrokerError, JarCorrupted, JarsUnavailable, NoJava, PortTaken
from services.broker.jars import resolve_jars
from services.broker.java import find_java
from services.broker.kafka import KafkaBroker
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


class Broker(Protocol):
    """A broker with a life of its own; ``services.broker.local.LocalBroker`` says what each method does."""

    fallback_reason: str | None
    """Why this is not the broker that was hoped for, in one line; ``None``: it is."""

    @property
    def kind(self) -> str:
        """``apache-kafka-4.3.1`` or ``memory``."""

    @property
    def delivery(self) -> Literal["exactly_once", "at_least_once"]:
        """The strongest delivery that it can give."""

    @property
    def bootstrap(self) -> str:
        """``host:port``, for clients."""

    @property
    def running(self) -> bool:
        """Whether its process lives."""

    def start(self) -> None:
        """Start, and return when it answers."""

    def stop(self) -> None:
        """Stop in order; the data of a Kafka stays."""

    def kill(self) -> None:
        """End it as a crash would."""

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port and data."""

    def close(self) -> None:
        """Stop it and remove its temporary data."""

    def __enter__(self) -> Self:
        """Start it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


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
        return _fall_back(missing, port, data_dir)
    return KafkaBroker(port=port, data_dir=data_dir, java=java, jars=jars)


def _fall_back(missing: BrokerError, port: int | None, data_dir: Path | None) -> MemoryBroker:
    try:
        find_binary()
    except BrokerError as also:
        raise BrokerError(f"{missing}; {also}") from also
    unused = "" if data_dir is None else "; data_dir is not used, records are kept in memory"
    return MemoryBroker(port=port, fallback_reason=f"{missing}{unused}")
