"""What a kind of model is: how it learns, and all that others need to know of it (``models.kinds.table``).

Each learns examples one by one and says, of each, what it would have said before. What has been learned is written down
as a struct of numbers, from which learning goes on to the bit; only the adaptive forest has none and is kept as a
checkpoint (``Online.checkpoint``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.contract.announcement import ModelAnnouncement
from services.contract.errors import TocsinError
from services.contract.label import Example
from services.scorer.path.features.registry import FEATURES, INDEX
from services.scorer.path.scoring.ensemble import Carried, Deciding, scoring_from
from services.scorer.path.scoring.model import Scoring

ROUNDING = 1e-9
"""How far, relative to it, a compiled model's probability may be off what was said while learning, where votes or
leaves are so few that many payments say the same. Half-spaces are exact, and the logistic model says each its own."""

GRADIENT_MAX = 5.0
"""Bound of ``weight * (probability - label)`` in one step."""
SCALE_MIN = 0.1
"""Smallest standard deviation that a feature is divided by, in its unit as read. Without it a flag that was set once
in ten thousand payments would enter at 100, and one step of SGD on it would outvote everything else."""

Features: TypeAlias = Sequence[float | None]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Share: TypeAlias = Callable[[float], None]
Fit = Literal["fitted", "too_few_labels"]


class CheckpointRefused(TocsinError, ValueError):
    """A checkpoint cannot be used here. The message says why."""


class FitInputs(NamedTuple):
    """All that a fit looks at, and nothing that names a payment or an account."""

    features: Floats
    """float64[n, k] as served: natural units, canonical order, NaN where missing."""
    labels: Flags
    """bool[n]: suspicious."""
    weights: Floats
    """float64[n], positive."""
    feature_schema_hash: str


PackedFit = Callable[[FitInputs], bytes]
"""A function of a module, and of nothing but its inputs: it may be called in another process, and again."""


class LinePlan(Protocol):
    """As much of a line's plan as its kind may look at (``models.learning.training.Plan``)."""

    @property
    def feature_schema_hash(self) -> str: ...
    @property
    def refit_examples(self) -> int: ...
    @property
    def refit_window_examples(self) -> int: ...


class Rest(NamedTuple):
    """A learner at rest, to go on from."""

    state: Any
    """What ``Online.state`` said."""
    checkpoint: bytes
    examples: int
    """How many were learned."""


class Online(ABC):
    """A model that learns example by example."""

    fit_due = False
    """Whether ``fit`` is to be called before the next example is learned."""
    rounding = 0.0
    """As of ``ThresholdWindow.threshold``."""
    since: int | None = None
    """The first offset of the log that it remembers, where its state does not hold what it remembers."""

    @abstractmethod
    def learn(self, features: Features, label: bool, weight: float) -> float | None:
        """Learn an example (its features as served), and return what was said of it before: a probability (of the kind
        halfspace, a score); ``None`` while there is nothing that could say it."""

    @abstractmethod
    def compiled(self, version: int, feature_schema_hash: str, threshold: float) -> Carried | None:
        """What it says as it stands, with an operating threshold; ``None`` while there is nothing."""

    @abstractmethod
    def state(self) -> msgspec.Struct | None:
        """What it has learned, as its kind's ``state``; ``None`` where it has no other form than a checkpoint."""

    def remember(self, example: Example, offset: int, learned: bool) -> None:  # noqa: B027 - most remember nothing
        """Keep a new example for a later fit, or its place where it is not ``learned``. All that fit the line come by
        here, in order: repeats, too, and what the limit of its account does not admit."""

    def recall(self, example: Example, offset: int) -> None:  # noqa: B027 - as ``remember``
        """Keep an example that was remembered before, as it was then."""

    def fit_inputs(self) -> FitInputs | None:
        """What to fit anew, of those only that are ever ``fit_due``; ``None`` where it remembers too few labels."""
        raise NotImplementedError(f"{type(self).__name__} is never fit_due")

    def take_fit(self, packed: bytes | None) -> Fit:
        """Go on with what its kind's ``packed_fit`` made of ``fit_inputs``; no example came in between."""
        raise NotImplementedError(f"{type(self).__name__} is never fit_due")

    def checkpoint(self) -> bytes:
        """What it has learned, where it has no other form; else nothing."""
        return b""


