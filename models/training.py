"""The trainer: a pure state machine from the training log to versioned models.

A *line* of models is a function of the log and of a ``Plan``: the same examples in the same order give the same
versions with the same hashes, on any day, after any crash. Whatever else would change them (feature schema,
hyperparameters, River's release, snapshot spacing, alert budget) is part of the line's name, so a change starts a new
line at version 1, from the first example of the log. Offsets are only remembered, never computed with: transaction
markers take offsets too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import orjson
import river

from models.logistic import (
    DEFINITION,
    LogisticState,
    compile_logistic,
    create_logistic,
    logistic_state,
    readable,
    restore_logistic,
)
from models.recent import RecentIds
from models.threshold import WINDOW_EXAMPLES, ThresholdWindow
from services.contract.identity import hash_of
from services.contract.types import Example, ModelAnnouncement
from services.scorer.path.features import FEATURES
from services.scorer.path.model import LogisticModel

RECENT_EXAMPLES = 8_192
"""How many of the latest example ids are remembered. A broker without transactions repeats at most the examples of
one batch of the joiner, which are far fewer."""

WEIGHT_MAX = 1e6
"""As of a label."""

Result = Literal["learned", "duplicate", "foreign_schema", "invalid"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What, besides the log, decides a line of models."""

    feature_schema_hash: str
    snapshot_examples: int
    alert_budget_share: float

    @property
    def name(self) -> str:
        """The name of the line: ``logistic-`` and twelve hexadecimal digits over everything that decides it."""
        decides = {
            **DEFINITION,
            "river": river.__version__,
            "window_examples": WINDOW_EXAMPLES,
            "recent_examples": RECENT_EXAMPLES,
            "feature_schema_hash": self.feature_schema_hash,
            "snapshot_examples": self.snapshot_examples,
            "alert_budget_share": self.alert_budget_share,
        }
        return f"logistic-{hash_of(orjson.dumps(decides, option=orjson.OPT_SORT_KEYS))[:12]}"


class TrainerState(msgspec.Struct, frozen=True):
    """A trainer at rest: all that its future depends on."""

    logistic: LogisticState
    window: bytes
    """``ThresholdWindow.pack``."""
    recent: bytes
    """64-bit digests of the latest example ids, little-endian, oldest first."""
    examples: int
    """Learned so far."""
    version: int
    next_offset: int
    trained_event_time_ms: int


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
    """

    def __init__(self, plan: Plan, state: TrainerState | None = None) -> None:
        self.plan = plan
        self.examples = state.examples if state else 0
        self.version = state.version if state else 0
        self.next_offset = state.next_offset if state else 0
        self._trained_event_time_ms = state.trained_event_time_ms if state else 0
        self._pipeline = restore_logistic(state.logistic) if state else create_logistic()
        self._window = ThresholdWindow(state.window if state else b"")
        self._recent = RecentIds(RECENT_EXAMPLES, state.recent if state else b"")

    def learn(self, example: Example, offset: int) -> Lesson:
        """Learn the example that stands at ``offset`` of the log, if it is new and of this line's features.

        Raises
        ------
        ValueError
            When ``offset`` lies before one that was already taken: the log is read once, in order.
        """
        if offset < self.next_offset:
            raise ValueError(f"offset {offset} comes after {self.next_offset - 1}")
        self.next_offset = offset + 1
        if example.feature_schema_hash != self.plan.feature_schema_hash:
            return Lesson("foreign_schema")
        if len(example.features) != len(FEATURES) or not 0.0 < example.weight <= WEIGHT_MAX:
            return Lesson("invalid")
        if not self._recent.add(example.example_id):
            return Lesson("duplicate")
        x = readable(example.features)
        self._window.add(float(self._pipeline.predict_proba_one(x)[True]), example.weight)
        self._pipeline.learn_one(x, example.label, w=example.weight)
        self.examples += 1
        self._trained_event_time_ms = max(self._trained_event_time_ms, example.label_time_ms)
        return Lesson("learned", self._snapshot() if self.examples % self.plan.snapshot_examples == 0 else None)

    def compiled(self) -> LogisticModel:
        """The model as it stands, with its operating threshold."""
        threshold = self._window.threshold(self.plan.alert_budget_share)
        return compile_logistic(self._pipeline, self.version, self.plan.feature_schema_hash, threshold)

    def state(self) -> TrainerState:
        """All that the trainer's future depends on: ``Trainer(plan, trainer.state())`` goes on identically."""
        return TrainerState(
            logistic=logistic_state(self._pipeline),
            window=self._window.pack(),
            recent=self._recent.pack(),
            examples=self.examples,
            version=self.version,
            next_offset=self.next_offset,
            trained_event_time_ms=self._trained_event_time_ms,
        )

    def _snapshot(self) -> Snapshot:
        self.version += 1
        model = self.compiled()
        announcement = ModelAnnouncement(
            name=self.plan.name,
            version=self.version,
            model_hash=model.hash,
            feature_schema_hash=model.feature_schema_hash,
            kind="logistic",
            bias=model.bias,
            weights=tuple(model.weights.tolist()),
            means=tuple(model.means.tolist()),
            scales=tuple(model.scales.tolist()),
            review_probability=model.review_probability,
            examples_offset=self.next_offset,
            trained_event_time_ms=self._trained_event_time_ms,
        )
        return Snapshot(announcement, self.state())
