"""The online model of the first form: River's scaled logistic regression, and its compilation to flat arrays.

What River 0.26 does, and what this definition makes of it:

- Features enter as models read them (``read_features``: ``log(1 + x)`` where the registry says so), in canonical
  order, the missing ones left out. River then neither counts a missing feature in the scaler nor moves its weight.
- The scaler learns from every example alike; the example's weight ``w`` multiplies the gradient of the loss. The
  product is clipped at ``GRADIENT_MAX``, so no single label, however rare its kind, can throw the model; and no label
  moves the log-odds of its own payment by more than ``STEP_MAX``. Without that a payment far from all others, where
  the square of scaled features is in the thousands, moved them by tens in one step, and others' with them.
- ``LogisticRegression`` adds ``weight * x`` in the order of the example's keys and the intercept last. Compiled
  arrays start at the bias and add the contributions in canonical order, so the two differ by rounding only.
- A scaled feature beyond ``SCALED_MAX`` in size counts as it. Ratios and standard deviations have heavy tails: one
  payment at 100 standard deviations would otherwise move its weight as far as a hundred ordinary ones.
- What serves is the running mean of the weights over the last ``AVERAGED_EXAMPLES`` (Polyak and Juditsky, *SIAM Journal
  on Control and Optimization* 30(4), 1992): a step of constant size never comes to rest, its mean does.
- The log-odds start at the prior of the untrained model, so an early snapshot does not send every payment to review.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import river
from numpy.typing import NDArray
from river import compose, linear_model, optim, preprocessing
from river.utils import VectorDict

from models.kinds.kind import GRADIENT_MAX, SCALE_MIN, Features, LinePlan, Online, Rest
from services.contract.announcement import ModelAnnouncement
from services.scorer.path.features.registry import FEATURES, INDEX, NAMES
from services.scorer.path.scoring.model import SCALED_MAX, LogisticModel, probability
from services.scorer.path.scoring.readings import READ_MAX, learnable

LEARNING_RATE = 0.01
"""Of weights and intercept, constant: behaviour drifts, so learning never stops."""
L2 = 1e-4
STEP_MAX = 2.0
"""Bound of what one example changes of the log-odds of its own payment."""
AVERAGED_EXAMPLES = 1_000
PRIOR_LOG_ODDS = math.log(0.001 / 0.999)

DEFINITION: dict[str, Any] = {
    "kind": "logistic",
    "learning_rate": LEARNING_RATE,
    "l2": L2,
    "gradient_max": GRADIENT_MAX,
    "step_max": STEP_MAX,
    "averaged_examples": AVERAGED_EXAMPLES,
    "scale_min": SCALE_MIN,
    "scaled_max": SCALED_MAX,
    "read_max": READ_MAX,
    "prior_log_odds": PRIOR_LOG_ODDS,
}
"""All that decides what this model makes of a sequence of examples, besides River's release."""


class ScalerState(msgspec.Struct, frozen=True):
    """What a ``FlooredScaler`` has learned, in canonical feature order. JSON keeps each number to the bit."""

    counts: tuple[int, ...]
    means: tuple[float, ...]
    variances: tuple[float, ...]


class FlooredScaler(preprocessing.StandardScaler):  # type: ignore[misc]
    """River's ``StandardScaler`` with standard deviations of at least ``SCALE_MIN`` and values within ``SCALED_MAX``;
    a constant feature gives 0."""

    def scale(self, name: str) -> float:
        """What ``name`` is divided by; 0 while it has not varied."""
        variance: float = self.vars.get(name, 0.0)
        return max(variance**0.5, SCALE_MIN) if variance else 0.0

    def transform_one(self, x: dict[str, float]) -> dict[str, float]:
        """``x`` centred, scaled and held within bounds."""
        means, scales = self.means, {name: self.scale(name) for name in x}
        return {
            name: min(max((value - means[name]) / scales[name], -SCALED_MAX), SCALED_MAX) if scales[name] else 0.0
            for name, value in x.items()
        }

    def compiled(self) -> dict[str, NDArray[np.float64]]:
        """``means`` and ``scales`` float64[k], in canonical order."""
        scales = np.array([self.scale(name) for name in NAMES], dtype=np.float64)
        return {"means": column(self.means), "scales": scales}

    def learned(self) -> dict[str, tuple[Any, ...]]:
        """The fields of a ``ScalerState``."""
        return {
            "counts": tuple(int(self.counts.get(name, 0)) for name in NAMES),
            "means": tuple(column(self.means).tolist()),
            "variances": tuple(column(self.vars).tolist()),
        }

    def go_on(self, state: ScalerState) -> None:
        """Stand, to the bit, where the scaler stood that ``state`` was taken of."""
        self.counts.update(by_name(state, "counts"))
        self.means.update(by_name(state, "means"))
        self.vars.update(by_name(state, "variances"))


