"""What was said against what came out: each score as it was emitted, judged when its label arrives. Pure.

Prequential evaluation (Dawid, *The prequential approach*, 1984): no score here was made by a model that knew the label.
Examples are kept apart by how late their label came, since quick labels are of other payments than slow ones: an
analyst's answer is about what was scored high, silence that matured is about everything else. The cohorts and figures
are those of ``models.measures``, so that a backtest and the live service say the same.

Losses are watched for drift by cohort and label for the same reason: labels of one kind come in bursts, and a burst of
another kind is no drift. Only a rise is an alarm.

Everything here is a function of the examples in the order of their log. Its state says how far it has read, apart from
how far the trainer has: each takes an example once, whichever of them is ahead after a crash.
"""

from __future__ import annotations

import bisect

import msgspec
import numpy as np
import orjson
from msgspec import Struct

from models.drift import ADWIN_DELTA, Alarm, LossDrift, Packed, log_loss
from models.drift import DEFINITION as DRIFT_DEFINITION
from models.learning.recent import RecentIds
from models.learning.training import RECENT_EXAMPLES, WEIGHT_MAX
from models.measures import COHORTS, Figures, figures
from services.contract.errors import TocsinError
from services.contract.identity import hash_of
from services.contract.label import Example
from services.contract.units import DAY_MS

WINDOW_EXAMPLES = 8_192
"""How many of the latest examples of each cohort are judged."""
ALL = "all"
NAMES = (*(name for name, _ in COHORTS), ALL)

_BOUNDS_MS = [most * DAY_MS for _, most in COHORTS]
_JUDGED = np.dtype([("score", "<f8"), ("weight", "<f8"), ("label", "?")])
DEFINITION = {
    **DRIFT_DEFINITION,
    "window_examples": WINDOW_EXAMPLES,
    "recent_examples": RECENT_EXAMPLES,
    "cohorts": [(name, str(most)) for name, most in COHORTS],
}
"""All that decides what becomes of a log. State of another definition is not gone on with."""


class StateRefused(TocsinError, ValueError):
    """A state is not whole, or of another definition. The message says which."""


def cohort_of(age_ms: int) -> str:
    """The cohort of a label that came ``age_ms`` after its payment.

    >>> [cohort_of(days * DAY_MS) for days in (-1, 1, 2, 7, 30, 31)]
    ['1d', '1d', '7d', '7d', '30d', 'later']
    """
    return COHORTS[bisect.bisect_left(_BOUNDS_MS, age_ms)][0]


class JudgedWindow:
    """Score, weight and label of the latest examples, at most ``WINDOW_EXAMPLES`` of them. 17 bytes each."""

    def __init__(self, packed: bytes = b"") -> None:
        known = np.frombuffer(packed, dtype=_JUDGED)
        self._ring = np.zeros(WINDOW_EXAMPLES, dtype=_JUDGED)
        self._ring[: len(known)] = known
        self._taken = len(known)

    def add(self, score: float, weight: float, label: bool) -> None:
        """Take one example; the oldest leaves when the window is full."""
        self._ring[self._taken % WINDOW_EXAMPLES] = (score, weight, label)
        self._taken += 1

    def figures(self, budget_share: float) -> Figures:
        """What the scores in the window are worth (``models.measures.figures``): about 4 ms when full."""
        held = self._ring[: self._taken]
        return figures(held["score"].copy(), held["label"].copy(), held["weight"].copy(), budget_share)

    def pack(self) -> bytes:
        """The examples, oldest first: ``JudgedWindow(window.pack())`` is its equal."""
        if self._taken <= WINDOW_EXAMPLES:
            return self._ring[: self._taken].tobytes()
        return np.roll(self._ring, -(self._taken % WINDOW_EXAMPLES)).tobytes()


class _State(Struct, frozen=True):
    definition: str
    next_offset: int = 0
    judged: int = 0
    recent: bytes = b""
    windows: dict[str, bytes] = {}
    losses: dict[str, Packed] = {}


class Prequential:
    """Judges examples one by one, in the order of their log.

    Parameters
    ----------
    packed
        ``pack`` of another, which this one goes on from exactly; empty: at the beginning of the log.

    Raises
    ------
    StateRefused
        When ``packed`` is not whole, or of another definition: begin at the beginning instead.
    """

    def __init__(self, packed: bytes = b"") -> None:
        state = _unpacked(packed) if packed else _State(_definition())
        self.next_offset, self.judged = state.next_offset, state.judged
        self._recent = RecentIds(RECENT_EXAMPLES, state.recent)
        self._windows = {name: JudgedWindow(state.windows.get(name, b"")) for name in NAMES}
        self._losses = LossDrift(state.losses)
        self._changed = dict.fromkeys(NAMES)  # in the order in which they changed

    def take(self, example: Example, offset: int) -> Alarm | None:
        """Judge the example that stands at ``offset`` of the log, if it is new and its weight is one; returns the rise
        of losses that it completes, if it completes one.

        The feature schema does not matter: whatever model served the score, it was served.

        Raises
        ------
        ValueError
            When ``offset`` lies before one that was already taken: the log is read once, in order.
        """
        if offset < self.next_offset:
            raise ValueError(f"offset {offset} comes after {self.next_offset - 1}")
        self.next_offset = offset + 1
        if not 0.0 < example.weight <= WEIGHT_MAX or not self._recent.add(example.example_id):
            return None
        self.judged += 1
        cohort = cohort_of(example.label_time_ms - example.event_time_ms)
        for name in (cohort, ALL):
            self._windows[name].add(example.score, example.weight, example.label)
            self._changed[name] = None
        stream = f"{label_name(example.label)}/{cohort}"
        change = self._losses.take(stream, log_loss(example.score, example.label))
        if change is None or change.after <= change.before:
            return None
        values = {"before": change.before, "after": change.after}
        return Alarm("loss", example.label_time_ms, stream, values, ADWIN_DELTA)

    def figures(self, cohort: str, budget_share: float) -> Figures:
        """The figures of a cohort's window as it stands. Which share people can review decides the recall."""
        return self._windows[cohort].figures(budget_share)

    def next_changed(self) -> str | None:
        """The cohort that has been waiting longest since an example of it was judged; it waits no more."""
        for name in self._changed:
            del self._changed[name]
            return name
        return None

    def losses(self) -> dict[tuple[str, str], float]:
        """Mean loss in nats since the last change, by label and cohort."""
        return {(name.partition("/")[0], name.partition("/")[2]): loss for name, loss in self._losses.means().items()}

    def pack(self) -> bytes:
        """All that its future depends on; at most 0.9 MB."""
        state = _State(
            definition=_definition(),
            next_offset=self.next_offset,
            judged=self.judged,
            recent=self._recent.pack(),
            windows={name: window.pack() for name, window in self._windows.items()},
            losses=self._losses.state(),
        )
        content = msgspec.msgpack.encode(state)
        return hash_of(content).encode() + content


def label_name(label: bool) -> str:
    """A label as metrics call it."""
    return "suspicious" if label else "not_suspicious"


def _definition() -> str:
    return hash_of(orjson.dumps(DEFINITION, option=orjson.OPT_SORT_KEYS))


def _unpacked(packed: bytes) -> _State:
    digest, content = packed[:64], packed[64:]
    if hash_of(content).encode() != digest:
        raise StateRefused("its content does not have the SHA-256 it was written with")
    try:
        state = msgspec.msgpack.decode(content, type=_State)
    except msgspec.DecodeError as error:
        raise StateRefused(f"not a state: {error}") from error
    if state.definition != _definition():
        raise StateRefused("of another definition")
    return state
