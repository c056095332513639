"""A diaspora twin for every LSAC payer: the same corridor, the same total every month, and a family's rhythm."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from services.contract.units import DAY_MS
from services.generator.accounts import PAYER, account, family
from services.generator.chance import Generator, choice_of, generator
from services.generator.configuration import Configuration
from services.generator.drafts import Draft, Drafts
from services.generator.parameters import RoutineLaw
from services.generator.people import World
from services.generator.routine import hours_choice, local_ms
from services.generator.rows import RAILS, RELATIONS, Rows, source


def month_of(configuration: Configuration, time_ms: int) -> int:
    """The calendar month (UTC) of the horizon, counted from 0."""
    day = configuration.first_day + timedelta(days=(time_ms - configuration.start_ms) // DAY_MS)
    first = configuration.first_day
    return (day.year - first.year) * 12 + day.month - first.month


def monthly_totals(configuration: Configuration, rows: Rows, persons: dict[int, int]) -> dict[int, dict[int, int]]:
    """Minor units that each payer of ``rows`` sends, by month; ``persons`` joins the accounts of one payer."""
    totals: dict[int, dict[int, int]] = {}
    columns = (rows[name].tolist() for name in ("payer", "time", "amount"))
    for payer, time_ms, amount in zip(*columns, strict=True):
        months = totals.setdefault(persons.get(payer, payer), {})
        month = month_of(configuration, time_ms)
        months[month] = months.get(month, 0) + amount
    return totals


def months_unlike(world: World, rows: Rows, persons: dict[int, int]) -> int:
    """Months in which a twin does not send what its LSAC payer sends; ``persons`` joins the accounts of one payer."""
    lsac = monthly_totals(world.configuration, rows[rows["source"] == source("lsac")], persons)
    twins = monthly_totals(world.configuration, rows[rows["source"] == source("lsac_twin")], {})
    unlike = 0
    for twin in world.people.of("lsac_twin").tolist():
        wanted = lsac.get(int(account(PAYER, world.people.twin_of[twin])), {})
        sent = twins.get(account(PAYER, twin), {})
        unlike += sum(wanted.get(month) != sent.get(month) for month in {*wanted, *sent})
    return unlike


def plan_twins(world: World, drafts: Drafts, lsac: Rows, persons: dict[int, int]) -> None:
    """Plan the twins of the payers in ``lsac``, the rows that LSAC payers send; ``persons`` joins their accounts."""
    configuration = world.configuration
    rng = generator(world.seed, source("lsac_twin"))
    totals = monthly_totals(configuration, lsac, persons)
    law = next(each for each in configuration.parameters.routine if each.name == "diaspora")
    for twin in world.people.of("lsac_twin").tolist():
        _Twin(world, rng, law, twin).plan(drafts, totals.get(int(world.people.twin_of[twin]), {}))


class _Twin:
    """Plans the payments of one twin."""

    def __init__(self, world: World, rng: Generator, law: RoutineLaw, twin: int) -> None:
        self._world, self._rng, self._law, self._twin = world, rng, law, twin
        cadences = list(law.cadence)
        self._cadence = cadences[int(choice_of(cadences, law.cadence).draw(rng, 1)[0])]
        self._payday = int(rng.integers(24, 27))
        self._recipients = min(1 + int(rng.poisson(law.recipients_extra)), law.recipients_max)
        self._rail = RAILS[int(choice_of(RAILS, law.rails).draw(rng, 1)[0])]
        named = [*RELATIONS, None]
        self._relation = named[int(choice_of([*RELATIONS, "none"], law.relations).draw(rng, 1)[0])]

    def plan(self, drafts: Drafts, totals: dict[int, int]) -> None:
        configuration, places, rng = self._world.configuration, self._world.places, self._rng
        home = int(self._world.people.home[self._twin])
        words, hours = self._world.words, hours_choice(configuration.parameters.hours[self._law.hours])
        for month in sorted(totals):
            first = (configuration.month_start(month) - configuration.first_day).days
            for day, minor in zip(*self._parts(totals[month], places.minor[home] * places.unit[home]), strict=True):
                slot = min(int(rng.geometric(0.6)) - 1, self._recipients - 1)
                local = int(local_ms(rng, hours, 1)[0])
                time_ms = configuration.start_ms + (first + day) * DAY_MS + local
                reference = int(words.draw(rng, words.chooser(self._law.references), 1)[0])
                drafts.add(
                    Draft(
                        time_ms - int(places.offset_minutes[home]) * 60_000, int(account(PAYER, self._twin)),
                        int(family(np.array([self._twin]), np.array([slot]), np.array([0]))[0]),
                        minor / float(places.minor[home] * places.rate[home]), "lsac_twin", rail=self._rail,
                        reference=reference, relation=self._relation,
                        purpose="FAMI" if rng.random() < self._law.family_purpose else None,
                    )
                )  # fmt: skip

    def _parts(self, total: int, unit: float) -> tuple[list[int], list[int]]:
        """Days of the month and amounts (minor units) that add up to ``total``; all but the last are round."""
        days = {"monthly": [self._payday], "fortnightly": [self._payday - 14, self._payday]}.get(self._cadence)
        if days is None:
            days = sorted({int(each) for each in self._rng.integers(2, 27, int(self._rng.integers(1, 4)))})
        step, left, parts = round(10 * unit), total, []
        for at in range(len(days) - 1):
            share = round(left / (len(days) - at) / step) * step
            if not 0 < share < left:
                return [days[-1]], [total]
            parts.append(share)
            left -= share
        return days, [*parts, left]
