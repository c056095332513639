"""The adaptive random forest: River's, and its compilation to flat arrays.

Gomes et al., *Adaptive random forests for evolving data stream classification*, Machine Learning 106, 2017. What this
definition makes of River 0.26:

- Leaves vote by the classes they have seen (``leaf_prediction="mc"``). River's default, naive Bayes in the leaves, is
  no constant of a leaf and would not compile.
- Memory is bounded by ``MAX_DEPTH``, which bounds leaves, and by features watched in each leaf, about the root of
  their number. River's own limit in bytes walks over every object to find out, and is never reached here.
- A split feature that is missing sends a payment where more examples went, as River does; equal weights go left.
- River's forest draws each example's weight itself (Poisson) and takes no notice of ``w``. So votes are shares of the
  examples that were labelled, and to be ranked by, not read as probabilities of all payments.
"""

from __future__ import annotations

import pickle
import platform
from typing import Any

import numpy as np
import river
from river import forest
from river.tree.nodes.branch import DTBranch, NumericBinaryBranch

from models.kinds.kind import ROUNDING, CheckpointRefused, Features, LinePlan, Online, Rest
from models.kinds.logistic import readable
from services.scorer.path.features.registry import INDEX
from services.scorer.path.scoring.model import probability
from services.scorer.path.scoring.trees import MISSING_IS_ZERO, MISSING_LEFT, MISSING_RIGHT, Trees
from services.scorer.path.scoring.votes import SHARE_FLOOR, VotingForest, VotingModel, share_log_odds

PARAMETERS: dict[str, Any] = {
    "n_models": 10,
    "max_features": "sqrt",
    "lambda_value": 6,
    "grace_period": 100,
    "max_depth": 8,
    "split_criterion": "info_gain",
    "delta": 0.01,
    "tau": 0.05,
    "leaf_prediction": "mc",
    "max_size": 100.0,
    "memory_estimate_period": 2_000_000_000,
    "seed": 20_240_601,
}
MAX_DEPTH: int = PARAMETERS["max_depth"]
DEFINITION: dict[str, Any] = {"kind": "votes", **PARAMETERS}
"""All that decides what this model makes of a sequence of examples, besides River's release."""


def create_adaptive_forest() -> forest.ARFClassifier:
    """A forest that has learned nothing. It learns ``readable`` features."""
    return forest.ARFClassifier(**PARAMETERS)


def compile_adaptive_forest(model: forest.ARFClassifier, version: int, feature_schema_hash: str) -> VotingForest:
    """The forest as it stands, as flat arrays that vote as it does, to the bit.

    The votes of a node that is not a leaf are the mean of the leaves under it, weighted by the examples that made each.

    Raises
    ------
    ValueError
        When it was not made by ``create_adaptive_forest``: leaves that do not vote by classes, or splits that are
        not on numbers.
    """
    if model.leaf_prediction != "mc":
        raise ValueError(f"leaf_prediction {model.leaf_prediction!r}, and only 'mc' is a constant of a leaf")
    layout = _Layout()
    for number, tree in enumerate(model):
        worth = model._metrics[number].get()
        layout.add(tree, worth if not model.disable_weighted_vote and worth > 0.0 else None)
    if not layout.roots:
        layout.leaf_tree()
    trees = Trees(
        features=np.array(layout.features, dtype=np.int32),
        thresholds=np.array(layout.thresholds, dtype=np.float64),
        lefts=np.array(layout.lefts, dtype=np.int32),
        missing=np.array(layout.missing, dtype=np.int8),
        roots=np.array(layout.roots, dtype=np.int32),
    )
    votes = np.array(layout.votes, dtype=np.float64)
    return VotingForest(version, feature_schema_hash, trees, votes[:, 1].copy(), votes[:, 0].copy())


