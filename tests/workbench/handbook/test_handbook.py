"""The protocol meets the book's own figures, and what is served knows no label before its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from importlib import resources

import numpy as np
import pytest
from numpy.typing import NDArray

from models.measures import Flags, Floats
from services.contract.codec import encode
from services.contract.payment import Party, Payment
from services.scorer.path.features.registry import INDEX
from services.scorer.path.replay import Replay
from services.scorer.path.rules.ruleset import parse_ruleset
from services.workbench.handbook.book import book_features
from services.workbench.handbook.corrector import corrected
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
from services.workbench.handbook.recipe import Recipe, corrector_inputs, training_rows
from services.workbench.handbook.served import BATCH, CONFIRMED_NAMES, Walk, label_log

WEEK_SECONDS = 7 * 86_400
RULESET = parse_ruleset(
    resources.files("services.scorer.rulebook").joinpath("rulesets/general.toml").read_text("utf-8")
)
START_MS = 1_522_540_800_000


def small_cards(seed: int = 0, payments: int = 3_000) -> Cards:
    """A month and a half of made-up payments."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(0, 45 * 86_400, payments))
    return Cards(
        rng.integers(0, 20, payments), rng.integers(0, 15, payments), seconds,
        np.round(rng.lognormal(3.0, 1.0, payments), 2), rng.random(payments) < 0.2,
    )  # fmt: skip


def served_by(cards: Cards, batch: int = BATCH) -> NDArray[np.float32]:
    """What workers would serve, labels read after a week."""
    walk = Walk(Replay(RULESET), cards.truth)
    columns = (cards.seconds, cards.customers, cards.terminals, np.round(100 * cards.amounts).astype(np.int64))
    for at, (second, customer, terminal, cents) in enumerate(zip(*(each.tolist() for each in columns), strict=True)):
        at_ms, payer, payee = START_MS + 1_000 * second, Party(f"c{customer}"), Party(f"t{terminal}")
        walk.pay(at_ms, payer.account.encode(), encode(Payment(f"{at}", at_ms, cents, "EUR", payer, payee)))
        if at % batch == batch - 1:
            walk.measure()
    walk.measure()
    return walk.features


def confirmed_features(cards: Cards) -> NDArray[np.float32]:
    """Of these, what labels say."""
    return served_by(cards)[:, [INDEX[name] for name in CONFIRMED_NAMES]]


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
def test_logistic_regression_on_the_books_features_gives_the_books_figures(cards: Cards) -> None:
    features, start = book_features(cards), day_number(FINAL[0])
    trained = np.flatnonzero((cards.days >= start) & (cards.days < start + 7))
    rows = rows_tested(cards, FINAL[0])
    assert (len(trained), int(cards.truth[trained].sum())) == (67_240, 598)
    assert (len(rows), int(cards.truth[rows].sum())) == (58_264, 385)
    mean, deviation = features[trained].mean(axis=0), features[trained].std(axis=0)
    weights = logistic((features[trained] - mean) / deviation, cards.truth[trained])
    figures = measure(cards, rows, (features[rows] - mean) / deviation @ weights[1:])
    assert figures.auc == pytest.approx(0.871, abs=0.002)
    assert figures.average_precision == pytest.approx(0.606, abs=0.002)
    assert figures.card_precision_100 == pytest.approx(0.291, abs=0.002)


def test_nothing_that_is_served_knows_a_label_before_its_time_or_a_payment_that_comes_after() -> None:
    cards, cut = small_cards(), 1_500
    now = cards.seconds[cut]
    served = served_by(cards)
    truth = np.where(cards.seconds + WEEK_SECONDS > now, ~cards.truth, cards.truth)
    amounts = np.where(np.arange(len(truth)) > cut, cards.amounts * 9.0, cards.amounts)
    changed = served_by(replace(cards, truth=truth, amounts=amounts))
    upto = cards.seconds <= now
    upto[cut + 1 :] = False
    assert np.array_equal(served[upto], changed[upto], equal_nan=True)
    assert not np.array_equal(served, changed, equal_nan=True)


def test_labels_are_read_after_exactly_a_week_however_the_replay_is_cut() -> None:
    cards = small_cards(payments=300)
    served = served_by(cards)
    assert np.array_equal(served, served_by(cards, 7), equal_nan=True)
    shares = served[:, INDEX["payee_confirmed_share_30d"]]
    for at in range(300):
        matured = (cards.terminals == cards.terminals[at]) & (cards.seconds + WEEK_SECONDS <= cards.seconds[at])
        assert (shares[at] > 0.0) == (cards.truth & matured).any(), at


def test_a_fit_learns_matured_payments_only() -> None:
    cards, day = small_cards(), 40
    rows, weights = training_rows(cards, day, Recipe(burn_in_days=5, train_days=20), 0)
    assert cards.seconds[rows].max() + WEEK_SECONDS <= day * 86_400
    assert cards.days[rows].min() == day - 7 - 20
    assert set(weights[cards.truth[rows]]) == {1.0}
    assert set(weights[~cards.truth[rows]]) == {10.0}


def corrections(truth: Flags, cards: Cards, log_odds: Floats, rate: float) -> NDArray[np.float64]:
    inputs = corrector_inputs(confirmed_features(cards), list(CONFIRMED_NAMES))
    payment, kinds = label_log(cards.seconds)
    return corrected(log_odds, inputs, truth, payment, kinds, rate)


def test_the_corrector_starts_as_the_ensemble_and_learns_only_what_is_due() -> None:
    cards = small_cards()
    log_odds = np.random.default_rng(1).normal(-3.0, 4.0, len(cards.seconds))
    assert corrections(cards.truth, cards, log_odds, 0.0) == pytest.approx(log_odds)
    served = corrections(cards.truth, cards, log_odds, 0.05)
    now = cards.seconds[1_500]
    late = np.where(cards.seconds + WEEK_SECONDS > now, ~cards.truth, cards.truth)
    again = corrections(late, cards, log_odds, 0.05)
    assert np.array_equal(served[:1_501], again[:1_501])
    assert not np.array_equal(served, again)
    assert np.array_equal(served[cards.seconds < WEEK_SECONDS], log_odds[cards.seconds < WEEK_SECONDS])
