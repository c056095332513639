"""A compiled ensemble is LightGBM's own, to the bit, and a text that is not one is refused with what is wrong."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.kinds.boosting import PARAMETERS, ROUNDS, fit
from models.kinds.kind import FitInputs
from models.kinds.lightgbm_text import ZERO_BELOW, BoostingError, compile_boosting
from services.scorer.path.features.registry import FEATURES, NAMES
from services.scorer.path.scoring.forest import Forest, forest_from
from tests.models.tables import as_matrix, examples, odd

SCHEMA = "5c" * 32
K = len(FEATURES)


def handmade(**changes: str) -> str:
    """A text as LightGBM writes it: one tree of two splits on ``amount``, one of a single leaf."""
    fields = {
        "version": "v4",
        "num_class": "1",
        "num_tree_per_iteration": "1",
        "objective": "binary sigmoid:1",
        "feature_names": " ".join(NAMES),
        "num_leaves": "3",
        "num_cat": "0",
        "split_feature": "0 0",
        "threshold": "10 0.10000000000000001",
        "decision_type": "2 8",
        "left_child": "1 -1",
        "right_child": "-2 -3",
        "leaf_value": "-4.5 1.25 -3",
        "leaf_count": "60 10 30",
        "is_linear": "0",
        **changes,
    }
    head = ["version", "num_class", "num_tree_per_iteration", "objective", "feature_names"]
    head += ["average_output"] if "average_output" in fields else []
    tree = [f"{name}={value}" for name, value in fields.items() if name not in head]
    start = "tree\n" + "\n".join(f"{name}={fields[name]}" for name in head)
    single = "Tree=1\nnum_leaves=1\nnum_cat=0\nleaf_value=0.5\nis_linear=0"
    return f"{start}\n\nTree=0\n" + "\n".join(tree) + f"\n\n\n{single}\n\n\nend of trees\n\nparameters:\n"


def at_thresholds(forest: Forest, table: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """``table`` with values on thresholds, and one step to either side of them."""
    rng, out = np.random.default_rng(seed), table.copy()
    for node in rng.permutation(np.flatnonzero(~forest.trees.leaves))[:2_000]:
        beside = rng.choice([-np.inf, np.inf])
        on = forest.trees.thresholds[node]
        value = on if rng.random() < 0.5 or abs(on) > 1e308 else np.nextafter(on, beside)
        out[rng.integers(len(out)), forest.trees.features[node]] = value
    return out


@pytest.fixture(scope="module")
def text() -> str:
    pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    rows, labels = examples(1, 3_000)
    return fit(FitInputs(as_matrix(rows), np.array(labels), np.where(labels, 1.0, 3.0), SCHEMA))


@pytest.fixture(scope="module")
def forest(text: str) -> Forest:
    return compile_boosting(text, 1, SCHEMA)


def predicted(text: str, table: NDArray[np.float64]) -> NDArray[np.float64]:
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    raw: NDArray[np.float64] = lightgbm.Booster(model_str=text).predict(table, raw_score=True, num_threads=1)
    return raw


def test_the_raw_score_is_lightgbms_to_the_bit(text: str, forest: Forest) -> None:
    table = as_matrix(examples(2, 2_000)[0])
    for each in (table, odd(table, 2), at_thresholds(forest, table, 2), np.full((3, K), np.nan)):
        assert forest.raw(each).tobytes() == predicted(text, each).tobytes()


def test_the_served_score_is_within_1e_12_and_its_contributions_sum_to_it(text: str, forest: Forest) -> None:
    table = odd(as_matrix(examples(3, 500)[0]), 3)
    contributions, scores = forest.contributions(table)
    assert np.abs(scores - predicted(text, table)).max() < 1e-12
    assert scores.tobytes() == forest.scores(table).tobytes()
    for row, score in zip(contributions.tolist(), scores.tolist(), strict=True):
        total = forest.bias
        for contribution in row:
            total += contribution
        assert total.hex() == score.hex()


def test_the_bias_is_the_mean_score_of_what_it_was_fitted_to(text: str, forest: Forest) -> None:
    table = as_matrix(examples(1, 3_000)[0])
    assert forest.bias == pytest.approx(float(predicted(text, table).mean()), abs=1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {"use_missing": False},
        {"zero_as_missing": True},
        {"num_leaves": 2},
        {"num_leaves": 200, "max_depth": -1, "min_data_in_leaf": 1},
        {"extra_trees": True, "max_bin": 15},
        {"boosting": "dart"},
        {"min_data_in_leaf": 100_000},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_whatever_lightgbm_makes_of_missing_values_and_sizes_is_compiled(changes: dict[str, Any]) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    rows, labels = examples(4, 1_000)
    table = odd(as_matrix(rows), 4)
    data = lightgbm.Dataset(table, label=np.array(labels, dtype=np.float64), feature_name=list(NAMES))
    booster = lightgbm.train({**PARAMETERS, **changes}, data, num_boost_round=30)
    written = booster.model_to_string()
    compiled = compile_boosting(written, 1, SCHEMA)
    for each in (table, at_thresholds(compiled, odd(table, 5), 5)):
        assert compiled.raw(each).tobytes() == predicted(written, each).tobytes()
        assert compiled.raw(each).tobytes() == booster.predict(each, raw_score=True).tobytes()


def test_the_same_examples_give_the_same_text(text: str) -> None:
    rows, labels = examples(1, 3_000)
    assert fit(FitInputs(as_matrix(rows), np.array(labels), np.where(labels, 1.0, 3.0), SCHEMA)) == text


def test_the_ensemble_has_the_size_that_its_cost_was_measured_at(forest: Forest) -> None:
    assert len(forest.trees.roots) == ROUNDS
    assert forest.trees.depths.max() <= PARAMETERS["max_depth"]
    assert forest.trees.leaves.sum() <= ROUNDS * PARAMETERS["num_leaves"]


def test_the_ensemble_comes_back_from_its_bytes(forest: Forest) -> None:
    back = forest_from(forest.packed, 1, SCHEMA)
    table = as_matrix(examples(5, 100)[0])
    assert back.hash == forest.hash
    assert back.scores(table).tobytes() == forest.scores(table).tobytes()


def test_the_ensemble_tells_what_it_was_taught(forest: Forest) -> None:
    rows, labels = examples(6, 500)
    scores = forest.scores(as_matrix(rows))
    assert scores[labels].mean() > scores[~np.array(labels)].mean() + 1.0


def test_without_lightgbm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ImportError, match=r"tocsin\[boosting\]"):
        fit(FitInputs(np.zeros((2, K)), np.array([True, False]), np.ones(2), SCHEMA))


@pytest.mark.parametrize(
    "shape, labels, weights, message",
    [
        ((2, 3), [True, False], [1.0, 1.0], "features"),
        ((2, K), [True, False], [1.0], "weights"),
        ((2, K), [True, False], [1.0, 0.0], "positive"),
        ((2, K), [True, False], [1.0, np.nan], "positive"),
        ((2, K), [True, True], [1.0, 1.0], "both labels"),
    ],
)
def test_examples_that_cannot_be_fitted_are_refused(
    shape: tuple[int, int], labels: list[bool], weights: list[float], message: str
) -> None:
    pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    with pytest.raises(ValueError, match=message):
        fit(FitInputs(np.zeros(shape), np.array(labels), np.array(weights), SCHEMA))


def test_a_text_is_read_without_lightgbm() -> None:
    forest = compile_boosting(handmade(), 1, SCHEMA)
    table = np.full((6, K), np.nan)
    table[:, 0] = [0.0, 0.1, np.nextafter(0.1, 1.0), 10.0, 11.0, np.nan]
    assert forest.raw(table).tolist() == [-4.0, -4.0, -2.5, -2.5, 1.75, -2.5]
    assert forest.values.tolist() == [-3.475, -4.0, 1.25, -4.5, -3.0, 0.5]
    assert forest.trees.zero_below == ZERO_BELOW


def test_the_hash_of_a_text_is_the_same_on_every_machine() -> None:
    assert (
        compile_boosting(handmade(), 1, SCHEMA).hash
        == "884ea395715dbba208b1475e9725d81e0a68a1d07de38cc7c6874b27d3ceb20e"
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"version": "v3"}, "v4 is expected"),
        ({"num_class": "3"}, "one class"),
        ({"objective": "regression"}, "objective 'regression'"),
        ({"objective": "binary sigmoid:2"}, "sigmoid:1"),
        ({"feature_names": " ".join(reversed(NAMES))}, "other features"),
        ({"average_output": ""}, "averaged"),
        ({"num_cat": "1"}, "tree 0: categorical"),
        ({"decision_type": "1 8"}, "tree 0: categorical"),
        ({"decision_type": "2 12"}, "decision type 12"),
        ({"is_linear": "1"}, "linear"),
        ({"num_leaves": "0"}, "0 leaves"),
        ({"num_leaves": "three"}, "num_leaves"),
        ({"leaf_value": "1 2"}, "leaf_value are not 3 numbers"),
        ({"leaf_value": "1 2 nan"}, "leaf_value are not 3 numbers"),
        ({"leaf_value": "1 2 inf"}, "not a finite value"),
        ({"threshold": "1"}, "threshold are not 2 numbers"),
        ({"split_feature": "0 x"}, "split_feature"),
        ({"split_feature": f"0 {K}"}, "none of"),
        ({"left_child": "1 0"}, "children are not|child of two"),
        ({"left_child": "1 1"}, "children are not|child of two"),
        ({"left_child": "1 -9"}, "none of its nodes"),
        ({"left_child": "7 -1"}, "none of its nodes"),
        ({"right_child": "-2 -2"}, "children are not"),
    ],
)
def test_a_text_that_cannot_be_compiled_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(BoostingError, match=message):
        compile_boosting(handmade(**changes), 1, SCHEMA)


def test_a_text_that_breaks_off_is_refused() -> None:
    with pytest.raises(BoostingError, match="breaks off"):
        compile_boosting(handmade().split("end of trees")[0], 1, SCHEMA)
    with pytest.raises(BoostingError, match="no trees"):
        compile_boosting(handmade().split("\nTree=")[0] + "\nend of trees", 1, SCHEMA)
