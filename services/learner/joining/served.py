"""Whether what is served has drifted: a sample of all decisions, labelled or not, against a reference. No Kafka here.

One decision in ``sample_one_in`` takes part, chosen by the last 64 bits of its payment's digest; the first choose what
the join keeps. Time is event time, in *panes* of a day (UTC); a pane lasts longer where a day brings too few decisions.
The first ``window_days`` panes are the reference: deciles of each feature and of the score are cut there, on at most
``REFERENCE_DECISIONS`` of its decisions, those with the lowest digests, which is a uniform sample whatever the order.
From then on each pane that ends is looked at together with the ``window_days - 1`` before it: with seven of them every
day of the week is in both sides, and no daily or weekly rhythm passes for drift. A decision dated before the open pane
counts in the open pane.

An index that reaches the limit is an alarm once, and again only after it has been below. The reference stays until
people renew it (``reference`` of the plan), or another feature schema makes it meaningless: a reference that followed
the data would never see a slow drift.

The state lives in the join's store under keys that begin with ``p`` and is written in the same batch as the offsets, so
it is always what the decisions below the offsets made it. Keys: ``pm`` what is known of the run, ``pe`` deciles, ``pc``
the reference's counts, ``pr`` a decision of the reference to be, ``pw`` counts of a pane.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import msgspec
import numpy as np
import orjson
from msgspec import Struct

from models.drift import BINS, DECILES, SCORE, Alarm, Counts, Floats, count_bins, deciles, stability_index
from models.measures import Flags
from services.contract.identity import hash_of
from services.contract.payment_digests import keys_of
from services.contract.units import DAY_MS
from services.learner.joining.records import Decisions
from services.learner.joining.state import Changes, KeyValues
from services.scorer.path.features.registry import NAMES

REFERENCE_DECISIONS = 4_096
"""Decisions that deciles are cut on, at most; 0.9 KB each until they are."""
COLUMNS = (*NAMES, SCORE)

_ALL_KEYS = b"p"
_META, _EDGES, _REFERENCE, _ROW, _PANE = b"pm", b"pe", b"pc", b"pr", b"pw"


@dataclass(frozen=True, slots=True)
class ServedPlan:
    """What, besides the decisions, decides the indices."""

    feature_schema_hash: str
    sample_one_in: int
    window_days: int
    window_decisions: int
    """A window holds at least so many sampled decisions."""
    psi_limit: float
    reference: str
    """A name; another one takes the reference anew."""

    @property
    def pane_decisions(self) -> int:
        """Sampled decisions without which a pane does not end."""
        return math.ceil(self.window_decisions / self.window_days)

    @property
    def hash(self) -> str:
        """SHA-256 over what makes a state its own."""
        decides = {**asdict(self), "reference_decisions": REFERENCE_DECISIONS, "bins": BINS, "columns": COLUMNS}
        return hash_of(orjson.dumps(decides, option=orjson.OPT_SORT_KEYS))


class _Meta(Struct, array_like=True):
    plan: str
    day: int = -1
    """Of the open pane, its latest."""
    pane: int = 0
    """Number of the open pane."""
    pane_decisions: int = 0
    reference_decisions: int = 0
    """Sampled decisions that the reference had to choose from; final once it has been taken."""
    evaluations: int = 0
    index: bytes = b""
    """float64[COLUMNS] of the latest evaluation, little-endian."""
    alarmed: list[int] = []
    """Columns that were at or above the limit then."""


_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(_Meta).decode


class ServedDrift:
    """The indices over what ``store`` holds. Used as the join is: ``take``, then ``seal``, and ``written``.

    ``alarms`` are those since ``written``; they are to be heard before the changes are written, or a crash in between
    would lose them.
    """

    def __init__(self, store: KeyValues, plan: ServedPlan) -> None:
        self._store = store
        self._plan = plan
        self._changes: Changes = {}
        self._moved = False
        self.alarms: list[Alarm] = []
        self._buffer: list[Floats] = []
        self._rows: list[tuple[int, bytes]] = []
        """Heap by falling digest: what of the reference to be would leave first."""
        found = store.get(_META)
        self._meta = _decode(found) if found else _Meta(plan.hash)
        if self._meta.plan != plan.hash:
            self._forget_all()
            self._moved = True
            self._meta = _Meta(plan.hash)
        edges = self._value(_EDGES)
        self._edges = None if edges is None else np.frombuffer(edges, dtype="<f8").reshape(-1, DECILES)
        self._reference = self._counts(_REFERENCE)
        self._panes: deque[Counts] = deque()
        filling = self._counts(_PANE + _number(self._meta.pane))
        self._open: Counts = _empty() if filling is None else filling
        for number in range(max(0, self._meta.pane - plan.window_days + 1), self._meta.pane):
            pane = self._counts(_PANE + _number(number))
            if pane is not None:
                self._panes.append(pane)
        for key, _ in self._stored(_ROW):
            heapq.heappush(self._rows, (-int.from_bytes(key[2:], "big"), key))

    @property
    def evaluations(self) -> int:
        """How often the indices were computed."""
        return self._meta.evaluations

    @property
    def decisions(self) -> dict[str, int]:
        """Sampled decisions so far in the ``reference`` and in the current ``window`` with its open pane."""
        current = [*self._panes, self._open] if self._reference is not None else []
        return {
            "reference": self._meta.reference_decisions,
            "window": sum(int(pane[0].sum()) for pane in current),
        }

    def index(self) -> dict[str, float]:
        """The population stability index by feature, and of ``score``, when a pane last ended; empty before."""
        known: list[float] = np.frombuffer(self._meta.index, dtype="<f8").tolist()
        return dict(zip(COLUMNS, known, strict=True)) if known else {}

    def take(self, decisions: Decisions, is_new: Flags) -> None:
        """Take those of a batch that the join has not seen before; only the sample is looked at one by one.

        Event time more than a day ahead of a payment's append ends no pane.
        """
        plan, meta, served = self._plan, self._meta, decisions.served
        if served.by.feature_schema_hash != plan.feature_schema_hash or served.features.shape[1] != len(NAMES):
            return
        rows = np.flatnonzero(is_new & (decisions.digests[:, 1] % np.uint64(plan.sample_one_in) == 0))
        table = np.column_stack([served.features[rows], served.score[rows]])
        days = np.minimum(served.event_time_ms[rows], decisions.appended_ms[rows] + DAY_MS) // DAY_MS
        for key, day, row in zip(keys_of(decisions.digests[rows]), days.tolist(), table, strict=True):
            if day > meta.day:
                if meta.pane_decisions >= plan.pane_decisions:
                    self._end_pane()
                meta.day = day
            self._moved = True
            meta.pane_decisions += 1
            if self._reference is None:
                self._choose(key, row)
            else:
                self._buffer.append(row)

    def seal(self) -> Changes:
        """What the store has to be changed by since ``written``."""
        if not self._moved:
            return self._changes
        self._count()
        if self._reference is not None:
            self._changes[_PANE + _number(self._meta.pane)] = _packed(self._open)
        self._changes[_META] = _encode(self._meta)
        return self._changes

    def written(self) -> None:
        """The store has the changes, and the alarms were heard."""
        self._changes = {}
        self.alarms = []
        self._moved = False

    def _choose(self, digest: bytes, row: Floats) -> None:
        """A decision of the reference: it stays while its digest is among the lowest."""
        self._meta.reference_decisions += 1
        key = _ROW + digest
        entry = (-int.from_bytes(digest, "big"), key)
        if len(self._rows) == REFERENCE_DECISIONS:
            if entry < self._rows[0]:
                return
            self._changes[heapq.heappop(self._rows)[1]] = None
        heapq.heappush(self._rows, entry)
        self._changes[key] = row.astype("<f8").tobytes()

    def _end_pane(self) -> None:
        self._count()
        meta, ended = self._meta, self._meta.pane
        meta.pane, meta.pane_decisions = ended + 1, 0
        if self._reference is None:
            if meta.pane == self._plan.window_days:
                self._cut()
            return
        self._changes[_PANE + _number(ended)] = _packed(self._open)
        self._panes.append(self._open)
        self._open = _empty()
        if len(self._panes) == self._plan.window_days:
            self._evaluate(sum(self._panes, _empty()))
            self._panes.popleft()
            self._changes[_PANE + _number(meta.pane - self._plan.window_days)] = None

    def _cut(self) -> None:
        """The reference is complete: its deciles and counts stay, its decisions go."""
        keys = sorted(key for _, key in self._rows)
        rows = map(self._value, keys)
        table = np.frombuffer(b"".join(filter(None, rows)), dtype="<f8").reshape(-1, len(COLUMNS))
        self._edges = deciles(table)
        self._reference = count_bins(table, self._edges)
        self._changes[_EDGES] = self._edges.astype("<f8").tobytes()
        self._changes[_REFERENCE] = _packed(self._reference)
        self._changes.update(dict.fromkeys(keys))
        self._rows = []

    def _evaluate(self, current: Counts) -> None:
        assert self._reference is not None
        meta, plan = self._meta, self._plan
        index = stability_index(self._reference, current)
        above = np.flatnonzero(index >= plan.psi_limit).tolist()
        risen = {COLUMNS[column]: float(index[column]) for column in above if column not in meta.alarmed}
        meta.index, meta.alarmed, meta.evaluations = index.astype("<f8").tobytes(), above, meta.evaluations + 1
        ended_ms = (meta.day + 1) * DAY_MS
        score = risen.pop(SCORE, None)
        if risen:
            self.alarms.append(Alarm("feature", ended_ms, plan.reference, risen, plan.psi_limit))
        if score is not None:
            self.alarms.append(Alarm("score", ended_ms, plan.reference, {SCORE: score}, plan.psi_limit))

    def _count(self) -> None:
        if self._buffer and self._edges is not None:
            self._open = self._open + count_bins(np.stack(self._buffer), self._edges)
        self._buffer = []

    def _value(self, key: bytes) -> bytes | None:
        return self._changes[key] if key in self._changes else self._store.get(key)

    def _counts(self, key: bytes) -> Counts | None:
        found = self._value(key)
        return None if found is None else np.frombuffer(found, dtype="<i4").reshape(-1, BINS).astype(np.int64)

    def _stored(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        start, stop = prefix, prefix[:-1] + bytes([prefix[-1] + 1])
        while entries := self._store.scan(start, stop, 1_000):
            yield from (entry for entry in entries if self._changes.get(entry[0], b"") is not None)
            start = entries[-1][0] + b"\0"

    def _forget_all(self) -> None:
        for key, _ in list(self._stored(_ALL_KEYS)):
            self._changes[key] = None


def _empty() -> Counts:
    return np.zeros((len(COLUMNS), BINS), dtype=np.int64)


def _packed(counts: Counts) -> bytes:
    return counts.astype("<i4").tobytes()


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")
