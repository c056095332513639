"""Votes, half-spaces and corrections: they come back from their bytes, and none that could hurt is let in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scorer.path.scoring.correction import CorrectedForest, Correction, correction_from
from services.scorer.path.scoring.forest import Forest
from services.scorer.path.scoring.halfspace import HalfSpaceModel, halfspace_from
from services.scorer.path.scoring.model import ModelRefused
from services.scorer.path.scoring.readings import READ_MAX, learnable
from services.scorer.path.scoring.votes import VotingForest, votes_from
from tests.scorer.path.scoring.forests import SCHEMA, K, any_table, any_trees

SEEDED = settings(derandomize=True, deadline=None, max_examples=60, database=None)


def any_votes(seed: int) -> VotingForest:
    trees = replace(any_trees(seed), zero_below=0.0)
    votes = np.where(trees.leaves, np.random.default_rng(seed).random((2, len(trees))), 0.0)
    return VotingForest(1, SCHEMA, trees, votes[0].copy(), votes[1].copy())


def any_halfspace(seed: int, trees: int = 3, height: int = 4) -> HalfSpaceModel:
    rng = np.random.default_rng(seed)
    splits = trees * (2**height - 1)
    return HalfSpaceModel(
        version=1,
        feature_schema_hash=SCHEMA,
        height=height,
        window=50,
        ready=1,
        means=rng.normal(size=K),
        scales=rng.choice([0.0, 0.5, 2.0], K),
        features=rng.integers(K, size=splits).astype(np.int32),
        thresholds=rng.normal(size=splits),
        rights=rng.integers(2, size=splits).astype(np.int8),
        masses=rng.integers(51, size=trees * (2 ** (height + 1) - 1)).astype(np.int32),
    )


def any_correction(seed: int, features: tuple[int, ...] = (0, 3, K - 1)) -> Correction:
    rng = np.random.default_rng(seed)
    weights, means, scales = rng.normal(size=(3, len(features)))
    columns = np.array(features, dtype=np.int32)
    return Correction(SCHEMA, -0.3, 1.2, columns, weights, means, np.abs(scales))


def corrected(seed: int, correction: Correction) -> CorrectedForest:
    trees = any_trees(seed)
    forest = Forest(3, SCHEMA, trees, np.random.default_rng(seed).normal(0.0, 0.3, len(trees)))
    return CorrectedForest(4, forest, correction)


def test_models_come_back_from_their_bytes_to_the_bit() -> None:
    table = any_table(2, 40)
    votes, halfspace, correction = any_votes(2), any_halfspace(2), any_correction(2)
    assert votes_from(votes.packed, 1, SCHEMA).probabilities(table).tobytes() == votes.probabilities(table).tobytes()
    assert halfspace_from(halfspace.packed, 1, SCHEMA).scores(table).tobytes() == halfspace.scores(table).tobytes()
    assert correction_from(correction.packed, SCHEMA).packed == correction.packed
    assert votes_from(votes.packed, 1, SCHEMA).hash == votes.hash
    assert halfspace_from(halfspace.packed, 9, SCHEMA).hash == halfspace.hash


def test_probabilities_and_anomalies_are_from_0_to_1() -> None:
    table = any_table(3, 200)
    for scores in (any_votes(3).probabilities(table), any_halfspace(3).scores(table)):
        assert ((scores >= 0.0) & (scores <= 1.0)).all()
        assert scores.std() > 0.0


def test_a_forest_that_nobody_votes_in_says_0() -> None:
    votes = any_votes(1)
    empty = replace(votes, suspicious=np.zeros(len(votes.trees)), innocent=np.zeros(len(votes.trees)))
    assert empty.probabilities(any_table(1, 3)).tolist() == [0.0, 0.0, 0.0]


def test_a_model_without_a_full_window_says_0() -> None:
    assert replace(any_halfspace(1), ready=0).scores(any_table(1, 3)).tolist() == [0.0, 0.0, 0.0]


def test_what_learning_would_not_read_is_missing() -> None:
    table = np.full((1, K), 2.0 * READ_MAX)
    table[0, 0], table[0, 1] = -np.inf, np.nan
    read = learnable(table)
    assert np.isnan(read[0, :2]).all()
    assert not (np.abs(read) > READ_MAX).any()


@given(seed=st.integers(0, 2**32), order=st.permutations(range(K)))
@SEEDED
def test_a_corrected_score_is_its_bias_and_contributions_in_any_order(seed: int, order: list[int]) -> None:
    model, table = corrected(seed, any_correction(seed)), any_table(seed, 10)
    contributions, scores = model.contributions(table)
    assert scores.tobytes() == model.scores(table).tobytes()
    for columns in (range(K), order):
        for row, score in zip(contributions.tolist(), scores.tolist(), strict=True):
            total = model.bias
            for column in columns:
                total += row[column]
            assert total.hex() == score.hex()


def test_a_correction_that_changes_nothing_says_what_the_ensemble_says() -> None:
    nothing = np.zeros(0)
    model = corrected(8, Correction(SCHEMA, 0.0, 1.0, nothing.astype(np.int32), nothing, nothing, nothing))
    table = any_table(8, 50)
    assert model.scores(table).tobytes() == model.forest.scores(table).tobytes()
    assert model.contributions(table)[0].tobytes() == model.forest.contributions(table)[0].tobytes()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"suspicious": -1.0}, "not a vote"),
        ({"innocent": np.inf}, "not a vote"),
        ({"innocent": np.nan}, "not a vote"),
    ],
)
def test_votes_that_cannot_be_counted_are_refused(change: dict[str, float], message: str) -> None:
    votes = any_votes(1)
    filled: dict[str, Any] = {name: np.full(len(votes.trees), value) for name, value in change.items()}
    with pytest.raises(ModelRefused, match=message):
        replace(votes, **filled)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"height": 0}, "out of its range"),
        ({"height": 16}, "out of its range"),
        ({"height": 3}, "masses"),
        ({"window": 0}, "out of its range"),
        ({"ready": 2}, "out of its range"),
        ({"masses": np.zeros(0, dtype=np.int32)}, "masses"),
        ({"masses": np.full(93, 51, dtype=np.int32)}, "mass"),
        ({"masses": np.full(93, -1, dtype=np.int32)}, "mass"),
        ({"features": np.full(45, K, dtype=np.int32)}, "none of"),
        ({"features": np.full(45, -1, dtype=np.int32)}, "none of"),
        ({"features": np.zeros(44, dtype=np.int32)}, "45 features"),
        ({"thresholds": np.full(45, np.nan)}, "finite"),
        ({"rights": np.full(45, 2, dtype=np.int8)}, "missing way"),
        ({"means": np.zeros(3)}, "mean and a scale"),
        ({"scales": np.full(K, -1.0)}, "negative"),
    ],
)
def test_half_spaces_that_could_hurt_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelRefused, match=message):
        replace(any_halfspace(1), **change)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"slope": np.nan}, "finite"),
        ({"weights": np.array([1.0, np.inf, 0.0])}, "finite"),
        ({"scales": np.array([1.0, -1.0, 0.0])}, "negative"),
        ({"means": np.zeros(2)}, "for each"),
        ({"features": np.array([0, 3, K], dtype=np.int32)}, "ascending"),
        ({"features": np.array([-1, 3, 4], dtype=np.int32)}, "ascending"),
        ({"features": np.array([0, 3, 3], dtype=np.int32)}, "ascending"),
    ],
)
def test_a_correction_that_could_hurt_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelRefused, match=message):
        replace(any_correction(1), **change)


def test_a_corrected_ensemble_that_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ModelRefused, match="grow"):
        corrected(1, replace(any_correction(1), slope=1e300))
    with pytest.raises(ModelRefused, match="schemas"):
        corrected(1, replace(any_correction(1), feature_schema_hash="00"))


@given(at=st.integers(0, 9_000), byte=st.integers(0, 255))
@settings(derandomize=True, deadline=None, max_examples=200, database=None)
def test_bytes_that_were_changed_are_refused_or_another_model(at: int, byte: int) -> None:
    for packed, read in (
        (any_votes(1).packed, lambda data: votes_from(data, 1, SCHEMA)),
        (any_halfspace(1).packed, lambda data: halfspace_from(data, 1, SCHEMA)),
        (any_correction(1).packed, lambda data: correction_from(data, SCHEMA)),
    ):
        changed = bytearray(packed)
        changed[at % len(packed)] = byte
        try:
            assert read(bytes(changed)).packed == bytes(changed)
        except ModelRefused:
            continue
