"""What the models' kernels cost, on one core, over feature vectors like real ones. None is fitted: a random ensemble of
the default size costs what a fitted one does."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.halfspace import HalfSpaceModel
from services.scorer.path.scoring.model import LogisticModel
from services.scorer.path.scoring.trees import MISSING_LEFT, MISSING_RIGHT, Trees
from services.scorer.path.scoring.votes import VotingForest, VotingModel

ROWS = 2_000
ROUNDS = 10
SCHEMA = "00" * 32


def models_us_per_payment() -> dict[str, float]:
    """CPU microseconds a payment in batches of ``ROWS``, the best of five, by model."""
    rng = np.random.default_rng(1)
    table = np.where(rng.random((ROWS, len(FEATURES))) < 0.1, np.nan, rng.lognormal(0.0, 1.5, (ROWS, len(FEATURES))))
    ensemble, logistic, votes, halfspace = random_forest(rng), _logistic(rng), _votes(rng), _halfspace(rng)
    return {
        "logistic": _best(lambda: logistic.contributions(table)),
        "ensemble": _best(lambda: ensemble.scores(table)),
        "ensemble_reasons": _best(lambda: ensemble.contributions(table)),
        "adaptive_forest": _best(lambda: votes.scores(table)),
        "halfspace": _best(lambda: halfspace.scores(table)),
    }


def random_trees(rng: np.random.Generator, count: int, leaves: int, depth: int) -> Trees:
    """Trees that grew at random: of each the leaf to split, its feature and its threshold are drawn."""
    columns: dict[str, list[float]] = {name: [] for name in ("features", "thresholds", "lefts", "missing")}
    roots = []
    for _ in range(count):
        start = len(columns["features"])
        roots.append(start)
        children: dict[int, int] = {}
        ends, made = [(0, 0)], 1
        while made < 2 * leaves - 1 and any(level < depth for _, level in ends):
            at, level = ends.pop(int(rng.integers(len(ends))))
            if level == depth:
                ends.append((at, level))
                continue
            children[at] = made
            ends += [(made, level + 1), (made + 1, level + 1)]
            made += 2
        _lay_out(children, start, rng, columns)
    return Trees(
        features=np.array(columns["features"], dtype=np.int32),
        thresholds=np.array(columns["thresholds"], dtype=np.float64),
        lefts=np.array(columns["lefts"], dtype=np.int32),
        missing=np.array(columns["missing"], dtype=np.int8),
        roots=np.array(roots, dtype=np.int32),
    )


def random_forest(rng: np.random.Generator, count: int = 150, leaves: int = 31, depth: int = 8) -> Forest:
    """An ensemble of the default size that was fitted to nothing."""
    trees = random_trees(rng, count, leaves, depth)
    return Forest(1, SCHEMA, trees, rng.normal(0.0, 0.1, len(trees)))


def _lay_out(children: dict[int, int], start: int, rng: np.random.Generator, columns: dict[str, list[float]]) -> None:
    """Nodes as they were made: siblings side by side, children after their parent."""
    for at in range(2 * len(children) + 1):
        left = children.get(at)
        inner = left is not None
        columns["features"].append(int(rng.integers(len(FEATURES))) if inner else 0)
        columns["thresholds"].append(float(rng.lognormal(0.0, 1.5)) if inner else 0.0)
        columns["lefts"].append(start + (at if left is None else left))
        columns["missing"].append(int(rng.choice((MISSING_LEFT, MISSING_RIGHT))) if inner else 0)


def _logistic(rng: np.random.Generator) -> LogisticModel:
    weights, means, scales = rng.normal(size=(3, len(FEATURES)))
    return LogisticModel(1, SCHEMA, -6.0, weights, means, np.abs(scales), review_probability=0.5)


def _votes(rng: np.random.Generator) -> VotingModel:
    trees = random_trees(rng, 10, 60, 8)
    votes = np.where(trees.leaves, rng.random((2, len(trees))), 0.0)
    return VotingModel(VotingForest(1, SCHEMA, trees, votes[0], votes[1]), review_probability=0.5)


def _halfspace(rng: np.random.Generator, count: int = 25, height: int = 8) -> HalfSpaceModel:
    splits = count * (2**height - 1)
    masses = np.concatenate([250 // 2 ** np.floor(np.log2(np.arange(1, 2 ** (height + 1))))] * count)
    return HalfSpaceModel(
        version=1,
        feature_schema_hash=SCHEMA,
        height=height,
        window=250,
        ready=1,
        means=np.zeros(len(FEATURES)),
        scales=np.ones(len(FEATURES)),
        features=rng.integers(len(FEATURES), size=splits, dtype=np.int32),
        thresholds=rng.uniform(-3.0, 3.0, splits),
        rights=np.zeros(splits, dtype=np.int8),
        masses=masses.astype(np.int32),
    )


def _best(work: Callable[[], object]) -> float:
    work()
    best = np.inf
    for _ in range(5):
        began = time.process_time()
        for _ in range(ROUNDS):
            work()
        best = min(best, (time.process_time() - began) / (ROUNDS * ROWS))
    return round(float(best * 1e6), 2)
