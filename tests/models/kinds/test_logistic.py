"""The compiled model is River's model, and what is written down of it is all of it."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, optim, preprocessing

from models.kinds.kind import GRADIENT_MAX, Rest
from models.kinds.logistic import (
    AVERAGED_EXAMPLES,
    L2,
    LEARNING_RATE,
    PRIOR_LOG_ODDS,
    STEP_MAX,
    LogisticOnline,
    LogisticState,
    readable,
)
from models.learning.training import Plan
from services.scorer.path.features.registry import FEATURES, NAMES
from services.scorer.path.scoring.model import SCALED_MAX, probability
from tests.learner.streams import features_of

COUNT = len(FEATURES)
PLAN = Plan("s", 1, 0.5)


def taught(seed: int, examples: int) -> tuple[LogisticOnline, random.Random]:
    """A model after some examples, and the draws that come next."""
    draw, online = random.Random(seed), LogisticOnline(PLAN, None)
    for _ in range(examples):
        suspicious = draw.random() < 0.2
        online.pipeline.learn_one(readable(features_of(draw, suspicious)), suspicious, w=draw.choice((1.0, 3.0, 50.0)))
    return online, draw


def as_matrix(rows: list[tuple[float | None, ...]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[math.nan if value is None else value for value in row] for row in rows])


@given(seed=st.integers(0, 2**32), examples=st.integers(0, 150))
@settings(max_examples=25, deadline=None)
def test_a_compiled_model_scores_as_river_does(seed: int, examples: int) -> None:
    online, draw = taught(seed, examples)
    rows = [features_of(draw) for _ in range(20)] + [(None,) * COUNT]
    _, scores = online.compiled(1, "s", 0.5).contributions(as_matrix(rows))
    for row, score in zip(rows, scores.tolist(), strict=True):
        assert abs(probability(score) - online.pipeline.predict_proba_one(readable(row))[True]) < 1e-12


def test_with_wide_features_and_small_steps_it_learns_as_rivers_own_does_and_serves_the_mean_of_it() -> None:
    draw, ours = random.Random(3), LogisticOnline(PLAN, None)
    regression = linear_model.LogisticRegression(
        optimizer=optim.SGD(LEARNING_RATE),
        l2=L2,
        intercept_init=PRIOR_LOG_ODDS,
        intercept_lr=LEARNING_RATE,
        clip_gradient=GRADIENT_MAX,
    )
    rivers = preprocessing.StandardScaler() | regression
    weights, intercepts = [], []
    for number in range(300):
        x = {name: max(-8.0, min(8.0, draw.gauss(0.0, 5.0))) for name in NAMES[:20] if draw.random() < 0.9}
        if number < 2:
            x = dict.fromkeys(NAMES[:20], float(5 * number))  # wide from the start
        label = draw.random() < 0.3
        ours.pipeline.learn_one(x, label, w=2.0)
        rivers.learn_one(x, label, w=2.0)
        weights.append([regression.weights.get(name, 0.0) for name in NAMES])
        intercepts.append(regression.intercept)
    state = ours.state()
    assert state.weights == tuple(weights[-1])
    assert state.intercept == intercepts[-1]
    assert state.mean_weights == pytest.approx(np.mean(weights, axis=0), abs=1e-12)
    assert state.mean_intercept == pytest.approx(np.mean(intercepts), abs=1e-12)


def test_what_serves_is_the_mean_of_about_the_latest_examples() -> None:
    draw, online = random.Random(2), LogisticOnline(PLAN, None)
    mean = 0.0
    for number in range(1, AVERAGED_EXAMPLES + 300):
        online.pipeline.learn_one(readable(features_of(draw)), draw.random() < 0.3, w=1.0)
        mean += (online.state().intercept - mean) / min(number, AVERAGED_EXAMPLES)
    assert online.state().mean_intercept == pytest.approx(mean, abs=1e-9)


@given(size=st.floats(0.0, 1e6), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_no_single_value_adds_more_than_its_weight_times_the_bound(size: float, seed: int) -> None:
    online, draw = taught(seed, 60)
    model = online.compiled(1, "s", 0.5)
    rows = np.abs(as_matrix([features_of(draw)])) * size
    contributions, _ = model.contributions(rows)
    assert (np.abs(contributions) <= SCALED_MAX * np.abs(model.weights) + 1e-15).all()


@given(seed=st.integers(0, 2**32), size=st.floats(0.1, 1e3), weight=st.floats(0.1, 1e6), label=st.booleans())
@settings(max_examples=25, deadline=None)
def test_no_example_moves_its_own_log_odds_by_more_than_a_step(
    seed: int, size: float, weight: float, label: bool
) -> None:
    online, draw = taught(seed, 60)
    scaler, regression = online.pipeline.steps.values()
    x = scaler.transform_one(readable([draw.gauss(0.0, size) for _ in range(COUNT)]))

    def log_odds() -> float:
        return float(sum(regression.weights.get(name, 0.0) * value for name, value in x.items()) + regression.intercept)

    before, drawn_in = (
        log_odds(),
        LEARNING_RATE * L2 * sum(abs(regression.weights.get(n, 0.0) * v) for n, v in x.items()),
    )
    regression.learn_one(x, label, w=weight)
    assert abs(log_odds() - before) <= STEP_MAX + drawn_in + 1e-6


def test_a_missing_feature_moves_neither_its_scale_nor_its_weight() -> None:
    online, _ = taught(5, 100)
    before = online.state()
    online.pipeline.learn_one(readable((1.0,) + (None,) * (COUNT - 1)), True, w=1.0)
    after = online.state()
    for name in ("counts", "means", "variances", "weights"):
        assert getattr(before, name)[1:] == getattr(after, name)[1:]
        assert getattr(before, name)[0] != getattr(after, name)[0]


@given(seed=st.integers(0, 2**32), before=st.integers(0, 60), after=st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_a_model_restored_from_json_learns_on_identically(seed: int, before: int, after: int) -> None:
    online, draw = taught(seed, before)
    written = msgspec.json.encode(online.state())
    restored = LogisticOnline(PLAN, Rest(msgspec.json.decode(written, type=LogisticState), b"", 0))
    for _ in range(after):
        x, label = readable(features_of(draw)), draw.random() < 0.2
        assert restored.pipeline.predict_proba_one(x) == online.pipeline.predict_proba_one(x)
        online.pipeline.learn_one(x, label, w=2.0)
        restored.pipeline.learn_one(x, label, w=2.0)
    assert restored.state() == online.state()


def test_a_rare_flag_is_not_blown_up_by_its_tiny_deviation() -> None:
    online = LogisticOnline(PLAN, None)
    quiet: list[float | None] = [0.0] * COUNT
    for _ in range(2_000):
        online.pipeline.learn_one(readable(quiet), False, w=1.0)
    flagged = list(quiet)
    flagged[NAMES.index("is_refused")] = 1.0
    online.pipeline.learn_one(readable(flagged), True, w=1.0)
    model = online.compiled(1, "s", 0.5)
    contributions, _ = model.contributions(as_matrix([tuple(flagged)]))
    assert np.abs(contributions).max() < 2.0


@given(st.lists(st.one_of(st.none(), st.floats()), min_size=COUNT, max_size=COUNT), st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_feature_vector_poisons_the_model(features: list[float | None], label: bool) -> None:
    online, draw = taught(11, 20)
    online.pipeline.learn_one(readable(features), label, w=1e6)
    _, scores = online.compiled(1, "s", 0.5).contributions(as_matrix([features_of(draw)]))
    assert np.isfinite(scores).all()


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 features"):
        readable([1.0, 2.0])


def test_a_state_of_another_registry_is_refused() -> None:
    state = msgspec.structs.replace(LogisticOnline(PLAN, None).state(), means=(0.0,))
    with pytest.raises(ValueError, match="means"):
        LogisticOnline(PLAN, Rest(state, b"", 0))
