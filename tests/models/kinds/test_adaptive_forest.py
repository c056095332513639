"""The compiled forest votes as River's adaptive random forest does, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from river import forest

from models.kinds.adaptive_forest import MAX_DEPTH, compile_adaptive_forest, create_adaptive_forest
from models.kinds.logistic import readable
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.model import LOG_SCALE
from services.scorer.path.scoring.votes import VotingForest, votes_from
from tests.models.tables import as_matrix, examples, odd, rows_of

SCHEMA = "5c" * 32


def taught(count: int, seed: int = 1) -> forest.ARFClassifier:
    model = create_adaptive_forest()
    for number, (row, label) in enumerate(zip(*examples(seed, count), strict=True)):
        model.learn_one(readable(row), label if number < 700 else not label)  # the concept turns round
    return model


@pytest.fixture(scope="module")
def rivers() -> forest.ARFClassifier:
    return taught(1_000)


@pytest.fixture(scope="module")
def compiled(rivers: forest.ARFClassifier) -> VotingForest:
    return compile_adaptive_forest(rivers, 1, SCHEMA)


def test_a_compiled_forest_votes_as_river_does_to_the_bit(rivers: forest.ARFClassifier, compiled: VotingForest) -> None:
    table = as_matrix(examples(2, 150)[0])
    table = np.concatenate([table, odd(table, 2), np.full((1, len(NAMES)), np.nan)])
    expected = [rivers.predict_proba_one(readable(row)).get(True, 0.0) for row in rows_of(table)]
    assert compiled.probabilities(table).tolist() == expected
    assert votes_from(compiled.packed, 1, SCHEMA).probabilities(table).tolist() == expected
    assert len(set(expected)) > 20


def test_values_on_a_threshold_go_where_river_sends_them(rivers: forest.ARFClassifier, compiled: VotingForest) -> None:
    rng, table = np.random.default_rng(3), as_matrix(examples(3, 200)[0])
    linear = np.flatnonzero(~compiled.trees.leaves & ~LOG_SCALE[compiled.trees.features])
    for node in linear:
        on = compiled.trees.thresholds[node]
        beside = np.nextafter(on, rng.choice([-np.inf, np.inf]))
        table[rng.integers(200), compiled.trees.features[node]] = rng.choice([on, beside])
    expected = [rivers.predict_proba_one(readable(row)).get(True, 0.0) for row in rows_of(table)]
    assert compiled.probabilities(table).tolist() == expected


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_a_forest_that_has_hardly_learned_votes_as_river_does(count: int) -> None:
    model = taught(count)
    rows = examples(4, 20)[0]
    expected = [model.predict_proba_one(readable(row)).get(True, 0.0) for row in rows]
    assert compile_adaptive_forest(model, 1, SCHEMA).probabilities(as_matrix(rows)).tolist() == expected


def test_memory_is_bounded_by_depth(compiled: VotingForest) -> None:
    assert 1 <= compiled.trees.depths.max() <= MAX_DEPTH
    assert len(compiled.trees.roots) == 10


def test_leaves_that_are_not_constant_are_refused() -> None:
    with pytest.raises(ValueError, match="'nba'"):
        compile_adaptive_forest(forest.ARFClassifier(), 1, SCHEMA)
