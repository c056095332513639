"""Who pays whom in the demo: synthetic accounts with habits, drawn once from a seed.

Identifiers are opaque and come from one space, whatever the account is for: neither a payer's nor a payee's name says
what kind of account it is. There are no names and no nationalities; a country is where an account is held.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_MS = 86_400_000
START_MS = 1_772_409_600_000
"""Monday 2 March 2026, 00:00 UTC."""
DAYS = 75

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Home:
    """A country whose people pay: its currency, units of it for one EUR, offset from UTC, share of people."""

    country: str
    currency: str
    rate: float
    offset_minutes: int
    share: float


HOMES = (
    Home("SE", "SEK", 11.1, 60, 0.25),
    Home("DE", "EUR", 1.0, 60, 0.25),
    Home("GB", "GBP", 0.86, 0, 0.20),
    Home("NL", "EUR", 1.0, 60, 0.10),
    Home("AU", "AUD", 1.75, 600, 0.10),
    Home("US", "USD", 1.16, -300, 0.10),
)
"""The same countries and offsets all through the demo: it has no daylight saving."""

ABROAD = {
    "PH": ("PHP", 66.0, 2, 0.30),
    "TH": ("THB", 37.8, 2, 0.10),
    "CO": ("COP", 4_700.0, 2, 0.08),
    "DO": ("DOP", 69.0, 2, 0.08),
    "MX": ("MXN", 21.8, 2, 0.12),
    "RO": ("RON", 5.06, 2, 0.08),
    "GH": ("GHS", 13.0, 2, 0.06),
    "KE": ("KES", 150.0, 2, 0.06),
    "UA": ("UAH", 48.5, 2, 0.06),
    "VN": ("VND", 30_500.0, 0, 0.06),
}
"""Where money is sent: currency, units for one EUR, decimals, share. Every population that sends abroad uses this mix,
so a corridor alone says nothing."""


class Accounts:
    """A growing table of accounts; an account is its row number."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.ids: list[str] = []
        self.countries: list[str] = []
        self.homes: list[int] = []
        """Index into ``HOMES``; -1 for accounts abroad."""
        self.opened_ms: list[int] = []
        self.traits: list[int] = []
        """Random bits: what is told of the account, and what is not."""

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, home: int, age_days: float, country: str | None = None, at_ms: int = START_MS) -> int:
        """A new account, ``age_days`` old at ``at_ms``. ``country`` is for accounts abroad, with ``home`` -1."""
        token, traits = self._rng.integers(0, 1 << 62, 2).tolist()
        self.ids.append(f"{token:016x}")
        self.countries.append(country or HOMES[home].country)
        self.homes.append(home)
        self.opened_ms.append(at_ms - int(age_days * DAY_MS))
        self.traits.append(traits)
        return len(self.ids) - 1

    def add_many(self, homes: Ints, age_days: Floats) -> Ints:
        """New accounts, one for each element."""
        return np.array([self.add(int(home), float(age)) for home, age in zip(homes, age_days, strict=True)])


@dataclass(frozen=True, slots=True)
class Orders:
    """Payments that come back, as columns. ``day`` is one of the month where ``period`` is 0, else of so many days."""

    payer: Ints
    payee: Ints
    eur: Floats
    sigma: Floats
    day: Ints
    period: Ints
    kind: Ints


BILL, CHARITY, REMITTANCE, MICRO, SALARY = range(5)


