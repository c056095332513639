"""Random trees and feature tables that meet every corner of a walk, and a walk that can be read."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from services.bench.kernels import random_trees
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.trees import (
    MISSING_IS_ZERO,
    MISSING_LEFT,
    MISSING_RIGHT,
    ZERO_LEFT,
    ZERO_RIGHT,
    Trees,
)

K = len(FEATURES)
SCHEMA = "5c" * 32
TINY = 1e-35


def any_trees(seed: int, count: int = 7, leaves: int = 12, depth: int = 6) -> Trees:
    """Random trees with every way to treat missing values, thresholds that are 0, tiny or infinite among them."""
    rng = np.random.default_rng(seed)
    grown = random_trees(rng, count, leaves, depth)
    thresholds = rng.choice([0.0, TINY, -TINY, 1.0, -2.5, 7.0, np.inf, 1e300], len(grown))
    missing = rng.integers(MISSING_IS_ZERO, ZERO_RIGHT + 1, len(grown))
    features = rng.integers(6, size=len(grown))
    return Trees(
        features=np.where(grown.leaves, 0, features).astype(np.int32),
        thresholds=np.where(grown.leaves, 0.0, thresholds),
        lefts=grown.lefts,
        missing=np.where(grown.leaves, 0, missing).astype(np.int8),
        roots=grown.roots,
        zero_below=float(rng.choice([0.0, TINY])),
    )


def any_table(seed: int, rows: int) -> NDArray[np.float64]:
    """Features on and around thresholds, infinite ones and missing ones."""
    rng = np.random.default_rng(seed)
    values = [0.0, -0.0, 1e-36, -1e-36, TINY, -TINY, 1.0, -2.5, 7.0, 7.1, -9.0, 1e300, np.inf, -np.inf, np.nan]
    return rng.choice(values, (rows, K))


def leaf_of(trees: Trees, root: int, row: list[float]) -> list[int]:
    """The nodes from a root to the leaf that ``row`` comes to, by the rules as LightGBM states them."""
    path = [root]
    while trees.lefts[path[-1]] != path[-1]:
        node = path[-1]
        x, way = row[trees.features[node]], trees.missing[node]
        if abs(x) <= trees.zero_below:
            x = 0.0
        if math.isnan(x) and way in (MISSING_IS_ZERO, ZERO_LEFT, ZERO_RIGHT):
            x = 0.0
        if (math.isnan(x) and way == MISSING_LEFT) or (x == 0.0 and way == ZERO_LEFT):
            left = True
        elif (math.isnan(x) and way == MISSING_RIGHT) or (x == 0.0 and way == ZERO_RIGHT):
            left = False
        else:
            left = bool(x <= trees.thresholds[node])
        path.append(int(trees.lefts[node]) + (not left))
    return path
