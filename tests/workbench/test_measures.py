"""The measures equal their naive twins, ties included."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.measures import NOTHING_TAKEN, Cut, Ranking, auc
from services.workbench.measures import card_precision, interval, recall

SEEDED = settings(derandomize=True, deadline=None, max_examples=200, database=None)
PAYMENTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.booleans(), st.integers(0, 6), st.integers(0, 3)),
    min_size=1,
    max_size=40,
)


def naive_auc(scores: list[float], truth: list[bool]) -> float:
    pairs = [
        (one, other)
        for (one, is_true), (other, is_other) in product(zip(scores, truth, strict=True), repeat=2)
        if is_true and not is_other
    ]
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs) if pairs else math.nan


def naive_average_precision(scores: list[float], truth: list[bool]) -> float | None:
    if not any(truth):
        return None
    total = recall = 0.0
    for threshold in sorted(set(scores), reverse=True):
        alerted = [is_true for score, is_true in zip(scores, truth, strict=True) if score >= threshold]
        now = sum(alerted) / sum(truth)
        total += (now - recall) * sum(alerted) / len(alerted)
        recall = now
    return total


def naive_card_precision(payments: list[tuple[float, bool, int, int]], top: int) -> float:
    found: set[int] = set()
    shares = []
    for day in sorted({day for _, _, _, day in payments}):
        today = [(score, is_true, card) for score, is_true, card, at in payments if at == day and card not in found]
        cards = sorted({card for _, _, card in today})
        ranked = sorted(cards, key=lambda card: -max(score for score, _, each in today if each == card))[:top]
        hits = {card for card in ranked if any(is_true for _, is_true, each in today if each == card)}
        found |= hits
        shares.append(len(hits) / top)
    return sum(shares) / len(shares)


@SEEDED
@given(PAYMENTS, st.integers(1, 4))
def test_each_measure_equals_its_twin(payments: list[tuple[float, bool, int, int]], top: int) -> None:
    scores, truth, cards, days = (list(column) for column in zip(*payments, strict=True))
    s, t = np.array(scores), np.array(truth)
    assert auc(s, t) == pytest.approx(naive_auc(scores, truth), nan_ok=True)
    assert Ranking.of(s, t).average_precision == pytest.approx(naive_average_precision(scores, truth))
    assert card_precision(s, t, np.array(cards), np.array(days), top) == pytest.approx(
        naive_card_precision(payments, top)
    )


def test_a_card_that_was_found_makes_room_and_one_that_was_not_comes_back() -> None:
    scores = np.array([0.9, 0.8, 0.9, 0.8])
    truth = np.array([True, False, True, True])
    cards = np.array([1, 2, 1, 2])
    assert card_precision(scores, truth, cards, np.array([0, 0, 1, 1]), top=1) == 1.0


def naive_true(scores: list[float], truth: list[bool], taken: int) -> float:
    """How many true ones are among the ``taken`` highest, in expectation over the orders of equals."""
    true = 0.0
    for each in sorted(set(scores), reverse=True):
        equals = [flag for score, flag in zip(scores, truth, strict=True) if score == each]
        some = min(taken, len(equals))
        true += some * sum(equals) / len(equals)
        taken -= some
    return true


@SEEDED
@given(PAYMENTS, st.sampled_from([0.25, 0.5, 0.9]))
def test_a_cut_takes_as_many_as_the_precision_allows(
    payments: list[tuple[float, bool, int, int]], precision: float
) -> None:
    scores, truth = [each[0] for each in payments], [each[1] for each in payments]
    fitting = [n for n in range(1, len(scores) + 1) if naive_true(scores, truth, n) / n >= precision - 1e-12]
    s, t = np.array(scores), np.array(truth)
    cut = Ranking.of(s, t).cut_at_precision(precision)
    assert cut.taken(s).sum() == pytest.approx(max(fitting, default=0))
    assert cut.taken(s)[t].sum() == pytest.approx(naive_true(scores, truth, max(fitting, default=0)))


@SEEDED
@given(PAYMENTS, st.integers(0, 41))
def test_a_cut_takes_the_budget_in_expectation(payments: list[tuple[float, bool, int, int]], budget: int) -> None:
    scores, truth = [each[0] for each in payments], [each[1] for each in payments]
    s, t = np.array(scores), np.array(truth)
    cut = Ranking.of(s, t).cut_at_budget(budget)
    assert cut.taken(s).sum() == pytest.approx(min(budget, len(scores)))
    assert cut.taken(s)[t].sum() == pytest.approx(naive_true(scores, truth, budget))


def test_what_nothing_is_said_of_is_never_taken() -> None:
    ranking = Ranking.of(np.array([1.0, -np.inf, -np.inf]), np.array([False, True, True]))
    assert ranking.cut_at_budget(3) == Cut(1.0, 1.0)
    assert ranking.cut_at_precision(0.5) == NOTHING_TAKEN


@SEEDED
@given(PAYMENTS, st.integers(0, 41))
def test_no_more_than_the_budget_reach_its_threshold(payments: list[tuple[float, bool, int, int]], budget: int) -> None:
    scores, truth = (np.array([each[at] for each in payments]) for at in (0, 1))
    threshold = Ranking.of(scores, truth).threshold_at_budget(budget)
    assert (scores >= threshold).sum() <= budget
    lower = [score for score in scores if score < threshold]
    assert not lower or (scores >= max(lower)).sum() > budget


def test_of_nothing_nothing_is_ranked() -> None:
    nothing = Ranking.of(np.zeros(0), np.zeros(0, dtype=np.bool_))
    assert nothing.average_precision is nothing.recall_at_budget(0.5) is None
    assert nothing.threshold_at_budget(1) == math.inf
    assert nothing.cut_at_budget(1) == nothing.cut_at_precision(0.5) == NOTHING_TAKEN


def test_recall_of_nobody_is_not_a_number() -> None:
    assert recall(np.array([1.0]), np.array([False]), Cut(0.0, 1.0)) is None
    assert recall(np.array([1.0, 3.0]), np.array([True, True]), Cut(1.0, 0.0)) == 0.5
    assert interval(None, 3) is interval(0.5, 0) is None
