"""Decision trees as flat arrays, walked eight payments at a time.

Layout
------
Nodes of a tree stand together, breadth first, its root at the beginning; siblings stand side by side. So a node needs
one number to find both its children, ``right = left + 1``, and a step is ``left + (x > threshold)``: no branch that a
processor could mispredict. A leaf is its own left child, so every payment of a block takes as many steps as the tree
is deep, and eight walks at once hide each other's waiting (the layout of Asadi, Lin and de Vries, *Runtime
Optimizations for Tree-Based Machine Learning Models*, IEEE TKDE 26(9), 2014).

Missing values never meet a comparison: before the walk each feature is copied into one column for each way in which
some node treats a missing value, which is written there as minus infinity (left), infinity (right) or 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.model import ModelRefused

NODES_MAX = 2**18
STEPS_MAX = 2**15
"""Of one payment through all trees. It bounds what any announced model can cost; the default ensemble takes 1,200."""

MISSING_IS_ZERO, MISSING_LEFT, MISSING_RIGHT, ZERO_LEFT, ZERO_RIGHT = range(5)
"""What a node does with a missing value. At the last two, zero counts as missing too."""

_AT_MISSING = (0.0, -np.inf, np.inf, -np.inf, np.inf)
_AT_ZERO = (0.0, 0.0, 0.0, -np.inf, np.inf)
_BLOCK = 16
"""Payments whose columns are held at a time, a multiple of eight: their columns and one tree fit the first cache."""
_NODE = np.dtype([("threshold", "f8"), ("column", "u4"), ("left", "u4")])
LAYOUT = {"features": "<i4", "thresholds": "<f8", "lefts": "<i4", "missing": "|i1", "roots": "<i4"}
"""The arrays of ``Trees`` as they are packed."""


class Walk(NamedTuple):
    """Trees as the kernels take them. ``plain`` of the columns hold a feature, the others whether it is missing."""

    nodes: NDArray[Any]
    roots: NDArray[np.int64]
    depths: NDArray[np.int64]
    columns: NDArray[np.int64]
    at_missing: NDArray[np.float64]
    at_zero: NDArray[np.float64]
    plain: int
    zero_below: float


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees without the values of their nodes.

    ``features`` int32[m], ``thresholds`` float64[m] (``x <= threshold`` goes left), ``lefts`` int32[m] (the left
    child, the right one stands after it; its own index: a leaf, whose other numbers are 0), ``missing`` int8[m],
    ``roots`` int32[t]. Values of at most ``zero_below`` in size count as 0. Of missing values, see ``MISSING_LEFT``.

    A threshold may be infinity: only a missing value goes right there, if that is where it goes. ``width`` is how many
    features there are: those of the registry, unless the trees are about something else.

    Raises
    ------
    ModelRefused
        When a walk could leave its tree, would not end or would take more than ``STEPS_MAX`` steps.
    """

    features: NDArray[np.int32]
    thresholds: NDArray[np.float64]
    lefts: NDArray[np.int32]
    missing: NDArray[np.int8]
    roots: NDArray[np.int32]
    zero_below: float = 0.0
    width: int = len(FEATURES)

    def __post_init__(self) -> None:
        self._check_lengths()
        self._check_nodes()
        if self.depths.sum() > STEPS_MAX:
            raise ModelRefused(f"a payment would take {self.depths.sum():,} steps; {STEPS_MAX:,} are allowed")

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def leaves(self) -> NDArray[np.bool_]:
        """Which nodes are leaves."""
        found: NDArray[np.bool_] = self.lefts == np.arange(len(self))
        return found

    @cached_property
    def depths(self) -> NDArray[np.int64]:
        """Steps from each root to its farthest leaf."""
        depths = np.zeros(len(self), dtype=np.int64)
        _descend_kernel(self.lefts, np.ones(len(self), dtype=np.int64), depths)
        return np.maximum.reduceat(depths, self.roots)

    def farthest(self, lengths: NDArray[np.float64]) -> float:
        """The largest sum of ``lengths`` from root to leaf of each tree, summed over trees.

        ``lengths`` float64[m] says how long the step to each node is; that of a root counts as one.
        """
        sums = np.zeros(len(self))
        sums[self.roots] = lengths[self.roots]
        _descend_kernel(self.lefts, lengths, sums)
        return float(np.maximum.reduceat(sums, self.roots).sum())

    @cached_property
    def parents(self) -> NDArray[np.int64]:
        """The parent of each node; a root's is itself."""
        parents = np.arange(len(self))
        inner = np.flatnonzero(~self.leaves)
        parents[self.lefts[inner]] = inner
        parents[self.lefts[inner] + 1] = inner
        return parents

    @cached_property
    def walk(self) -> Walk:
        """The arrays of the kernels."""
        only_missing = ~self.leaves & np.isposinf(self.thresholds)
        only_missing &= (self.missing == MISSING_RIGHT) | (self.missing == ZERO_RIGHT)
        keys = np.stack([only_missing, self.features, self.missing], axis=1).astype(np.int64)
        columns, column_of = np.unique(keys, axis=0, return_inverse=True)  # the plain ones come first
        nodes = np.zeros(len(self), dtype=(np.record, _NODE))
        nodes["threshold"] = np.where(self.leaves, np.inf, np.where(only_missing, 0.0, self.thresholds))
        nodes["column"] = column_of.reshape(-1)
        nodes["left"] = self.lefts
        return Walk(
            nodes=nodes,
            roots=self.roots.astype(np.int64),
            depths=self.depths,
            columns=columns[:, 1].copy(),
            at_missing=np.array(_AT_MISSING)[columns[:, 2]],
            at_zero=np.array(_AT_ZERO)[columns[:, 2]],
            plain=int((columns[:, 0] == 0).sum()),
            zero_below=self.zero_below,
        )

    def sums(self, features: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values of the leaves that each payment comes to, added tree by tree, the first to 0.

        float64[n, k], NaN where missing, and the value of each node, float64[m], to float64[n].

        Raises
        ------
        ValueError
            When there are not ``width`` features.
        """
        out = np.empty(len(features), dtype=np.float64)
        _sum_kernel(self._checked(features), *self.walk, values, out)
        return out

    def paths(self, features: NDArray[np.float64], values: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """Add to ``out`` float64[n, k] what each feature's splits change in value on each payment's paths."""
        _path_kernel(self._checked(features), *self.walk, values, out)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name, as ``LAYOUT`` has them."""
        return {name: getattr(self, name) for name in LAYOUT}

    def _checked(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        if features.shape[1] != self.width:
            raise ValueError(f"{features.shape[1]} features, and the trees are about {self.width}")
        return np.ascontiguousarray(features)

    def _check_lengths(self) -> None:
        count = len(self.features)
        if not 0 < count <= NODES_MAX:
            raise ModelRefused(f"{count:,} nodes; there must be one and may be {NODES_MAX:,}")
        if any(len(each) != count for each in (self.thresholds, self.lefts, self.missing)):
            raise ModelRefused("not as many thresholds, left children and missing ways as features")
        roots = self.roots.astype(np.int64)
        if not (len(roots) and roots[0] == 0 and (np.diff(roots) > 0).all() and roots[-1] < count):
            raise ModelRefused("roots are not ascending node numbers, the first of them 0")
        if not 0.0 <= self.zero_below < np.inf:
            raise ModelRefused("zero_below is negative or not finite")

    def _check_nodes(self) -> None:
        count = len(self)
        at, lefts, inner = np.arange(count), self.lefts.astype(np.int64), ~self.leaves
        ends = np.repeat(np.append(self.roots[1:], count), np.diff(np.append(self.roots, count)))
        if not ((lefts > at) & (lefts + 1 < ends))[inner].all():
            raise ModelRefused("a child does not stand after its parent in the same tree")
        children = np.sort(np.concatenate([lefts[inner], lefts[inner] + 1, self.roots]))
        if not np.array_equal(children, at):
            raise ModelRefused("a node has no parent, or two")
        if not ((self.features >= 0) & (self.features < self.width)).all():
            raise ModelRefused(f"a node splits on a feature that is none of {self.width}")
        if not ((self.missing >= MISSING_IS_ZERO) & (self.missing <= ZERO_RIGHT)).all():
            raise ModelRefused("a node treats missing values in no known way")
        if np.isnan(self.thresholds).any() or np.isneginf(self.thresholds).any():
            raise ModelRefused("a threshold is not a number")
        if self.features[~inner].any() or self.thresholds[~inner].any() or self.missing[~inner].any():
            raise ModelRefused("a leaf has a split")


@njit(cache=True)
def _descend_kernel(lefts: Any, lengths: Any, sums: Any) -> None:
    """``sums`` of each node becomes its parent's and its own length. Parents stand before their children."""
    for node in range(lefts.shape[0]):
        left = lefts[node]
        if left != node:
            sums[left] = sums[node] + lengths[left]
            sums[left + 1] = sums[node] + lengths[left + 1]


@njit(cache=True)
def _fill_kernel(
    features: Any, start: int, stop: int, columns: Any, at_missing: Any, at_zero: Any, plain: int, zero: float, out: Any
) -> None:
    """Columns of payments ``start`` to ``stop``, one payment after the other. No NaN is left."""
    width = columns.shape[0]
    for i in range(start, stop):
        at = (i - start) * width
        for c in range(plain):
            x = features[i, columns[c]]
            x = at_zero[c] if abs(x) <= zero else x
            out[at + c] = x if x == x else at_missing[c]
        for c in range(plain, width):
            x = features[i, columns[c]]
            gone = x != x or (abs(x) <= zero and at_zero[c] != 0.0)
            out[at + c] = np.inf if gone else -np.inf


@njit(cache=True)
def _sum_kernel(
    features: Any, nodes: Any, roots: Any, depths: Any, columns: Any, at_missing: Any, at_zero: Any,
    plain: int, zero: float, values: Any, out: Any,
) -> None:  # fmt: skip
    count, width = features.shape[0], columns.shape[0]
    block = np.zeros(_BLOCK * width)
    sums = np.zeros(_BLOCK)
    # Unsigned indices: numba would otherwise ask of each whether it counts from the end.
    w1 = np.uintp(width)
    w2, w3, w4 = w1 + w1, w1 + w1 + w1, w1 + w1 + w1 + w1
    w5, w6, w7 = w4 + w1, w4 + w2, w4 + w3
    for start in range(0, count, _BLOCK):
        stop = min(count, start + _BLOCK)
        _fill_kernel(features, start, stop, columns, at_missing, at_zero, plain, zero, block)
        sums[:] = 0.0
        for tree in range(roots.shape[0]):
            root = np.uintp(roots[tree])
            for lane in range(0, stop - start, 8):  # lanes beyond the last payment walk on what was there before
                w0 = np.uintp(lane) * w1
                n0 = n1 = n2 = n3 = n4 = n5 = n6 = n7 = root
                for _ in range(depths[tree]):
                    n = nodes[n0]
                    n0 = np.uintp(n.left) + np.uintp(block[w0 + np.uintp(n.column)] > n.threshold)
                    n = nodes[n1]
                    n1 = np.uintp(n.left) + np.uintp(block[w0 + w1 + np.uintp(n.column)] > n.threshold)
                    n = nodes[n2]
                    n2 = np.uintp(n.left) + np.uintp(block[w0 + w2 + np.uintp(n.column)] > n.threshold)
                    n = nodes[n3]
                    n3 = np.uintp(n.left) + np.uintp(block[w0 + w3 + np.uintp(n.column)] > n.threshold)
                    n = nodes[n4]
                    n4 = np.uintp(n.left) + np.uintp(block[w0 + w4 + np.uintp(n.column)] > n.threshold)
                    n = nodes[n5]
                    n5 = np.uintp(n.left) + np.uintp(block[w0 + w5 + np.uintp(n.column)] > n.threshold)
                    n = nodes[n6]
                    n6 = np.uintp(n.left) + np.uintp(block[w0 + w6 + np.uintp(n.column)] > n.threshold)
                    n = nodes[n7]
                    n7 = np.uintp(n.left) + np.uintp(block[w0 + w7 + np.uintp(n.column)] > n.threshold)
                sums[lane] += values[n0]
                sums[lane + 1] += values[n1]
                sums[lane + 2] += values[n2]
                sums[lane + 3] += values[n3]
                sums[lane + 4] += values[n4]
                sums[lane + 5] += values[n5]
                sums[lane + 6] += values[n6]
                sums[lane + 7] += values[n7]
        for lane in range(stop - start):
            out[start + lane] = sums[lane]


@njit(cache=True)
def _path_kernel(
    features: Any, nodes: Any, roots: Any, depths: Any, columns: Any, at_missing: Any, at_zero: Any,
    plain: int, zero: float, values: Any, out: Any,
) -> None:  # fmt: skip
    block = np.zeros(columns.shape[0])
    for i in range(features.shape[0]):
        _fill_kernel(features, i, i + 1, columns, at_missing, at_zero, plain, zero, block)
        for tree in range(roots.shape[0]):
            at = np.uintp(roots[tree])
            for _ in range(depths[tree]):
                n = nodes[at]
                child = np.uintp(n.left) + np.uintp(block[np.uintp(n.column)] > n.threshold)
                if child == at:
                    break
                out[i, columns[np.uintp(n.column)]] += values[child] - values[at]
                at = child
