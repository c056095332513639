"""The corrector begins as the ensemble, follows drift, and what is written down of it is all of it."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.kinds.corrector import INTERCEPT_MAX, SLOPE_MAX, SLOPE_MIN, Corrector, CorrectorState, new_corrector
from models.kinds.logistic import readable
from services.bench.models import SCHEMA, random_forest
from services.scorer.path.features.registry import FEATURES, NAMES
from services.scorer.path.scoring.correction import correction_from
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.model import probability
from tests.models.tables import as_matrix, examples, odd, rows_of

CORRECTED = (NAMES[3], NAMES[0], NAMES[-1])


@pytest.fixture(scope="module")
def ensemble() -> Forest:
    return random_forest(np.random.default_rng(1), count=40)


def taught(ensemble: Forest, count: int, names: tuple[str, ...] = CORRECTED) -> Corrector:
    corrector = Corrector(new_corrector(ensemble.hash, names))
    rows, labels = examples(1, count)
    scores = ensemble.scores(as_matrix(rows)) if rows else np.zeros(0)
    for row, label, score in zip(rows, labels, scores.tolist(), strict=True):
        corrector.learn_one(score, readable(row), label, weight=1.0 + label)
    return corrector


@pytest.mark.parametrize("names", [(), CORRECTED])
def test_a_compiled_corrector_scores_as_it_does_in_python(ensemble: Forest, names: tuple[str, ...]) -> None:
    corrector = taught(ensemble, 400, names)
    model = corrector.compiled(ensemble, 1)
    table = as_matrix(examples(2, 100)[0])
    raws = ensemble.raw(table).tolist()
    expected = [corrector.log_odds_one(raw, readable(row)) for raw, row in zip(raws, rows_of(table), strict=True)]
    assert np.abs(model.scores(table) - expected).max() < 1e-12
    assert correction_from(model.correction.packed, SCHEMA).packed == model.correction.packed


def test_no_payment_is_served_anything_but_a_finite_score(ensemble: Forest) -> None:
    model = taught(ensemble, 200).compiled(ensemble, 1)
    assert np.isfinite(model.scores(odd(as_matrix(examples(3, 200)[0]), 3))).all()


def test_a_new_corrector_says_what_the_ensemble_says_to_the_bit(ensemble: Forest) -> None:
    model = Corrector(new_corrector(ensemble.hash)).compiled(ensemble, 1)
    table = as_matrix(examples(4, 50)[0])
    assert model.scores(table).tobytes() == ensemble.scores(table).tobytes()


def test_names_are_taken_in_canonical_order(ensemble: Forest) -> None:
    assert new_corrector(ensemble.hash, CORRECTED).names == (NAMES[0], NAMES[3], NAMES[-1])


def test_log_odds_that_drifted_are_followed() -> None:
    draw, corrector = random.Random(5), Corrector(new_corrector("00" * 32))
    for _ in range(30_000):
        score = draw.gauss(-2.0, 1.5)
        label = draw.random() < probability(1.0 + 0.6 * score)
        corrector.learn_one(score, {}, label, weight=1.0)
    for score in (-4.0, -2.0, 0.0):
        assert corrector.log_odds_one(score, {}) == pytest.approx(1.0 + 0.6 * score, abs=0.35)


@given(seed=st.integers(0, 2**32), before=st.integers(0, 60), after=st.integers(1, 30))
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_a_corrector_restored_from_json_learns_on_identically(seed: int, before: int, after: int) -> None:
    draw, corrector = random.Random(seed), Corrector(new_corrector("00" * 32, CORRECTED))
    rows, labels = examples(seed, before + after)
    for row, label in zip(rows[:before], labels, strict=False):
        corrector.learn_one(draw.gauss(-3.0, 2.0), readable(row), label, weight=2.0)
    restored = Corrector(msgspec.json.decode(msgspec.json.encode(corrector.state()), type=CorrectorState))
    for row, label in zip(rows[before:], labels[before:], strict=True):
        score, x = draw.gauss(-3.0, 2.0), readable(row)
        assert restored.log_odds_one(score, x) == corrector.log_odds_one(score, x)
        corrector.learn_one(score, x, label, weight=2.0)
        restored.learn_one(score, x, label, weight=2.0)
    assert restored.state() == corrector.state()


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans(), st.floats(1e-6, 1e6), st.floats(-1e6, 1e6)), max_size=60)
)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_no_run_of_labels_turns_the_ensemble_round(run: list[tuple[float, bool, float, float]]) -> None:
    corrector = Corrector(new_corrector("00" * 32, CORRECTED))
    for score, label, weight, value in run:
        corrector.learn_one(score, {NAMES[0]: value}, label, weight)
    state = corrector.state()
    assert SLOPE_MIN <= state.slope <= SLOPE_MAX
    assert abs(state.intercept) <= INTERCEPT_MAX
    assert all(math.isfinite(number) for number in (*state.weights, *state.means, *state.variances))


def test_a_corrector_does_not_correct_another_ensemble(ensemble: Forest) -> None:
    other = random_forest(np.random.default_rng(2), count=2)
    with pytest.raises(ValueError, match=f"corrects ensemble {ensemble.hash[:12]}"):
        taught(ensemble, 3).compiled(other, 1)


@pytest.mark.parametrize("names", [("nothing",), (NAMES[0], NAMES[0])])
def test_names_that_are_no_features_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="not features"):
        new_corrector("00" * 32, names)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"names": (NAMES[3], NAMES[0])}, "canonical order"),
        ({"names": (NAMES[0], "nothing")}, "canonical order"),
        ({"weights": (0.0,)}, "for each"),
        ({"slope": math.nan}, "finite"),
    ],
)
def test_a_state_that_is_damaged_is_refused(change: dict[str, object], message: str) -> None:
    state = msgspec.structs.replace(new_corrector("00" * 32, (NAMES[0], NAMES[3])), **change)
    with pytest.raises(ValueError, match=message):
        Corrector(state)


def test_features_that_are_not_corrected_are_not_looked_at() -> None:
    corrector = Corrector(new_corrector("00" * 32))
    assert corrector.log_odds_one(-1.5, dict.fromkeys(NAMES, 7.0)) == -1.5
    assert len(FEATURES) == len(NAMES)
