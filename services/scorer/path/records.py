"""What enters and leaves a hop: plain records, as Kafka carries them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.contract.events import Headers
from services.wire.headers import HeaderColumn

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


@dataclass(frozen=True, slots=True)
class Records(Sequence[Record]):
    """n records of one partition in columns, their bytes where they came in. As a sequence it gives each as a record.

    ``offsets`` and ``timestamps`` are int64[n]; ``keys`` and ``values`` int64[n, 2]: where in ``data`` (uint8) each
    begins, and its length, which is -1 where there is none.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    values: NDArray[np.int64]
    headers: Sequence[Sequence[tuple[str, bytes]]]

    @classmethod
    def of(cls, records: Iterable[Inbound]) -> Records:
        """The same records in columns."""
        if isinstance(records, cls):
            return records
        several = list(records)
        texts = [text for record in several for text in (record.key, record.value)]
        lengths = np.array([-1 if text is None else len(text) for text in texts], dtype=np.int64)
        ends = np.cumsum(np.maximum(lengths, 0))
        spans = np.stack([ends - np.maximum(lengths, 0), lengths], axis=1)
        return cls(
            np.frombuffer(b"".join(text or b"" for text in texts), dtype=np.uint8),
            np.array([record.offset for record in several], dtype=np.int64),
            np.array([record.timestamp for record in several], dtype=np.int64),
            np.ascontiguousarray(spans[0::2]),
            np.ascontiguousarray(spans[1::2]),
            [record.headers for record in several],
        )

    def __len__(self) -> int:
        return len(self.offsets)

    def __iter__(self) -> Iterator[Record]:
        data = memoryview(self.data)  # type: ignore[arg-type]
        columns = (self.offsets, self.timestamps, *self.keys.T, *self.values.T)
        for offset, timestamp, key, key_bytes, value, value_bytes, headers in zip(
            *(column.tolist() for column in columns), self.headers, strict=True
        ):
            yield Record(
                offset,
                timestamp,
                None if key_bytes < 0 else bytes(data[key : key + key_bytes]),
                None if value_bytes < 0 else bytes(data[value : value + value_bytes]),
                headers,
            )

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        return Record(
            int(self.offsets[at]), int(self.timestamps[at]), self._text(self.keys[at]), self._text(self.values[at]),
            self.headers[at],
        )  # fmt: skip

    def value(self, at: int) -> bytes | None:
        """The value of one record."""
        return self._text(self.values[at])

    def having(self, header: tuple[str, bytes]) -> NDArray[np.bool_]:
        """bool[n]: which records have ``header`` among theirs."""
        if isinstance(self.headers, HeaderColumn):
            return self.headers.having(header)
        return np.array([header in headers for headers in self.headers], dtype=np.bool_)

    def _text(self, span: NDArray[np.int64]) -> bytes | None:
        start, length = span.tolist()
        return None if length < 0 else self.data[start : start + length].tobytes()


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


def timestamps_of(records: Sequence[Outbound]) -> NDArray[np.int64]:
    """int64[n]: the timestamps of ``records``."""
    if isinstance(records, OutboundColumns):
        return records.timestamps
    return np.array([record.timestamp for record in records], dtype=np.int64)


Outputs = Mapping[str, list[Outbound] | OutboundColumns]
"""Records to be written, by a topic or by its role (an attribute of ``Topics``)."""


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

    def add(self, role: str, record: Outbound) -> None:
        """One more record of a topic whose records are not columns."""
        records = self.outputs.setdefault(role, [])
        assert isinstance(records, list), role
        records.append(record)
