"""The join of decisions and labels, without Kafka: what was served, met by what was later learned of it.

The two topics interleave as they please, so whichever record of a pair comes second makes the example. Which examples
the records below a set of offsets make does not depend on how they interleaved, while no limit is reached: that is
what lets a restarted learner replay them without emitting, and emit only what lies above.

Rules, each a function of the records themselves:

- The first decision of a payment counts; a repeat changes nothing.
- A label id counts once for a payment. Another label id for the same payment is a correction, and a second example.
- A label joins when it came at most ``decision_retention_ms`` after its payment, in event time.
- A payment makes at most ``labels_per_payment_max`` examples.
- The first label of a payment also goes to the scorers, whose features it feeds; corrections do not.

What bounds the state, always counted and never silent: decisions are forgotten ``decision_retention_ms`` and
``slack_ms`` behind the latest event time; labels without a decision wait ``label_wait_ms``, at most
``waiting_labels_max`` of them, and the earliest are dropped first.

Keys: ``d`` decision, ``j`` digests of the label ids joined, ``w`` waiting label, ``t`` decisions by day of event time,
``m`` the rest. A payment is named by a digest of 128 bits; no identifier is part of a key.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Protocol

import msgspec

from services.contract.identity import digest64
from services.contract.types import Example, Label, PaymentLabel
from services.learner.records import Served, ServedDecision, accounts_of, example_of, payment_label_of

DAY_MS = 86_400_000
Changes = dict[bytes, bytes | None]
"""Values to be written by key; ``None`` removes."""


class KeyValues(Protocol):
    """An ordered map of bytes that is written atomically."""

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key``."""

    def scan(self, start: bytes, stop: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to ``limit`` entries with ``start <= key < stop``, ascending."""

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Make all changes, or none."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the join remembers at most."""

    decision_retention_ms: int = 400 * DAY_MS
    slack_ms: int = 30 * DAY_MS
    label_wait_ms: int = 400 * DAY_MS
    waiting_labels_max: int = 100_000
    labels_per_payment_max: int = 64
    forgotten_per_seal_max: int = 8_000


class Joined(NamedTuple):
    """A label that has met its decision."""

    example: Example
    first: PaymentLabel | None
    """What scorers are to learn of it, if it is the payment's first."""


class _Meta(msgspec.Struct, array_like=True):
    latest_event_ms: int = 0
    decisions: int = 0
    sequence: int = 0


_META = b"m"
_encode, _decode_served = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Served).decode
_decode_label, _decode_meta = msgspec.msgpack.Decoder(Label).decode, msgspec.msgpack.Decoder(_Meta).decode


def payment_key(tenant: str, payment_id: str) -> bytes:
    """128 bits that stand for a payment."""
    name = tenant.encode()
    return blake2b(len(name).to_bytes(2, "big") + name + payment_id.encode(), digest_size=16).digest()


