"""The join of decisions and labels, without Kafka: what was served, met by what was later learned of it.

The two topics interleave as they please, so whichever record of a pair comes second makes the example. Which examples
the records below a set of offsets make does not depend on how they interleaved, while no limit is reached: that is
what lets a restarted learner replay them without emitting, and emit only what lies above.

Rules, each a function of the records themselves:

- Decisions are kept by importance sampling (``services.learner.joining.sampling``): what is learned of one weighs the
  inverse of the probability with which it was kept. A decision that is not kept is as if it had not come.
- Of what turns out not suspicious a share is learned, drawn by the same number of the same payment: the log would
  else be made of it. Scorers hear of every first label. A label of a payment that made an example makes another.
- The first decision of a payment that is kept counts; a repeat changes nothing. How decisions are cut into batches does
  not either.
- A label id counts once for a payment. Another label of the same payment makes a further example if it outranks the
  one that stands (``models.labels.rank``), and else none. So the last example of a payment in the log is
  that of the label which ``models.labels.resolved`` takes of all of them.
- A label joins when it came at most ``decision_retention_ms`` after its payment, in event time.
- A payment takes at most ``labels_per_payment_max`` labels.
- The first label of a payment also goes to the scorers, whose features it feeds; corrections do not.

**Silence.** ``sweep`` passes once over the kept decisions, by day of event time and within it by digest, a bounded
number at a time and never beyond the days that ended ``label_maturity_ms`` ago. Those without a label then make a
weak example. How far it has come is one key, ``swept``; the caller makes it durable together with the examples. All
else here is what the records made it: a replay takes records without sweeping, then calls ``pass_over`` with that key,
and from there on makes what it would have made. A decision that comes when the sweep has passed its place is not
swept. Which decisions are unlabelled when the sweep passes does depend on how the topics were read, as a label may be
on its way: it then makes its own example, which outranks silence.

What bounds the state, always counted and never silent: decisions are forgotten ``decision_retention_ms`` and
``slack_ms`` behind the latest event time; labels without a decision wait ``label_wait_ms``, or ``unsure_wait_ms`` where
the decision would not be kept for its payment's digest alone, since then it may have come and gone; at most
``waiting_labels_max`` of them, and those whose time is over first are dropped first.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from models.labels import rank
from models.measures import Flags
from services.contract.identity import digest64
from services.contract.label import LABEL_FREQUENCY, Example, Label, PaymentLabel
from services.contract.payment_digests import keys_of, payment_key
from services.contract.units import DAY_MS
from services.learner.joining.records import (
    Decisions,
    Kept,
    example_of,
    kept_rows,
    payment_label_of,
    silent_example_of,
)
from services.learner.joining.sampling import all_drawn, drawn, inclusion
from services.learner.joining.state import DAYS, META, PLACE_BYTES, Changes, KeyValues, Met, meta_in


@dataclass(frozen=True, slots=True)
class Limits:
    """What the join remembers at most, and from when on silence counts."""

    keep_share: float = 1.0
    """Of the decisions of low probability."""
    keep_probability: float = 0.05
    """From here on every decision is kept."""
    learn_share: float = 1.0
    """As ``keep_share``, of the decisions that turn out not suspicious: what of them is learned."""
    decision_retention_ms: int = 400 * DAY_MS
    slack_ms: int = 30 * DAY_MS
    label_maturity_ms: int = 0
    """0: silence never counts."""
    label_frequency: float = LABEL_FREQUENCY
    """Share of suspicious payments that ever get a label."""
    label_wait_ms: int = 400 * DAY_MS
    unsure_wait_ms: int = 7 * DAY_MS
    waiting_labels_max: int = 100_000
    labels_per_payment_max: int = 64
    forgotten_per_seal_max: int = 8_000
    """Or twice the decisions that were kept since the last, where these are more: it forgets faster than they come."""


class Joined(NamedTuple):
    """A label that has met its decision."""

    example: Example | None
    """``None`` where its payment turned out not suspicious, and is not of those that are learned."""
    first: PaymentLabel | None
    """What scorers are to learn of it, if it is the payment's first."""


class Taken(NamedTuple):
    """A batch of decisions that the join has taken."""

    joined: list[Joined]
    """What labels made that were waiting for them, in order."""
    is_new: Flags
    """bool[n]: those, kept or not, that are no repeats of kept ones and not older than what is remembered."""


_encode, _decode_kept = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Kept).decode
_decode_label, _decode_met = msgspec.msgpack.Decoder(Label).decode, msgspec.msgpack.Decoder(Met).decode


