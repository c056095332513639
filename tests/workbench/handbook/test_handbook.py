"""The protocol meets the book's own figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from models.measures import Flags, Floats
from services.workbench.handbook.handbook import (
    EARLIER,
    FINAL,
    TEST_DAYS,
    Cards,
    day_number,
    first_tested_day,
    measure,
    rows_tested,
)
from tests.workbench.handbook.book import book_features
from tests.workbench.handbook.streams import small_cards


def logistic(features: Floats, truth: Flags) -> Floats:
    """Weights, intercept first, of a logistic regression penalised by half their squares, by Newton's method."""
    x = np.column_stack([np.ones(len(features)), features])
    penalty = np.diag([0.0] + [1.0] * features.shape[1])
    weights = np.zeros(x.shape[1])
    for _ in range(12):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ weights, -500.0, 500.0)))
        gradient = x.T @ (p - truth) + penalty @ weights
        weights = weights - np.linalg.solve(x.T @ (x * (p * (1.0 - p))[:, None]) + penalty, gradient)
    return weights


def test_no_test_that_choices_are_made_on_reaches_into_the_published_ones() -> None:
    assert max(map(first_tested_day, EARLIER)) + TEST_DAYS <= min(map(first_tested_day, FINAL))
    assert min(map(first_tested_day, FINAL)) == day_number(date(2018, 8, 8))


def test_known_cards_leave_the_test() -> None:
    cards = replace(small_cards(), truth=np.zeros(3_000, dtype=np.bool_))
    training = date(2018, 4, 1) + timedelta(days=10)
    first = first_tested_day(training)
    day, customers = cards.days, cards.customers
    in_training = int(np.flatnonzero(day == 10)[0])
    later = int(np.flatnonzero((day == first - 6) & (customers != customers[in_training]))[0])
    cards.truth[[in_training, later]] = True
    left = rows_tested(cards, training)
    assert customers[in_training] not in customers[left]
    with_later = {int(each) for each in day[left[customers[left] == customers[later]]]}
    assert with_later
    assert max(with_later) <= first + 1, "known eight days after its fraud"
    assert set(day[left]) == set(range(first, first + TEST_DAYS))


@pytest.mark.data
@pytest.mark.usefixtures("only_large")
def test_logistic_regression_on_the_books_features_gives_the_books_figures(cards: Cards) -> None:
    features, start = book_features(cards), day_number(FINAL[0])
    trained = np.flatnonzero((cards.days >= start) & (cards.days < start + 7))
    rows = rows_tested(cards, FINAL[0])
    assert (len(trained), int(cards.truth[trained].sum())) == (67_240, 598)
    assert (len(rows), int(cards.truth[rows].sum())) == (58_264, 385)
    mean, deviation = features[trained].mean(axis=0), features[trained].std(axis=0)
    weights = logistic((features[trained] - mean) / deviation, cards.truth[trained])
    figures = measure(cards, rows, (features[rows] - mean) / deviation @ weights[1:])
    assert figures["auc"] == pytest.approx(0.871, abs=0.002)
    assert figures["average_precision"] == pytest.approx(0.606, abs=0.002)
    assert figures["card_precision_100"] == pytest.approx(0.291, abs=0.002)
