"""What the lines of models learn with: one class for each kind, behind one interface.

Each learns examples one by one and says, of each, what it would have said before. What has been learned is written down
as a struct of numbers, from which learning goes on to the bit; only the adaptive forest has none and is kept as a
checkpoint (``ForestOnline.checkpoint``).
"""

from __future__ import annotations

import pickle
import platform
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import river
from numpy.typing import NDArray

from models.kinds.adaptive_forest import compile_adaptive_forest, create_adaptive_forest
from models.kinds.anomaly import AnomalyState, anomaly_state, compile_anomaly, create_anomaly, restore_anomaly
from models.kinds.boosting import FitInputs
from models.kinds.corrector import Corrector, CorrectorState, new_corrector
from models.kinds.logistic import (
    LogisticState,
    compile_logistic,
    create_logistic,
    logistic_state,
    readable,
    restore_logistic,
)
from models.learning.labels import Rank, rank
from services.contract.errors import TocsinError
from services.contract.label import Example
from services.scorer.path.scoring.ensemble import EnsembleModel
from services.scorer.path.scoring.forest import Forest, forest_from
from services.scorer.path.scoring.halfspace import AnomalyModel
from services.scorer.path.scoring.model import LogisticModel, probability
from services.scorer.path.scoring.votes import VotingModel, share_log_odds

REFIT_LABELS_MIN = 20
"""Of each kind in the window, before an ensemble is fitted."""
ROUNDING = 1e-9
"""How far, relative to it, a compiled model's probability may be off what was said while learning, where votes or
leaves are so few that many payments say the same. Half-spaces are exact, and the logistic model says each its own."""

Compiled = LogisticModel | EnsembleModel | VotingModel | AnomalyModel
Fit = Literal["fitted", "too_few_labels"]


class Online(ABC):
    """A model that learns example by example."""

    fit_due = False
    """Whether ``fit`` is to be called before the next example is learned."""
    rounding = 0.0
    """As of ``ThresholdWindow.threshold``."""
    since: int | None = None
    """The first offset of the log that it remembers, where its state does not hold what it remembers."""

    @abstractmethod
    def learn(self, example: Example) -> float | None:
        """Learn an example, and return what was said of it before: a probability (of the kind halfspace, a score);
        ``None`` while there is nothing that could say it."""

    @abstractmethod
    def compiled(self, version: int, feature_schema_hash: str, threshold: float) -> Compiled | None:
        """What it says as it stands, with an operating threshold; ``None`` while there is nothing."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What it has learned, as the field of ``TrainerState`` that is its own."""

    def remember(self, example: Example, offset: int, learned: bool) -> None:  # noqa: B027 - most remember nothing
        """Keep a new example for a later fit, or its place where it is not ``learned``. All that fit the line come by
        here, in order: repeats, too, and what the limit of its account does not admit."""

    def recall(self, example: Example, offset: int) -> None:  # noqa: B027 - as ``remember``
        """Keep an example that was remembered before, as it was then."""

    def fit_inputs(self) -> FitInputs | None:
        """What to fit anew, of those only that are ever ``fit_due``; ``None`` where it remembers too few labels."""
        raise NotImplementedError(f"{type(self).__name__} is never fit_due")

    def take_fit(self, packed: bytes | None) -> Fit:
        """Go on with what ``models.kinds.boosting.packed_fit`` made of ``fit_inputs``; no example came in between."""
        raise NotImplementedError(f"{type(self).__name__} is never fit_due")

    def checkpoint(self) -> bytes:
        """What it has learned, where it has no other form; else nothing."""
        return b""


class LogisticOnline(Online):
    """River's scaled logistic regression."""

    def __init__(self, state: LogisticState | None) -> None:
        self._pipeline = restore_logistic(state) if state else create_logistic()

    def learn(self, example: Example) -> float:
        """As ``Online``."""
        x = readable(example.features)
        said = float(self._pipeline.predict_proba_one(x)[True])
        self._pipeline.learn_one(x, example.label, w=example.weight)
        return said

    def compiled(self, version: int, feature_schema_hash: str, threshold: float) -> LogisticModel:
        """As ``Online``."""
        return compile_logistic(self._pipeline, version, feature_schema_hash, threshold)

    def state(self) -> dict[str, Any]:
        """As ``Online``."""
        return {"logistic": logistic_state(self._pipeline)}


class AnomalyOnline(Online):
    """River's half-space trees, which learn from every example alike."""

    def __init__(self, state: AnomalyState | None) -> None:
        self._pipeline = restore_anomaly(state) if state else create_anomaly()

    def learn(self, example: Example) -> float:
        """As ``Online``."""
        x = readable(example.features)
        said = float(self._pipeline.score_one(x))
        self._pipeline.learn_one(x)
        return said

    def compiled(self, version: int, feature_schema_hash: str, threshold: float) -> AnomalyModel:
        """As ``Online``."""
        return AnomalyModel(compile_anomaly(self._pipeline, version, feature_schema_hash), threshold)

    def state(self) -> dict[str, Any]:
        """As ``Online``."""
        return {"halfspace": anomaly_state(self._pipeline)}


class ForestOnline(Online):
    """River's adaptive random forest. It has no state but its checkpoint.

    Raises
    ------
    CheckpointRefused
        When ``checkpoint`` is empty, or was written by another release of Python, NumPy or River.
    """

    rounding = ROUNDING

    def __init__(self, checkpoint: bytes | None) -> None:
        self._model = create_adaptive_forest() if checkpoint is None else _unpickled(checkpoint)

    def learn(self, example: Example) -> float:
        """As ``Online``."""
        x = readable(example.features)
        share = float(self._model.predict_proba_one(x).get(True, 0.0))
        self._model.learn_one(x, example.label)
        return probability(share_log_odds(share))

    def compiled(self, version: int, feature_schema_hash: str, threshold: float) -> VotingModel:
        """As ``Online``."""
        forest = compile_adaptive_forest(self._model, version, feature_schema_hash)
        return VotingModel(forest, threshold)

    def state(self) -> dict[str, Any]:
        """As ``Online``."""
        return {}

    def checkpoint(self) -> bytes:
        """A line that says who wrote it, then River's forest, pickled. To be read only by who knows its hash."""
        return _written_by() + pickle.dumps(self._model, protocol=5)


