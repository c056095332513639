"""The trainer: a pure state machine from the training log to versioned models.

A *line* of models is a function of the log and of a ``Plan``: the same examples in the same order give the same
versions with the same hashes, on any day, after any crash. Whatever else would change them (feature schema,
hyperparameters, the library's release, snapshot spacing, alert budget) is part of the line's name, so a change starts a
new line at version 1, from the first example of the log. Offsets are only remembered, never computed with: transaction
markers take offsets too.

What one account's labels teach is limited (``models.influence``), alike in every line: a label beyond the
limit changes nothing but the limit's own memory.

Each line is of a kind (``models.kinds.table``). The logistic one is what scorers follow; those of the other kinds are
challengers. A boosted line is fitted anew at stated counts of examples: its trainer also remembers the latest
examples, and reads them again when it goes on from a version (``Trainer.position``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import orjson

from models.influence import ACCOUNT_LIMIT, AccountLimit
from models.kinds.kind import Fit, FitInputs, Online, PackedFit, Rest
from models.kinds.table import FOLLOWED, KINDS
from models.labels import SILENCE
from models.learning.recent import RecentIds
from models.learning.threshold import WINDOW_EXAMPLES, ThresholdWindow
from services.contract.announcement import ModelAnnouncement
from services.contract.codec import decode
from services.contract.identity import hash_of
from services.contract.label import Example
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.ensemble import announcement_of

RECENT_EXAMPLES = 8_192
"""How many of the latest example ids are remembered. A broker without transactions repeats at most the examples of
one batch of the joiner, which are far fewer."""

WEIGHT_MAX = 1e6
"""As of a label."""

Result = Literal["learned", "remembered", "duplicate", "limited", "foreign_schema", "invalid"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What, besides the log, decides a line of models."""

    feature_schema_hash: str
    snapshot_examples: int
    alert_budget_share: float
    kind: str = FOLLOWED
    """Of ``models.kinds.table``."""
    refit_examples: int = 7_000
    """Of the kind boosting: examples between two fits."""
    refit_window_examples: int = 100_000
    """Of the kind boosting: the latest examples that a fit looks at."""

    @property
    def challenger(self) -> bool:
        """Whether its models score only when promoted."""
        return self.kind != FOLLOWED

    @property
    def name(self) -> str:
        """The name of the line: its kind and twelve hexadecimal digits over everything that decides it.

        Raises
        ------
        ImportError
            When the line needs an extra that is not installed: its release is part of the name.
        """
        kind = KINDS[self.kind]
        decides = {
            **kind.defaults,
            **kind.of_line(self),
            "window_examples": WINDOW_EXAMPLES,
            "recent_examples": RECENT_EXAMPLES,
            **ACCOUNT_LIMIT,
            "feature_schema_hash": self.feature_schema_hash,
            "snapshot_examples": self.snapshot_examples,
            "alert_budget_share": self.alert_budget_share,
        }
        return f"{self.kind}-{hash_of(orjson.dumps(decides, option=orjson.OPT_SORT_KEYS))[:12]}"


_NOTHING = msgspec.Raw(b"null")


class TrainerState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trainer at rest: all that its future depends on, but for an adaptive forest, which is in a checkpoint."""

    learned: msgspec.Raw = _NOTHING
    """Its kind's ``state``, as JSON."""
    window: bytes
    """``ThresholdWindow.pack``."""
    recent: bytes
    """64-bit digests of the latest example ids, little-endian, oldest first."""
    examples: int
    """Learned so far."""
    version: int
    next_offset: int
    trained_event_time_ms: int
    limit: bytes = b""
    """``AccountLimit.pack``."""


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a line: what scorers load, and what the trainer goes on from."""

    announcement: ModelAnnouncement
    state: TrainerState | None = None
    """``None`` for a model that was trained on a data set."""
    about: dict[str, Any] = {}
    """Of such a model: definition, data, and how it did on what was held out."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What became of one example. ``snapshot`` is the version that it completed, if it completed one."""

    result: Result
    snapshot: Snapshot | None = None


