"""Savings circles pay out: what the members brought together goes to one of them, in turn."""

from __future__ import annotations

import numpy as np

from services.contract.units import DAY_MS, HOUR_MS
from services.generator.accounts import COLLECTOR, PAYER, account
from services.generator.chance import generator
from services.generator.people import World, groups
from services.generator.places import ROUND_SENT
from services.generator.routine import finish
from services.generator.rows import RAILS, Rows, empty, source

_EVERY_DAYS = 30


class Payouts:
    """Once a month every collector hands the pot to a member."""

    def __init__(self, world: World) -> None:
        self._world, self._source = world, source("circle_payout")
        members = world.people.of("savings_circle")
        order, self._first, self._sizes = groups(world.people.circle[members], len(world.people.circle_places))
        self._members = members[order]
        law = next(each for each in world.configuration.parameters.routine if each.name == "savings_circle")
        self._median = law.amount[0]

    def rows(self, day: int) -> Rows:
        """The pots that are handed over on ``day``."""
        rng = generator(self._world.seed, self._source, day)
        paying = np.flatnonzero((day + np.arange(len(self._sizes)) * 7) % _EVERY_DAYS == _EVERY_DAYS - 1)
        rows = empty(len(paying))
        turn = (day // _EVERY_DAYS) % np.maximum(self._sizes[paying], 1)
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
