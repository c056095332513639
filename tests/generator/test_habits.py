"""Habits of a drawn world: innocents with two routines, recipients who move, and no feature that tells the kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from services.contract.units import DAY_MS, HOUR_MS
from services.generator import Configuration, Stream
from services.generator.accounts import PERSON, SECOND, kind_of, number_of
from services.generator.chance import Ints
from services.generator.rows import PAYMENT, Rows, source
from services.generator.worlds import families

TRAINING = families(held_out=False)
AUC_MAX = 0.9
Feature: TypeAlias = Callable[[Rows], float]


@lru_cache(maxsize=4)
def run(world: str) -> tuple[Stream, Rows]:
    """A world of half a year and its payments across borders, as told."""
    stream = Stream(Configuration(payers=1_500, months=6, seed=6, base_rate=0.05, world=world, noise=False))
    rows = np.concatenate([day.rows for day in stream.days()])
    rows = rows[(rows["kind"] == PAYMENT) & (rows["source"] != source("cash_out"))]
    return stream, rows[(kind_of(rows["payer"]) == 0) | (kind_of(rows["payer"]) == SECOND)]


def local_hour(stream: Stream, rows: Rows) -> Ints:
    offset = stream.world.places.offset_minutes[stream.world.accounts.places(rows["payer"])]
    hours: Ints = (rows["time"] + offset * 60_000) // HOUR_MS % 24
    return hours


def features(stream: Stream, rows: Rows) -> dict[str, NDArray[np.float64]]:
    """Simple features of each payer that pays, by payer number; and ``lsac``, whether it is of the kind."""
    eur, hours = stream.world.places.eur_of(rows), local_hour(stream, rows)
    night = (hours >= 22) | (hours < 5)
    order = np.lexsort((rows["time"], number_of(rows["payer"])))
    payers, first = np.unique(number_of(rows["payer"][order]), return_index=True)
    found: dict[str, list[float]] = {name: [] for name in ("amount", "night", "recipients", "gap", "payments", "fresh")}
    for which in np.split(order, first[1:]):
        gaps = np.diff(rows["time"][which]) / DAY_MS
        found["amount"].append(float(np.median(eur[which])))
        found["night"].append(float(night[which].mean()))
        found["recipients"].append(len(np.unique(rows["payee"][which])))
        found["gap"].append(float(np.median(gaps)) if len(gaps) else 400.0)
        found["payments"].append(len(which))
        found["fresh"].append(len(np.unique(rows["payee"][which])) / len(which))
    table = {name: np.array(values) for name, values in found.items()}
    return table | {"lsac": (stream.world.people.population[payers] == source("lsac")).astype(np.float64)}


def auc(scores: NDArray[Any], positive: NDArray[np.bool_]) -> float:
    """How often one of the kind has more than an innocent, ties half."""
    ordered = np.sort(scores[~positive])
    below = np.searchsorted(ordered, scores[positive], "left") + np.searchsorted(ordered, scores[positive], "right")
    return float(below.mean() / 2.0 / max(1, len(ordered)))


def test_no_simple_feature_tells_the_kind_from_innocents() -> None:
    found: dict[str, list[float]] = {}
    for family in TRAINING:
        table = features(*run(f"{family}/1"))
        for name, values in table.items():
            if name != "lsac":
                found.setdefault(name, []).append(auc(values, table["lsac"] > 0.0))
    means = {name: float(np.mean(each)) for name, each in found.items()}
    assert all(1.0 - AUC_MAX < mean < AUC_MAX for mean in means.values()), means
    # The kind is not the same from world to world either.
    assert all(max(each) - min(each) > 0.02 for each in found.values())


def test_innocents_remit_at_night_too_and_clocks_are_told_for_part_of_payments() -> None:
    nights, clocks = [], []
    for family in TRAINING:
        stream, rows = run(f"{family}/1")
        lsac = rows["source"] == source("lsac")
        hours = local_hour(stream, rows)
        night = (hours >= 22) | (hours < 5)
        nights.append((float(night[~lsac].mean()), float(night[lsac].mean())))
        clocks.append(float((rows["offset"] != -32_768).mean()))
    innocent, kind = np.mean(nights, axis=0)
    assert 0.08 < innocent < 0.30
    assert innocent < kind < 0.65
    assert 0.40 < np.mean(clocks) < 0.75


def test_second_routines_have_recipients_of_their_own() -> None:
    stream, rows = run("suburb/1")
    people = stream.world.people
    share = stream.configuration.parameters.second_routine_share
    shown = float((people.second[people.abroad] >= 0).mean())
    assert share * 0.6 < shown < share * 1.15  # a class is not beside itself
    several = [payer for payer in np.flatnonzero(people.second >= 0).tolist() if people.population[payer] >= 0]
    both = 0
    for payer in several:
        mine = rows[number_of(rows["payer"]) == payer]
        parts = [set(mine["payee"][mine["source"] == code].tolist()) for code in
                 (people.population[payer], people.second[payer])]  # fmt: skip
        if parts[0] and parts[1]:
            both += 1
            own = [{each for each in part if kind_of(each) == PERSON} for part in parts]
            assert not own[0] & own[1]
    assert both > 20


@pytest.mark.parametrize("family", [*TRAINING[:2], *families(held_out=True)[:2]])
def test_payers_with_two_accounts_use_both_and_recipients_change_theirs(family: str) -> None:
    stream, rows = run(f"{family}/1")
    people = stream.world.people
    second = np.unique(number_of(rows["payer"][kind_of(rows["payer"]) == SECOND]))
    assert len(second) > 5
    assert people.two_accounts[second].all()
    persons = np.unique(rows["payee"][kind_of(rows["payee"]) == PERSON])
    of_one = np.unique(persons >> 3, return_counts=True)[1]
    assert (of_one > 1).any()
    assert (of_one == 1).mean() > 0.5


def test_twins_are_of_the_system_corridor_and_months_of_their_payer() -> None:
    stream, _ = run("harbour/1")
    people = stream.world.people
    twins = people.of("lsac_twin")
    of = people.twin_of[twins]
    assert len(twins) == len(people.of("lsac")) == 75
    for column in (people.home, people.destination, people.system):
        assert (column[twins] == column[of]).all()