class Trainer:
    """Learns examples one by one; every ``plan.snapshot_examples`` of them make a version.

    Parameters
    ----------
    plan
        What decides the line.
    state
        Where to go on; ``None``: at the beginning of the log.
    checkpoint
        Of an adaptive forest: what ``checkpoint()`` was when ``state`` was taken.

    Raises
    ------
    CheckpointRefused
        When an adaptive forest is to go on without its checkpoint, or with one that cannot be used here.
    """

    def __init__(self, plan: Plan, state: TrainerState | None = None, checkpoint: bytes | None = None) -> None:
        self.plan = plan
        self.examples = state.examples if state else 0
        self.version = state.version if state else 0
        self.next_offset = state.next_offset if state else 0
        """The first offset that was not yet taken."""
        self._trained_event_time_ms = state.trained_event_time_ms if state else 0
        self._online = _learner(plan, state, checkpoint)
        self._window = ThresholdWindow(state.window if state else b"")
        self._recent = RecentIds(RECENT_EXAMPLES, state.recent if state else b"")
        self._limit = AccountLimit(packed=state.limit if state else b"")
        since = self._online.since
        self.position = self.next_offset if since is None else min(since, self.next_offset)
        """The offset to read on from. It lies before ``next_offset`` where examples are to be remembered again."""

    @property
    def fit_due(self) -> bool:
        """Whether the next example has to wait for a fit: ``learn`` makes it, unless it was made before."""
        return self._online.fit_due and self.position >= self.next_offset

    def fit(self) -> Fit:
        """Make the fit that is due, here and now. It takes seconds."""
        inputs = self.fit_inputs()
        return self.take_fit(None if inputs is None else self.packed_fit(inputs))

    @property
    def packed_fit(self) -> PackedFit:
        """What makes the fits of this line."""
        made = KINDS[self.plan.kind].packed_fit
        assert made is not None, f"{self.plan.kind}: its row in models.kinds.table says not how it is fitted"
        return made

    def fit_inputs(self) -> FitInputs | None:
        """What the fit that is due looks at; ``None`` where there are too few labels for one. Whoever makes it
        elsewhere gives the trainer no example before ``take_fit``."""
        return self._online.fit_inputs()

    def take_fit(self, packed: bytes | None) -> Fit:
        """Go on with ``packed_fit`` of ``fit_inputs``, or with ``None`` where that was ``None``.

        A new ensemble has said nothing yet, so its operating threshold begins anew with it.

        Raises
        ------
        ModelRefused
            When ``packed`` is no ensemble of this line's features.
        """
        made = self._online.take_fit(packed)
        if made == "fitted":
            self._window = ThresholdWindow()
        return made

    def learn(self, example: Example, offset: int) -> Lesson:
        """Learn the example that stands at ``offset`` of the log, if it is new and of this line's features.

        Raises
        ------
        ValueError
            When ``offset`` lies before one that was already taken: the log is read once, in order.
        """
        if offset < self.position:
            raise ValueError(f"offset {offset} comes after {self.position - 1}")
        if self.fit_due:
            self.fit()
        known = offset < self.next_offset
        self.position = offset + 1
        self.next_offset = max(self.next_offset, self.position)
        if example.feature_schema_hash != self.plan.feature_schema_hash:
            return Lesson("foreign_schema")
        if len(example.features) != len(FEATURES) or not 0.0 < example.weight <= WEIGHT_MAX:
            return Lesson("invalid")
        if known:
            self._online.recall(example, offset)
            return Lesson("remembered")
        teaches = self._teaches(example)
        self._online.remember(example, offset, teaches == "learned")
        if teaches != "learned":
            return Lesson(teaches)
        said = self._online.learn(example.features, example.label, example.weight)
        if said is not None:
            self._window.add(said, example.weight)
        self.examples += 1
        self._trained_event_time_ms = max(self._trained_event_time_ms, example.label_time_ms)
        return Lesson("learned", self._snapshot() if self.examples % self.plan.snapshot_examples == 0 else None)

    def state(self) -> TrainerState:
        """All that the trainer's future depends on: a ``Trainer`` of the same plan and state goes on identically."""
        return TrainerState(
            learned=msgspec.Raw(msgspec.json.encode(self._online.state())),
            window=self._window.pack(),
            recent=self._recent.pack(),
            limit=self._limit.pack(),
            examples=self.examples,
            version=self.version,
            next_offset=self.next_offset,
            trained_event_time_ms=self._trained_event_time_ms,
        )

    def checkpoint(self) -> bytes:
        """What the state does not hold of an adaptive forest; of other kinds nothing."""
        return self._online.checkpoint()

    def _teaches(self, example: Example) -> Result:
        """Whether a new example is ``learned``, and if not, why. What is not known to be of an account has no limit."""
        if not self._recent.add(example.example_id):
            return "duplicate"
        of_account = example.payer and example.source != SILENCE
        if of_account and not self._limit.admits(example.tenant, example.payer, example.label):
            return "limited"
        return "learned"

    def _snapshot(self) -> Snapshot | None:
        threshold = self._window.threshold(self.plan.alert_budget_share, self._online.rounding)
        model = self._online.compiled(self.version + 1, self.plan.feature_schema_hash, threshold)
        if model is None:
            return None
        self.version += 1
        announcement = announcement_of(
            self.plan.name, model, self._trained_event_time_ms, self.next_offset, self.plan.challenger
        )
        return Snapshot(announcement, self.state())


def _learner(plan: Plan, state: TrainerState | None, checkpoint: bytes | None) -> Online:
    kind = KINDS[plan.kind]
    if kind.learner is None:
        raise ValueError(f"{kind.name}: models of this kind are made elsewhere")
    if state is None:
        return kind.learner(plan, None)
    learned = None if kind.state is None else decode(bytes(state.learned), kind.state)
    return kind.learner(plan, Rest(learned, checkpoint or b"", state.examples))