class SteadyRegression(linear_model.LogisticRegression):  # type: ignore[misc]
    """River's ``LogisticRegression``, each example weighing so little that its step stays within ``STEP_MAX``, which
    predicts by the running mean of what it has learned."""

    def __init__(self) -> None:
        super().__init__(
            optimizer=optim.SGD(LEARNING_RATE),
            loss=optim.losses.Log(),
            l2=L2,
            intercept_init=PRIOR_LOG_ODDS,
            intercept_lr=LEARNING_RATE,
            clip_gradient=GRADIENT_MAX,
        )
        self.mean_weights = VectorDict()
        self.mean_intercept = PRIOR_LOG_ODDS

    def learn_one(self, x: dict[str, float], y: bool, w: float = 1.0) -> None:
        """One step; then the mean of all steps, or of about the last ``AVERAGED_EXAMPLES``, moves.

        A step of size ``LEARNING_RATE * w * error`` moves the log-odds of ``x`` by that times its square, the
        intercept's 1 included.
        """
        error = abs(probability(self._raw_dot_one(x)) - y)
        most = STEP_MAX / (LEARNING_RATE * (1.0 + sum(value * value for value in x.values())))
        super().learn_one(x, y, most / error if w * error > most else w)
        share = 1.0 / min(self.optimizer.n_iterations, AVERAGED_EXAMPLES)
        self.mean_weights = self.mean_weights + (self._weights - self.mean_weights) * share
        self.mean_intercept += (self.intercept - self.mean_intercept) * share

    def predict_proba_one(self, x: dict[str, float]) -> dict[bool, float]:
        """By the mean weights."""
        said = probability(
            sum(self.mean_weights.get(name, 0.0) * value for name, value in x.items()) + self.mean_intercept
        )
        return {False: 1.0 - said, True: said}


class LogisticState(ScalerState, frozen=True):
    """Everything a logistic model has learned."""

    weights: tuple[float, ...]
    intercept: float
    mean_weights: tuple[float, ...]
    mean_intercept: float
    iterations: int


def readable(features: Sequence[float | None]) -> dict[str, float]:
    """Served features as River takes them: by name, in canonical order, as read, the missing ones left out.

    Raises
    ------
    ValueError
        When there are not as many as the registry has.

    >>> x = readable([0.0, 1.0] + [None] * (len(FEATURES) - 2))
    >>> x
    {'amount': 0.0, 'amount_roundness': 1.0}
    """
    if len(features) != len(FEATURES):
        raise ValueError(f"{len(features)} features, and the registry has {len(FEATURES)}")
    served = np.array([features], dtype=np.float64)  # None becomes NaN
    read = learnable(served)[0].tolist()
    return {name: value for name, value in zip(NAMES, read, strict=True) if value == value}


class LogisticOnline(Online):
    """River's scaled logistic regression. From a state it goes on exactly, to the bit.

    Raises
    ------
    ValueError
        When a state does not have one number for each feature of the registry.
    """

    def __init__(self, _plan: LinePlan, rest: Rest | None) -> None:
        self._scaler, self._regression = FlooredScaler(), SteadyRegression()
        self.pipeline = compose.Pipeline(self._scaler, self._regression)
        if rest is not None:
            self._go_on(rest.state)

    def _go_on(self, state: LogisticState) -> None:
        regression = self._regression
        self._scaler.go_on(state)
        regression._weights = VectorDict(by_name(state, "weights"))  # River offers no way to set weights
        regression.intercept = state.intercept
        regression.mean_weights = VectorDict(by_name(state, "mean_weights"))
        regression.mean_intercept = state.mean_intercept
        regression.optimizer.n_iterations = state.iterations

    def learn(self, features: Features, label: bool, weight: float) -> float:
        """As ``Online``."""
        x = readable(features)
        said = float(self.pipeline.predict_proba_one(x)[True])
        self.pipeline.learn_one(x, label, w=weight)
        return said

    def compiled(self, version: int, feature_schema_hash: str, threshold: float) -> LogisticModel:
        """As ``Online``: flat arrays, which score as the pipeline does (to rounding, below 1e-12)."""
        return LogisticModel(
            version=version,
            feature_schema_hash=feature_schema_hash,
            bias=float(self._regression.mean_intercept),
            weights=column(self._regression.mean_weights),
            **self._scaler.compiled(),
            review_probability=threshold,
        )

    def state(self) -> LogisticState:
        """As ``Online``."""
        regression = self._regression
        return LogisticState(
            **self._scaler.learned(),
            weights=tuple(column(regression.weights).tolist()),
            intercept=float(regression.intercept),
            mean_weights=tuple(column(regression.mean_weights).tolist()),
            mean_intercept=float(regression.mean_intercept),
            iterations=int(regression.optimizer.n_iterations),
        )


def rivers_release(_plan: LinePlan) -> dict[str, Any]:
    """What decides a line besides ``DEFINITION``."""
    return {"river": river.__version__}


def weights(said: ModelAnnouncement, _about: dict[str, Any]) -> list[dict[str, Any]]:
    """A card's features by the size of their weight: log-odds for one scale, a standard deviation, as read."""
    rows = zip(FEATURES, said.weights, said.means, said.scales, strict=True)
    used = [
        {"feature": feature.name, "weight": weight, "mean": mean, "scale": scale, "meaning": feature.meaning}
        for feature, weight, mean, scale in rows
        if scale
    ]
    return sorted(used, key=lambda each: -abs(each["weight"]))


def column(values: dict[str, float]) -> NDArray[np.float64]:
    """Values by feature name as an array in canonical order; 0 for a feature never met."""
    out = np.zeros(len(FEATURES), dtype=np.float64)
    for name, value in values.items():
        out[INDEX[name]] = value
    return out


def by_name(state: ScalerState, column: str) -> dict[str, float]:
    """A column of a state by feature name, without the features never met: River starts those at 0 itself.

    Raises
    ------
    ValueError
        When it does not have one number for each feature of the registry.
    """
    values = getattr(state, column)
    if len(values) != len(FEATURES):
        raise ValueError(f"{column}: not one number for each of {len(FEATURES)} features")
    return {name: value for name, value, count in zip(NAMES, values, state.counts, strict=True) if count}
