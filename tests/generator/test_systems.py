"""Source systems: each tells its fields as often as its world drew, and puts in what it puts in."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
import orjson
import pytest

from services.contract.codec import decode_payment, encode
from services.contract.payment import Payment
from services.contract.units import HOUR_MS
from services.generator import Configuration, Stream
from services.generator.accounts import AGENT, number_of, pooled
from services.generator.habits import Habits
from services.generator.parameters import SystemLaw
from services.generator.people import World, build_world
from services.generator.rows import NOT_TOLD, PURPOSES, RELATIONS, Rows, joined
from services.generator.systems import PAYMENT_FIELDS, Systems

WORLDS = ("suburb/2", "market/1", "border/4", "mission/3", "lagoon/2")
ERRORS = 4.5
BLANK = {"offset": NOT_TOLD, "device": 0}


@lru_cache(maxsize=2)
def told(name: str) -> tuple[World, Rows, Rows]:
    """A world, the rows of two months, and what its systems tell of them."""
    world = build_world(Configuration(payers=4_000, months=2, seed=4, world=name))
    before = joined(map(Habits(world).rows, range(60)))
    before = before[number_of(before["payer"]) < 4_000]
    after = before.copy()
    Systems(world).tell(after)
    return world, before, after


def systems(world: World) -> list[tuple[int, SystemLaw]]:
    return list(enumerate(world.configuration.parameters.systems))


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("field", PAYMENT_FIELDS)
def test_each_system_tells_a_field_of_a_payment_as_often_as_drawn(name: str, field: str) -> None:
    world, before, after = told(name)
    blank = BLANK.get(field, -1)
    compared = 0
    for code, law in systems(world):
        if getattr(law, {"offset": "offset_minutes"}.get(field, field), None) not in (None, "none"):
            continue  # a default hides what was not told
        known = (after["system"] == code) & (before[field] != blank)
        shown = after[field][known] != blank
        n = len(np.unique(before["payer"][known])) if field in ("offset", "device") else int(known.sum())
        if n < 50:
            continue
        by_payer = field in ("offset", "device")
        share = _by_payer(before["payer"][known], shown) if by_payer else float(shown.mean())
        error = sqrt(max(law.coverage[field] * (1.0 - law.coverage[field]), 1e-4) / n)
        assert abs(share - law.coverage[field]) < ERRORS * error + 3.0 / n, (law.name, field)
        compared += 1
    assert compared or field in ("purpose", "reference", "relation")


def _by_payer(payers: Any, shown: Any) -> float:
    """The share of payers of whom it is told; nobody's is told now and then."""
    _, first, at = np.unique(number_of(payers), return_index=True, return_inverse=True)
    assert (shown == shown[first][at]).all()
    return float(shown[first].mean())


@pytest.mark.parametrize("name", WORLDS)
def test_what_a_system_puts_in_is_there_and_nothing_else_is_made_up(name: str) -> None:
    world, before, after = told(name)
    for code, law in systems(world):
        mine = after["system"] == code
        for field, default, names in (("relation", law.relation, RELATIONS), ("purpose", law.purpose, PURPOSES)):
            if default != "none":
                assert (after[field][mine] >= 0).all()
                left = after[field][mine] != names.index(default)
                assert (after[field][mine][left] == before[field][mine][left]).all()
        if law.offset_minutes is not None:
            other = after["offset"][mine] != before["offset"][mine]
            assert set(after["offset"][mine][other].tolist()) <= {law.offset_minutes}
        if law.reference != "none":
            assert (after["reference"][mine] >= 0).all()
        elif mine.any():
            assert (after["reference"][mine][before["reference"][mine] < 0] < 0).all()


@pytest.mark.parametrize("name", WORLDS)
def test_batches_move_times_to_their_next_run_and_fees_are_inside_amounts(name: str) -> None:
    world, before, after = told(name)
    places = world.places
    for code, law in systems(world):
        mine = after["system"] == code
        later = after["time"][mine] - before["time"][mine]
        if law.batch_hours:
            assert (after["time"][mine] % (law.batch_hours * HOUR_MS) < 120_000).all()
            assert 0 < later.min() <= later.max() <= law.batch_hours * HOUR_MS + 120_000
        else:
            assert (later == 0).all()
        added = after["amount"][mine] - before["amount"][mine]
        fixed, share = law.fee
        abroad = places.currency[world.accounts.places(before["payer"][mine])]
        abroad = abroad != places.currency[world.accounts.places(before["payee"][mine])]
        assert (added[~abroad] == 0).all()
        assert (added[abroad] > 0).all() == (fixed > 0.0)
        assert added.max() <= before["amount"][mine].max() * share + fixed * places.rate.max() * 1_000.0 + 1.0


def test_a_counter_is_the_device_of_many_payers() -> None:
    world, _, after = told("market/1")
    for code, law in systems(world):
        mine = (after["system"] == code) & (after["device"] != 0)
        payers = len(np.unique(number_of(after["payer"][mine])))
        devices = len(np.unique(after["device"][mine]))
        if payers > 100:
            assert (devices < payers) == law.terminal


def test_each_system_tells_a_party_as_often_as_drawn_and_canonically() -> None:
    configuration = Configuration(payers=1_500, months=2, seed=9, world="harbour/2", noise=False)
    stream = Stream(configuration)
    system_of = {each.account: each.source_system for each in stream.accounts() if each.role == "payer"}
    seen: dict[str, dict[str, dict[str, bool]]] = defaultdict(lambda: defaultdict(dict))
    for chunk in stream.chunks():
        for value in chunk.values:
            payment = decode_payment(value)
            assert isinstance(payment, Payment), value
            assert encode(payment) == value
            fields = orjson.loads(value)
            system = system_of.get(payment.payer.account)
            if system is not None:
                for name in ("country", "agent", "phone"):
                    seen[system][name][payment.payer.account] = name in fields["payer"]
                for name in ("country", "agent"):
                    seen[system][name][payment.payee.account] = name in fields["payee"]
    for law in configuration.parameters.systems:
        for name, shown in seen[law.name].items():
            n, expected = len(shown), law.coverage[name]
            error = sqrt(max(expected * (1.0 - expected), 1e-4) / n)
            assert abs(sum(shown.values()) / n - expected) < ERRORS * error + 3.0 / n, (law.name, name)


def test_who_is_no_payer_has_a_system_too() -> None:
    world, _, _ = told("suburb/2")
    agents = pooled(AGENT, np.arange(8, dtype=np.int64), np.arange(8, dtype=np.int64))
    assert set(Systems(world).of(agents).tolist()) <= set(range(len(world.configuration.parameters.systems)))
