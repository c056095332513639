"""Payers who are victims: of financial sexual extortion, and of romance fraud. Their queue is help, never blame."""

from __future__ import annotations

import numpy as np

from services.contract.units import DAY_MS, HOUR_MS
from services.generator.accounts import PAYER, account
from services.generator.chance import generator
from services.generator.drafts import Drafts
from services.generator.patterns import Case
from services.generator.people import World
from services.generator.places import NOT_ROUND, ROUND_SENT
from services.generator.rows import FSEC, Rows, source
from services.generator.truth import Notes


def plan_victims(world: World, drafts: Drafts, notes: Notes) -> None:
    """Plan the victims of both kinds."""
    for name, typology, plan in (
        ("fsec_victim", "fsec", _plan_fsec),
        ("romance_victim", "romance_fraud", _plan_romance),
    ):
        rng = generator(world.seed, source(name))
        for payer in world.people.of(name).tolist():
            notes.typologies[payer] = typology
            plan(Case(world, rng, drafts, notes, typology, name), account(PAYER, payer))


def _plan_fsec(case: Case, payer: int) -> None:
    """1 to 6 payments within three days, the first small, then an abrupt stop."""
    configuration, rng = case.world.configuration, case.rng
    law, n = configuration.parameters.fsec, int(rng.integers(1, 7))
    first = rng.uniform(30.0, law.first_max_eur - 25.0)
    amounts = np.concatenate([[first], first * rng.uniform(0.5, 1.6, n - 1)])
    # Rounding adds a little: the bounds hold for what is sent.
    amounts[1:] *= min(1.0, (law.total_max_eur - 150.0 - first) / max(1.0, float(amounts[1:].sum())))
    span_ms = int(rng.uniform(2.0, law.within_hours - 1.0) * HOUR_MS)
    begin_ms = configuration.start_ms + int(rng.random() * (configuration.end_ms - configuration.start_ms - span_ms))
    times = np.sort(rng.integers(0, span_ms, n))
    payees = [case.fresh(payer, "extortioner", abroad=True) for _ in range(1 + (n > 3))]
    themes = {"none": 0.45, "demand": 0.30, "handle": 0.15, "family": 0.10}
    rail = str(rng.choice(["wallet", "remitter", "voucher", "virtual_asset"], p=[0.45, 0.3, 0.1, 0.15]))
    for time_ms, eur in zip(times.tolist(), amounts.tolist(), strict=True):
        payee = payees[int(rng.integers(0, len(payees)))]
        rounding = ROUND_SENT if eur < 200.0 and rng.random() < 0.5 else NOT_ROUND
        reference = case.reference(themes)
        case.pay(begin_ms + time_ms, payer, payee, eur, rail=rail, rounding=rounding, reference=reference)


def _plan_romance(case: Case, payer: int) -> None:
    """Weekly payments to one or two people, rising from small help to large sums."""
    configuration, rng = case.world.configuration, case.rng
    law = configuration.parameters.romance
    weeks = min(int(rng.integers(law.weeks[0], law.weeks[1] + 1)), max(1, configuration.days // 7 - 1))
    begin = rng.uniform(0.0, configuration.days - 7.0 * weeks)
    payees = [case.fresh(payer, "romance_fraudster", abroad=True) for _ in range(2)]
    themes = {"support": 0.6, "none": 0.3, "family": 0.1}
    rail = str(rng.choice(["remitter", "wallet", "bank"], p=[0.5, 0.25, 0.25]))
    low, high = np.log(law.from_to_eur[0]), np.log(law.from_to_eur[1])
    for week in range(weeks):
        eur = float(np.exp(low + (high - low) * week / max(1, weeks - 1) + rng.normal(0.0, 0.25)))
        time_ms = configuration.start_ms + int((begin + 7.0 * week + rng.uniform(0.0, 3.0)) * DAY_MS)
        payee, rounding = payees[int(rng.random() < 0.15)], ROUND_SENT if rng.random() < 0.7 else NOT_ROUND
        reference, relation = case.reference(themes), "partner" if rng.random() < 0.3 else "none"
        case.pay(time_ms, payer, payee, eur, rail=rail, rounding=rounding, reference=reference, relation=relation)


def fsec_largest(world: World, rows: Rows) -> tuple[float, float, float]:
    """The largest first payment (EUR), total (EUR) and span (hours) of a victim of extortion."""
    rows = rows[rows["typology"] == FSEC]
    eur = world.places.eur_of(rows)
    first = total = hours = 0.0
    for payer in np.unique(rows["payer"]).tolist():
        mine = rows["payer"] == payer
        times = rows["time"][mine]
        first, total = max(first, float(eur[mine][0])), max(total, float(eur[mine].sum()))
        hours = max(hours, float(times.max() - times.min()) / HOUR_MS)
    return first, total, hours