class CheckpointRefused(TocsinError, ValueError):
    """A checkpoint cannot be used here. The message says why."""


class BoostingState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a boosted line has come to."""

    forest: bytes
    """The ensemble, packed; empty before the first fit."""
    corrector: CorrectorState | None
    since: int
    """Offset of the first example that it remembers. The others follow in the log."""
    unlearned: tuple[int, ...] = ()
    """Offsets of those among them that were not learned, and are no part of a fit."""


class BoostingOnline(Online):
    """LightGBM, fitted anew after every ``refit_examples`` on the latest ``window_examples``, and a corrector on top of
    it, which learns every example and begins anew with each fit.

    Parameters
    ----------
    examples
        How many were learned before.
    """

    rounding = ROUNDING

    def __init__(
        self, refit_examples: int, window_examples: int, schema: str, state: BoostingState | None, examples: int
    ) -> None:
        self._refit_examples, self._schema = refit_examples, schema
        self._window: deque[_Remembered] = deque(maxlen=window_examples)
        self._forest: Forest | None = None
        self._corrector: Corrector | None = None
        self._examples = examples
        self.since = 0 if state is None else state.since
        self._unlearned = set(() if state is None else state.unlearned)
        self.fit_due = examples > 0 and examples % refit_examples == 0
        if state is not None and state.corrector is not None:
            self._forest = forest_from(state.forest, 0, schema)
            self._corrector = Corrector(state.corrector)

    def recall(self, example: Example, offset: int) -> None:
        """As ``Online``."""
        self.remember(example, offset, offset not in self._unlearned)

    def remember(self, example: Example, offset: int, learned: bool) -> None:
        """As ``Online``."""
        if len(self._window) == self._window.maxlen:
            self._unlearned.discard(self._window[0].offset)
        if not learned:
            self._unlearned.add(offset)
        row = np.array(example.features, dtype=np.float64)
        payment = (example.tenant, example.payment_id)
        self._window.append(_Remembered(offset, payment, rank(example), row, example.label, example.weight))
        self.since = self._window[0].offset

    def learn(self, example: Example) -> float | None:
        """As ``Online``."""
        said = None
        if self._forest is not None and self._corrector is not None:
            score = float(self._forest.scores(np.array([example.features], dtype=np.float64))[0])
            said = probability(self._corrector.log_odds_one(score, {}))
            self._corrector.learn_one(score, {}, example.label, example.weight)
        self._examples += 1
        self.fit_due = self._examples % self._refit_examples == 0
        return said

    def fit_inputs(self) -> FitInputs | None:
        """As ``Online``: what was learned of the window. Of several labels of a payment the one that counts by their
        ``rank`` is learned."""
        counting: dict[tuple[str, str], _Remembered] = {}
        for each in self._window:
            known = counting.get(each.payment)
            if each.offset not in self._unlearned and (known is None or each.rank > known.rank):
                counting[each.payment] = each
        chosen = list(counting.values())
        labels = np.array([each.label for each in chosen], dtype=np.bool_)
        if min(labels.sum(), len(labels) - labels.sum()) < REFIT_LABELS_MIN:
            return None
        rows = np.empty((len(chosen), len(chosen[0].row)))
        for at, each in enumerate(chosen):  # one by one: a single call would hold back every other thread for as long
            rows[at] = each.row
        return FitInputs(rows, labels, np.array([each.weight for each in chosen]), self._schema)

    def take_fit(self, packed: bytes | None) -> Fit:
        """As ``Online``."""
        self.fit_due = False
        if packed is None:
            return "too_few_labels"
        self._forest = forest_from(packed, 0, self._schema)
        self._corrector = Corrector(new_corrector(self._forest.hash))
        return "fitted"

    def compiled(self, version: int, feature_schema_hash: str, threshold: float) -> EnsembleModel | None:
        """As ``Online``."""
        if self._forest is None or self._corrector is None:
            return None
        return EnsembleModel(self._corrector.compiled(self._forest, version), threshold)

    def state(self) -> dict[str, Any]:
        """As ``Online``."""
        forest = b"" if self._forest is None else self._forest.packed
        corrector = None if self._corrector is None else self._corrector.state()
        return {"boosting": BoostingState(forest, corrector, self.since or 0, tuple(sorted(self._unlearned)))}


class _Remembered(NamedTuple):
    """An example, as far as a fit needs it."""

    offset: int
    payment: tuple[str, str]
    rank: Rank
    row: NDArray[np.float64]
    label: bool
    weight: float


def _written_by() -> bytes:
    python = ".".join(platform.python_version_tuple()[:2])
    return f"adaptive_forest python {python} numpy {np.__version__} river {river.__version__}\n".encode()


def _unpickled(checkpoint: bytes) -> Any:
    """The forest of a checkpoint, whose hash its caller has found in the registry."""
    said = _written_by()
    if not checkpoint:
        raise CheckpointRefused("has no checkpoint that is the one it was saved with")
    if not checkpoint.startswith(said):
        raise CheckpointRefused(f"its checkpoint was not written by {said.decode().strip()}")
    return pickle.loads(checkpoint[len(said) :])  # noqa: S301 - the registry vouches for its hash
