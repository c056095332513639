"""A boosted ensemble as flat arrays: its log-odds, and what each feature adds to them.

Two sums of the same leaves:

- ``raw``: the library's own, leaf values as they are, added tree by tree. It is LightGBM's raw score to the bit.
- ``scores`` and ``contributions``: what is served. Each value of a node is first rounded to a multiple of a *grid*, a
  power of two so coarse that every sum that can occur is a multiple of it below ``2**53`` of them. Such sums are exact
  in float64, **in any order**. So the bias and the contributions, added one by one in canonical order (or in any
  other), are the score to the bit, although the score was summed over leaves and they over splits. For an ensemble of
  150 trees the grid is about 1e-14, and ``scores`` differ from ``raw`` by at most half a grid a tree: below 1e-12.

A contribution is what its feature's splits change along the payment's path: the value of a node is the mean of its
leaves, weighted by the training examples that came there, and each step from a node to its child adds the difference
to the feature that decided it (Saabas, *Interpreting random forests*, 2014; Kuz'min et al., *Interpretation of QSAR
Models Based on Random Forest Methods*, Molecular Informatics 30, 2011). The bias is the sum of the roots' values. Such
contributions are cheap and exact; unlike Shapley values they favour splits deep in a tree (Lundberg et al., *From
local explanations to global understanding with explainable AI for trees*, Nature Machine Intelligence 2, 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.model import BOUND_MAX, ModelRefused
from services.scorer.path.scoring.packed import pack, unpack
from services.scorer.path.scoring.trees import LAYOUT, Trees

KIND = "forest"
_ARRAYS = {**LAYOUT, "values": "<f8"}


@dataclass(frozen=True, eq=False)
class Forest:
    """A boosted ensemble. ``values`` float64[m], log-odds: of a leaf what it adds, of any other node its mean leaf.

    Raises
    ------
    ModelRefused
        When a value is not finite, or scores could grow beyond ``BOUND_MAX``.
    """

    version: int
    feature_schema_hash: str
    trees: Trees
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.trees) or not np.isfinite(self.values).all():
            raise ModelRefused(f"not a finite value for each of {len(self.trees)} nodes")
        _ = self.grid

    @cached_property
    def packed(self) -> bytes:
        """All that decides a score, as bytes; ``forest_from`` gives the forest back."""
        arrays = {**self.trees.arrays(), "values": self.values}
        return pack(KIND, self.feature_schema_hash, {"zero_below": self.trees.zero_below}, arrays)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of ``packed``; the version is only a number."""
        return hash_of(self.packed)

    @cached_property
    def grid(self) -> float:
        """What the values that are served are multiples of."""
        return grid_for(spread(self.trees, self.values))

    @cached_property
    def served(self) -> NDArray[np.float64]:
        """``values`` to the nearest multiple of ``grid``."""
        return to_grid(self.values, self.grid)

    @cached_property
    def bias(self) -> float:
        """The score of a payment of which no split knew anything: the sum of the roots' values, log-odds."""
        return math.fsum(self.served[self.trees.roots].tolist())

    def raw(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The library's raw score, to the bit. float64[n, k] as served to float64[n], log-odds."""
        return self.trees.sums(features, self.values)

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The score of each payment. float64[n, k] as served (natural units, NaN missing) to float64[n], log-odds."""
        return self.trees.sums(features, self.served)

    def contributions(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As ``Model``, in any order of addition; for those whose reasons are wanted: it takes several times longer."""
        out = np.zeros(features.shape, dtype=np.float64)
        self.trees.paths(features, self.served, out)
        return out, self.bias + out.sum(axis=1)


def forest_from(packed: bytes, version: int, feature_schema_hash: str, width: int = len(FEATURES)) -> Forest:
    """The forest that ``Forest.packed`` was taken of. ``width`` is how many features its schema has.

    Raises
    ------
    ModelRefused
        When it is not a forest for this feature schema whose walks end and whose numbers can be served.
    """
    numbers, arrays = unpack(packed, KIND, feature_schema_hash, {"zero_below": float}, _ARRAYS)
    values = arrays.pop("values")
    return Forest(version, feature_schema_hash, Trees(**arrays, zero_below=numbers["zero_below"], width=width), values)


def spread(trees: Trees, values: NDArray[np.float64]) -> float:
    """What no sum of some of the parts of a score can exceed in size: leaves, or roots and steps along paths."""
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.abs(values - values[trees.parents])
        steps[trees.roots] = np.abs(values[trees.roots])
        return trees.farthest(steps)


def grid_for(bound: float) -> float:
    """The finest power of two whose multiples up to ``bound``, and a little beyond for rounding, are all float64.

    Raises
    ------
    ModelRefused
        When ``bound`` is beyond ``BOUND_MAX``, or not a number.

    >>> grid_for(1.0) == 2.0**-52
    True
    """
    if not bound <= BOUND_MAX:
        raise ModelRefused(f"scores could grow to {bound:.3g}; {BOUND_MAX:.3g} is allowed")
    return math.ldexp(1.0, math.frexp(max(bound, 2.0**-20) * (1.0 + 2.0**-20))[1] - 53)


def to_grid(values: NDArray[np.float64], grid: float) -> NDArray[np.float64]:
    """``values`` to the nearest multiple of ``grid``, a power of two."""
    return np.rint(values / grid) * grid