class Join:
    """The join over what ``store`` holds.

    Records go in through ``take_decision`` and ``take_label``; ``seal`` gives what the store has to be changed by
    since the last ``written``. The caller makes the examples durable, then writes the changes, then says ``written``.

    ``schema`` is the feature schema of this code: of decisions under another, amounts are not read.
    """

    def __init__(self, store: KeyValues, limits: Limits | None = None, schema: str = "") -> None:
        self._store = store
        self._schema = schema
        self._limits = limits or Limits()
        found = store.get(_META)
        self._meta = _decode_meta(found) if found else _Meta()
        self._changes: Changes = {}
        self._new: dict[int, list[bytes]] = {}
        self._waiting: dict[bytes, dict[bytes, Label]] = {}
        self._queue: list[tuple[int, bytes, bytes]] = []
        self.waiting_labels = 0
        self.counts: Counter[str] = Counter()
        """What became of records since ``written``, by result."""
        start = b"w"
        while entries := store.scan(start, b"x", 1_000):
            for key, value in entries:
                self._enqueue(key[1:17], key, _decode_label(value))
            start = entries[-1][0] + b"\0"

    @property
    def decisions(self) -> int:
        """Decisions remembered."""
        return self._meta.decisions

    def take_decision(self, decision: ServedDecision, appended_ms: int) -> list[Joined]:
        """Remember a decision; returns what the labels make that were waiting for it, in their order.

        ``appended_ms`` is the record's own timestamp: event time may run ahead of it by a day, and beyond that does
        not make the join forget, or one payment dated in the far future would.
        """
        meta, limits = self._meta, self._limits
        meta.latest_event_ms = max(meta.latest_event_ms, min(decision.event_time_ms, appended_ms + DAY_MS))
        payment = payment_key(decision.tenant, decision.payment_id)
        key = b"d" + payment
        if self._get(key) is not None:
            self.counts["decision_duplicate"] += 1
            return []
        if decision.event_time_ms // DAY_MS < self._oldest_day():
            self.counts["decision_too_old"] += 1
            return []
        served = Served(
            decision.event_time_ms,
            decision.score,
            decision.features,
            decision.model_hash,
            decision.feature_schema_hash,
            *accounts_of(decision),
        )
        self._changes[key] = _encode(served)
        self._new.setdefault(decision.event_time_ms // DAY_MS, []).append(payment)
        meta.decisions += 1
        made = []
        for at, label in self._waiting.pop(payment, {}).items():
            self._changes[at] = None
            self.waiting_labels -= 1
            joined = self._match(payment, label, served)
            if joined is not None:
                made.append(joined)
        if len(self._queue) > 2 * self.waiting_labels + limits.waiting_labels_max:
            self._queue = [entry for entry in self._queue if entry[2] in self._waiting.get(entry[1], {})]
            heapq.heapify(self._queue)
        return made

    def take_label(self, label: Label) -> Joined | None:
        """What a label makes; or nothing, and ``counts`` says what became of the label."""
        payment = payment_key(label.tenant, label.payment_id)
        found = self._get(b"d" + payment)
        if found is not None:
            return self._match(payment, label, _decode_served(found))
        waiting = self._waiting.get(payment, {})
        if any(other.label_id == label.label_id for other in waiting.values()):
            self.counts["duplicate"] += 1
        elif len(waiting) == self._limits.labels_per_payment_max:
            self.counts["excess"] += 1
        else:
            key = b"w" + payment + self._next().to_bytes(8, "big")
            self._changes[key] = _encode(label)
            self._enqueue(payment, key, label)
            self.counts["waiting"] += 1
        return None

    def seal(self) -> Changes:
        """Forget what is beyond the limits, and say what the store has to be changed by."""
        self._drop_labels()
        self._forget_decisions()
        for day, payments in self._new.items():
            self._changes[_day_key(day) + self._next().to_bytes(8, "big")] = b"".join(payments)
        self._new = {}
        self._changes[_META] = _encode(self._meta)
        return self._changes

    def written(self) -> None:
        """The store has the changes."""
        self._changes = {}
        self.counts = Counter()

    def _match(self, payment: bytes, label: Label, served: Served) -> Joined | None:
        key, digest = b"j" + payment, digest64(label.label_id).to_bytes(8, "little")
        joined = self._get(key) or b""
        if digest in (joined[at : at + 8] for at in range(0, len(joined), 8)):
            self.counts["duplicate"] += 1
            return None
        if len(joined) == 8 * self._limits.labels_per_payment_max:
            self.counts["excess"] += 1
            return None
        if label.label_time_ms - served.event_time_ms > self._limits.decision_retention_ms:
            self.counts["too_late"] += 1
            return None
        self._changes[key] = joined + digest
        self.counts["joined"] += 1
        return Joined(example_of(label, served), None if joined else payment_label_of(label, served, self._schema))

    def _drop_labels(self) -> None:
        """The earliest waiting labels go, while they are too many or have waited too long."""
        oldest_ms = self._meta.latest_event_ms - self._limits.label_wait_ms
        while self._queue:
            label_time_ms, payment, key = self._queue[0]
            overflow = self.waiting_labels > self._limits.waiting_labels_max
            labels = self._waiting.get(payment, {})
            if key in labels:
                if label_time_ms >= oldest_ms and not overflow:
                    return
                self.counts["overflow" if overflow else "expired"] += 1
                self._changes[key] = None
                self.waiting_labels -= 1
                del labels[key]
                if not labels:
                    del self._waiting[payment]
            heapq.heappop(self._queue)

    def _forget_decisions(self) -> None:
        """Whole days that lie behind the horizon go, a bounded number of payments at a time."""
        forgotten = 0
        for key, payments in self._store.scan(b"t", _day_key(self._oldest_day()), 16):
            if forgotten >= self._limits.forgotten_per_seal_max:
                break
            self._changes[key] = None
            for at in range(0, len(payments), 16):
                self._changes[b"d" + payments[at : at + 16]] = None
                self._changes[b"j" + payments[at : at + 16]] = None
                forgotten += 1
        self._meta.decisions -= forgotten
        self.counts["decision_forgotten"] += forgotten

    def _oldest_day(self) -> int:
        horizon_ms = self._meta.latest_event_ms - self._limits.decision_retention_ms - self._limits.slack_ms
        return max(0, horizon_ms // DAY_MS)

    def _enqueue(self, payment: bytes, key: bytes, label: Label) -> None:
        self._waiting.setdefault(payment, {})[key] = label
        heapq.heappush(self._queue, (label.label_time_ms, payment, key))
        self.waiting_labels += 1

    def _next(self) -> int:
        self._meta.sequence += 1
        return self._meta.sequence

    def _get(self, key: bytes) -> bytes | None:
        return self._changes[key] if key in self._changes else self._store.get(key)


def _day_key(day: int) -> bytes:
    return b"t" + day.to_bytes(4, "big")
