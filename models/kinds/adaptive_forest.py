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
from models.kinds.layout import Layout, Leaf, Split
from models.kinds.logistic import readable
from services.scorer.path.features.registry import INDEX
from services.scorer.path.scoring.model import probability
from services.scorer.path.scoring.trees import MISSING_LEFT, MISSING_RIGHT
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
    layout = Layout()
    for number, tree in enumerate(model):
        worth = model._metrics[number].get()
        _lay_out(layout, tree, worth if not model.disable_weighted_vote and worth > 0.0 else 1.0)
    if not layout.roots:
        layout.add(None, lambda _: _NOBODY)
    innocent, suspicious = layout.values(0), layout.values(1)
    return VotingForest(version, feature_schema_hash, layout.trees(), suspicious, innocent)


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


_NOBODY = Leaf((0.0, 0.0), 0.0)
"""A leaf that votes for nobody."""


def _lay_out(layout: Layout, tree: Any, worth: float) -> None:
    """Add a Hoeffding tree, each of whose votes counts ``worth``."""

    def node(each: Any) -> Leaf | Split:
        if each is None:
            return _NOBODY
        if isinstance(each, NumericBinaryBranch):
            way = MISSING_RIGHT if each.most_common_path()[0] else MISSING_LEFT
            return Split(INDEX[each.feature], float(each.threshold), way, each.children)
        if isinstance(each, DTBranch):
            raise ValueError(f"a split of type {type(each).__name__} is not compiled")
        shares = each.prediction({}, tree=tree)
        innocent, suspicious = (float(shares.get(label, 0.0)) * worth for label in (False, True))
        return Leaf((innocent, suspicious), float(each.total_weight))

    layout.add(tree._root, node)
