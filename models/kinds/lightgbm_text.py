"""What LightGBM writes of an ensemble, compiled to flat arrays. Its text is read here, not by LightGBM, and nothing is
unpickled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from services.contract.errors import TocsinError
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.model import ModelRefused
from services.scorer.path.scoring.trees import (
    MISSING_IS_ZERO,
    MISSING_LEFT,
    MISSING_RIGHT,
    ZERO_LEFT,
    ZERO_RIGHT,
    Trees,
)

ZERO_BELOW = float(np.float32(1e-35))
"""LightGBM's ``kZeroThreshold``: what is not larger in size counts as 0."""

_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING = {
    (0, False): MISSING_IS_ZERO,
    (0, True): MISSING_IS_ZERO,
    (1, False): ZERO_RIGHT,
    (1, True): ZERO_LEFT,
    (2, False): MISSING_RIGHT,
    (2, True): MISSING_LEFT,
}
"""By LightGBM's missing type (none, zero, NaN) and default direction (left or not)."""
_Number = TypeVar("_Number", int, float)


class BoostingError(TocsinError, ValueError):
    """A text is not a boosted ensemble that can be compiled. The message says where and why."""


def compile_boosting(text: str, version: int, feature_schema_hash: str) -> Forest:
    """LightGBM's text as a forest whose ``raw`` is its raw score, to the bit.

    The value of a node that is not a leaf is the mean of the leaves under it, weighted by the training examples that
    came to each (``leaf_count``).

    Raises
    ------
    BoostingError
        When the text is damaged, was fitted on other features, or holds what is not compiled: categorical splits,
        linear leaves, averaged trees, or another objective than binary log-loss.
    """
    head, *blocks = text.split("\nend of trees")[0].split("\nTree=")
    if "\nend of trees" not in text:
        raise BoostingError("the text breaks off before its end of trees")
    _check_head(_fields(head))
    if not blocks:
        raise BoostingError("there are no trees")
    parts: list[_Tree] = []
    start = 0
    for number, block in enumerate(blocks):
        parts.append(_Tree(_fields(block), f"tree {number}", start))
        start += len(parts[-1].values)
    try:
        trees = Trees(
            features=np.array([each for part in parts for each in part.features], dtype=np.int32),
            thresholds=np.array([each for part in parts for each in part.thresholds], dtype=np.float64),
            lefts=np.array([each for part in parts for each in part.lefts], dtype=np.int32),
            missing=np.array([each for part in parts for each in part.missing], dtype=np.int8),
            roots=np.array([part.start for part in parts], dtype=np.int32),
            zero_below=ZERO_BELOW,
        )
        values = np.array([each for part in parts for each in part.values], dtype=np.float64)
        return Forest(version, feature_schema_hash, trees, values)
    except ModelRefused as error:
        raise BoostingError(str(error)) from error


