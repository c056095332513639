"""Worlds made by hand: what each indicator says of whom is drawn with chances that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import structs

from services.scorer.path.rules.pack import HIT, MISSING, NO_HIT
from services.scorer.path.rules.pack_format import Pack
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import pack_text
from services.workbench.assessment.truth import AccountLine, Truth
from services.workbench.indicators.counts import World, world_of

SUBJECTS, PAYMENTS = 400, 6
LSAC = parse_pack(pack_text("lsac"))


def pack_of(*names: str) -> Pack:
    """The lsac pack with a few of its indicators, those against at the end, each of weight 1 either way."""
    chosen = [next(each for each in LSAC.indicators if each.id == name) for name in names]
    plain = tuple(structs.replace(each, weight=-1.0 if each.counters else 1.0, innocent=False) for each in chosen)
    return structs.replace(LSAC, indicators=plain)


def world(
    name: str, pack: Pack, chances: Mapping[str, tuple[float, float]], seed: int, missing: Sequence[str] = ()
) -> World:
    """A world in which an indicator hits payments of others and of those looked for with these ``chances``; those in
    ``missing`` are never measured. Each payer pays a payee of its own; a quarter is looked for, and so are its payees.
    """
    draw = np.random.default_rng(seed)
    accounts = np.repeat(np.arange(SUBJECTS), PAYMENTS)
    positive = np.arange(SUBJECTS) % 4 == 0
    outcomes = np.empty((len(accounts), len(pack.indicators)), dtype=np.uint8)
    for at, indicator in enumerate(pack.indicators):
        chance = np.where(positive[accounts], chances[indicator.id][1], chances[indicator.id][0])
        outcomes[:, at] = np.where(draw.random(len(accounts)) < chance, HIT, NO_HIT)
        if indicator.id in missing:
            outcomes[:, at] = MISSING
    lines = np.stack([accounts, accounts + SUBJECTS], axis=1)
    silent = np.zeros((len(accounts), 2), dtype=np.bool_)
    return world_of(name, outcomes, silent, np.stack([accounts, accounts], axis=1), lines, truth(positive.tolist()))


def truth(positive: Sequence[bool]) -> Truth:
    """Payers, then payees, of one world."""
    return Truth(
        (
            AccountLine(role, f"{role}{at}", is_one, "someone", 0)
            for role in ("payer", "payee")
            for at, is_one in enumerate(positive)
        ),
        "by hand",
    )
