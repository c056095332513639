"""Routines of a drawn world: all classes of innocents at once, each payer with one or two of them, a day at a time.

A habit is one routine of one payer. It keeps a few numbers, drawn once; what happens on a day depends only on the seed
and the day. Beside the routines of ``routine.py``: hours by payer, recipients who live, move and change accounts,
payments in bursts and sittings, and amounts that a payer repeats.
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
    GENERATIONS,
    PAYER,
    PHASES,
    PLATFORM,
    SECOND,
    SLOTS,
    account,
    person,
    pooled,
)
from services.generator.chance import (
    Bools,
    Floats,
    Generator,
    Ints,
    choice_of,
    generator,
    lognormal,
    mix,
    mixed,
    normal_of,
    share_of,
)
from services.generator.chance import (
    Words as Bits,
)
from services.generator.parameters import RoutineLaw
from services.generator.people import World
from services.generator.places import NOT_ROUND, ROUND_RECEIVED, ROUND_SENT
from services.generator.rhythm import CADENCES, Rhythm
from services.generator.routine import (
    PAYDAYS,
    finish,
)
from services.generator.rows import CATEGORIES, PURPOSES, RAILS, RELATIONS, Rows, empty, joined, source

_DAILY = 1.0 / 30.44
_SITTING_HOURS = 3.0
_SAME_PAYEE_SHARE = 0.6  # of what follows in a sitting
_SECOND_ACCOUNT_USE = 0.35
_RECEIVED_ROUND_SHARE = 0.25
_CASH_OUT_DWELL_HOURS = (20.0, 1.4)
_PRICE_POINTS = 3
_POOL_ROOM = 18
_PLATFORMS = 25
_CHARITIES = 60
_EMERGENCY_EVERY_DAYS, _EMERGENCY_DAYS, _EMERGENCY_A_DAY = 400, 3, 0.04
_NUMBERS = (
    "within", "recipients_extra", "recipients_max", "life_days", "life_sigma", "round_share", "irregular_per_month",
    "pace_sigma", "second_recipient", "two_rails", "family_purpose", "skip", "rising", "december", "emergency",
    "cash_out_share", "favour", "sitting", "price_points", "elsewhere",
)  # fmt: skip
_PAYEES = ("person", "family", "charity", "circle", "pool", "freelancer", "platform")


class Habits:
    """All routines of a world."""

    def __init__(self, world: World) -> None:
        self._world, self._source = world, source("habit")
        self._laws = laws = world.configuration.parameters.routine
        parts = [_members(world, law) for law in laws]
        self._payers = np.concatenate([each for each, _ in parts])
        self._second = np.concatenate([each for _, each in parts])
        self._law = np.repeat(np.arange(len(laws)), [len(each) for each, _ in parts])
        self._table = {name: np.array([getattr(law, name) for law in laws], dtype=np.float64) for name in _NUMBERS}
        self._table["median"], self._table["sigma"] = np.array([law.amount for law in laws]).T
        self._codes: Ints = np.array([source(law.name) for law in laws], dtype=np.int64)
        self._kinds: Ints = np.array([_PAYEES.index(law.payee) for law in laws], dtype=np.int64)
        self._bursts: Floats = np.array([law.burst for law in laws], dtype=np.float64)
        self._pools: Ints = np.array(
            [max(5, round(law.pool_share * len(each))) for law, (each, _) in zip(laws, parts, strict=True)]
        )
        self._draw_habits(generator(world.seed, self._source, 0))
        self._hours = np.stack([_edges(hours) for hours in world.configuration.parameters.hours.values()])
        self._references = _References(world, laws)
        self._categories = [np.array([CATEGORIES.index(each) for each in law.categories]) for law in laws]

    def _draw_habits(self, rng: Generator) -> None:
        people, law, n = self._world.people, self._law, len(self._payers)
        parameters = self._world.configuration.parameters
        self._cadence = self._each(rng, lambda each: choice_of(CADENCES, each.cadence).of)
        self._phase, self._payday = rng.integers(0, 10_000, n), rng.integers(*PAYDAYS, n)
        sigma, within = self._of("sigma"), self._of("within")
        self._level = np.log(self._of("median")) + sigma * np.sqrt(1.0 - within**2) * rng.standard_normal(n)
        self._home = people.home[self._payers]
        places = self._world.places
        self._level += np.log(places.level[self._home])
        self._spread = sigma * within
        extra = rng.poisson(self._of("recipients_extra"))
        self._recipients = np.minimum(1 + extra, np.minimum(self._of("recipients_max"), SLOTS)).astype(np.int64)
        pace = self._of("irregular_per_month") * np.exp(self._of("pace_sigma") * rng.standard_normal(n))
        self._pace = np.where(self._cadence == CADENCES.index("irregular"), pace * _DAILY, 0.0)
        first = self._each(rng, lambda each: choice_of(RAILS, each.rails).of)
        other = self._each(rng, lambda each: choice_of(RAILS, each.rails).of)
        self._rails = np.stack([first, np.where(rng.random(n) < self._of("two_rails"), other, first)])
        self._relation = self._each(rng, lambda each: choice_of([*RELATIONS, "none"], each.relations).of)
        self._profile = self._each(rng, lambda each: choice_of(list(parameters.hours), each.hours_mix).of)
        self._destination = people.destination[self._payers]
        self._first_day, self._last_day = people.first_day[self._payers], people.last_day[self._payers]
        self._salt = mixed(self._payers << 8 | law, mix(self._world.seed ^ self._source))
        self._rhythm = Rhythm(self._cadence, self._payday, self._phase, self._salt)

    def _of(self, name: str, which: Ints | None = None) -> Floats:
        """A number of each habit's law."""
        return self._table[name][self._law if which is None else self._law[which]]

    def _each(self, rng: Generator, chooser: object) -> Ints:
        """A code of each habit, by its law's choice."""
        uniform, codes = rng.random(len(self._payers)), np.zeros(len(self._payers), dtype=np.int64)
        for at, law in enumerate(self._laws):
            mask = self._law == at
            codes[mask] = chooser(law)(uniform[mask])  # type: ignore[operator]
        return codes

    def rows(self, day: int) -> Rows:
        """What happens on local ``day``, in no order; money taken out may fall on later days."""
        world = self._world
        rng = generator(world.seed, self._source, day + 1)
        due, urgent = self._due(rng, day)
        begun = len(due)
        follows = np.flatnonzero(rng.random(begun) < self._of("sitting", due))
        due, urgent = np.concatenate([due, due[follows]]), np.concatenate([urgent, urgent[follows]])
        n = len(due)
        if n == 0:
            return empty(0)
        rows = empty(n)
        rows["payee"], receiver = self._payees(rng, due, day)
        same = np.flatnonzero(rng.random(len(follows)) < _SAME_PAYEE_SHARE)
        rows["payee"][begun + same], receiver[begun + same] = rows["payee"][follows[same]], receiver[follows[same]]
        payers = self._payers[due]
        second = world.people.two_accounts[payers] & (rng.random(n) < _SECOND_ACCOUNT_USE)
        rows["payer"] = np.where(second, account(SECOND, payers), account(PAYER, payers))
        rows["time"] = self._times(rng, due, day)
        later = rng.uniform(0.05, _SITTING_HOURS, len(follows)) * HOUR_MS
        rows["time"][begun:] = rows["time"][follows] + later.astype(np.int64)
        self._fill(rng, rows, due, urgent)
        eur = self._eur(rng, due, day) * world.places.level[receiver]
        places = world.places
        places.fill_money(rows, eur, self._home[due], receiver, self._rounding(rng, due), np.ones(n, dtype=np.bool_))
        finish(world, rows, self._source, day)
        rows["source"] = self._codes[self._law[due]]
        return joined([rows, self._cash_outs(rng, rows, due, eur, receiver, day)])

    def _due(self, rng: Generator, day: int) -> tuple[Ints, Bools]:
        """Which habits pay today (some twice), and which of these payments are urgent help."""
        n = len(self._payers)
        due = self._rhythm.due(self._world.configuration, day)
        uniform = rng.random((3, n))
        due |= uniform[0] < self._pace + self._bursting(day)
        due &= uniform[1] >= self._of("skip")
        extra = uniform[2] < self._extra(day)
        active = (self._first_day <= day) & (day < self._last_day)
        regular, urgent = np.flatnonzero(due & active), np.flatnonzero(extra & active)
        again = regular[rng.random(len(regular)) < self._of("second_recipient", regular)]
        all_due = np.concatenate([regular, again, urgent])
        return all_due, np.arange(len(all_due)) >= len(regular) + len(again)

    def _bursting(self, day: int) -> Floats:
        """The chance of a payment today of those who pay in bursts."""
        chance = np.zeros(len(self._payers))
        which = np.flatnonzero(self._cadence == CADENCES.index("bursts"))
        every, length, daily = self._bursts[self._law[which]].T
        every, length = np.maximum(2, every).astype(np.int64), np.maximum(1, length).astype(np.int64)
        at = day + self._phase[which]
        begins = (mixed(at // every, 5) ^ self._salt[which]) % np.maximum(1, every - length).astype(np.uint64)
        inside = at % every - begins.astype(np.int64)
        chance[which] = np.where((inside >= 0) & (inside < length), daily, 0.0)
        return chance

    def _extra(self, day: int) -> Floats:
        """The chance of a further payment today: December, or an emergency of the recipients."""
        configuration = self._world.configuration
        december = (configuration.first_day + timedelta(days=day)).month == 12
        chance = 1.3 * _DAILY * (self._of("december") - 1.0) if december else np.zeros(len(self._payers))
        at = day + (self._salt >> np.uint64(20)).astype(np.int64) % _EMERGENCY_EVERY_DAYS
        inside = at % _EMERGENCY_EVERY_DAYS < _EMERGENCY_DAYS
        return chance + np.where(inside, _EMERGENCY_A_DAY * (self._of("emergency") - 1.0), 0.0)

    def _times(self, rng: Generator, due: Ints, day: int) -> Ints:
        """Event times by each habit's own hours."""
        n, configuration, edges = len(due), self._world.configuration, self._hours[self._profile[due]]
        hour = np.minimum((edges <= rng.random(n)[:, None]).sum(axis=1), 23)
        local = ((hour + rng.random(n)) * HOUR_MS).astype(np.int64)
        offset = self._world.places.offset_minutes[self._home[due]]
        times: Ints = configuration.start_ms + day * DAY_MS + local - offset * 60_000
        return times

    def _payees(self, rng: Generator, due: Ints, day: int) -> tuple[Ints, Ints]:
        """Payees and their places."""
        people, payers, law, second = self._world.people, self._payers[due], self._law[due], self._second[due]
        ranks = np.floor(np.log1p(-rng.random(len(due))) / np.log1p(-self._of("favour", due))).astype(np.int64)
        count = self._recipients[due]
        slot = np.where(ranks < count, ranks, mixed(ranks, 0).astype(np.int64) % count)
        owner = np.where(second == 0, people.owner[payers], payers)
        key = mixed((owner << 1 | second) * SLOTS + slot, mix(self._world.seed ^ 0x10FE))
        days = self._of("life_days", due) * np.exp(self._of("life_sigma", due) * normal_of(key))
        life: Ints = np.maximum(3.0, days).astype(np.int64)
        begins = (key % np.uint64(1 << 40)).astype(np.int64) % life
        generation = (day + begins) // life % GENERATIONS
        places = np.where(share_of(key, 0xE15E) < self._of("elsewhere", due), people.elsewhere[payers],
                          self._destination[due])  # fmt: skip
        phase = self._phases(day, key)
        payees = person(places, owner, second, slot, generation, phase)
        kind = self._kinds[law]
        one = mixed(key, 0xF1) ^ mixed(generation, 0xF2)
        for name, pool, size in (("charity", CHARITY, _CHARITIES), ("platform", PLATFORM, _PLATFORMS)):
            mask = kind == _PAYEES.index(name)
            payees[mask] = pooled(pool, places[mask], (one[mask] % np.uint64(size)).astype(np.int64))
        mask = kind >= _PAYEES.index("pool")
        mask &= kind < _PAYEES.index("platform")
        skewed = (one[mask] >> np.uint64(11)).astype(np.float64) / (1 << 53)
        chosen = (skewed**2 * self._pools[law[mask]]).astype(np.int64)
        payees[mask] = pooled(FREELANCER, places[mask], law[mask] << _POOL_ROOM | chosen)
        mask = kind == _PAYEES.index("circle")
        circle = people.circle[payers[mask]]
        payees[mask], places[mask] = account(COLLECTOR, circle), people.circle_places[circle]
        return payees, places

    def _phases(self, day: int, key: Bits) -> Ints:
        """Which of its accounts a recipient has today."""
        parameters = self._world.configuration.parameters
        days = max(2, round(parameters.rotation_days))
        phase = (day + (mixed(key, 0x9A) % np.uint64(days)).astype(np.int64)) // days % PHASES
        return np.where(share_of(key, 0x4073) < parameters.rotation_share, phase, 0)

    def _fill(self, rng: Generator, rows: Rows, due: Ints, urgent: Bools) -> None:
        """Rail, reference, relationship, purpose, category."""
        n, law = len(rows), self._law[due]
        rows["rail"] = self._rails[(rng.random(n) < 0.3).astype(np.int64), due]
        rows["category"] = np.where(rows["rail"] == RAILS.index("card"), CATEGORIES.index("4829"), -1)
        for code, categories in enumerate(self._categories):
            if len(categories):
                which = np.flatnonzero(law == code)
                rows["category"][which] = categories[rng.integers(0, len(categories), len(which))]
        rows["reference"] = self._references.draw(rng, np.where(urgent, len(self._laws), law))
        accident = np.flatnonzero(rng.random(n) < self._world.configuration.parameters.lexicon_share)
        rows["reference"][accident] = self._world.words.of_theme(rng, "lexicon", len(accident))
        relation = self._relation[due]
        rows["relation"] = np.where(relation < len(RELATIONS), relation, -1)
        purposeful = share_of(self._salt[due], 0xFA31) < self._of("family_purpose", due)
        purpose = np.where(purposeful, PURPOSES.index("FAMI"), -1)
        rows["purpose"] = np.where(self._kinds[law] == _PAYEES.index("charity"), PURPOSES.index("CHAR"), purpose)

    def _eur(self, rng: Generator, due: Ints, day: int) -> Floats:
        n = len(due)
        normal: Floats = rng.standard_normal(n)
        points = mixed(self._salt[due] + rng.integers(0, _PRICE_POINTS, n).astype(np.uint64), 0x9C)
        normal = np.where(rng.random(n) < self._of("price_points", due), normal_of(points), normal)
        rise = self._of("rising", due) ** np.clip((day - self._first_day[due]) / 365.0, 0.0, 1.0)
        eur: Floats = np.exp(self._level[due] + self._spread[due] * normal) * rise
        return eur

    def _rounding(self, rng: Generator, due: Ints) -> Ints:
        uniform, share = rng.random(len(due)), self._of("round_share", due)
        received = share * np.where(self._spread[due] > 0.0, _RECEIVED_ROUND_SHARE, 0.0)
        return np.select([uniform < received, uniform < share], [ROUND_RECEIVED, ROUND_SENT], NOT_ROUND)

    def _cash_outs(self, rng: Generator, rows: Rows, due: Ints, eur: Floats, receiver: Ints, day: int) -> Rows:
        """Some recipients take most of the money out at an agent of their place, hours or a day later."""
        taken = np.flatnonzero(share_of(rows["payee"], 0xCA54) < self._of("cash_out_share", due))
        paid, place, n = rows[taken], receiver[taken], len(taken)
        outs, places = empty(n), self._world.places
        dwell = lognormal(rng, *_CASH_OUT_DWELL_HOURS, n) * HOUR_MS
        outs["time"] = paid["time"] + np.maximum(dwell, 60_000.0).astype(np.int64)
        outs["payer"], outs["payee"] = paid["payee"], pooled(AGENT, place, rng.integers(0, 400, n))
        told, out_eur = places.told[place], eur[taken] * rng.uniform(0.80, 0.985, n)
        places.fill_money(outs, out_eur, told, told, ROUND_SENT, tell=False)
        outs["rail"], outs["category"] = RAILS.index("wallet"), CATEGORIES.index("6010")
        return finish(self._world, outs, source("cash_out"), day << 6)


class _References:
    """References of many laws at once; the last row is that of urgent help."""

    def __init__(self, world: World, laws: tuple[RoutineLaw, ...]) -> None:
        words = world.words
        names = [*words.themes]
        shares = [*(law.references for law in laws), {"medical": 0.6, "family": 0.2, "none": 0.2}]
        weights = np.array([[each.get(name, 0.0) for name in [*names, "none"]] for each in shares])
        self._edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
        longest = max(len(texts) for texts in words.themes.values())
        self._texts = np.stack([np.resize(words.themes[name], longest) for name in names])
        self._counts = np.array([len(words.themes[name]) for name in names])

    def draw(self, rng: Generator, rows: Ints) -> Ints:
        """A reference by the law of each row."""
        n = len(rows)
        theme = (self._edges[rows] <= rng.random(n)[:, None]).sum(axis=1)
        said = np.minimum(theme, len(self._counts) - 1)
        text = self._texts[said, (rng.random(n) * self._counts[said]).astype(np.int64)]
        references: Ints = np.where(theme < len(self._counts), text << 24 | rng.integers(0, 1 << 24, n), -1)
        return references


def _members(world: World, law: RoutineLaw) -> tuple[Ints, Ints]:
    """The payers of a routine, and of which it is the second one."""
    first, second = world.people.of(law.name), np.flatnonzero(world.people.second == source(law.name))
    return np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)])


def _edges(weights: tuple[float, ...]) -> Floats:
    edges = np.cumsum(np.array(weights, dtype=np.float64))
    shares: Floats = edges / edges[-1]
    return shares