class FitTable(Protocol):
    """Fits a data set at once. ``share`` is told how much is done."""

    def __call__(
        self, inputs: FitInputs, version: int, *, bounded: bool = True, share: Share | None = None
    ) -> Deciding: ...


GraphOf = Callable[[], bytes]
"""The bytes of the file that a model's announcement names; raises ``ModelRefused`` where it cannot be read."""


def _of_the_announcement(said: ModelAnnouncement, _graph: GraphOf, feature_schema_hash: str) -> Scoring:
    return scoring_from(said, feature_schema_hash)


def mean_contributions(_said: ModelAnnouncement, about: dict[str, Any]) -> list[dict[str, Any]]:
    """A card's features by the mean size of what they added to the score of held-out decisions."""
    return [
        {"feature": name, "mean_contribution": size, "meaning": FEATURES[INDEX[name]].meaning}
        for name, size in about.get("most_contributing", {}).items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of model, declared whole."""

    name: str
    learner: Callable[[LinePlan, Rest | None], Online] | None = None
    """What learns a line of it, from the beginning or where it rested. ``None``: it is made elsewhere, and has no line.

    It raises ``CheckpointRefused`` where it needs a checkpoint that it cannot go on from."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """All that decides what it makes of a sequence of examples, besides the releases of its libraries."""
    of_line: Callable[[LinePlan], dict[str, Any]] = lambda _plan: {}
    """What else decides a line of it, these releases included; raises ``ImportError`` where one is missing."""
    state: type[msgspec.Struct] | None = None
    """Of what its learner's state is; ``None``: it is kept as a checkpoint."""
    packed_fit: PackedFit | None = None
    """What makes the fits of a learner that is ever ``fit_due``."""
    fit: FitTable | None = None
    """How it is fitted to a data set at once. ``None``: its learner learns the rows, one after the other."""
    scoring: Callable[[ModelAnnouncement, GraphOf, str], Scoring] = _of_the_announcement
    """What scores as announced, for a feature schema; raises ``ModelRefused``."""
    check: Callable[[ModelAnnouncement, GraphOf], object] = (
        lambda said, graph: _of_the_announcement(said, graph, said.feature_schema_hash)
    )  # fmt: skip
    """Raises ``ModelRefused`` where a version is not what it was saved as. It executes nothing."""
    explains: bool = True
    """Whether its score is log-odds that come as contributions. Without, it scores in shadow only."""
    card: Callable[[ModelAnnouncement, dict[str, Any]], list[dict[str, Any]]] = mean_contributions
    """The features that a model's card shows, of its announcement and of what is known about it."""
    limits: tuple[str, ...] = ()
    """What its card says it is not good for, besides what is said of every model."""

    def fitted(self, inputs: FitInputs, version: int, *, bounded: bool = True, share: Share | None = None) -> Deciding:
        """A model of a data set whose rows stand in the order in which they are to be learned; its operating threshold
        is 1: whoever wants reviews sets another.

        Parameters
        ----------
        bounded
            Whether no label may outvote the others, where a fit could let one.

        Raises
        ------
        ImportError
            When a library is missing.
        ValueError
            When it learned nothing that could score, or the fit refuses the data.
        """
        if self.fit is not None:
            return self.fit(inputs, version, bounded=bounded, share=share)
        assert self.learner is not None, "the workbench offers only kinds that learn"
        learner = self.learner(_Alone(inputs.feature_schema_hash), None)
        taught = zip(inputs.features.tolist(), inputs.labels.tolist(), inputs.weights.tolist(), strict=True)
        for done, (row, label, weight) in enumerate(taught):
            learner.learn([None if value != value else value for value in row], label, weight)
            if share is not None and done % _TOLD_EVERY == 0:
                share(done / len(inputs.labels))
        model = learner.compiled(version, inputs.feature_schema_hash, 1.0)
        if model is None:
            raise ValueError(f"{self.name}: {len(inputs.labels)} examples are too few")
        assert isinstance(model, Deciding), "the workbench offers only kinds that explain"
        return model


class _Alone(NamedTuple):
    """A plan of no line: nothing is fitted anew."""

    feature_schema_hash: str
    refit_examples: int = 2**62
    refit_window_examples: int = 1


_TOLD_EVERY = 200
"""Examples between two words of how much is done."""
