"""Payments of planned typologies: written down one by one, made rows of the table all at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.generator.accounts import number_of
from services.generator.chance import Ints, mix, mixed, share_of
from services.generator.people import World
from services.generator.routine import finish
from services.generator.rows import (
    ALL_SOURCES,
    CATEGORIES,
    PURPOSES,
    RAILS,
    RELATIONS,
    STATUSES,
    TYPOLOGIES,
    Rows,
    empty,
    source,
)

_CODED = {
    "rail": RAILS, "status": STATUSES, "typology": TYPOLOGIES, "category": CATEGORIES, "relation": RELATIONS,
    "purpose": PURPOSES, "source": ALL_SOURCES,
}  # fmt: skip
"""Columns whose names become codes; ``none`` is -1 where it is not a name."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One planned payment. ``case`` numbers what belongs together, ``-1``: nothing to be found out."""

    time_ms: int
    payer: int
    payee: int
    eur: float
    source: str
    typology: str = "none"
    rail: str = "bank"
    rounding: int = 0
    reference: int = -1
    category: str = "none"
    relation: str = "none"
    purpose: str = "none"
    status: str = "accepted"
    device: int = 0
    case: int = -1


class Drafts:
    """The planned payments of a run. Give a case a number with ``new_case``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._drafts: list[Draft] = []
        self._cases = 0

    def new_case(self) -> int:
        """A number for payments that belong together."""
        self._cases += 1
        return self._cases - 1

    def add(self, draft: Draft, *, early: bool = False) -> None:
        """Plan a payment; outside the horizon it does not happen, unless it is to be ``early``."""
        configuration = self._world.configuration
        if (early or configuration.start_ms <= draft.time_ms) and draft.time_ms < configuration.end_ms:
            self._drafts.append(draft)

    def rows(self) -> tuple[Rows, Ints]:
        """All planned payments in the order of their times, and the case of each."""
        drafts = sorted(self._drafts, key=lambda each: each.time_ms)
        rows = empty(len(drafts))
        if not drafts:
            return rows, np.zeros(0, dtype=np.int64)
        world, places = self._world, self._world.places
        rows["time"] = [each.time_ms for each in drafts]
        for column in ("payer", "payee", "reference"):
            rows[column] = [getattr(each, column) for each in drafts]
        for column, names in _CODED.items():
            codes = {"none": -1} | {name: code for code, name in enumerate(names)}
            rows[column] = [codes[getattr(each, column)] for each in drafts]
        # A transfer that a card funds is a money transfer to the card's bank.
        funded = (rows["rail"] == RAILS.index("card")) & (rows["category"] == -1)
        rows["category"][funded] = CATEGORIES.index("4829")
        # Who pays from abroad pays in the currency of where it is told to be.
        sender, receiver = world.accounts.places(rows["payer"]), world.accounts.places(rows["payee"])
        abroad = sender >= places.homes_count
        eur = np.array([each.eur for each in drafts])
        told = share_of(number_of(rows["payer"]), 0x7E11) < world.configuration.parameters.received_told_share
        rounding = np.array([each.rounding for each in drafts], dtype=np.int64)
        places.fill_money(rows, eur, np.where(abroad, places.told[sender], sender), receiver, rounding, told & ~abroad)
        sources = rows["source"].copy()
        finish(world, rows, source("case"), 0)  # ids of one sequence, whatever the sources
        rows["source"] = sources
        named = np.array([each.device for each in drafts], dtype=np.uint64)
        rows["device"] = np.where(named != 0, mixed(named, mix(world.seed ^ 0xA70)), rows["device"])
        return rows, np.array([each.case for each in drafts], dtype=np.int64)
