"""A diaspora twin for every LSAC payer: the same corridor, the same total every month, and a family's rhythm."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np

from services.contract.units import DAY_MS
from services.generator.accounts import PAYER, account, family
from services.generator.chance import Choice, Generator, generator, pick
from services.generator.configuration import Configuration
from services.generator.drafts import Draft, Drafts
from services.generator.parameters import RoutineLaw
from services.generator.people import World
from services.generator.routine import local_times
from services.generator.rows import Rows, source


def monthly_totals(configuration: Configuration, rows: Rows, persons: dict[int, int]) -> dict[int, Counter[int]]:
    """Minor units that each payer of ``rows`` sends, by month; ``persons`` joins the accounts of one payer."""
    totals: defaultdict[int, Counter[int]] = defaultdict(Counter)
    columns = (rows[name].tolist() for name in ("payer", "time", "amount"))
    for payer, time_ms, amount in zip(*columns, strict=True):
        month = configuration.month_of((time_ms - configuration.start_ms) // DAY_MS)
        totals[persons.get(payer, payer)][month] += amount
    return totals


def months_unlike(world: World, rows: Rows, persons: dict[int, int]) -> int:
    """Months in which a twin does not send what its LSAC payer sends; ``persons`` joins the accounts of one payer."""
    lsac = monthly_totals(world.configuration, rows[rows["source"] == source("lsac")], persons)
    twins = monthly_totals(world.configuration, rows[rows["source"] == source("lsac_twin")], {})
    unlike = 0
    for twin in world.people.of("lsac_twin").tolist():
        wanted = lsac.get(int(account(PAYER, world.people.twin_of[twin])), Counter())
        sent = twins.get(account(PAYER, twin), Counter())
        unlike += sum(wanted.get(month) != sent.get(month) for month in {*wanted, *sent})
    return unlike


def plan_twins(world: World, drafts: Drafts, lsac: Rows, persons: dict[int, int]) -> None:
    """Plan the twins of the payers in ``lsac``, the rows that LSAC payers send; ``persons`` joins their accounts."""
    configuration = world.configuration
    rng = generator(world.seed, source("lsac_twin"))
    totals = monthly_totals(configuration, lsac, persons)
    law = next(each for each in configuration.parameters.routine if each.name == "diaspora")
    for twin in world.people.of("lsac_twin").tolist():
        _plan_twin(world, rng, law, twin, drafts, totals.get(int(world.people.twin_of[twin]), {}))


def _plan_twin(
    world: World, rng: Generator, law: RoutineLaw, twin: int, drafts: Drafts, totals: Mapping[int, int]
) -> None:
    """Plan the payments of one twin, of whose months ``totals`` says what is sent."""
    configuration, places, words = world.configuration, world.places, world.words
    cadence, payday = pick(rng, law.cadence), int(rng.integers(24, 27))
    recipients = min(1 + int(rng.poisson(law.recipients_extra)), law.recipients_max)
    rail, relation = pick(rng, law.rails), pick(rng, law.relations)
    profile = pick(rng, law.hours_mix) if law.hours_mix else law.hours
    home, hours = int(world.people.home[twin]), Choice(range(24), configuration.parameters.hours[profile])
    for month in sorted(totals):
        first = (configuration.month_start(month) - configuration.first_day).days
        parts = _parts(rng, cadence, payday, totals[month], places.minor[home] * places.unit[home])
        for day, minor in zip(*parts, strict=True):
            slot = min(int(rng.geometric(0.6)) - 1, recipients - 1)
            time_ms = int(local_times(world, rng, hours, first + day, np.array([home]))[0])
            drafts.add(
                Draft(
                    time_ms, account(PAYER, twin),
                    family(twin, slot, 0), minor / float(places.minor[home] * places.rate[home]), "lsac_twin",
                    rail=rail, reference=words.one(rng, law.references), relation=relation,
                    purpose="FAMI" if rng.random() < law.family_purpose else "none",
                )
            )  # fmt: skip


def _parts(rng: Generator, cadence: str, payday: int, total: int, unit: float) -> tuple[list[int], list[int]]:
    """Days of the month and amounts (minor units) that add up to ``total``; all but the last are round."""
    days = {"monthly": [payday], "fortnightly": [payday - 14, payday]}.get(cadence)
    if days is None:
        days = sorted({int(each) for each in rng.integers(2, 27, int(rng.integers(1, 4)))})
    step, left, parts = round(10 * unit), total, []
    for at in range(len(days) - 1):
        share = round(left / (len(days) - at) / step) * step
        if not 0 < share < left:
            return [days[-1]], [total]
        parts.append(share)
        left -= share
    return days, [*parts, left]
