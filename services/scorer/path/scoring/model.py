"""A learned model as flat arrays, scored a batch at a time.

What a model says of a payment is its log-odds: the bias plus one contribution for each feature, added in canonical
order. So contributions always sum to the score, to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import orjson
from numba import njit
from numpy.typing import NDArray

from services.contract.announcement import ModelAnnouncement
from services.contract.errors import TocsinError
from services.contract.identity import hash_of
from services.scorer.path.features.registry import FEATURES

LOG_SCALE: NDArray[np.bool_] = np.array([feature.scale == "log" for feature in FEATURES])
SCALED_MAX = 5.0
"""Standard deviations beyond which a scaled feature counts as it: no single measurement outvotes all others."""


BOUND_MAX = 2.0**20
"""Of all that the parts of a score can add up to. Log-odds of a hundred are certainty."""


class ModelRefused(TocsinError, ValueError):
    """An announced model cannot score this feature schema. The message says why."""


class Compiled(Protocol):
    """What a kind of model compiles to."""

    @property
    def version(self) -> int: ...
    @property
    def feature_schema_hash(self) -> str: ...
    @property
    def hash(self) -> str:
        """SHA-256 over all that it says; the version is only a number."""


class Scoring(Compiled, Protocol):
    """A learned model, compiled: what can score in shadow. Its hash is over all that decides a score and an outcome."""

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n]: the score of each payment of ``features``, float64[n, k] as served."""


class Model(Scoring, Protocol):
    """A model that can decide. Its score is log-odds: the bias and a contribution of each feature."""

    @property
    def review_probability(self) -> float: ...
    @property
    def bias(self) -> float:
        """The score of a payment of which nothing is known."""

    @property
    def explains_all(self) -> bool:
        """Whether contributions come with the score at no price; else they are computed for reviews only."""

    def contributions(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Contributions and score of each payment.

        Parameters
        ----------
        features
            float64[n, k] as served: natural units, NaN where missing.

        Returns
        -------
        contributions
            float64[n, k], log-odds.
        scores
            float64[n]: ``bias``, then the contributions from first to last, added one by one; those of ``scores``, to
            the bit.
        """


C_co = TypeVar("C_co", bound=Compiled, covariant=True)


@dataclass(frozen=True, eq=False)
class WithThreshold(Generic[C_co]):
    """Trees with their operating threshold."""

    trees: C_co
    review_probability: float
    kind: ClassVar[str]

    @property
    def version(self) -> int:
        """As ``Scoring``."""
        return self.trees.version

    @property
    def feature_schema_hash(self) -> str:
        """As ``Scoring``."""
        return self.trees.feature_schema_hash

    @cached_property
    def hash(self) -> str:
        """As ``Scoring``."""
        parameters = {"kind": self.kind, "trees": self.trees.hash, "review_probability": self.review_probability}
        return hash_of(orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS))


@dataclass(frozen=True)
class LogisticModel:
    """Scaled logistic regression: ``sum(weight * (read(x) - mean) / scale) + bias``, each quotient held within
    ``SCALED_MAX``.

    ``weights``, ``means`` and ``scales`` are float64[k] in canonical feature order; a scale of 0 leaves its feature
    out. A missing feature (NaN) contributes 0, as if it stood at its mean.
    """

    version: int
    feature_schema_hash: str
    bias: float
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    scales: NDArray[np.float64]
    review_probability: float
    explains_all: ClassVar[bool] = True

    @cached_property
    def hash(self) -> str:
        """As ``Model``."""
        parameters = {
            "kind": "logistic",
            "feature_schema_hash": self.feature_schema_hash,
            "bias": self.bias,
            "weights": self.weights.tolist(),
            "means": self.means.tolist(),
            "scales": self.scales.tolist(),
            "scaled_max": SCALED_MAX,
            "review_probability": self.review_probability,
        }
        return hash_of(orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS))

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """As ``Model``."""
        return self.contributions(features)[1]

    def contributions(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As ``Model``."""
        out = np.empty_like(features)
        scores = np.empty(len(features), dtype=np.float64)
        _logistic_kernel(features, LOG_SCALE, self.weights, self.means, self.scales, self.bias, out, scores)
        return out, scores


def probability(score: float) -> float:
    """Probability from log-odds.

    >>> probability(0.0)
    0.5
    """
    if score < -700.0:  # where exp(-score) would overflow
        return math.exp(score)
    return 1.0 / (1.0 + math.exp(-score))


def read_features(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features as models read them: ``log(1 + x)`` where the registry says so. Shape and NaN are kept."""
    out = np.empty_like(features)
    _read_kernel(features, LOG_SCALE, out)
    return out


def untrained_model(feature_schema_hash: str) -> LogisticModel:
    """What scores before anything was learned: every payment gets the same low prior, and none a review by it."""
    zeros = np.zeros(len(FEATURES))
    prior = math.log(0.001 / 0.999)
    return LogisticModel(0, feature_schema_hash, prior, zeros, zeros, zeros, review_probability=1.0)


def require_schema(announcement: ModelAnnouncement, feature_schema_hash: str) -> None:
    """Let pass what was trained on the features computed here.

    Raises
    ------
    ModelRefused
        When it was trained on others.
    """
    if announcement.feature_schema_hash != feature_schema_hash:
        raise ModelRefused(
            f"model {announcement.version} was trained on feature schema {announcement.feature_schema_hash[:12]}, "
            f"this scorer computes {feature_schema_hash[:12]}"
        )


def logistic_from(announcement: ModelAnnouncement, feature_schema_hash: str) -> LogisticModel:
    """The logistic model that an announcement carries.

    Raises
    ------
    ModelRefused
        When it has the wrong number of parameters, or one that cannot be, or scores could grow beyond ``BOUND_MAX``.
    """
    parameters = (announcement.weights, announcement.means, announcement.scales)
    if any(len(each) != len(FEATURES) for each in parameters):
        raise ModelRefused(f"model {announcement.version} does not have {len(FEATURES)} weights, means and scales")
    weights, means, scales = (np.array(each, dtype=np.float64) for each in parameters)
    if not (np.isfinite([*weights, *means, *scales, announcement.bias]).all() and (scales >= 0.0).all()):
        raise ModelRefused(f"model {announcement.version} has a parameter that is not finite, or a negative scale")
    bound = abs(announcement.bias) + SCALED_MAX * math.fsum(np.minimum(np.abs(weights), BOUND_MAX).tolist())
    if bound > BOUND_MAX:
        raise ModelRefused(f"model {announcement.version}: scores could grow beyond {BOUND_MAX:.3g}")
    return LogisticModel(
        announcement.version,
        feature_schema_hash,
        announcement.bias,
        weights,
        means,
        scales,
        announcement.review_probability,
    )


@njit(cache=True)
def _logistic_kernel(
    features: Any, log_scale: Any, weights: Any, means: Any, scales: Any, bias: float, out: Any, scores: Any
) -> None:
    for i in range(features.shape[0]):
        score = bias
        for j in range(features.shape[1]):
            x = features[i, j]
            contribution = 0.0
            if scales[j] != 0.0 and not np.isnan(x):
                read = np.log1p(x) if log_scale[j] else x
                contribution = weights[j] * min(max((read - means[j]) / scales[j], -SCALED_MAX), SCALED_MAX)
            out[i, j] = contribution
            score += contribution
        scores[i] = score


@njit(cache=True)
def _read_kernel(features: Any, log_scale: Any, out: Any) -> None:
    for i in range(features.shape[0]):
        for j in range(features.shape[1]):
            x = features[i, j]
            out[i, j] = np.log1p(x) if log_scale[j] else x
