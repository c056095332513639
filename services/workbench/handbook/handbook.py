"""The protocol of the Fraud Detection Handbook (Le Borgne and others, chapter 3.4), on its simulated card payments.

A split trains on a week, waits a week for that week's labels, and tests on the week after. Cards known to be
compromised leave the test: those with a fraud in the training week, and on each test day those with a fraud eight days
before it or earlier, back to that week's start (so the book's code has it, which also waits for a day to end). Tocsin
trains on every payment whose label has matured, not on the training week alone; the test is the book's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from models.measures import Flags, Floats, Ranking, Whole, auc
from services.workbench.measures import card_precision

FIRST_DAY = date(2018, 4, 1)
"""Day 0; a Sunday."""
DAY_SECONDS = 86_400
DELAY_DAYS = TRAIN_DAYS = TEST_DAYS = 7
FINAL = (date(2018, 7, 25), date(2018, 8, 1), date(2018, 8, 8), date(2018, 8, 15))
"""Training weeks of the four splits whose figures are published. Nothing is chosen on their tests."""
EARLIER = (
    date(2018, 5, 30), date(2018, 6, 6), date(2018, 6, 13), date(2018, 6, 20),
    date(2018, 6, 27), date(2018, 7, 4), date(2018, 7, 11), date(2018, 7, 18),
)  # fmt: skip
"""Training weeks whose tests (13 June to 7 August) end before the first published test: choices are made on these."""

FIGURES = ("auc", "average_precision", "card_precision_100")
"""What a ranking of a test week is judged by."""


@dataclass(frozen=True, slots=True)
class Cards:
    """The data set, n payments in time order."""

    customers: Whole
    terminals: Whole
    seconds: Whole
    """Since the start of day 0."""
    amounts: Floats
    truth: Flags

    @property
    def days(self) -> Whole:
        """int64[n], whole days since day 0."""
        return self.seconds // DAY_SECONDS


def read_cards(path: Path) -> Cards:
    """Read ``fdh_raw.parquet``.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    from pyarrow import parquet

    columns = ("CUSTOMER_ID", "TERMINAL_ID", "TX_TIME_SECONDS", "TX_AMOUNT", "TX_FRAUD")
    table = parquet.read_table(path, columns=list(columns))
    customers, terminals, seconds, amounts, truth = (table[name].to_numpy() for name in columns)
    return Cards(
        customers.astype(np.int64), terminals.astype(np.int64), seconds.astype(np.int64),
        amounts.astype(np.float64), truth == 1,
    )  # fmt: skip


def day_number(day: date) -> int:
    """Days since day 0."""
    return (day - FIRST_DAY).days


def first_tested_day(training: date) -> int:
    """Number of the first test day of the split whose training week starts on ``training``."""
    return day_number(training) + TRAIN_DAYS + DELAY_DAYS


def rows_tested(cards: Cards, training: date) -> Whole:
    """int64[m]: the payments of a split's test, in time order."""
    start, days = day_number(training), cards.days
    known_day = np.full(int(cards.customers.max()) + 1, np.iinfo(np.int64).max)
    """By customer, the day of its first fraud since the training week began."""
    frauds = np.flatnonzero(cards.truth & (days >= start))
    np.minimum.at(known_day, cards.customers[frauds], days[frauds])
    first = first_tested_day(training)
    week = np.flatnonzero((days >= first) & (days < first + TEST_DAYS))
    return week[known_day[cards.customers[week]] > days[week] - DELAY_DAYS - 1]


def measure(cards: Cards, rows: Whole, scores: Floats) -> dict[str, float]:
    """``FIGURES`` of ``scores`` (float64[m]) of the payments ``rows`` (int64[m])."""
    truth = cards.truth[rows]
    figures = (
        auc(scores, truth),
        Ranking.of(scores, truth).average_precision or 0.0,
        card_precision(scores, truth, cards.customers[rows], cards.days[rows]),
    )
    return dict(zip(FIGURES, figures, strict=True))


def mean(figures: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure."""
    return {name: float(np.mean([each[name] for each in figures])) for name in FIGURES}
