"""What a bank sees of life at home: wages, cards, bills, friends, markets, games. A day at a time, vectorised."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from services.generator.accounts import BILLER, EMPLOYER, MERCHANT, PAYER, PLATFORM, account, pooled
from services.generator.chance import (
    Choice,
    Generator,
    Ints,
    Words,
    generator,
    lognormal,
    mixed,
    normal_of,
    share_of,
)
from services.generator.parameters import DomesticLaw
from services.generator.people import World, groups
from services.generator.places import NOT_ROUND, ROUND_SENT
from services.generator.routine import finish, local_times
from services.generator.rows import CATEGORIES, PURPOSES, RAILS, STATUSES, Rows, empty, source

_FRIENDS = 12
_NEW_FRIEND_SHARE = 0.05
_PAYDAY_SHARES = {25: 0.4, 26: 0.2, 27: 0.2, 28: 0.2}


class Household:
    """One domestic habit of all payers of a bank."""

    def __init__(self, world: World, law: DomesticLaw) -> None:
        self._world, self._law, self._source = world, law, source(law.name)
        parameters = world.configuration.parameters
        self._hours = Choice(range(24), parameters.hours[law.hours])
        self._references = world.words.chooser(law.references)
        self._categories = np.array([CATEGORIES.index(each) for each in law.categories] or [-1], dtype=np.int64)
        self._pace = parameters.domestic_pace
        self._few = max(1, round(law.few * world.configuration.payers))
        self._by_home, self._home_first, home_count = groups(world.people.home, world.places.homes_count)
        self._home_count = np.maximum(home_count, 1)

    def rows(self, day: int) -> Rows:
        """What happens on local ``day``, in no order."""
        world, law = self._world, self._law
        rng = generator(world.seed, self._source, day + 1)
        people = self._people(rng, day)
        n = len(people)
        rows = empty(n)
        home = world.people.home[people]
        payer, payee = account(PAYER, people), self._payees(rng, people, home)
        rows["payer"], rows["payee"] = (payee, payer) if law.payee == "self" else (payer, payee)
        rows["time"] = local_times(world, rng, self._hours, day, home)
        eur = lognormal(rng, law.amount[0], law.amount[1], n)
        if law.payee in ("self", "biller"):  # the same every month, or nearly
            eur = law.amount[0] * np.exp(law.amount[1] * normal_of(mixed(people, self._source)))
        rounding = np.where(rng.random(n) < law.round_share, ROUND_SENT, NOT_ROUND)
        world.places.fill_money(rows, eur, home, home, rounding, tell=False)
        rows["rail"] = RAILS.index(law.rail)
        rows["reference"] = world.words.draw(rng, self._references, n)
        rows["category"] = self._categories[(rng.random(n) * len(self._categories)).astype(np.int64)]
        rows["status"] = np.where(rng.random(n) < law.rejected, STATUSES.index("rejected"), 0)
        rows["purpose"] = PURPOSES.index("SALA") if law.payee == "self" else -1
        return finish(world, rows[rows["payer"] != rows["payee"]], self._source, day)

    def _people(self, rng: Generator, day: int) -> Ints:
        """Who does it today, with repetition."""
        payers = self._world.configuration.payers
        if self._law.payee == "self":
            return self._on_payday(day)
        n = int(rng.poisson(self._law.per_month / 30.44 * payers * self._pace))
        among: Ints = rng.integers(0, self._few, n)
        return among * 7_919 % payers if self._law.few < 1.0 else among

    def _on_payday(self, day: int) -> Ints:
        configuration = self._world.configuration
        of_month = (configuration.first_day + timedelta(days=day)).day
        if of_month not in _PAYDAY_SHARES:
            return np.zeros(0, dtype=np.int64)
        uniform = share_of(np.arange(configuration.payers), configuration.seed ^ 0x5A1)
        paydays = Choice(list(_PAYDAY_SHARES), list(_PAYDAY_SHARES.values())).of(uniform)
        return np.flatnonzero(paydays == of_month)

    def _payees(self, rng: Generator, people: Ints, home: Ints) -> Ints:
        n, payers = len(people), self._world.configuration.payers
        rank = np.minimum(rng.geometric(0.25, n) - 1, _FRIENDS - 1)
        habit = mixed(people * 16 + rank, self._source)
        if self._law.payee == "self":
            return pooled(EMPLOYER, home, _modulo(mixed(people, 0xE3), max(5, payers // 40)))
        if self._law.payee in ("merchant", "biller"):
            kind, pool = (MERCHANT, max(1_000, payers // 20)) if self._law.payee == "merchant" else (BILLER, 60)
            chosen = np.where(rng.random(n) < 0.85, _modulo(habit, pool), rng.integers(0, pool, n))
            return pooled(kind, home, chosen)
        if self._law.payee == "platform":
            return pooled(PLATFORM, home, (40 * rng.random(n) ** 2).astype(np.int64))
        anybody = (rng.random(n) * self._home_count[home]).astype(np.int64)
        known = _modulo(habit, 1 << 40) % self._home_count[home]
        if self._law.payee == "seller":  # a few sell much: many-to-one to a private person
            known = (self._home_count[home] * rng.random(n) ** 4).astype(np.int64)
        index = np.where(rng.random(n) < _NEW_FRIEND_SHARE, anybody, known)
        return account(PAYER, self._by_home[self._home_first[home] + index])


def _modulo(numbers: Words, divisor: int) -> Ints:
    return (numbers % np.uint64(divisor)).astype(np.int64)
