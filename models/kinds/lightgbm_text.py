"""What LightGBM writes of an ensemble, compiled to flat arrays. Its text is read here, not by LightGBM, and nothing is
unpickled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from models.kinds.layout import Layout, Leaf, Split
from services.contract.errors import TocsinError
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.model import ModelRefused
from services.scorer.path.scoring.trees import MISSING_IS_ZERO, MISSING_LEFT, MISSING_RIGHT, ZERO_LEFT, ZERO_RIGHT

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


def compile_boosting(text: str, version: int, feature_schema_hash: str, names: tuple[str, ...] = NAMES) -> Forest:
    """LightGBM's text as a forest whose ``raw`` is its raw score, to the bit. ``names`` are those of the features that
    it must be fitted on.

    The value of a node that is not a leaf is the mean of the leaves under it, weighted by the training examples that
    came to each (``leaf_count``).

    Raises
    ------
    BoostingError
        When the text is damaged, was fitted on other features, or holds what is not compiled: categorical splits,
        linear leaves, averaged trees, or another objective than binary log-loss.
    """
    return compile_bag([text], version, feature_schema_hash, names)


def compile_bag(texts: Sequence[str], version: int, feature_schema_hash: str, names: tuple[str, ...]) -> Forest:
    """Ensembles that were fitted on features of the same ``names`` as one forest, whose score is their mean.

    Raises
    ------
    BoostingError
        As ``compile_boosting``.
    """
    layout = Layout()
    for text in texts:
        head, *blocks = text.split("\nend of trees")[0].split("\nTree=")
        if "\nend of trees" not in text:
            raise BoostingError("the text breaks off before its end of trees")
        _check_head(_fields(head), names)
        if not blocks:
            raise BoostingError("there are no trees")
        for number, block in enumerate(blocks):
            _lay_out(layout, _fields(block), f"tree {number}")
    try:
        return Forest(version, feature_schema_hash, layout.trees(ZERO_BELOW, len(names)), layout.values(0) / len(texts))
    except ModelRefused as error:
        raise BoostingError(str(error)) from error


def _lay_out(layout: Layout, fields: dict[str, str], where: str) -> None:
    """Add one tree of the text."""
    leaves = _list(fields, "num_leaves", int, 1, where)[0]
    if leaves < 1:
        raise BoostingError(f"{where}: {leaves} leaves")
    if fields.get("num_cat", "0") != "0":
        raise BoostingError(f"{where}: categorical splits are not compiled")
    if fields.get("is_linear", "0") != "0":
        raise BoostingError(f"{where}: linear leaves are not compiled")
    values, splits = _list(fields, "leaf_value", float, leaves, where), leaves - 1
    weights = _list(fields, "leaf_count", float, leaves, where) if splits else [1.0]
    features = _list(fields, "split_feature", int, splits, where)
    thresholds = _list(fields, "threshold", float, splits, where)
    decisions = _list(fields, "decision_type", int, splits, where)
    lefts = _list(fields, "left_child", int, splits, where)
    rights = _list(fields, "right_child", int, splits, where)
    if any(not -leaves <= child < splits for child in lefts + rights):
        raise BoostingError(f"{where}: a child is none of its nodes")
    nodes, read = list(range(-leaves, splits)), []

    def node(number: int) -> Leaf | Split:
        """An inner node by its number, a leaf by the complement of its own."""
        read.append(number)
        if len(read) > len(nodes):
            raise BoostingError(f"{where}: a node is the child of two")
        if number < 0:
            return Leaf((values[~number],), weights[~number])
        decision = decisions[number]
        if decision & _CATEGORICAL:
            raise BoostingError(f"{where}: categorical splits are not compiled")
        way = _MISSING.get((decision >> 2, bool(decision & _DEFAULT_LEFT)))
        if way is None:
            raise BoostingError(f"{where}: decision type {decision} is unknown")
        return Split(features[number], thresholds[number], way, (lefts[number], rights[number]))

    layout.add(0 if splits else -1, node)
    if sorted(read) != nodes:
        raise BoostingError(f"{where}: children are not its {len(nodes)} nodes, each once")


def _check_head(fields: dict[str, str], names: tuple[str, ...]) -> None:
    if fields.get("version") != "v4":
        raise BoostingError(f"version {fields.get('version')!r} of LightGBM's text, and v4 is expected")
    if fields.get("num_class") != "1" or fields.get("num_tree_per_iteration") != "1":
        raise BoostingError("one class, and one tree at a time, are expected")
    if fields.get("objective") != "binary sigmoid:1":
        raise BoostingError(f"objective {fields.get('objective')!r}, and 'binary sigmoid:1' is expected")
    if "average_output" in fields:
        raise BoostingError("averaged trees are not compiled")
    if tuple(fields.get("feature_names", "").split()) != names:
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
