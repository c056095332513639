"""What the kernels of models and packs cost, on one core, over feature vectors like real ones. No model is fitted: a
random ensemble of the default size costs what a fitted one does."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from models.kinds.layout import Layout, Leaf, Split
from models.measures import Floats
from services.runtime.settings import Settings
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.rules.pack import Packs
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.halfspace import HalfSpaceModel
from services.scorer.path.scoring.model import LogisticModel
from services.scorer.path.scoring.trees import MISSING_LEFT, MISSING_RIGHT, Trees
from services.scorer.path.scoring.votes import VotingForest, VotingModel
from services.scorer.rulebook.pack_file import load_packs

ROWS = 2_000
ROUNDS = 10
SCHEMA = "00" * 32


def packs_us_per_payment(settings: Settings) -> float:
    """As ``models_us_per_payment``, of the evaluation of all typology packs that ship."""
    packs, table, evidence = Packs(load_packs(settings)), _table(np.random.default_rng(1)), np.zeros(ROWS)
    return _best(lambda: packs.evaluate(table, evidence))


def models_us_per_payment() -> dict[str, float]:
    """CPU microseconds a payment in batches of ``ROWS``, the best of five, by model."""
    rng = np.random.default_rng(1)
    table = _table(rng)
    ensemble, logistic, votes, halfspace = random_forest(rng), random_logistic(rng), _votes(rng), _halfspace(rng)
    return {
        "logistic": _best(lambda: logistic.contributions(table)),
        "ensemble": _best(lambda: ensemble.scores(table)),
        "ensemble_reasons": _best(lambda: ensemble.contributions(table)),
        "adaptive_forest": _best(lambda: votes.scores(table)),
        "halfspace": _best(lambda: halfspace.scores(table)),
    }


def _table(rng: np.random.Generator) -> Floats:
    """float64[ROWS, k]: a tenth of the features is missing."""
    shape = (ROWS, len(FEATURES))
    return np.where(rng.random(shape) < 0.1, np.nan, rng.lognormal(0.0, 1.5, shape))


def random_trees(rng: np.random.Generator, count: int, leaves: int, depth: int) -> Trees:
    """Trees that grew at random: of each the leaf to split, its feature and its threshold are drawn."""
    layout = Layout()
    for _ in range(count):
        children: dict[int, tuple[int, int]] = {}
        ends, made = [(0, 0)], 1
        while made < 2 * leaves - 1 and any(level < depth for _, level in ends):
            at, level = ends.pop(int(rng.integers(len(ends))))
            if level == depth:
                ends.append((at, level))
                continue
            children[at] = (made, made + 1)
            ends += [(made, level + 1), (made + 1, level + 1)]
            made += 2
        layout.add(0, partial(_node, children, rng))
    return layout.trees()


def _node(children: dict[int, tuple[int, int]], rng: np.random.Generator, at: int) -> Leaf | Split:
    if at not in children:
        return Leaf((), 0.0)
    way = int(rng.choice((MISSING_LEFT, MISSING_RIGHT)))
    return Split(int(rng.integers(len(FEATURES))), float(rng.lognormal(0.0, 1.5)), way, children[at])


def random_forest(
    rng: np.random.Generator, schema: str = SCHEMA, count: int = 150, leaves: int = 31, depth: int = 8
) -> Forest:
    """An ensemble of the default size that was fitted to nothing; ``schema`` is the hash of its feature schema."""
    trees = random_trees(rng, count, leaves, depth)
    return Forest(1, schema, trees, rng.normal(0.0, 0.1, len(trees)))


def random_logistic(rng: np.random.Generator, schema: str = SCHEMA) -> LogisticModel:
    """A logistic model that learned nothing; ``schema`` is the hash of its feature schema."""
    weights, means, scales = rng.normal(size=(3, len(FEATURES)))
    return LogisticModel(1, schema, -6.0, 0.1 * weights, means, 1.0 + np.abs(scales), review_probability=0.5)


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
