"""The boosted ensemble: LightGBM, refitted from time to time, and its compilation to flat arrays.

Ke et al., *LightGBM: A Highly Efficient Gradient Boosting Decision Tree*, NIPS 2017. The fit is a function of the
examples alone: one thread, a seed, no choice left to timing. What is kept of it is LightGBM's own text, which is read
here, not by LightGBM: a scorer needs no LightGBM, and nothing is unpickled.

Features enter in natural units, as served: trees only compare, so no scale changes them. A missing feature is NaN,
and each split learns on which side it belongs.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.influence import MEDIANS_MAX, bounded_weights
from models.kinds import corrector
from models.kinds.corrector import Corrector
from models.kinds.kind import ROUNDING, Features, Fit, FitInputs, LinePlan, Online, Rest, Share
from models.kinds.lightgbm_text import compile_boosting
from models.labels import Rank, rank
from services.contract.errors import MissingExtra
from services.contract.label import Example
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.ensemble import EnsembleModel
from services.scorer.path.scoring.forest import Forest, forest_from
from services.scorer.path.scoring.model import probability

ROUNDS = 150
"""Trees. With ``num_leaves`` and ``max_depth`` this is what a payment costs: at most 1,200 steps."""
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "max_depth": 8,
    "min_data_in_leaf": 40,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
    "seed": 20_240_601,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
DEFINITION: dict[str, Any] = {"kind": "boosting", "rounds": ROUNDS, "medians_max": MEDIANS_MAX, **PARAMETERS}
"""All that decides what this model makes of a set of examples, besides LightGBM's release."""


REFIT_LABELS_MIN = 20
"""Of each kind in the window, before an ensemble is fitted."""


def packed_fit(inputs: FitInputs) -> bytes:
    """The ensemble that is fitted to ``inputs``, as ``Forest.packed``: a function of them, wherever it is run.

    Raises
    ------
    ImportError, ValueError
        As ``fit``.
    """
    return compile_boosting(fit(inputs), 0, inputs.feature_schema_hash).packed


def fit(inputs: FitInputs, bounded: bool = True, share: Share | None = None) -> str:
    """Fit the ensemble, and return it as LightGBM writes it.

    Parameters
    ----------
    bounded
        Whether no label may outvote the others (``models.influence.bounded_weights``).
    share
        Is told what share of the trees is grown, after each.

    Raises
    ------
    ImportError
        When LightGBM is not installed.
    ValueError
        When shapes do not fit, a weight is not positive, or one of the two labels is missing.
    """
    lightgbm = _library()
    features, labels, weights, _ = inputs
    if features.shape != (len(labels), len(NAMES)) or weights.shape != (len(labels),):
        raise ValueError(f"features {features.shape} and weights {weights.shape} for {len(labels)} labels")
    if not (np.isfinite(weights) & (weights > 0.0)).all():
        raise ValueError("a weight is not positive")
    if labels.all() or not labels.any():
        raise ValueError("examples of both labels are needed")
    used = bounded_weights(labels, weights) if bounded else weights
    data = lightgbm.Dataset(features, label=labels.astype(np.float64), weight=used, feature_name=list(NAMES))
    told = [] if share is None else [lambda grown: share((grown.iteration + 1) / ROUNDS)]
    text: str = lightgbm.train(PARAMETERS, data, num_boost_round=ROUNDS, callbacks=told).model_to_string()
    return text


def fit_table(inputs: FitInputs, version: int, *, bounded: bool = True, share: Share | None = None) -> EnsembleModel:
    """An ensemble that is fitted to a data set, without a corrector.

    Raises
    ------
    ImportError, ValueError
        As ``fit``.
    """
    text = fit(inputs, bounded, share)
    return EnsembleModel(compile_boosting(text, version, inputs.feature_schema_hash), review_probability=1.0)


def of_line(plan: LinePlan) -> dict[str, Any]:
    """What decides a line besides ``DEFINITION``.

    Raises
    ------
    ImportError
        When LightGBM is not installed, or cannot be loaded.
    """
    return {
        "corrector": corrector.DEFINITION,
        "lightgbm": str(_library().__version__),
        "refit_examples": plan.refit_examples,
        "refit_window_examples": plan.refit_window_examples,
        "refit_labels_min": REFIT_LABELS_MIN,
        "rounding": ROUNDING,
    }


class BoostingState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a boosted line has come to."""

    forest: bytes
    """The ensemble, packed; empty before the first fit."""
    corrector: Corrector | None
    since: int
    """Offset of the first example that it remembers. The others follow in the log."""
    unlearned: tuple[int, ...] = ()
    """Offsets of those among them that were not learned, and are no part of a fit."""


class BoostingOnline(Online):
    """LightGBM, fitted anew after every ``refit_examples`` on the latest ``window_examples``, and a corrector on top of
    it, which learns every example and begins anew with each fit."""

    rounding = ROUNDING

    def __init__(self, plan: LinePlan, rest: Rest | None) -> None:
        self._refit_examples, self._schema = plan.refit_examples, plan.feature_schema_hash
        self._window: deque[_Remembered] = deque(maxlen=plan.refit_window_examples)
        self._ensemble: tuple[Forest, Corrector] | None = None
        state: BoostingState | None = rest.state if rest else None
        self._examples = rest.examples if rest else 0
        self.since = 0 if state is None else state.since
        self._unlearned = set(() if state is None else state.unlearned)
        self.fit_due = self._examples > 0 and self._examples % self._refit_examples == 0
        if state is not None and state.corrector is not None:
            self._ensemble = forest_from(state.forest, 0, self._schema), copy(state.corrector)

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

    def learn(self, features: Features, label: bool, weight: float) -> float | None:
        """As ``Online``."""
        said = None
        if self._ensemble is not None:
            forest, corrector = self._ensemble
            score = float(forest.scores(np.array([features], dtype=np.float64))[0])
            said = probability(corrector.log_odds_one(score))
            corrector.learn_one(score, label, weight)
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
        forest = forest_from(packed, 0, self._schema)
        self._ensemble = forest, Corrector(forest.hash)
        return "fitted"

    def compiled(self, version: int, feature_schema_hash: str, threshold: float) -> EnsembleModel | None:
        """As ``Online``."""
        if self._ensemble is None:
            return None
        forest, corrector = self._ensemble
        return EnsembleModel(corrector.compiled(forest, version), threshold)

    def state(self) -> BoostingState:
        """As ``Online``."""
        forest, corrector = (None, None) if self._ensemble is None else self._ensemble
        packed = b"" if forest is None else forest.packed
        return BoostingState(packed, copy(corrector), self.since or 0, tuple(sorted(self._unlearned)))


class _Remembered(NamedTuple):
    """An example, as far as a fit needs it."""

    offset: int
    payment: tuple[str, str]
    rank: Rank
    row: NDArray[np.float64]
    label: bool
    weight: float


def _library() -> Any:
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: without the OpenMP runtime that it links to
        raise MissingExtra("the boosted ensemble needs LightGBM: pip install 'tocsin[boosting]'") from error
    return lightgbm
