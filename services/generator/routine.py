"""Cross-border routines: families, partners, sponsors, clients, savings circles; a day at a time, vectorised.

A routine keeps a few numbers per payer. What happens on a day depends only on the seed, the population and the day.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from services.contract.units import DAY_MS, HOUR_MS
from services.generator.accounts import (
    AGENT,
    CHARITY,
    COLLECTOR,
    FREELANCER,
    PAYER,
    SECOND,
    SPECIAL,
    account,
    family,
    kind_of,
    number_of,
    pooled,
)
from services.generator.chance import (
    Bools,
    Choice,
    Floats,
    Generator,
    Ints,
    choice_of,
    generator,
    lognormal,
    mix,
    mixed,
    share_of,
)
from services.generator.parameters import RoutineLaw
from services.generator.people import World, groups
from services.generator.places import NOT_ROUND, ROUND_RECEIVED, ROUND_SENT
from services.generator.rhythm import CADENCES, Rhythm
from services.generator.rows import CATEGORIES, NOT_TOLD, PURPOSES, RAILS, RELATIONS, Rows, empty, joined, source

PAYDAYS = (25, 29)
_EMERGENCY_EVERY_DAYS = 270
_EMERGENCY_DAYS = 3
_CHARITIES_PER_PLACE = 60
_RECEIVED_ROUND_SHARE = 0.25
_PAYOUT_EVERY_DAYS = 30
_CASH_OUT_DWELL_HOURS = (20.0, 1.2)  # median, sigma


def local_times(world: World, rng: Generator, hours: Choice, day: int, home: Ints) -> Ints:
    """Event times (ms) on local ``day`` of each ``home``: hours by weight, the rest evenly."""
    n = len(home)
    local: Ints = ((hours.draw(rng, n) + rng.random(n)) * HOUR_MS).astype(np.int64)
    return world.configuration.start_ms + day * DAY_MS + local - world.places.offset_minutes[home] * 60_000


def finish(world: World, rows: Rows, origin: int, day: int) -> Rows:
    """Give rows of one process and day their ids, offsets and devices, and remember where they come from."""
    parameters, payers = world.configuration.parameters, rows["payer"]
    rows["source"] = origin
    numbers = origin << 56 | (day & 0xFFFFF) << 36
    rows["pid"] = mixed(np.arange(len(rows), dtype=np.int64) + numbers, mix(world.seed ^ 0x91D))
    told = share_of(payers, world.seed ^ 0x0FF5E7) < parameters.offset_told_share
    places = world.accounts.places(payers)
    kinds = kind_of(payers)
    own = (kinds == PAYER) | (kinds == SECOND)
    is_payer = own | ((kinds == SPECIAL) & (places < world.places.homes_count))
    rows["offset"] = np.where(told & is_payer, world.places.offset_minutes[places], NOT_TOLD)
    second = share_of(rows["pid"], 0xD0E) < 0.1
    persons = np.where(own, number_of(payers), payers)  # who has two accounts has the same devices
    device = mixed(persons * 2 + second, mix(world.seed ^ 0xDE71CE)) | np.uint64(1)
    with_device = is_payer & (rows["rail"] != RAILS.index("card"))
    with_device &= share_of(payers, world.seed ^ 0xDE7) < parameters.device_told_share
    rows["device"] = np.where(with_device, device, np.uint64(0))
    return rows


class Routine:
    """One population of cross-border payers, who pay by one ``law``."""

    def __init__(self, world: World, law: RoutineLaw) -> None:
        self._world, self._law, self._source = world, law, source(law.name)
        people, parameters = world.people, world.configuration.parameters
        self._payers = members = people.of(law.name)
        rng, n = generator(world.seed, self._source), len(members)
        self._cadence = choice_of(CADENCES, law.cadence).draw(rng, n)
        self._phase, self._payday = rng.integers(0, 10_000, n), rng.integers(*PAYDAYS, n)
        between = law.amount[1] * np.sqrt(1.0 - law.within**2)
        self._level: Floats = np.log(law.amount[0]) + between * rng.standard_normal(n)
        self._within = law.amount[1] * law.within
        self._recipients = np.minimum(1 + rng.poisson(law.recipients_extra, n), law.recipients_max)
        rails = choice_of(RAILS, law.rails)
        self._rails = np.stack([rails.draw(rng, n), rails.draw(rng, n)])
        self._rails[1] = np.where(rng.random(n) < law.two_rails, self._rails[1], self._rails[0])
        self._relation = choice_of([*RELATIONS, "none"], law.relations).draw(rng, n)
        self._home, self._destination = people.home[members], people.destination[members]
        self._first, self._last = people.first_day[members], people.last_day[members]
        self._hours, self._references = (
            Choice(range(24), parameters.hours[law.hours]),
            world.words.chooser(law.references),
        )
        self._emergency_words = world.words.chooser({"medical": 0.6, "family": 0.2, "none": 0.2})
        self._salt = mixed(members, mix(world.seed ^ self._source))
        self._rhythm = Rhythm(self._cadence, self._payday, self._phase, self._salt)
        self._first_freelancers = max(10, round(n / 4))

    def rows(self, day: int) -> Rows:
        """What the population does on local ``day``, in no order; money taken out may fall on later days."""
        rng = generator(self._world.seed, self._source, day + 1)
        due, urgent = self._due(rng, day)
        n = len(due)
        if n == 0:
            return empty(0)
        rows = empty(n)
        payees, receiver = self._payees(rng, due, day)
        home = self._home[due]
        rows["payer"], rows["payee"] = account(PAYER, self._payers[due]), payees
        rows["time"] = local_times(self._world, rng, self._hours, day, home)
        self._fill(rng, rows, due, urgent)
        eur = self._eur(rng, due, day)
        rounding = self._rounding(rng, n)
        told = share_of(self._payers[due], 0x7E11) < self._world.configuration.parameters.received_told_share
        self._world.places.fill_money(rows, eur, home, receiver, rounding, told)
        finish(self._world, rows, self._source, day)
        return joined([rows, self._cash_outs(rng, rows, eur, receiver, day)]) if self._law.cash_out_share else rows

    def _due(self, rng: Generator, day: int) -> tuple[Ints, Bools]:
        """Who pays today (some twice), and which of these payments are urgent help."""
        n = len(self._payers)
        due = self._rhythm.due(self._world.configuration, day)
        uniform = rng.random((3, n))
        irregular = self._cadence == CADENCES.index("irregular")
        due |= irregular & (uniform[0] < self._law.irregular_per_month / 30.44)
        due &= uniform[1] >= self._law.skip
        extra = uniform[2] < self._extra_chance(day)
        active = (self._first <= day) & (day < self._last)
        regular, urgent = np.flatnonzero(due & active), np.flatnonzero(extra & active)
        again = regular[rng.random(len(regular)) < self._law.second_recipient]
        all_due = np.concatenate([regular, again, urgent])
        return all_due, np.arange(len(all_due)) >= len(regular) + len(again)

    def _extra_chance(self, day: int) -> Floats:
        """Chance of a further payment today: December, a personal emergency, one of the whole destination."""
        law, configuration = self._law, self._world.configuration
        december = (configuration.first_day + timedelta(days=day)).month == 12
        daily = 1.3 / 30.44
        chance = np.full(len(self._payers), daily * (law.december - 1.0) if december else 0.0)
        if law.emergency > 1.0:
            for salt, every, who in (
                (3, _EMERGENCY_EVERY_DAYS * 4, self._salt),
                (4, _EMERGENCY_EVERY_DAYS, mixed(self._destination, self._world.seed)),
            ):
                period = (day + (who % np.uint64(every)).astype(np.int64)) // every
                begins = (mixed(period, salt) ^ who) % np.uint64(every - _EMERGENCY_DAYS)
                inside = (day + (who % np.uint64(every)).astype(np.int64)) % every - begins.astype(np.int64)
                chance += np.where((inside >= 0) & (inside < _EMERGENCY_DAYS), daily * (law.emergency - 1.0), 0.0)
        return chance

    def _payees(self, rng: Generator, due: Ints, day: int) -> tuple[Ints, Ints]:
        """Payees and their places."""
        payers, places = self._payers[due], self._destination[due]
        slot = np.minimum(rng.geometric(0.6, len(due)) - 1, self._recipients[due] - 1)
        life = max(1, round(self._law.life_days))
        # A slot changes hands once a life, at a moment of its own.
        salted = mixed(payers * 8 + slot, 0x10FE)
        generation = (day + (salted % np.uint64(life)).astype(np.int64)) // life
        if self._law.payee == "family":
            return family(self._world.people.owner[payers], slot, generation % 8), places
        if self._law.payee == "circle":
            circle = self._world.people.circle[payers]
            return account(COLLECTOR, circle), self._world.people.circle_places[circle]
        fixed = mixed(payers * 64 + slot * 8 + generation % 8, self._world.seed)
        if self._law.payee == "charity":
            return pooled(CHARITY, places, (fixed % np.uint64(_CHARITIES_PER_PLACE)).astype(np.int64)), places
        pool = np.uint64(self._first_freelancers)
        return pooled(FREELANCER, places, (fixed % pool).astype(np.int64)), places

    def _fill(self, rng: Generator, rows: Rows, due: Ints, urgent: Bools) -> None:
        """Rail, reference, relationship, purpose."""
        n, words = len(rows), self._world.words
        rows["rail"] = self._rails[(rng.random(n) < 0.3).astype(np.int64), due]
        rows["category"] = np.where(rows["rail"] == RAILS.index("card"), CATEGORIES.index("4829"), -1)
        references = words.draw(rng, self._references, n)
        references[urgent] = words.draw(rng, self._emergency_words, int(urgent.sum()))
        accident = rng.random(n) < self._world.configuration.parameters.lexicon_share
        references[accident] = words.of_theme(rng, "lexicon", int(accident.sum()))
        rows["reference"] = references
        relation = self._relation[due]
        rows["relation"] = np.where(relation < len(RELATIONS), relation, -1)
        purposeful = share_of(self._payers[due], 0xFA31) < self._law.family_purpose
        rows["purpose"] = np.where(purposeful, PURPOSES.index("FAMI"), -1)
        if self._law.payee == "charity":
            rows["purpose"] = PURPOSES.index("CHAR")

    def _eur(self, rng: Generator, due: Ints, day: int) -> Floats:
        rise = self._law.rising ** np.clip((day - self._first[due]) / 365.0, 0.0, 1.0)
        return np.exp(self._level[due] + self._within * rng.standard_normal(len(due))) * rise

    def _rounding(self, rng: Generator, n: int) -> Ints:
        uniform = rng.random(n)
        share = self._law.round_share
        received = share * (_RECEIVED_ROUND_SHARE if self._law.within else 0.0)
        return np.select([uniform < received, uniform < share], [ROUND_RECEIVED, ROUND_SENT], NOT_ROUND)

    def _cash_outs(self, rng: Generator, rows: Rows, eur: Floats, receiver: Ints, day: int) -> Rows:
        """Some recipients take most of the money out at an agent of their place, hours or a day later."""
        taken = np.flatnonzero(share_of(rows["payee"], 0xCA54) < self._law.cash_out_share)
        paid, place, n = rows[taken], receiver[taken], len(taken)
        outs = empty(n)
        dwell = lognormal(rng, *_CASH_OUT_DWELL_HOURS, n) * HOUR_MS
        outs["time"] = paid["time"] + np.maximum(dwell, 60_000.0).astype(np.int64)
        outs["payer"], outs["payee"] = paid["payee"], pooled(AGENT, place, rng.integers(0, 400, n))
        told = self._world.places.told[place]
        out_eur = eur[taken] * rng.uniform(0.80, 0.985, n)
        self._world.places.fill_money(outs, out_eur, told, told, ROUND_SENT, tell=False)
        outs["rail"], outs["category"] = RAILS.index("wallet"), CATEGORIES.index("6010")
        return finish(self._world, outs, source("cash_out"), day << 4 | self._source)


class Payouts:
    """Savings circles pay out: what the members brought together goes to one of them, in turn, once a month."""

    def __init__(self, world: World) -> None:
        self._world, self._source = world, source("circle_payout")
        members = world.people.of("savings_circle")
        order, self._first, self._sizes = groups(world.people.circle[members], len(world.people.circle_places))
        self._members = members[order]
        laws = {each.name: each for each in world.configuration.parameters.routine}
        self._median = laws["savings_circle"].amount[0] if "savings_circle" in laws else 0.0

    def rows(self, day: int) -> Rows:
        """The pots that are handed over on ``day``."""
        rng = generator(self._world.seed, self._source, day)
        paying = np.flatnonzero((day + np.arange(len(self._sizes)) * 7) % _PAYOUT_EVERY_DAYS == _PAYOUT_EVERY_DAYS - 1)
        rows = empty(len(paying))
        turn = (day // _PAYOUT_EVERY_DAYS) % np.maximum(self._sizes[paying], 1)
        member = self._members[self._first[paying] + turn]
        collectors = account(COLLECTOR, paying)
        rows["payer"], rows["payee"] = collectors, account(PAYER, member)
        start = self._world.configuration.start_ms + day * DAY_MS
        rows["time"] = start + (rng.uniform(8.0, 14.0, len(paying)) * HOUR_MS).astype(np.int64)
        eur = self._median * self._sizes[paying] * rng.uniform(0.9, 1.1, len(paying))
        places = self._world.places
        sender = self._world.people.circle_places[paying]
        places.fill_money(rows, eur, places.told[sender], self._world.people.home[member], ROUND_SENT, tell=False)
        rows["rail"] = RAILS.index("bank")
        return finish(self._world, rows, self._source, day)
