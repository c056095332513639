"""A forest's walk is the naive one, its contributions are its score to the bit, and none that could hurt is let in."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.bench.kernels import random_forest
from services.scorer.path.scoring.forest import Forest, forest_from, grid_for
from services.scorer.path.scoring.model import ModelRefused
from services.scorer.path.scoring.packed import pack, unpack
from services.scorer.path.scoring.trees import LAYOUT, STEPS_MAX, Trees
from tests.scorer.path.scoring.forests import SCHEMA, K, any_table, any_trees, leaf_of

SEEDED = settings(derandomize=True, deadline=None, max_examples=60, database=None)
GOLDEN = "4be7e84c986d312be9709b0c18f7c7ed4e9171ee4ae070e72226c34388d1ec21"


def any_forest(seed: int, **shape: int) -> Forest:
    trees = any_trees(seed, **shape)
    return Forest(3, SCHEMA, trees, np.random.default_rng(seed).normal(0.0, 0.3, len(trees)))


def fixed_forest() -> Forest:
    """One split, then a tree of one leaf."""
    trees = Trees(
        features=np.array([2, 0, 0, 0], dtype=np.int32),
        thresholds=np.array([0.5, 0.0, 0.0, 0.0]),
        lefts=np.array([1, 1, 2, 3], dtype=np.int32),
        missing=np.array([1, 0, 0, 0], dtype=np.int8),
        roots=np.array([0, 3], dtype=np.int32),
    )
    return Forest(1, SCHEMA, trees, np.array([-0.5, -1.0, 0.25, 0.125]))


@given(seed=st.integers(0, 2**32), rows=st.integers(0, 40))
@SEEDED
def test_the_walk_of_a_block_is_the_naive_walk_of_each_payment(seed: int, rows: int) -> None:
    forest, table = any_forest(seed), any_table(seed, rows)
    expected = []
    for row in table.tolist():
        total = 0.0
        for root in forest.trees.roots.tolist():
            total += forest.values[leaf_of(forest.trees, root, row)[-1]]
        expected.append(total)
    assert forest.raw(table).tolist() == expected


@given(seed=st.integers(0, 2**32))
@SEEDED
def test_contributions_are_the_differences_along_the_naive_path(seed: int) -> None:
    forest, table = any_forest(seed), any_table(seed, 5)
    contributions, _ = forest.contributions(table)
    for row, given_ in zip(table.tolist(), contributions, strict=True):
        expected = np.zeros(K)
        for root in forest.trees.roots.tolist():
            path = leaf_of(forest.trees, root, row)
            for node, child in pairwise(path):
                expected[forest.trees.features[node]] += forest.served[child] - forest.served[node]
        assert given_.tolist() == expected.tolist()


@given(seed=st.integers(0, 2**32), order=st.permutations(range(K)))
@SEEDED
def test_contributions_added_to_the_bias_in_any_order_are_the_score_to_the_bit(seed: int, order: list[int]) -> None:
    forest, table = any_forest(seed, count=20), any_table(seed, 20)
    contributions, scores = forest.contributions(table)
    assert scores.tolist() == forest.scores(table).tolist()
    for columns in (range(K), order):
        for row, score in zip(contributions.tolist(), scores.tolist(), strict=True):
            total = forest.bias
            for column in columns:
                total += row[column]
            assert total.hex() == score.hex()


def test_an_ensemble_of_the_default_size_is_served_within_1e_12_of_its_raw_score() -> None:
    forest, table = random_forest(np.random.default_rng(4)), any_table(4, 500)
    assert 0.0 < np.abs(forest.scores(table) - forest.raw(table)).max() < 1e-12
    assert len(forest.trees) * forest.grid < 1e-9


def test_a_payment_scores_the_same_wherever_it_stands() -> None:
    forest, table = any_forest(5), any_table(5, 100)
    whole = forest.scores(table)
    for start in range(0, 100, 7):
        assert forest.scores(table[start : start + 7]).tolist() == whole[start : start + 7].tolist()
    assert forest.scores(np.asfortranarray(table)).tolist() == whole.tolist()


def test_scoring_changes_neither_features_nor_model() -> None:
    forest, table = any_forest(6), any_table(6, 30)
    before, packed = table.copy(), forest.packed
    forest.scores(table), forest.contributions(table), forest.raw(table)
    assert np.array_equal(before, table, equal_nan=True)
    assert replace(forest).packed == packed


def test_features_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="3 features"):
        any_forest(1).scores(np.zeros((2, 3)))


@given(seed=st.integers(0, 2**32))
@SEEDED
def test_a_forest_comes_back_from_its_bytes_to_the_bit(seed: int) -> None:
    forest, table = any_forest(seed), any_table(seed, 20)
    back = forest_from(forest.packed, 3, SCHEMA)
    assert (back.packed, back.hash, back.version) == (forest.packed, forest.hash, 3)
    assert back.scores(table).tobytes() == forest.scores(table).tobytes()
    assert back.raw(table).tobytes() == forest.raw(table).tobytes()


def test_the_hash_is_the_same_on_every_machine() -> None:
    assert fixed_forest().hash == GOLDEN


@pytest.mark.parametrize(
    "change",
    [
        {"features": np.array([3, 0, 0, 0], dtype=np.int32)},
        {"thresholds": np.array([0.5000000000000001, 0.0, 0.0, 0.0])},
        {"missing": np.array([2, 0, 0, 0], dtype=np.int8)},
        {"zero_below": 1e-35},
    ],
)
def test_all_that_decides_a_score_is_in_the_hash(change: dict[str, Any]) -> None:
    forest = fixed_forest()
    assert replace(forest, trees=replace(forest.trees, **change)).hash != forest.hash


def test_values_and_schema_are_in_the_hash_and_the_version_is_not() -> None:
    forest = fixed_forest()
    assert replace(forest, values=np.nextafter(forest.values, 9.0)).hash != forest.hash
    assert replace(forest, feature_schema_hash="00").hash != forest.hash
    assert replace(forest, version=9).hash == forest.hash


@pytest.mark.parametrize(
    "change, message",
    [
        ({"lefts": np.array([0, 1, 2, 3])}, "no parent"),
        ({"lefts": np.array([-1, 1, 2, 3])}, "after its parent"),
        ({"lefts": np.array([2, 1, 2, 3])}, "after its parent"),
        ({"lefts": np.array([2**31 - 1, 1, 2, 3])}, "after its parent"),
        ({"lefts": np.array([1, 0, 2, 3])}, "after its parent"),
        ({"features": np.array([K, 0, 0, 0])}, "none of"),
        ({"features": np.array([-1, 0, 0, 0])}, "none of"),
        ({"features": np.array([2, 1, 0, 0])}, "leaf has a split"),
        ({"thresholds": np.array([np.nan, 0.0, 0.0, 0.0])}, "not a number"),
        ({"thresholds": np.array([-np.inf, 0.0, 0.0, 0.0])}, "not a number"),
        ({"thresholds": np.zeros(3)}, "not as many"),
        ({"missing": np.array([5, 0, 0, 0])}, "no known way"),
        ({"missing": np.array([-1, 0, 0, 0])}, "no known way"),
        ({"roots": np.array([0, 4])}, "roots"),
        ({"roots": np.array([1, 3])}, "roots"),
        ({"roots": np.array([0, 0])}, "roots"),
        ({"roots": np.array([], dtype=np.int32)}, "roots"),
        ({"roots": np.array([0])}, "two|no parent"),
        ({"roots": np.array([0, 1, 3])}, "after its parent"),
        ({"values": np.array([0.0, np.inf, 0.0, 0.0])}, "finite"),
        ({"values": np.array([0.0, 1e300, 0.0, 0.0])}, "grow"),
        ({"values": np.array([0.0, -1.7e308, 1.7e308, 0.0])}, "grow"),
        ({"values": np.zeros(3)}, "finite value for each"),
        ({"zero_below": -1.0}, "zero_below"),
    ],
)
def test_a_forest_that_could_hurt_is_refused(change: dict[str, Any], message: str) -> None:
    forest = fixed_forest()
    parts: dict[str, Any] = {**forest.trees.arrays(), "values": forest.values}
    zero_below = change.pop("zero_below", 0.0)
    parts.update({name: array.astype({**LAYOUT, "values": "<f8"}[name]) for name, array in change.items()})
    with pytest.raises(ModelRefused, match=message):
        forest_from(pack("forest", SCHEMA, {"zero_below": zero_below}, parts), 1, SCHEMA)


def test_a_forest_that_would_take_too_long_is_refused() -> None:
    depth = 1_000
    lefts = np.array([node if node % 2 or node == 2 * depth else node + 1 for node in range(2 * depth + 1)])
    count = STEPS_MAX // depth + 1
    size = len(lefts)
    arrays: dict[str, Any] = {
        "features": np.zeros(count * size, dtype=np.int32),
        "thresholds": np.zeros(count * size),
        "lefts": np.concatenate([lefts + tree * size for tree in range(count)]).astype(np.int32),
        "missing": np.zeros(count * size, dtype=np.int8),
        "roots": np.arange(0, count * size, size).astype(np.int32),
    }
    with pytest.raises(ModelRefused, match="33,000 steps"):
        Trees(**arrays)


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_a_forest_that_was_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(ModelRefused):
        forest_from(fixed_forest().packed[:cut], 1, SCHEMA)


def test_a_forest_of_other_features_or_of_another_kind_is_refused() -> None:
    packed = fixed_forest().packed
    with pytest.raises(ModelRefused, match="feature schema 5c5c"):
        forest_from(packed, 1, "00" * 32)
    with pytest.raises(ModelRefused, match="not a model of kind 'votes'"):
        unpack(packed, "votes", SCHEMA, {}, {})


@given(at=st.integers(0, 600), byte=st.integers(0, 255))
@settings(derandomize=True, deadline=None, max_examples=400, database=None)
def test_bytes_that_were_changed_are_refused_or_another_model(at: int, byte: int) -> None:
    packed = bytearray(fixed_forest().packed)
    packed[at % len(packed)] = byte
    try:
        forest = forest_from(bytes(packed), 1, SCHEMA)
    except ModelRefused:
        return
    assert forest.packed == bytes(packed)
    assert np.isfinite(forest.scores(any_table(1, 9))).all()


def test_a_grid_holds_every_multiple_up_to_its_bound() -> None:
    for bound in (0.3, 1.0, 31.0, 32.0, 1e5):
        grid = grid_for(bound)
        assert grid * 2.0**53 > bound
        assert (grid / 2.0) * 2.0**53 <= bound * (1.0 + 2.0**-19)