class Join:
    """The join over what ``store`` holds.

    Records go in through ``take_decisions`` and ``take_label``; ``seal`` gives what the store has to be changed by
    since the last ``written``. The caller makes the examples durable, then writes the changes, then says ``written``.

    ``schema`` is the feature schema of this code: of decisions under another, amounts are not read.

    Raises
    ------
    StateRefused
        When the store is of another format.
    """

    def __init__(self, store: KeyValues, limits: Limits | None = None, schema: str = "") -> None:
        self._store = store
        self._schema = schema
        self._limits = limits or Limits()
        self._meta = meta_in(store)
        self._changes: Changes = {}
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

    @property
    def swept(self) -> bytes:
        """The place that the sweep has come to: what ``pass_over`` takes."""
        return self._meta.swept

    @property
    def latest_event_ms(self) -> int:
        """The latest event time of a decision so far."""
        return self._meta.latest_event_ms

    def take_decisions(self, decisions: Decisions) -> Taken:
        """Remember those of a batch that are to be kept, in its order; what labels make that were waiting comes out.

        Event time may run ahead of a payment's append by a day, and beyond that does not make the join forget, or one
        payment dated in the far future would. Only what is kept, or has a label waiting, is looked at one by one.
        """
        served, meta, limits, counts = decisions.served, self._meta, self._limits, self.counts
        clock_ms = np.minimum(served.event_time_ms, decisions.appended_ms + DAY_MS)
        latest_ms = np.maximum.accumulate(np.maximum(clock_ms, meta.latest_event_ms))
        meta.latest_event_ms = int(latest_ms.max(initial=meta.latest_event_ms))
        is_old = served.event_time_ms // DAY_MS < self._oldest_day(latest_ms)
        is_new = ~is_old
        kept_with, cleared_with = (
            inclusion(served, share, limits.keep_probability) for share in (limits.keep_share, limits.learn_share)
        )
        is_kept = is_new & (all_drawn(decisions.digests) < kept_with)
        counts["decision_too_old"] += int(is_old.sum())
        counts["decision_not_kept"] += int((is_new & ~is_kept).sum())
        keys, rows = keys_of(decisions.digests), np.flatnonzero(is_kept).tolist()
        kept_at = dict(zip(rows, kept_rows(served, rows, kept_with, np.minimum(kept_with, cleared_with)), strict=True))
        joined: list[Joined] = []
        for row in self._looked_at(keys, is_new, is_kept):
            payment, kept = keys[row], kept_at.get(row)
            if kept is None:
                counts["not_kept"] += len(self._waited(payment))
            elif self._get(b"d" + payment) is not None:
                is_new[row] = False
            else:
                self._changes[b"d" + payment] = _encode(kept)
                self._changes[_day_key(kept.event_time_ms // DAY_MS) + payment] = b""
                made = [self._match(payment, label, kept) for label in self._waited(payment)]
                joined += [each for each in made if each is not None]
        repeats = int((is_kept & ~is_new).sum())
        counts["decision_duplicate"] += repeats
        counts["decision_kept"] += len(rows) - repeats
        meta.decisions += len(rows) - repeats
        if len(self._queue) > 2 * self.waiting_labels + limits.waiting_labels_max:
            self._queue = [entry for entry in self._queue if entry[2] in self._waiting.get(entry[1], {})]
            heapq.heapify(self._queue)
        return Taken(joined, is_new)

    def take_label(self, label: Label) -> Joined | None:
        """What a label makes; or nothing, and ``counts`` says what became of the label."""
        payment = payment_key(label.tenant, label.payment_id)
        found = self._get(b"d" + payment)
        if found is not None:
            return self._match(payment, label, _decode_kept(found))
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

    def sweep(self, decisions_max: int) -> tuple[int, list[Example]]:
        """Pass over the next decisions, at most ``decisions_max``, of the days that ended ``label_maturity_ms`` ago.

        What it passes over is read from the store, so it goes before the first record after ``written``.

        Returns
        -------
        How many it passed over, and the examples of those that nobody has labelled.
        """
        limits, meta = self._limits, self._meta
        if not limits.label_maturity_ms:
            return 0, []
        day = max(0, (meta.latest_event_ms - limits.label_maturity_ms) // DAY_MS)
        places = [key for key, _ in self._store.scan(meta.swept + b"\0", _day_key(day), decisions_max)]
        examples = []
        for place in places:
            payment = place[-16:]
            found = self._get(b"d" + payment)
            if found is None or self._get(b"j" + payment) is not None:
                continue
            kept = _decode_kept(found)
            example = silent_example_of(kept, limits.label_maturity_ms, limits.label_frequency)
            if example is not None and drawn(payment) < kept.inclusion_cleared:
                examples.append(example)
        if places:
            meta.swept = places[-1]
        self.counts["matured"] += len(examples)
        return len(places), examples

    def pass_over(self, place: bytes) -> None:
        """The sweep has been at ``place``, a ``swept``, and made its examples. What is no place changes nothing."""
        if len(place) == PLACE_BYTES and place.startswith(DAYS):
            self._meta.swept = max(self._meta.swept, place)

    def seal(self) -> Changes:
        """Forget what is beyond the limits, and say what the store has to be changed by."""
        self._drop_labels()
        self._forget_decisions()
        self._changes[META] = _encode(self._meta)
        return self._changes

    def written(self) -> None:
        """The store has the changes."""
        self._changes = {}
        self.counts = Counter()

    def _match(self, payment: bytes, label: Label, kept: Kept) -> Joined | None:
        key, digest = b"j" + payment, digest64(label.label_id).to_bytes(8, "little")
        found = self._get(key)
        met = None if found is None else _decode_met(found)
        ids, counts = b"" if met is None else met.ids, self.counts
        if digest in (ids[at : at + 8] for at in range(0, len(ids), 8)):
            counts["duplicate"] += 1
            return None
        if len(ids) == 8 * self._limits.labels_per_payment_max:
            counts["excess"] += 1
            return None
        if label.label_time_ms - kept.event_time_ms > self._limits.decision_retention_ms:
            counts["too_late"] += 1
            return None
        ranked = rank(label)
        standing = ranked if met is None else max(ranked, met.standing)
        outranked, learned = ranked < standing, met is not None and met.learned
        example = None if outranked else example_of(label, kept, drawn(payment), learned)
        self._changes[key] = _encode(Met(standing, ids + digest, learned or example is not None))
        counts["outranked" if outranked else "joined" if example is not None else "not_learned"] += 1
        if outranked:
            return None
        return Joined(example, payment_label_of(label, kept, self._schema) if met is None else None)

    def _drop_labels(self) -> None:
        """The waiting labels whose time is over first go, while they are too many or it is over."""
        while self._queue:
            until_ms, payment, key = self._queue[0]
            overflow = self.waiting_labels > self._limits.waiting_labels_max
            labels = self._waiting.get(payment, {})
            if key in labels:
                if until_ms >= self._meta.latest_event_ms and not overflow:
                    return
                over = "expired" if self._kept_anyway(payment) else "not_kept"
                self.counts["overflow" if overflow else over] += 1
                self._changes[key] = None
                self.waiting_labels -= 1
                del labels[key]
                if not labels:
                    del self._waiting[payment]
            heapq.heappop(self._queue)

    def _forget_decisions(self) -> None:
        """Those of whole days that lie behind the horizon go, a bounded number at a time."""
        meta, day = self._meta, _day_key(int(self._oldest_day(self._meta.latest_event_ms)))
        most = max(self._limits.forgotten_per_seal_max, 2 * self.counts["decision_kept"])
        places = self._store.scan(meta.forgotten + b"\0", day, most)
        for place, _ in places:
            for key in (place, b"d" + place[-16:], b"j" + place[-16:]):
                self._changes[key] = None
            meta.forgotten = place
        meta.decisions -= len(places)
        self.counts["decision_forgotten"] += len(places)

    def _looked_at(self, keys: list[bytes], is_new: Flags, is_kept: Flags) -> list[int]:
        """Of a batch the rows that are to be kept, or that labels are waiting for."""
        looked_at: list[int] = np.flatnonzero(is_new if self._waiting else is_kept).tolist()
        return [row for row in looked_at if is_kept[row] or keys[row] in self._waiting]

    def _waited(self, payment: bytes) -> Collection[Label]:
        """The labels that have waited for the decision of ``payment``, in order; they do no more."""
        waiting = self._waiting.pop(payment, {})
        self.waiting_labels -= len(waiting)
        self._changes.update(dict.fromkeys(waiting))
        return waiting.values()

    def _oldest_day(self, latest_ms: Any) -> Any:
        """The day before which nothing is remembered, for each of ``latest_ms``: latest event times."""
        horizon_ms = latest_ms - self._limits.decision_retention_ms - self._limits.slack_ms
        return np.maximum(0, horizon_ms // DAY_MS)

    def _kept_anyway(self, payment: bytes) -> bool:
        """Whether a decision of the payment is kept whatever it says."""
        return drawn(payment) < self._limits.keep_share

    def _enqueue(self, payment: bytes, key: bytes, label: Label) -> None:
        self._waiting.setdefault(payment, {})[key] = label
        limits = self._limits
        wait_ms = limits.label_wait_ms if self._kept_anyway(payment) else limits.unsure_wait_ms
        heapq.heappush(self._queue, (label.label_time_ms + wait_ms, payment, key))
        self.waiting_labels += 1

    def _next(self) -> int:
        self._meta.sequence += 1
        return self._meta.sequence

    def _get(self, key: bytes) -> bytes | None:
        return self._changes[key] if key in self._changes else self._store.get(key)


def _day_key(day: int) -> bytes:
    return DAYS + day.to_bytes(4, "big")
