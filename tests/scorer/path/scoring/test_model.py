"""A learned model says the same of a payment wherever the payment stands, and its contributions are its score."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.contract.announcement import ModelAnnouncement
from services.scorer.path.features.registry import FEATURES, NAMES, feature_schema_hash
from services.scorer.path.rules.ruleset import parse_ruleset
from services.scorer.path.scoring.ensemble import announcement_of, model_from
from services.scorer.path.scoring.model import (
    SCALED_MAX,
    LogisticModel,
    ModelRefused,
    probability,
    read_features,
    untrained_model,
)
from tests.scorer.path.logs import PARAMETERS, seeded_log
from tests.scorer.path.runs import payee_log, payee_matrix, payer_matrix, run_payee, run_payer

SEEDED = settings(derandomize=True, deadline=None, max_examples=500, database=None)
K = len(FEATURES)
SCHEMA = feature_schema_hash(PARAMETERS)


def model(seed: int = 1) -> LogisticModel:
    source = np.random.default_rng(seed)
    scales = source.uniform(0.1, 3.0, K)
    scales[[4, K - 1]] = 0.0
    return LogisticModel(3, SCHEMA, -4.2, source.normal(size=K), source.normal(size=K), scales, 0.7)


def features() -> NDArray[np.float64]:
    """Features of real runs of both kernels, missing ones included."""
    log = seeded_log(seed=2, length=300)
    payer = run_payer(log, PARAMETERS)
    onward = payee_log(log, payer, PARAMETERS)
    table = np.hstack([payer_matrix(payer), payee_matrix(run_payee(onward, PARAMETERS))])
    assert np.isnan(table).any()
    return table


def announcement(of: LogisticModel) -> ModelAnnouncement:
    return announcement_of("general", of, trained_event_time_ms=1, examples_offset=10)


def test_contributions_added_to_the_bias_from_first_to_last_are_the_score_bit_for_bit() -> None:
    contributions, scores = model().contributions(features())
    for row, score in zip(contributions.tolist(), scores.tolist(), strict=True):
        total = model().bias
        for contribution in row:
            total += contribution
        assert total.hex() == score.hex()


def test_a_contribution_is_the_weight_times_the_scaled_feature_as_the_registry_says_to_read_it() -> None:
    table, of = features(), model()
    contributions, _ = of.contributions(table)
    for at, feature in enumerate(FEATURES):
        for x, contribution in zip(table[:, at].tolist(), contributions[:, at].tolist(), strict=True):
            if math.isnan(x) or of.scales[at] == 0.0:
                assert contribution == 0.0
                continue
            read = math.log1p(x) if feature.scale == "log" else x
            scaled = max(-SCALED_MAX, min(SCALED_MAX, (read - of.means[at]) / of.scales[at]))
            assert contribution == pytest.approx(of.weights[at] * scaled, rel=1e-12)


def test_a_payment_without_any_feature_scores_the_bias() -> None:
    contributions, scores = model().contributions(np.full((1, K), np.nan))
    assert scores.tolist() == [model().bias]
    assert not contributions.any()


def test_a_missing_feature_changes_no_other_contribution() -> None:
    table = features()[:20]
    with_gap = table.copy()
    with_gap[:, 7] = np.nan
    whole, _ = model().contributions(table)
    without, _ = model().contributions(with_gap)
    whole[:, 7] = 0.0
    assert whole.tobytes() == without.tobytes()


def test_a_row_alone_and_a_row_in_a_batch_have_the_same_bits() -> None:
    table, of = features(), model()
    contributions, scores = of.contributions(table)
    for at in range(len(table)):
        alone, score = of.contributions(table[at : at + 1].copy())
        assert (alone.tobytes(), score.tobytes()) == (contributions[at].tobytes(), scores[at : at + 1].tobytes())


def test_scoring_leaves_features_and_parameters_as_they_were() -> None:
    table, of = features(), model()
    before = [each.tobytes() for each in (table, of.weights, of.means, of.scales)]
    of.contributions(table)
    assert [each.tobytes() for each in (table, of.weights, of.means, of.scales)] == before


def test_an_empty_batch_has_no_scores() -> None:
    contributions, scores = model().contributions(np.empty((0, K)))
    assert (contributions.shape, scores.shape) == ((0, K), (0,))


def test_features_are_read_as_logarithms_exactly_where_the_registry_says_so() -> None:
    read = read_features(np.full((2, K), 3.0))
    assert {NAMES[at] for at in range(K) if read[1, at] == math.log1p(3.0)} == {
        feature.name for feature in FEATURES if feature.scale == "log"
    }
    assert np.isnan(read_features(np.full((1, K), np.nan))).all()


def test_the_untrained_model_gives_everybody_the_same_low_prior() -> None:
    contributions, scores = untrained_model(SCHEMA).contributions(features())
    assert not contributions.any()
    assert len(set(scores.tolist())) == 1
    assert probability(scores[0]) == pytest.approx(0.001)


# --- probability -----------------------------------------------------------------------------------------------------


def test_even_odds_are_exactly_one_half() -> None:
    assert (probability(0.0), probability(-0.0)) == (0.5, 0.5)


@SEEDED
@given(score=st.floats(allow_nan=False))
def test_a_probability_is_between_0_and_1(score: float) -> None:
    assert 0.0 <= probability(score) <= 1.0


@SEEDED
@given(score=st.floats(allow_nan=False), other=st.floats(allow_nan=False))
def test_a_higher_score_is_never_less_probable(score: float, other: float) -> None:
    low, high = sorted((score, other))
    assert probability(low) <= probability(high)


def test_neighbouring_scores_are_in_order_too() -> None:
    score, disorder = -0.8, 0
    for _ in range(200_000):
        following = math.nextafter(score, 1.0)
        disorder += probability(score) > probability(following)
        score = following
    assert disorder == 0


@pytest.mark.parametrize(("score", "expected"), [(1e9, 1.0), (-1e9, 0.0), (math.inf, 1.0), (-math.inf, 0.0)])
def test_extreme_scores_neither_overflow_nor_raise(score: float, expected: float) -> None:
    assert probability(score) == expected


# --- announcements ---------------------------------------------------------------------------------------------------


def test_an_announced_model_scores_with_the_bits_of_the_model_that_was_announced() -> None:
    sent = msgspec.json.decode(msgspec.json.encode(announcement(model())), type=ModelAnnouncement)
    loaded = model_from(sent, SCHEMA)
    assert (loaded.hash, loaded.version) == (model().hash, 3)
    for ours, theirs in zip(loaded.contributions(features()), model().contributions(features()), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_a_model_of_another_feature_schema_is_refused() -> None:
    with pytest.raises(ModelRefused, match=r"model 3 was trained on feature schema [0-9a-f]{12}"):
        model_from(announcement(model()), "0" * 64)


@pytest.mark.parametrize("field", ["weights", "means", "scales"])
@pytest.mark.parametrize("length", [0, K - 1, K + 1])
def test_a_model_with_the_wrong_number_of_parameters_is_refused(field: str, length: int) -> None:
    wrong = msgspec.structs.replace(announcement(model()), **{field: (0.5,) * length})
    with pytest.raises(ModelRefused, match=f"does not have {K} weights, means and scales"):
        model_from(wrong, SCHEMA)


def test_a_model_whose_parameters_were_tampered_with_is_refused() -> None:
    sent = announcement(model())
    changed = (
        msgspec.structs.replace(sent, bias=math.nextafter(sent.bias, 0.0)),
        msgspec.structs.replace(sent, review_probability=0.1),
        msgspec.structs.replace(sent, weights=(*sent.weights[:-1], math.nextafter(sent.weights[-1], 9.0))),
        msgspec.structs.replace(sent, model_hash="0" * 64),
    )
    for each in changed:
        with pytest.raises(ModelRefused, match="do not have the hash"):
            model_from(each, SCHEMA)


@pytest.mark.parametrize("field", ["weights", "means", "scales"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_model_with_a_parameter_that_is_no_number_is_refused(field: str, wrong: float) -> None:
    values = getattr(model(), field).copy()
    values[2] = wrong
    broken = replace(model(), **{field: values})
    with pytest.raises(ModelRefused):
        model_from(announcement(broken), SCHEMA)


@pytest.mark.parametrize("field", ["weights", "bias"])
def test_a_model_whose_scores_would_grow_beyond_all_bounds_is_refused(field: str) -> None:
    """Finite numbers can add up to what is none: infinity less infinity would be no score."""
    for wrong in (1e308, -1e308, 2.0**21):
        values = model().weights.copy()
        values[:2] = wrong, -wrong
        broken = replace(model(), **{"weights": values} if field == "weights" else {"bias": wrong})
        with pytest.raises(ModelRefused, match=r"scores could grow beyond 1\.05e\+06"):
            model_from(announcement(broken), SCHEMA)


def test_the_hash_changes_with_every_parameter_and_with_nothing_else() -> None:
    of = model()
    hashes = {of.hash}
    for field in ("weights", "means", "scales"):
        for at in range(K):
            values = getattr(of, field).copy()
            values[at] = math.nextafter(values[at], 99.0)
            hashes.add(replace(of, **{field: values}).hash)
    hashes.add(replace(of, bias=math.nextafter(of.bias, 0.0)).hash)
    hashes.add(replace(of, review_probability=math.nextafter(0.7, 1.0)).hash)
    hashes.add(replace(of, feature_schema_hash="1" * 64).hash)
    assert len(hashes) == 1 + 3 * K + 3
    assert replace(of, version=99).hash == of.hash


def test_the_feature_schema_hash_changes_with_every_parameter_of_the_features(shipped: str) -> None:
    parameters = parse_ruleset(shipped).parameters
    changed = [
        replace(parameters, small_from=11.0),
        replace(parameters, small_to=201.0),
        replace(parameters, near_threshold_from=8001.0),
        replace(parameters, near_threshold_to=10001.0),
        replace(parameters, account_idle_ms=1),
        replace(parameters, rates=(*parameters.rates[:-1], ("ZAR", 20.6))),
    ]
    assert len({feature_schema_hash(each) for each in (parameters, *changed)}) == 7
