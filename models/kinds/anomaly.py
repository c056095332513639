"""The anomaly model: River's half-space trees over scaled features, and their compilation to flat arrays.

It learns from every example, whatever its label, and says how empty the place is where a payment stands. What this
definition makes of River 0.26:

- Features enter as ``readable`` ones, standardised as the logistic model's are (``FlooredScaler``), within limits of
  three standard deviations, from which the trees draw their cuts. A scaler by smallest and largest value would let one
  outlier push all payments into one corner for ever; a mean recovers.
- The trees are built at the beginning, over all features in alphabetical order, as River builds them when the first
  example comes. River would build them over the features that the first example happens to have.
- A split feature that is missing sends a payment where more of the present window went, as River does. So a model that
  is compiled says what River says at that moment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from river import anomaly, compose
from river.tree.padded import make_padded_tree

from models.kinds.kind import SCALE_MIN, Features, LinePlan, Online, Rest
from models.kinds.logistic import FlooredScaler, ScalerState, readable
from services.scorer.path.features.registry import INDEX, NAMES
from services.scorer.path.scoring.halfspace import AnomalyModel, HalfSpaceModel

TREES = 25
HEIGHT = 8
WINDOW = 250
"""Examples in a window, and trees, as in the paper; its height of 15 would take 128 times the memory."""
LIMIT = 3.0
"""Standard deviations on either side of the mean within which the trees cut."""
PADDING = 0.15
"""River's: no cut is nearer to the limits of its node than this share of their distance."""
SEED = 20_240_601

DEFINITION: dict[str, Any] = {
    "kind": "halfspace",
    "trees": TREES,
    "height": HEIGHT,
    "window": WINDOW,
    "limit": LIMIT,
    "padding": PADDING,
    "seed": SEED,
    "scale_min": SCALE_MIN,
}
"""All that decides what this model makes of a sequence of examples, besides River's release."""


class AnomalyState(ScalerState, frozen=True):
    """Everything the model has learned. Masses tree by tree, depth first."""

    reference: tuple[int, ...]
    """Masses of the last full window."""
    latest: tuple[int, ...]
    """Masses of the window that is filling."""
    counter: int
    """Examples in it."""
    first_window: bool


class AnomalyOnline(Online):
    """River's half-space trees, which learn from every example alike. From a state they go on exactly, to the bit.

    Raises
    ------
    ValueError
        When a state does not have one number for each feature of the registry, or one mass for each node.
    """

    def __init__(self, _plan: LinePlan, rest: Rest | None) -> None:
        self._scaler, self._trees = FlooredScaler(), _trees()
        self.pipeline = compose.Pipeline(self._scaler, self._trees)
        if rest is not None:
            self._go_on(rest.state)

    def _go_on(self, state: AnomalyState) -> None:
        self._scaler.go_on(state)
        nodes = self._nodes()
        for name in ("reference", "latest"):
            if len(getattr(state, name)) != len(nodes):
                raise ValueError(f"{name}: not one mass for each of {len(nodes)} nodes")
        for node, reference, latest in zip(nodes, state.reference, state.latest, strict=True):
            node.r_mass, node.l_mass = reference, latest
        self._trees.counter, self._trees._first_window = state.counter, state.first_window

    def learn(self, features: Features, label: bool, weight: float) -> float:
        """As ``Online``."""
        x = readable(features)
        said = float(self.pipeline.score_one(x))
        self.pipeline.learn_one(x)
        return said

    def compiled(self, version: int, feature_schema_hash: str, threshold: float) -> AnomalyModel:
        """As ``Online``: flat arrays, which score as the pipeline does at this moment, to the bit."""
        by_level = [_by_level(tree) for tree in self._trees.trees]
        splits = [node for nodes in by_level for node in nodes[: 2**HEIGHT - 1]]
        rights = [node.children[0].l_mass < node.children[1].l_mass for node in splits]
        trees = HalfSpaceModel(
            version=version,
            feature_schema_hash=feature_schema_hash,
            height=HEIGHT,
            window=WINDOW,
            ready=int(not self._trees._first_window),
            **self._scaler.compiled(),
            features=np.array([INDEX[node.feature] for node in splits], dtype=np.int32),
            thresholds=np.array([node.threshold for node in splits], dtype=np.float64),
            rights=np.array(rights, dtype=np.int8),
            masses=np.array([node.r_mass for nodes in by_level for node in nodes], dtype=np.int32),
        )
        return AnomalyModel(trees, threshold)

    def state(self) -> AnomalyState:
        """As ``Online``."""
        return AnomalyState(
            **self._scaler.learned(),
            reference=tuple(node.r_mass for node in self._nodes()),
            latest=tuple(node.l_mass for node in self._nodes()),
            counter=self._trees.counter,
            first_window=self._trees._first_window,
        )

    def _nodes(self) -> list[Any]:
        return [node for nodes in self._trees._tree_nodes for node in nodes]


def _trees() -> anomaly.HalfSpaceTrees:
    """Trees that have learned nothing."""
    limits = dict.fromkeys(NAMES, (-LIMIT, LIMIT))
    trees = anomaly.HalfSpaceTrees(n_trees=TREES, height=HEIGHT, window_size=WINDOW, limits=limits, seed=SEED)
    trees.trees = [
        make_padded_tree(
            limits={name: limits[name] for name in sorted(NAMES)},
            height=HEIGHT,
            padding=PADDING,
            rng=trees.rng,
            r_mass=0,
            l_mass=0,
        )
        for _ in range(TREES)
    ]
    trees._tree_nodes = [list(tree.iter_dfs()) for tree in trees.trees]
    return trees


def _by_level(root: Any) -> list[Any]:
    """The nodes of a complete tree, level by level: the children of node ``i`` are ``2i + 1`` and ``2i + 2``."""
    nodes = [root]
    for node in nodes:
        nodes.extend(getattr(node, "children", ()))
    return nodes
