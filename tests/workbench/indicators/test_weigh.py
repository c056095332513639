"""The weights that follow: agreement is kept, contradiction weighs nothing, and no weight leaves its meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pytest
from msgspec import structs

from services.scorer.path.rules.pack_format import Pack
from services.workbench.indicators.counts import World
from services.workbench.indicators.weigh import doubt, highest, rounded, same_asked, weighed
from tests.workbench.indicators.made import pack_of, world

PACK = pack_of("A1", "T2", "R3b", "X1", "T6-", "R3-")
NOTHING: Mapping[str, Sequence[tuple[float, float]]] = MappingProxyType({})
AGREED = {"A1": (0.2, 0.6), "T2": (0.2, 0.6), "R3b": (0.2, 0.6), "X1": (0.3, 0.3), "T6-": (0.6, 0.2), "R3-": (0.6, 0.2)}


def three(changed: Mapping[str, Sequence[tuple[float, float]]] = NOTHING, pack: Pack = PACK) -> list[World]:
    """Three worlds that agree but where told otherwise: chances of an indicator by world."""
    return [
        world(f"w{at}", pack, AGREED | {name: chances[at] for name, chances in changed.items()}, at) for at in range(3)
    ]


def by_name(pack: Pack, worlds: list[World]) -> dict[str, tuple[float, str]]:
    found, _, _ = weighed(pack, worlds)
    ids = [each.id for each in pack.indicators]
    return dict(zip(ids, zip(found.weights.tolist(), found.why, strict=True), strict=True))


def test_what_worlds_agree_on_is_counted_within_its_interval() -> None:
    found, _, mean = weighed(PACK, three())
    ids = [each.id for each in PACK.indicators]
    for name in ("A1", "T2", "R3b"):
        at = ids.index(name)
        assert found.why[at] == "counted"
        assert 0.5 < found.weights[at] <= mean.low[at] < math.log(3.0) < mean.high[at]
    for name in ("T6-", "R3-"):
        at = ids.index(name)
        assert mean.high[at] <= found.weights[at] < -0.5
    assert found.unit > 0.0
    assert found.low.tolist() == pytest.approx(mean.low.tolist(), abs=0.0051)


def test_what_worlds_contradict_one_another_about_weighs_nothing() -> None:
    found = by_name(PACK, three({"A1": ((0.2, 0.6), (0.2, 0.6), (0.6, 0.2))}))
    assert found["A1"] == (0.0, "flips")
    assert found["T2"][1] == "counted"


def test_what_says_nothing_weighs_nothing() -> None:
    assert by_name(PACK, three())["X1"] == (0.0, "open")


def test_evidence_that_speaks_for_innocents_weighs_nothing_rather_than_below_zero() -> None:
    found = by_name(PACK, three({"T2": ((0.6, 0.2),) * 3, "R3-": ((0.2, 0.6),) * 3}))
    assert found["T2"] == (0.0, "against")
    assert found["R3-"] == (0.0, "against")


def test_what_no_world_tells_keeps_its_weight_and_takes_none_from_others() -> None:
    worlds = [world(f"w{at}", PACK, AGREED, at, missing=["A1"]) for at in range(3)]
    found, _, mean = weighed(PACK, worlds)
    assert (found.weights[0], found.why[0], int(mean.worlds[0])) == (1.0, "unmeasured", 0)
    assert math.isnan(found.low[0])
    told_once = [worlds[0], *three()[1:]]
    _, _, mean = weighed(PACK, told_once)
    assert mean.worlds.tolist() == [2, 3, 3, 3, 3, 3]


def test_what_asks_by_itself_keeps_its_weight() -> None:
    first = structs.replace(PACK.indicators[0], immediate=True)
    pack = structs.replace(PACK, indicators=(first, *PACK.indicators[1:]))
    assert by_name(pack, three({"A1": ((0.6, 0.2),) * 3}, pack))["A1"] == (1.0, "immediate")


def test_of_two_that_say_the_same_each_weighs_less_than_alone() -> None:
    """The twin of an indicator hits whenever it does: together they are no better than one."""
    alone, both = pack_of("T2", "R2", "T6-"), pack_of("T2", "T5", "R2", "T6-")
    chances = {"T2": (0.01, 0.6), "R2": (0.2, 0.6), "T6-": (0.6, 0.2)}
    of_one = [world(f"w{at}", alone, chances, at) for at in range(3)]
    one, two = by_name(alone, of_one)["T2"][0], by_name(both, [_with_first_twice(each) for each in of_one])
    assert two["T2"][0] == pytest.approx(two["T5"][0], abs=0.011)
    assert two["T2"][0] < one


def _with_first_twice(of: World) -> World:
    at = [0, 0, 1, 2]
    columns = "payments", "measured", "ever", "shares"
    first, other = (each._replace(**{name: getattr(each, name)[..., at] for name in columns}) for each in of.counts)
    return of._replace(hits=of.hits[:, at], counts=(first, other))


def test_the_doubt_that_pulls_to_one_unit_grows_with_how_worlds_disagree() -> None:
    """Where worlds differ by one log-odds, the pull is as strong as what they say."""
    _, _, agreed = weighed(PACK, three({"A1": ((0.05, 0.8),) * 3}))
    _, _, mean = weighed(PACK, three({"A1": ((0.01, 0.9), (0.2, 0.6), (0.01, 0.9))}))
    assert doubt(mean)[0] == pytest.approx(mean.spread[0] ** 2 + mean.error[0] ** 2)
    assert doubt(mean)[0] > 1.0 > 20.0 * doubt(agreed)[0]


def test_the_same_worlds_give_the_same_bits() -> None:
    first, second = (weighed(PACK, three())[0] for _ in range(2))
    assert first.weights.tobytes() == second.weights.tobytes()
    assert (first.why, first.unit, first.prior) == (second.why, second.unit, second.prior)


def naive_highest(pack: Pack, of: World, side: int, weights: list[float]) -> list[float]:
    """Of each subject the highest sum over its payments where enough comes together, one pair after the other."""
    role, found = ("payer", "payee")[side], [-math.inf] * len(of.said[side].positive)
    for subject, pattern in zip(of.said[side].subject.tolist(), of.said[side].pattern.tolist(), strict=True):
        hits = [at for at, each in enumerate(pack.indicators) if of.hits[pattern, at] and role in each.subjects]
        raising = [at for at in hits if pack.indicators[at].weight > 0.0]
        families = {pack.indicators[at].family for at in raising}
        if len(raising) >= 3 and len(families) >= 2 and families - {"channel", "text"}:
            found[subject] = max(found[subject], sum(weights[at] for at in hits))
    return found


def test_who_is_asked_about_is_as_the_pack_would_ask() -> None:
    (first, *_), weights = three(), [0.5, 0.0, 1.5, 0.25, -0.75, -0.5]
    for side in (0, 1):
        np.testing.assert_allclose(
            highest(PACK, first, side, np.array(weights)), naive_highest(PACK, first, side, weights)
        )


def test_the_prior_lets_as_many_others_be_asked_about_as_before_and_no_more() -> None:
    pack, worlds = structs.replace(PACK, prior=-2.5), three()

    def asked(prior: float, weights: list[float]) -> int:
        return sum(
            int((highest(pack, each, side, np.array(weights))[~each.said[side].positive] + prior >= 0.0).sum())
            for each in worlds
            for side in (0, 1)
        )

    before = [each.weight for each in pack.indicators]
    weights = [0.31, 0.52, 0.73, 0.94, -0.65, -0.36]
    prior = same_asked(pack, worlds, np.array(weights))
    assert 0 < asked(prior, weights) <= asked(pack.prior, before) < asked(prior + 0.5, weights)
    same = same_asked(pack, worlds, np.array(before))
    assert same == pytest.approx(-2.01), "of sums of 3 and more, as before"


def test_weights_are_rounded_towards_nothing() -> None:
    assert rounded(np.array([0.399, -0.399, 0.009, 0.29])).tolist() == [0.39, -0.39, 0.0, 0.29]
