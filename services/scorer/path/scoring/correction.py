"""A boosted ensemble with an online corrector on top, as one model with one sum.

Served log-odds are ``intercept + slope * ensemble + sum(weight * clip((read(x) - mean) / scale))`` over a few named
features. The slope is multiplied into the trees' values when the model is compiled, and every part is rounded to one
grid (see ``forest``). So a payment costs what the ensemble costs, and the bias and the contributions are the score to
the bit, in any order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.forest import Forest, grid_for, spread, to_grid
from services.scorer.path.scoring.model import LOG_SCALE, ModelRefused
from services.scorer.path.scoring.packed import pack, unpack

KIND = "corrector"
CLIP = 8.0
"""Scaled features beyond it in size count as it."""
_NUMBERS = {"intercept": float, "slope": float}
_ARRAYS = {"features": "<i4", "weights": "<f8", "means": "<f8", "scales": "<f8"}


@dataclass(frozen=True, eq=False)
class Correction:
    """What a corrector has learned. ``features`` int32[m] ascending, the other arrays float64[m]; a scale of 0 leaves
    its feature out, and so does a missing value."""

    feature_schema_hash: str
    intercept: float
    slope: float
    features: NDArray[np.int32]
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    scales: NDArray[np.float64]

    def __post_init__(self) -> None:
        numbers = np.concatenate([self.weights, self.means, self.scales, [self.intercept, self.slope]])
        if any(len(each) != len(self.features) for each in (self.weights, self.means, self.scales)):
            raise ModelRefused("not a weight, mean and scale for each corrected feature")
        if not np.isfinite(numbers).all() or (self.scales < 0.0).any():
            raise ModelRefused("a number of the corrector is not finite, or a scale is negative")
        columns = self.features.astype(np.int64)
        if len(columns) and (columns[0] < 0 or columns[-1] >= len(FEATURES) or (np.diff(columns) <= 0).any()):
            raise ModelRefused(f"corrected features are not ascending among {len(FEATURES)}")

    @cached_property
    def packed(self) -> bytes:
        """All of it as bytes; ``correction_from`` gives it back."""
        numbers = {"intercept": self.intercept, "slope": self.slope}
        return pack(KIND, self.feature_schema_hash, numbers, {name: getattr(self, name) for name in _ARRAYS})


def correction_from(packed: bytes, feature_schema_hash: str) -> Correction:
    """The correction that ``Correction.packed`` was taken of.

    Raises
    ------
    ModelRefused
        When it is none for this feature schema.
    """
    numbers, arrays = unpack(packed, KIND, feature_schema_hash, _NUMBERS, _ARRAYS)
    return Correction(feature_schema_hash, **numbers, **arrays)


@dataclass(frozen=True, eq=False)
class CorrectedForest:
    """An ensemble as its corrector has it.

    Raises
    ------
    ModelRefused
        When the two are of different feature schemas, or scores could grow beyond all bounds.
    """

    version: int
    forest: Forest
    correction: Correction

    def __post_init__(self) -> None:
        if self.forest.feature_schema_hash != self.correction.feature_schema_hash:
            raise ModelRefused("the ensemble and its corrector are of different feature schemas")
        _ = self.grid

    @property
    def feature_schema_hash(self) -> str:
        """Of both."""
        return self.forest.feature_schema_hash

    @cached_property
    def hash(self) -> str:
        """SHA-256 over both hashes' bytes: all that decides a score."""
        return hash_of(self.forest.packed + self.correction.packed)

    @cached_property
    def grid(self) -> float:
        """What every part of a score is a multiple of."""
        terms = CLIP * float(np.abs(self.correction.weights).sum())
        return grid_for(abs(self.correction.intercept) + spread(self.forest.trees, self._values) + terms)

    @cached_property
    def served(self) -> NDArray[np.float64]:
        """float64[m]: the trees' values as served."""
        return to_grid(self._values, self.grid)

    @cached_property
    def bias(self) -> float:
        """The score of a payment of which nothing is known, log-odds."""
        intercept = to_grid(np.array([self.correction.intercept]), self.grid)
        return math.fsum([*intercept.tolist(), *self.served[self.forest.trees.roots].tolist()])

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The score of each payment. float64[n, k] as served (natural units, NaN missing) to float64[n], log-odds."""
        intercept = to_grid(np.array([self.correction.intercept]), self.grid)[0]
        scores: NDArray[np.float64] = intercept + self.forest.trees.sums(features, self.served)
        if len(self.correction.features):
            scores += self._terms(features).sum(axis=1)
        return scores

    def contributions(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As ``Model``, in any order of addition; for those whose reasons are wanted: it takes several times longer."""
        out = np.zeros(features.shape, dtype=np.float64)
        self.forest.trees.paths(features, self.served, out)
        out[:, self.correction.features] += self._terms(features)
        return out, self.bias + out.sum(axis=1)

    @cached_property
    def _values(self) -> NDArray[np.float64]:
        with np.errstate(over="ignore"):
            return self.forest.values * self.correction.slope

    def _terms(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n, m]: what the corrected features add, on the grid."""
        of = self.correction
        out = np.empty((len(features), len(of.features)), dtype=np.float64)
        _term_kernel(features, LOG_SCALE, of.features, of.weights, of.means, of.scales, self.grid, out)
        return out


@njit(cache=True)
def _term_kernel(
    features: Any, log_scale: Any, columns: Any, weights: Any, means: Any, scales: Any, grid: float, out: Any
) -> None:
    for i in range(features.shape[0]):
        for j in range(columns.shape[0]):
            x = features[i, columns[j]]
            term = 0.0
            if scales[j] != 0.0 and not np.isnan(x):
                read = np.log1p(x) if log_scale[columns[j]] else x
                if not np.isnan(read):
                    term = weights[j] * min(max((read - means[j]) / scales[j], -CLIP), CLIP)
            out[i, j] = np.rint(term / grid) * grid