class ForestOnline(Online):
    """River's adaptive random forest. It has no state but its checkpoint.

    Raises
    ------
    CheckpointRefused
        When the checkpoint to go on from is empty, or was written by another release of Python, NumPy or River.
    """

    rounding = ROUNDING

    def __init__(self, _plan: LinePlan, rest: Rest | None) -> None:
        self._model = create_adaptive_forest() if rest is None else _unpickled(rest.checkpoint)

    def learn(self, features: Features, label: bool, weight: float) -> float:
        """As ``Online``."""
        x = readable(features)
        share = float(self._model.predict_proba_one(x).get(True, 0.0))
        self._model.learn_one(x, label)
        return probability(share_log_odds(share))

    def compiled(self, version: int, feature_schema_hash: str, threshold: float) -> VotingModel:
        """As ``Online``."""
        forest = compile_adaptive_forest(self._model, version, feature_schema_hash)
        return VotingModel(forest, threshold)

    def state(self) -> None:
        """As ``Online``."""
        return

    def checkpoint(self) -> bytes:
        """A line that says who wrote it, then River's forest, pickled. To be read only by who knows its hash."""
        return _written_by() + pickle.dumps(self._model, protocol=5)


def of_line(_plan: LinePlan) -> dict[str, Any]:
    """What decides a line besides ``DEFINITION``."""
    return {"share_floor": SHARE_FLOOR, "rounding": ROUNDING, "river": river.__version__}


def _written_by() -> bytes:
    python = ".".join(platform.python_version_tuple()[:2])
    return f"adaptive_forest python {python} numpy {np.__version__} river {river.__version__}\n".encode()


def _unpickled(checkpoint: bytes) -> Any:
    """The forest of a checkpoint, whose hash its caller has found in the registry."""
    said = _written_by()
    if not checkpoint:
        raise CheckpointRefused("has no checkpoint that is the one it was saved with")
    if not checkpoint.startswith(said):
        raise CheckpointRefused(f"its checkpoint was not written by {said.decode().strip()}")
    return pickle.loads(checkpoint[len(said) :])  # noqa: S301 - the registry vouches for its hash


class _Layout:
    """Nodes one after the other, breadth first, siblings side by side."""

    def __init__(self) -> None:
        self.features: list[int] = []
        self.thresholds: list[float] = []
        self.lefts: list[int] = []
        self.missing: list[int] = []
        self.votes: list[tuple[float, float]] = []
        self.roots: list[int] = []

    def leaf_tree(self) -> None:
        """A tree of one leaf that votes for nobody."""
        self.roots.append(len(self.features))
        self._node(0, 0.0, len(self.features), MISSING_IS_ZERO, (0.0, 0.0))

    def add(self, tree: Any, worth: float | None) -> None:
        """Take a Hoeffding tree whose votes count ``worth`` each, as they are where that is ``None``."""
        if tree._root is None:
            self.leaf_tree()
            return
        start, order, at = len(self.features), [tree._root], 0
        seen: dict[int, float] = {}  # weights of the examples that made each leaf
        self.roots.append(start)
        while at < len(order):
            node = order[at]
            if isinstance(node, NumericBinaryBranch):
                way = MISSING_RIGHT if node.most_common_path()[0] else MISSING_LEFT
                self._node(INDEX[node.feature], float(node.threshold), start + len(order), way, (0.0, 0.0))
                order += node.children
            elif isinstance(node, DTBranch):
                raise ValueError(f"a split of type {type(node).__name__} is not compiled")
            else:
                shares = node.prediction({}, tree=tree)
                innocent, suspicious = (float(shares.get(label, 0.0)) for label in (False, True))
                votes = (innocent, suspicious) if worth is None else (innocent * worth, suspicious * worth)
                self._node(0, 0.0, start + at, MISSING_IS_ZERO, votes)
                seen[at] = float(node.total_weight)
            at += 1
        self._fill_means(start, [seen.get(at, 0.0) for at in range(len(order))])

    def _fill_means(self, start: int, seen: list[float]) -> None:
        """Votes of the nodes that are no leaves, from the last to the first: children stand after their parent."""
        for at in range(len(seen) - 1, -1, -1):
            left = self.lefts[start + at] - start
            if left == at:
                continue
            seen[at] = seen[left] + seen[left + 1]
            share = seen[left + 1] / seen[at] if seen[at] > 0.0 else 0.5
            of_left, of_right = self.votes[start + left], self.votes[start + left + 1]
            innocent, suspicious = (a + (b - a) * share for a, b in zip(of_left, of_right, strict=True))
            self.votes[start + at] = (innocent, suspicious)

    def _node(self, feature: int, threshold: float, left: int, missing: int, votes: tuple[float, float]) -> None:
        self.features.append(feature)
        self.thresholds.append(threshold)
        self.lefts.append(left)
        self.missing.append(missing)
        self.votes.append(votes)
