"""The corrector begins as the ensemble, follows drift, and what is written down of it is all of it."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.kinds.corrector import INTERCEPT_MAX, SLOPE_MAX, SLOPE_MIN, Corrector
from services.bench.kernels import SCHEMA, random_forest
from services.scorer.path.scoring.correction import correction_from
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.model import probability
from tests.models.tables import as_matrix, examples, odd


@pytest.fixture(scope="module")
def ensemble() -> Forest:
    return random_forest(np.random.default_rng(1), count=40)


def taught(ensemble: Forest, count: int) -> Corrector:
    corrector = Corrector(ensemble.hash)
    rows, labels = examples(1, count)
    for label, score in zip(labels, ensemble.scores(as_matrix(rows)).tolist(), strict=True):
        corrector.learn_one(score, label, weight=1.0 + label)
    return corrector


def test_a_compiled_corrector_scores_as_it_does_in_python(ensemble: Forest) -> None:
    corrector = taught(ensemble, 400)
    model = corrector.compiled(ensemble, 1)
    table = as_matrix(examples(2, 100)[0])
    expected = [corrector.log_odds_one(raw) for raw in ensemble.raw(table).tolist()]
    assert np.abs(model.scores(table) - expected).max() < 1e-12
    assert correction_from(model.correction.packed, SCHEMA).packed == model.correction.packed


def test_no_payment_is_served_anything_but_a_finite_score(ensemble: Forest) -> None:
    model = taught(ensemble, 200).compiled(ensemble, 1)
    assert np.isfinite(model.scores(odd(as_matrix(examples(3, 200)[0]), 3))).all()


def test_a_new_corrector_says_what_the_ensemble_says_to_the_bit(ensemble: Forest) -> None:
    model = Corrector(ensemble.hash).compiled(ensemble, 1)
    table = as_matrix(examples(4, 50)[0])
    assert model.scores(table).tobytes() == ensemble.scores(table).tobytes()


def test_log_odds_that_drifted_are_followed() -> None:
    draw, corrector = random.Random(5), Corrector("00" * 32)
    for _ in range(30_000):
        score = draw.gauss(-2.0, 1.5)
        label = draw.random() < probability(1.0 + 0.6 * score)
        corrector.learn_one(score, label, weight=1.0)
    for score in (-4.0, -2.0, 0.0):
        assert corrector.log_odds_one(score) == pytest.approx(1.0 + 0.6 * score, abs=0.35)


@given(seed=st.integers(0, 2**32), before=st.integers(0, 60), after=st.integers(1, 30))
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_a_corrector_restored_from_json_learns_on_identically(seed: int, before: int, after: int) -> None:
    draw, corrector = random.Random(seed), Corrector("00" * 32)
    for _ in range(before):
        corrector.learn_one(draw.gauss(-3.0, 2.0), draw.random() < 0.2, weight=2.0)
    restored = msgspec.json.decode(msgspec.json.encode(corrector), type=Corrector)
    for _ in range(after):
        score, label = draw.gauss(-3.0, 2.0), draw.random() < 0.2
        assert restored.log_odds_one(score) == corrector.log_odds_one(score)
        corrector.learn_one(score, label, weight=2.0)
        restored.learn_one(score, label, weight=2.0)
    assert restored == corrector


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans(), st.floats(1e-6, 1e6)), max_size=60))
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_no_run_of_labels_turns_the_ensemble_round(run: list[tuple[float, bool, float]]) -> None:
    corrector = Corrector("00" * 32)
    for score, label, weight in run:
        corrector.learn_one(score, label, weight)
    assert SLOPE_MIN <= corrector.slope <= SLOPE_MAX
    assert abs(corrector.intercept) <= INTERCEPT_MAX


def test_a_corrector_does_not_correct_another_ensemble(ensemble: Forest) -> None:
    other = random_forest(np.random.default_rng(2), count=2)
    with pytest.raises(ValueError, match=f"corrects ensemble {ensemble.hash[:12]}"):
        taught(ensemble, 3).compiled(other, 1)


@pytest.mark.parametrize("change", [{"slope": math.nan}, {"intercept": math.inf}])
def test_a_state_that_is_damaged_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        Corrector("00" * 32, **change)
