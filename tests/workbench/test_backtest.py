"""The walk in event time: nothing is learned before it was known, and what is learned counts from then on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.measures import Flags, Floats, Ranking
from services.contract.units import DAY_MS
from services.workbench.backtest import (
    learning_weights,
    prequential,
    stretches,
    time_split,
    with_silence,
)
from services.workbench.dataset import NEVER_MS, NOT_SUSPICIOUS, UNLABELLED
from services.workbench.learners import InTurn, ModelLearner, Refitted
from services.workbench.measures import measured
from tests.workbench.samples import sample


class Notes:
    """A learner that writes down what it is told, and scores a decision by how much it knows."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []
        self.known = 0

    def score(self, features: Floats, at_ms: int) -> Floats:
        self.told += [("decision", row[0]) for row in features.tolist()]
        return np.full(len(features), float(self.known))

    def learn(self, features: Floats, labels: Flags, weights: Floats, at_ms: int) -> None:
        self.told += [("label", row[0]) for row in features.tolist()]
        self.known += len(features)


@given(st.integers(0, 30), st.integers(2, 80))
def test_a_decision_is_scored_by_exactly_the_labels_that_were_known_before_it(seed: int, n: int) -> None:
    data = sample(seed, n)
    data = replace(data, features=np.nan_to_num(data.features))
    found = prequential(data, Notes(), lambda _share: None)
    came = np.maximum(data.label_ms, np.where(data.label_ms == NEVER_MS, NEVER_MS, data.event_ms + 1))
    for at in range(n):
        assert found[at] == (came <= data.event_ms[at]).sum()


def test_every_decision_and_every_label_is_met_once() -> None:
    data = sample(3, 500)
    met = [(is_label, row) for is_label, rows in stretches(data) for row in rows.tolist()]
    assert sorted(row for is_label, row in met if not is_label) == list(range(500))
    assert sorted(row for is_label, row in met if is_label) == np.flatnonzero(data.label != UNLABELLED).tolist()
    assert len(met) == len(set(met))


def test_silence_counts_weakly_and_only_once_it_has_lasted() -> None:
    data = sample(4)
    found = with_silence(data, 14)
    silent = data.label == UNLABELLED
    matured = silent & (data.event_ms + 14 * DAY_MS <= data.event_ms.max())
    assert matured.any()
    assert (found.label[matured] == NOT_SUSPICIOUS).all()
    assert (found.label[silent & ~matured] == UNLABELLED).all()
    assert (found.label_ms[matured] == data.event_ms[matured] + 14 * DAY_MS).all()
    weights = learning_weights(found)
    assert weights[matured].max() < learning_weights(data)[~silent].min()
    certain = replace(found, score=np.full(len(found), 20.0))
    assert learning_weights(certain)[matured].max() < 1e-6, "silence says nothing against a score so high"
    assert (learning_weights(certain)[~silent] == weights[~silent]).all()


def test_a_time_split_trains_on_what_was_known_and_tests_on_what_came_after() -> None:
    data = sample(5)
    at = 40 * DAY_MS
    train, test = time_split(data, at, 7 * DAY_MS)
    assert (train.event_ms < at - 7 * DAY_MS).all()
    assert (train.label_ms[train.label != UNLABELLED] <= at).all()
    assert (test.event_ms >= at).all()
    assert len(train) + len(test) < len(data)


@pytest.mark.parametrize("make", [InTurn, lambda: Refitted(refit_days=10, positives_min=10)])
def test_what_can_be_learned_is_learned_although_labels_are_late(make: Callable[[], ModelLearner]) -> None:
    data = sample(6, 3_000)
    scores = prequential(data, make(), lambda _share: None)
    late = data.chosen(np.arange(1_500, 3_000))
    found = measured(late, scores[1_500:])["all"]
    assert found.auc is not None
    assert found.auc > 0.75


Rows = list[tuple[float, bool, float]]
scored = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.booleans(), st.sampled_from([1.0, 3.0])),
    min_size=1,
    max_size=12,
)


@given(scored)
def test_weighted_average_precision_is_that_of_the_payments_the_weights_stand_for(rows: Rows) -> None:
    scores, truth, weights = (np.array(each) for each in zip(*rows, strict=True))
    times = weights.astype(int)
    copied = Ranking.of(np.repeat(scores, times), np.repeat(truth, times)).average_precision
    found = Ranking.of(scores, truth, weights).average_precision
    assert (found is None) == (not truth.any())
    assert found == pytest.approx(copied)


@given(scored, st.floats(0, 1))
def test_recall_at_a_budget_counts_only_what_fits_in_it(rows: Rows, share: float) -> None:
    scores, truth, weights = (np.array(each) for each in zip(*rows, strict=True))
    found = Ranking.of(scores, truth, weights).recall_at_budget(share)
    if found is None:
        assert not truth.any()
        return
    best = 0.0
    for threshold in scores:
        taken = scores >= threshold
        if weights[taken].sum() <= share * weights.sum():
            best = max(best, weights[taken & truth].sum() / weights[truth].sum())
    assert found == pytest.approx(best)
