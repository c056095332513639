"""Trees of a library laid out as scorers walk them (``services.scorer.path.scoring.trees``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.trees import MISSING_IS_ZERO, Trees

Node = TypeVar("Node")


class Leaf(NamedTuple):
    """A node without children: its values, and the weight of the examples that made it."""

    values: tuple[float, ...]
    weight: float


class Split(NamedTuple):
    """A node that sends ``x <= threshold`` to the first of its two children, and a missing value its own way."""

    feature: int
    threshold: float
    missing: int
    children: Sequence[object]


class Layout:
    """Nodes one after the other, breadth first, siblings side by side."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self._nodes: list[tuple[int, float, int, int]] = []
        """Feature, threshold, left child and missing way of each."""
        self._values: list[tuple[float, ...]] = []

    def add(self, root: Node, read: Callable[[Node], Leaf | Split]) -> None:
        """Take a tree: ``root`` and every child in turn, each as ``read`` says it is.

        The values of a node that is not a leaf are the mean of the leaves under it, by their weights.
        """
        start, order, weights = len(self._nodes), [root], []
        self.roots.append(start)
        for at, node in enumerate(order):  # which grows meanwhile
            found = read(node)
            if isinstance(found, Leaf):
                self._nodes.append((0, 0.0, start + at, MISSING_IS_ZERO))
                self._values.append(found.values)
                weights.append(found.weight)
            else:
                self._nodes.append((found.feature, found.threshold, start + len(order), found.missing))
                self._values.append(())
                weights.append(0.0)
                order += found.children  # type: ignore[arg-type]
        self._fill_means(start, weights)

    def trees(self, zero_below: float = 0.0, width: int = len(FEATURES)) -> Trees:
        """The trees without their values.

        Raises
        ------
        ModelRefused
            As ``Trees``.
        """
        features, thresholds, lefts, missing = zip(*self._nodes, strict=True)
        return Trees(
            features=np.array(features, dtype=np.int32),
            thresholds=np.array(thresholds, dtype=np.float64),
            lefts=np.array(lefts, dtype=np.int32),
            missing=np.array(missing, dtype=np.int8),
            roots=np.array(self.roots, dtype=np.int32),
            zero_below=zero_below,
            width=width,
        )

    def values(self, column: int) -> NDArray[np.float64]:
        """float64[m]: one of the values of each node."""
        return np.array([each[column] for each in self._values], dtype=np.float64)

    def _fill_means(self, start: int, weights: list[float]) -> None:
        """From the last to the first: children stand after their parent."""
        for at in range(len(weights) - 1, -1, -1):
            left = self._nodes[start + at][2] - start
            if left == at:
                continue
            weights[at] = weights[left] + weights[left + 1]
            share = weights[left + 1] / weights[at] if weights[at] > 0.0 else 0.5
            beside = zip(self._values[start + left], self._values[start + left + 1], strict=True)
            self._values[start + at] = tuple(a + (b - a) * share for a, b in beside)
