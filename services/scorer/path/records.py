"""What enters and leaves a hop: plain records, as Kafka carries them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True, eq=False)
class OutboundColumns(Sequence[Outbound]):
    """n records to one partition, in columns, without headers. As a sequence it gives each as a record.

    ``timestamps`` is int64[n]; keys and values stand one after the other in ``data`` (uint8), up to ``ends`` (n + 1).
    """

    partition: int
    timestamps: NDArray[np.int64]
    key_data: NDArray[np.uint8]
    key_ends: NDArray[Any]
    data: NDArray[np.uint8]
    ends: NDArray[Any]

    def __len__(self) -> int:
        return len(self.timestamps)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        key = self.key_data[self.key_ends[at] : self.key_ends[at + 1]].tobytes()
        value = self.data[self.ends[at] : self.ends[at + 1]].tobytes()
        return Outbound(self.partition, int(self.timestamps[at]), key, value, [])


def no_mark(stage: str) -> None:
    """Measure nothing."""


@dataclass(slots=True)
class HopResult:
    """What a batch of input gives.

    ``outputs`` maps a topic's role (an attribute of ``Topics``) to its records in order; ``counts`` are payments per
    result, ``reasons`` dead letters per reason, ``rules`` results per rule and outcome, ``alerts`` events per queue and
    status, ``thresholds`` the risk that alerts must reach, per queue.
    """

    outputs: dict[str, list[Outbound] | OutboundColumns]
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    alerts: Counter[tuple[str, str]] = field(default_factory=Counter)
    thresholds: dict[str, float] = field(default_factory=dict)
