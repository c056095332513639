"""Half-space trees as flat arrays: how empty of earlier payments the place is where a payment stands.

Tan, Ting and Liu, *Fast Anomaly Detection for Streaming Data*, IJCAI 2011. Trees are complete: the children of node
``i`` are ``2i + 1`` and ``2i + 2``. A payment walks down while its node holds at least a tenth of a window; each node
on the way adds its mass times two to the power of its depth. The sums are whole numbers, so they are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.model import ModelRefused, WithThreshold
from services.scorer.path.scoring.packed import pack, unpack
from services.scorer.path.scoring.readings import learnable

KIND = "halfspace"
HEIGHT_MAX = 15
"""The paper's."""
TREES_MAX = 200
WINDOW_MAX = 2**20
_NUMBERS = {"height": int, "window": int, "ready": int}
_ARRAYS = {"means": "<f8", "scales": "<f8", "features": "<i4", "thresholds": "<f8", "rights": "|i1", "masses": "<i4"}


@dataclass(frozen=True, eq=False)
class HalfSpaceModel:
    """Half-space trees over scaled features: ``(read(x) - mean) / scale``, 0 where the scale is 0.

    ``means`` and ``scales`` are float64[k]. Of ``t`` trees one after the other, ``features`` int32, ``thresholds``
    float64 (``x < threshold`` goes left) and ``rights`` int8 (1: a missing feature goes right) have ``2**height - 1``
    nodes each, ``masses`` int32 ``2**(height + 1) - 1``. ``ready`` is 0 until a first window of ``window`` payments is
    full; every score is 0 until then.

    Raises
    ------
    ModelRefused
        When lengths do not fit each other or a number is out of its range.
    """

    version: int
    feature_schema_hash: str
    height: int
    window: int
    ready: int
    means: NDArray[np.float64]
    scales: NDArray[np.float64]
    features: NDArray[np.int32]
    thresholds: NDArray[np.float64]
    rights: NDArray[np.int8]
    masses: NDArray[np.int32]

    def __post_init__(self) -> None:
        if not (1 <= self.height <= HEIGHT_MAX and 1 <= self.window <= WINDOW_MAX and self.ready in (0, 1)):
            raise ModelRefused(f"height {self.height}, window {self.window} or ready {self.ready} is out of its range")
        trees, rest = divmod(len(self.masses), 2 ** (self.height + 1) - 1)
        splits = trees * (2**self.height - 1)
        if rest or not 1 <= trees <= TREES_MAX:
            raise ModelRefused(f"{len(self.masses):,} masses are not those of 1 to {TREES_MAX} trees")
        if any(len(each) != splits for each in (self.features, self.thresholds, self.rights)):
            raise ModelRefused(f"{trees} trees do not have {splits:,} features, thresholds and missing ways")
        if len(self.means) != len(FEATURES) or len(self.scales) != len(FEATURES):
            raise ModelRefused(f"not a mean and a scale for each of {len(FEATURES)} features")
        if not ((self.features >= 0) & (self.features < len(FEATURES))).all():
            raise ModelRefused(f"a node splits on a feature that is none of {len(FEATURES)}")
        if not np.isfinite(np.concatenate([self.means, self.scales, self.thresholds])).all() or (self.scales < 0).any():
            raise ModelRefused("a mean, scale or threshold is not finite, or a scale is negative")
        if not np.isin(self.rights, (0, 1)).all() or (self.masses < 0).any() or (self.masses > self.window).any():
            raise ModelRefused("a missing way is not 0 or 1, or a mass is not from 0 to a window")

    @cached_property
    def packed(self) -> bytes:
        """All that decides a score, as bytes; ``halfspace_from`` gives the model back."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return pack(KIND, self.feature_schema_hash, numbers, {name: getattr(self, name) for name in _ARRAYS})

    @cached_property
    def hash(self) -> str:
        """SHA-256 of ``packed``; the version is only a number."""
        return hash_of(self.packed)

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """How unusual each payment is. float64[n, k] as served (natural units, NaN missing) to float64[n], from 0 to 1;
        1 is alone."""
        out = np.zeros(len(features), dtype=np.float64)
        if self.ready:
            trees = len(self.masses) // (2 ** (self.height + 1) - 1)
            largest = trees * self.window * (2 ** (self.height + 1) - 1)
            scaling = (learnable(features), self.means, self.scales)
            splits = (self.features, self.thresholds, self.rights, self.masses)
            _mass_kernel(*scaling, *splits, self.height, 0.1 * self.window, out)
            out = 1.0 - out / largest
        return out


class AnomalyModel(WithThreshold[HalfSpaceModel]):
    """Half-space trees with an operating threshold, which is a score too. It decides nothing: how unusual a payment is
    says nothing of how likely it is to be suspicious, so its score is no log-odds and has no contributions."""

    kind: ClassVar[str] = KIND

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """As ``HalfSpaceModel.scores``."""
        return self.trees.scores(features)


def halfspace_from(packed: bytes, version: int, feature_schema_hash: str) -> HalfSpaceModel:
    """The model that ``HalfSpaceModel.packed`` was taken of.

    Raises
    ------
    ModelRefused
        When it is none for this feature schema, or something in it is out of its range.
    """
    numbers, arrays = unpack(packed, KIND, feature_schema_hash, _NUMBERS, _ARRAYS)
    return HalfSpaceModel(version, feature_schema_hash, **numbers, **arrays)


@njit(cache=True)
def _mass_kernel(
    read: Any, means: Any, scales: Any, features: Any, thresholds: Any, rights: Any, masses: Any,
    height: int, enough: float, out: Any,
) -> None:  # fmt: skip
    count, width = read.shape
    splits, nodes = 2**height - 1, 2 ** (height + 1) - 1
    trees = masses.shape[0] // nodes
    scaled = np.empty(width)
    for i in range(count):
        for j in range(width):
            x = read[i, j]
            scaled[j] = x if np.isnan(x) else ((x - means[j]) / scales[j] if scales[j] != 0.0 else 0.0)
        total = 0.0
        for tree in range(trees):
            node, power = 0, 1
            for _ in range(height):
                mass = masses[tree * nodes + node]
                total += mass * power
                if mass < enough:
                    break
                at = tree * splits + node
                x = scaled[features[at]]
                goes_right = rights[at] == 1 if np.isnan(x) else x >= thresholds[at]
                node = 2 * node + (2 if goes_right else 1)
                power *= 2
            else:
                total += masses[tree * nodes + node] * power
        out[i] = total
