"""What enters and leaves a hop: plain records, as Kafka carries them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from services.contract.events import Headers

Mark = Callable[[str], None]
"""Called with a stage's name when a batch leaves that stage; the shell measures, the path only tells."""


class Inbound(Protocol):
    """A record read from a topic; aiokafka's records are such."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Record(NamedTuple):
    """An inbound record outside Kafka: in tests, in ``recompute``, in backtests. ``timestamp`` is in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Outbound(NamedTuple):
    """A record to be written. Its timestamp is that of the payment's append to ``payments.v1``."""

    partition: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: Headers


def no_mark(stage: str) -> None:
    """Measure nothing."""


@dataclass(slots=True)
class HopResult:
    """What a batch of input gives.

    ``outputs`` maps a topic's role (an attribute of ``Topics``) to its records in order; ``counts`` are payments per
    result, ``reasons`` dead letters per reason, ``rules`` results per rule and outcome, ``alerts`` events per queue and
    status, ``thresholds`` the risk that alerts must reach, per queue.
    """

    outputs: dict[str, list[Outbound]]
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    alerts: Counter[tuple[str, str]] = field(default_factory=Counter)
    thresholds: dict[str, float] = field(default_factory=dict)