class Population:
    """Everybody: people with favourites and standing orders, and those whom they pay.

    Parameters
    ----------
    rng
        Where all of it is drawn from.
    people
        How many people pay.
    """

    def __init__(self, rng: np.random.Generator, people: int) -> None:
        self.rng = rng
        self.accounts = accounts = Accounts(rng)
        shares = np.array([home.share for home in HOMES])
        self.home: Ints = rng.choice(len(HOMES), size=people, p=shares / shares.sum())
        self.people = accounts.add_many(self.home, rng.gamma(2.0, 900.0, people) + 30.0)
        self.activity = np.cumsum(np.minimum(rng.gamma(2.0, 0.5, people) + 0.05, 2.5))
        """Cumulative: who pays how often."""
        self.spending = np.exp(rng.normal(0.0, 0.35, people))
        """Factor on amounts, a person's own."""
        self.merchants = self._elsewhere(max(40, people // 10))
        self.billers = self._elsewhere(max(12, people // 80))
        self.platforms = self._elsewhere(6)
        self.charities = self._elsewhere(6)
        self.employers = self._elsewhere(max(12, people // 40))
        self.sellers = rng.permutation(people)[: max(10, people // 20)]
        self.by_home = [np.flatnonzero(self.home == at) for at in range(len(HOMES))]
        self.favourites = self._favourites(10)
        self.friends = self._friends(5)
        self.dormant = self._asleep(max(12, people // 40))
        self._sleeping = self.dormant.tolist()
        self.orders = self._standing_orders(people)

    def _elsewhere(self, count: int) -> Ints:
        """Organisations, spread over the home countries."""
        homes = self.rng.integers(0, len(HOMES), count)
        return self.accounts.add_many(homes, self.rng.gamma(2.0, 1_200.0, count) + 5.0)

    def _asleep(self, count: int) -> Ints:
        """Old accounts that pay in the prologue and then fall silent."""
        homes = self.rng.choice(self.home, count)
        return self.accounts.add_many(homes, self.rng.gamma(4.0, 700.0, count) + 400.0)

    def _favourites(self, each: int) -> Ints:
        """Merchants that a person returns to, int64[people, each]: popular ones more often, mostly of their country."""
        people, merchants = len(self.people), len(self.merchants)
        popularity = 1.0 / np.arange(1, merchants + 1) ** 0.8
        chosen = self.rng.choice(merchants, size=(people, each), p=popularity / popularity.sum())
        home_of = np.array([self.accounts.homes[row] for row in self.merchants])
        for at in range(len(HOMES)):
            local = np.flatnonzero(home_of == at)
            if len(local):
                weights = popularity[local] / popularity[local].sum()
                rows = self.by_home[at]
                stay = self.rng.random((len(rows), each)) < 0.9
                drawn = self.rng.choice(local, size=(len(rows), each), p=weights)
                chosen[rows] = np.where(stay, drawn, chosen[rows])
        return self.merchants[chosen]

    def _friends(self, each: int) -> Ints:
        """People whom a person pays, int64[people, each], mostly of the same country."""
        chosen = self.rng.integers(0, len(self.people), (len(self.people), each))
        for rows in self.by_home:
            if len(rows):
                stay = self.rng.random((len(rows), each)) < 0.95
                chosen[rows] = np.where(stay, self.rng.choice(rows, (len(rows), each)), chosen[rows])
        return self.people[chosen]

    def abroad(self, age_days: float | None = None, at_ms: int = START_MS) -> int:
        """A new account abroad."""
        shares = np.array([row[3] for row in ABROAD.values()])
        country = list(ABROAD)[int(self.rng.choice(len(ABROAD), p=shares / shares.sum()))]
        return self.accounts.add(-1, age_days or float(self.rng.gamma(2.0, 800.0)) + 10.0, country, at_ms)

    def fresh(self, home: int, at_ms: int) -> int:
        """A new account at home that nobody has paid yet. Many innocent payees are as new as any mule."""
        return self.accounts.add(home, float(self.rng.gamma(1.2, 150.0)) + 2.0, at_ms=at_ms)

    def person(self) -> int:
        """Anybody who pays, the active ones more often."""
        at = int(np.searchsorted(self.activity, self.rng.random() * self.activity[-1], side="right"))
        return int(self.people[at])

    def wake(self) -> int | None:
        """The next account that has slept; ``None`` when all have woken."""
        return self._sleeping.pop() if self._sleeping else None

    def neighbours(self, person: int, count: int) -> list[int]:
        """``count`` different people of ``person``'s country, or as many as there are, without ``person``."""
        rows = self.by_home[self.accounts.homes[person]]
        others = self.people[rows[self.people[rows] != person]]
        return [int(each) for each in self.rng.permutation(others)[:count]]

    def _standing_orders(self, people: int) -> Orders:
        rng = self.rng
        parts = [
            self._monthly(rng.poisson(1.9, people), self.billers, 18.0, 0.8, 0.0, BILL),
            self._monthly((rng.random(people) < 0.15).astype(np.int64), self.charities, 30.0, 0.4, 0.0, CHARITY),
            self._remittances(np.flatnonzero(rng.random(people) < 0.35), 155.0, 0.7, REMITTANCE),
            self._remittances(np.flatnonzero(rng.random(people) < 0.03), 45.0, 0.6, MICRO),
            self._salaries(np.flatnonzero(rng.random(people) < 0.5)),
        ]
        return Orders(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _monthly(
        self, counts: Ints, payees: Ints, median: float, sigma: float, jitter: float, kind: int
    ) -> tuple[Ints | Floats, ...]:
        """Orders of the same sum each month, ``counts[i]`` of them for person ``i``."""
        rng, n = self.rng, int(counts.sum())
        payer = np.repeat(self.people, counts)
        eur = np.maximum(1.0, np.round(np.exp(rng.normal(np.log(median), sigma, n))) - 0.01)
        day = rng.choice(np.concatenate([np.arange(1, 29), np.repeat([1, 2, 27, 28], 6)]), n)
        return (payer, rng.choice(payees, n), eur, np.full(n, jitter), day, np.zeros(n, np.int64), np.full(n, kind))

    def _remittances(self, senders: Ints, median: float, sigma: float, kind: int) -> tuple[Ints | Floats, ...]:
        """Stable recipients abroad: monthly after payday, fortnightly, or irregularly; micro-remitters weekly."""
        rng = self.rng
        counts = 1 + (rng.poisson(0.9, len(senders)) if kind == REMITTANCE else np.zeros(len(senders), np.int64))
        n = int(counts.sum())
        payee = np.array([self.abroad() for _ in range(n)], dtype=np.int64)
        eur = np.exp(rng.normal(np.log(median), sigma, n))
        cadence = rng.choice([0, 14, 23], n, p=[0.60, 0.25, 0.15]) if kind == REMITTANCE else np.full(n, 7)
        day = np.where(cadence == 0, rng.integers(25, 29, n), rng.integers(0, 23, n) % np.maximum(cadence, 1))
        payer = np.repeat(self.people[senders], counts)
        return payer, payee, eur, np.full(n, 0.15), day, cadence, np.full(n, kind)

    def _salaries(self, paid: Ints) -> tuple[Ints | Floats, ...]:
        """Employers pay people, many on one day. Fan-out that is nobody's concern."""
        rng, n = self.rng, len(paid)
        eur = np.exp(rng.normal(np.log(2_200.0), 0.5, n))
        employer = rng.choice(self.employers, n)
        day, period = 25 + employer % 4, np.zeros(n, np.int64)
        return employer, self.people[paid], eur, np.full(n, 0.02), day, period, np.full(n, SALARY)
