"""Everything that is planned ahead: the payments of rare typologies, and what is true of those who take part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from services.generator.accounts import COLLECTOR, EVERYDAY, PAYER, SECOND, SPECIAL, account, number_of
from services.generator.chance import Ints
from services.generator.drafts import Drafts
from services.generator.labels import case_labels, payment_id
from services.generator.look_alikes import plan_look_alikes
from services.generator.lsac import plan_lsac
from services.generator.patterns import plan_cases
from services.generator.people import DOMESTIC_ONLY, World
from services.generator.rows import ALL_SOURCES, LSAC_CASH_OUT, NONE, TYPOLOGIES, Rows, source
from services.generator.truth import AccountTruth, LabelTruth, Notes, PaymentTruth
from services.generator.twins import plan_twins
from services.generator.victims import plan_victims

Degrees: TypeAlias = dict[int, tuple[int, int]]
"""Payments of a typology, and different counterparties, of each account on one side."""


@dataclass(slots=True)
class Plan:
    """Planned payments in the order of their times, the case of each, and notes for truth."""

    rows: Rows
    cases: Ints
    notes: Notes
    labels: list[LabelTruth]


def build_plan(world: World) -> Plan:
    """Plan a world's rare typologies. Memory is theirs, not the background's."""
    notes, drafts = Notes(), Drafts(world)
    plan_lsac(world, drafts, notes)
    first, _ = drafts.rows()
    plan_twins(world, drafts, first[first["source"] == source("lsac")], notes.persons)
    plan_victims(world, drafts, notes)
    plan_cases(world, drafts, notes)
    plan_look_alikes(world, drafts, notes)
    rows, numbers = drafts.rows()
    return Plan(rows, numbers, notes, case_labels(world, rows, numbers))


def payment_truth(plan: Plan) -> Iterator[PaymentTruth]:
    """The payments that belong to a typology, by time."""
    columns = plan.rows["pid"].tolist(), plan.rows["typology"].tolist(), plan.cases.tolist()
    for pid, typology, case in zip(*columns, strict=True):
        if typology != NONE:
            yield PaymentTruth(payment_id(pid), TYPOLOGIES[typology], case)


def account_truth(world: World, plan: Plan) -> Iterator[AccountTruth]:
    """Every payer, then every planned or special payee."""
    made = _degrees(plan.rows, "payer", "payee")
    yield from _payers(world, plan, made)
    yield from _payees(world, plan, made, _degrees(plan.rows, "payee", "payer"))


def _payers(world: World, plan: Plan, made: Degrees) -> Iterator[AccountTruth]:
    people, notes, name = world.people, plan.notes, world.accounts.identifier
    twin_of = people.twin_of.tolist()
    seconds = set(notes.persons.values())
    systems = world.configuration.parameters.systems
    for payer, code in enumerate(people.population.tolist()):
        population = "domestic" if code == DOMESTIC_ONLY else ALL_SOURCES[code]
        first, second = account(PAYER, payer), account(SECOND, payer)
        two = bool(people.two_accounts[payer])
        lsac = population == "lsac"
        planned = lsac or payer in notes.typologies
        for number in (first, second) if two else (first,):
            payments, counterparties = made.get(number, (0, 0)) if planned else (None, None)
            yield AccountTruth(
                name(number),
                "payer",
                population,
                population,
                typology="lsac" if lsac else notes.typologies.get(payer),
                sub_type=notes.sub_types.get(payer),
                payments=payments,
                counterparties=counterparties,
                lifetime_payments=notes.lifetime.get(payer) if number == first else None,
                twin_of=name(account(PAYER, twin_of[payer])) if twin_of[payer] >= 0 and number == first else None,
                person=name(first) if two or first in seconds else None,
                source_system=systems[people.system[payer]].name if systems else None,
                also=ALL_SOURCES[people.second[payer]] if people.second[payer] >= 0 else None,
            )


def _payees(world: World, plan: Plan, made: Degrees, paid: Degrees) -> Iterator[AccountTruth]:
    name, persons = world.accounts.identifier, plan.notes.persons
    for at, special in enumerate(world.accounts.special):
        number = account(SPECIAL, at)
        second = special.role == "lsac_second_account"
        payments, counterparties = (made if second else paid).get(number, (0, 0))
        lsac = second or special.role in ("facilitator", "direct_beneficiary")
        yield AccountTruth(
            name(number),
            "payer" if second else "payee",
            "lsac" if second else special.role,
            "lsac" if second else special.role,
            typology="lsac" if lsac else None if special.role == EVERYDAY else special.role,
            sub_type=plan.notes.sub_types.get(number_of(persons[number])) if second else None,
            payments=payments,
            counterparties=counterparties,
            person=name(persons[number]) if second else None,
            cluster=special.cluster if special.cluster >= 0 else None,
            minor=special.minor,
        )
    for circle in range(len(world.people.circle_places)):
        yield AccountTruth(name(account(COLLECTOR, circle)), "payee", "collector", "savings_circle")


def _degrees(rows: Rows, side: str, other: str) -> Degrees:
    rows = rows[(rows["typology"] != NONE) & (rows["typology"] != LSAC_CASH_OUT)]
    counterparties: defaultdict[int, list[int]] = defaultdict(list)
    for each, counterparty in zip(rows[side].tolist(), rows[other].tolist(), strict=True):
        counterparties[each].append(counterparty)
    return {each: (len(those), len(set(those))) for each, those in counterparties.items()}


def planned_of_day(plan: Plan, begin_ms: int, end_ms: int) -> Rows:
    """The planned payments from ``begin_ms`` up to, not including, ``end_ms``."""
    low, high = np.searchsorted(plan.rows["time"], [begin_ms, end_ms])
    return plan.rows[low:high].copy()
