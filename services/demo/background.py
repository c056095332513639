"""The innocent everyday of the demo, a day at a time: cards, bills, friends, markets, games, wages, money sent home.

Medians, shapes and rhythms follow the project's generator specification, section 5.2, scaled to a small population.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.demo.drafts import Draft, minor_units
from services.demo.population import (
    BILL,
    CHARITY,
    DAY_MS,
    HOMES,
    MICRO,
    REMITTANCE,
    SALARY,
    START_MS,
    Floats,
    Ints,
    Population,
)

HOUR_MS = 3_600_000
_OFFSETS_MS = np.array([home.offset_minutes * 60_000 for home in HOMES])

_SHOPPING = (1, 0.5, 0.3, 0.2, 0.2, 0.5, 2, 5, 7, 7, 8, 9, 11, 10, 8, 8, 9, 11, 12, 9, 6, 4, 3, 2)
_EVENING = (2, 1, 0.5, 0.3, 0.2, 0.3, 1, 2, 3, 3, 4, 4, 5, 5, 4, 4, 5, 7, 9, 10, 10, 9, 6, 4)
_NIGHT = (7, 6, 4, 2, 1, 0.5, 0.5, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 8, 9, 10, 10, 9)
_DAYTIME = (0, 0, 0, 0, 0, 0, 0.5, 3, 5, 6, 6, 6, 7, 6, 5, 5, 6, 7, 7, 6, 5, 3, 1, 0)
_BANKING = (4, 4, 4, 3, 3, 3, 6, 6, 5, 4, 4, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Habit:
    """Something that people do of their own accord: payments per person and day, sums in EUR, hours, wording."""

    rate: float
    median: float
    sigma: float
    round_share: float
    step: float
    weekend: float
    hours: tuple[float, ...]
    rail: str
    categories: tuple[str | None, ...]
    references: tuple[str | None, ...]


CARD = Habit(0.272, 24.0, 1.0, 0.10, 1.0, 1.15, _SHOPPING, "card",
             ("5411", "5411", "5812", "5814", "5541", "5912", "5651", "4111", "5999"), (None,))  # fmt: skip
FRIENDS = Habit(0.075, 22.0, 0.9, 0.55, 5.0, 1.3, _EVENING, "wallet", (None,),
                ("thanks", "dinner", "loan", "tickets", "rent share", "gift", None, None, "petrol"))  # fmt: skip
MARKET = Habit(0.035, 35.0, 0.9, 0.30, 5.0, 1.2, _EVENING, "wallet", (None, "5931"),
               ("order", "shipping incl.", "second hand", None))  # fmt: skip
GAMES = Habit(0.020, 9.0, 0.9, 0.40, 1.0, 1.3, _NIGHT, "card", ("5816",), (None,))
HABITS = (CARD, FRIENDS, MARKET, GAMES)
FAVOURITE_SHARE = 0.88
NEW_FRIEND_SHARE = 0.05

_ORDER_RAIL = {BILL: "bank", CHARITY: "bank", REMITTANCE: "remitter", MICRO: "wallet", SALARY: "bank"}
_ORDER_PURPOSE = {BILL: "OTHR", CHARITY: "CHAR", REMITTANCE: "FAMI", MICRO: "FAMI", SALARY: "SALA"}
_ORDER_WORDS: dict[int, tuple[str | None, ...]] = {
    BILL: ("subscription", "electricity", "insurance", "phone", None),
    CHARITY: ("monthly gift", None),
    REMITTANCE: ("food", "school fees", "medicine", "house", "family support", "rent", None, "birthday"),
    MICRO: ("support", "load", None),
    SALARY: ("salary",),
}


def habits(population: Population, rng: np.random.Generator, day: int) -> Iterator[Draft]:
    """What people do of their own accord on ``day``, in no order."""
    for habit in HABITS:
        weekend = habit.weekend if day % 7 >= 5 else 1.0
        n = int(rng.poisson(habit.rate * weekend * len(population.people)))
        if n:
            yield from _drafts_of(habit, population, rng, day, n)


def _drafts_of(habit: Habit, population: Population, rng: np.random.Generator, day: int, n: int) -> Iterator[Draft]:
    people = np.searchsorted(population.activity, rng.random(n) * population.activity[-1], side="right")
    homes = population.home[people]
    payees = _payees(habit, population, rng, people)
    eur = np.exp(rng.normal(np.log(habit.median), habit.sigma, n)) * population.spending[people]
    step = np.where(rng.random(n) < habit.round_share, habit.step, 0.0)
    minor = minor_units(np.minimum(eur, 15_000.0), homes, step)
    times = local_times(rng, day, homes, habit.hours)
    categories = rng.integers(0, len(habit.categories), n)
    words = rng.integers(0, len(habit.references), n)
    refused = rng.random(n) < (0.012 if habit.rail == "card" else 0.003)
    columns = zip(times.tolist(), population.people[people].tolist(), payees.tolist(), minor.tolist(),
                  words.tolist(), categories.tolist(), refused.tolist(), strict=True)  # fmt: skip
    for time_ms, payer, payee, amount, word, category, no in columns:
        if payer != payee:
            yield Draft(
                time_ms, payer, payee, max(amount, 1), habit.rail, habit.references[word], None,
                habit.categories[category], "rejected" if no else "accepted", steady=True,
            )  # fmt: skip


def _payees(habit: Habit, population: Population, rng: np.random.Generator, people: Ints) -> Ints:
    n = len(people)
    if habit is GAMES:
        return rng.choice(population.platforms, n)
    if habit is MARKET:
        popular = np.minimum(rng.pareto(1.1, n) * 2.0, len(population.sellers) - 1).astype(np.int64)
        return population.people[population.sellers[popular]]
    if habit is FRIENDS:
        known, everybody, share = population.friends, population.people, 1.0 - NEW_FRIEND_SHARE
    else:
        known, everybody, share = population.favourites, population.merchants, FAVOURITE_SHARE
    liked = np.minimum(rng.geometric(0.3, n) - 1, known.shape[1] - 1)
    return np.where(rng.random(n) < share, known[people, liked], rng.choice(everybody, n))


def orders(population: Population, rng: np.random.Generator, day: int, day_of_month: int) -> Iterator[Draft]:
    """The standing orders that fall due on ``day``, in no order."""
    table = population.orders
    period = np.maximum(table.period, 1)
    due = np.flatnonzero(np.where(table.period == 0, table.day == day_of_month, day % period == table.day % period))
    homes = np.array([population.accounts.homes[row] for row in table.payer[due]], dtype=np.int64)
    n = len(due)
    hand_made = np.isin(table.kind[due], (REMITTANCE, MICRO))
    eur = table.eur[due] * np.exp(rng.normal(0.0, 1.0, n) * table.sigma[due])
    step = np.where(hand_made & (rng.random(n) < 0.6), 10.0, 0.0)
    minor = minor_units(eur, homes, step)
    by_hand, by_bank = local_times(rng, day, homes, _DAYTIME), local_times(rng, day, homes, _BANKING)
    late_days = np.where(hand_made, rng.integers(0, 4, n), rng.integers(0, 2, n))
    times = np.where(hand_made, by_hand, by_bank) + late_days * DAY_MS
    skipped = hand_made & (rng.random(n) < 0.1)
    words = rng.integers(0, 1 << 16, n)
    for at, time_ms, amount, skip, word in zip(
        due.tolist(), times.tolist(), minor.tolist(), skipped.tolist(), words.tolist(), strict=True
    ):
        if skip:
            continue
        kind = int(table.kind[at])
        said = _ORDER_WORDS[kind]
        yield Draft(
            time_ms, int(table.payer[at]), int(table.payee[at]), max(amount, 1), _ORDER_RAIL[kind],
            said[word % len(said)], _ORDER_PURPOSE[kind], steady=kind != SALARY,
        )  # fmt: skip


def prologue(population: Population, rng: np.random.Generator) -> Iterator[Draft]:
    """What the dormant accounts did half a year and more before the demo, in no order."""
    for payer in population.dormant.tolist():
        home = population.accounts.homes[payer]
        merchants = rng.choice(population.merchants, 3)
        for day in rng.integers(-260, -195, rng.integers(3, 9)).tolist():
            eur = float(np.exp(rng.normal(np.log(35.0), 0.7)))
            minor = int(minor_units(np.array([eur]), np.array([home]), np.zeros(1))[0])
            time_ms = int(local_times(rng, day, np.array([home]), _SHOPPING)[0])
            yield Draft(time_ms, payer, int(rng.choice(merchants)), minor, "card", None, None, "5411")


def local_times(rng: np.random.Generator, day: int, homes: Ints, hours: tuple[float, ...]) -> Ints:
    """Event times, ms: hours of the local day drawn by weight ``hours``, minutes evenly."""
    weights = np.cumsum(np.array(hours, dtype=np.float64))
    chosen: Floats = np.searchsorted(weights, rng.random(len(homes)) * weights[-1], side="right").astype(np.float64)
    local = ((chosen + rng.random(len(homes))) * HOUR_MS).astype(np.int64)
    times: Ints = START_MS + day * DAY_MS + local - _OFFSETS_MS[homes]
    return times