class _Tree:
    """One tree of the text, its nodes breadth first with siblings side by side."""

    def __init__(self, fields: dict[str, str], where: str, start: int) -> None:
        self.where, self.start = where, start
        leaves = _list(fields, "num_leaves", int, 1, where)[0]
        if leaves < 1:
            raise BoostingError(f"{where}: {leaves} leaves")
        if fields.get("num_cat", "0") != "0":
            raise BoostingError(f"{where}: categorical splits are not compiled")
        if fields.get("is_linear", "0") != "0":
            raise BoostingError(f"{where}: linear leaves are not compiled")
        self._leaf_values = _list(fields, "leaf_value", float, leaves, where)
        splits = leaves - 1
        self._leaf_counts = _list(fields, "leaf_count", float, leaves, where) if splits else [1.0]
        self._split_features = _list(fields, "split_feature", int, splits, where)
        self._split_thresholds = _list(fields, "threshold", float, splits, where)
        self._decisions = _list(fields, "decision_type", int, splits, where)
        self._lefts = _list(fields, "left_child", int, splits, where)
        self._rights = _list(fields, "right_child", int, splits, where)
        if any(not -leaves <= child < splits for child in self._lefts + self._rights):
            raise BoostingError(f"{where}: a child is none of its nodes")
        self.features: list[int] = []
        self.thresholds: list[float] = []
        self.lefts: list[int] = []
        self.missing: list[int] = []
        self._lay_out(0 if splits else -1)
        self.values = self._means()

    def _lay_out(self, root: int) -> None:
        """``root`` and every child in turn: an inner node by its number, a leaf as the complement of its own."""
        self._order, at = [root], 0
        while at < len(self._order):
            node = self._order[at]
            if node < 0:
                self._node(0, 0.0, at, MISSING_IS_ZERO)
            else:
                decision = self._decisions[node]
                if decision & _CATEGORICAL:
                    raise BoostingError(f"{self.where}: categorical splits are not compiled")
                way = _MISSING.get((decision >> 2, bool(decision & _DEFAULT_LEFT)))
                if way is None:
                    raise BoostingError(f"{self.where}: decision type {decision} is unknown")
                self._node(self._split_features[node], self._split_thresholds[node], len(self._order), way)
                self._order += [self._lefts[node], self._rights[node]]
            at += 1
            if len(self._order) > 2 * len(self._leaf_values) - 1:
                raise BoostingError(f"{self.where}: a node is the child of two")
        nodes = set(range(-len(self._leaf_values), len(self._leaf_values) - 1))
        if set(self._order) != nodes or len(self._order) != len(nodes):
            raise BoostingError(f"{self.where}: children are not its {len(nodes)} nodes, each once")

    def _node(self, feature: int, threshold: float, left: int, missing: int) -> None:
        self.features.append(feature)
        self.thresholds.append(threshold)
        self.lefts.append(self.start + left)
        self.missing.append(missing)

    def _means(self) -> list[float]:
        """The value of each node, from the last to the first: children stand after their parent."""
        values, counts = [0.0] * len(self._order), [0.0] * len(self._order)
        for at in range(len(self._order) - 1, -1, -1):
            node, left = self._order[at], self.lefts[at] - self.start
            if node < 0:
                values[at], counts[at] = self._leaf_values[~node], self._leaf_counts[~node]
                continue
            counts[at] = counts[left] + counts[left + 1]
            share = counts[left + 1] / counts[at] if counts[at] > 0.0 else 0.5
            values[at] = values[left] + (values[left + 1] - values[left]) * share
        return values


def _check_head(fields: dict[str, str]) -> None:
    if fields.get("version") != "v4":
        raise BoostingError(f"version {fields.get('version')!r} of LightGBM's text, and v4 is expected")
    if fields.get("num_class") != "1" or fields.get("num_tree_per_iteration") != "1":
        raise BoostingError("one class, and one tree at a time, are expected")
    if fields.get("objective") != "binary sigmoid:1":
        raise BoostingError(f"objective {fields.get('objective')!r}, and 'binary sigmoid:1' is expected")
    if "average_output" in fields:
        raise BoostingError("averaged trees are not compiled")
    if tuple(fields.get("feature_names", "").split()) != NAMES:
        raise BoostingError("it was fitted on other features, or on these in another order")


def _fields(block: str) -> dict[str, str]:
    """``key=value`` lines by key; a line without ``=`` is a key without a value."""
    return {key: value for key, _, value in (line.partition("=") for line in block.splitlines() if line)}


def _list(
    fields: dict[str, str], name: str, number: Callable[[str], _Number], length: int, where: str
) -> list[_Number]:
    try:
        values = [number(each) for each in fields.get(name, "").split()]
    except ValueError as error:
        raise BoostingError(f"{where}: {name}: {error}") from error
    if len(values) != length or any(math.isnan(value) for value in values):
        raise BoostingError(f"{where}: {name} are not {length} numbers")
    return values
