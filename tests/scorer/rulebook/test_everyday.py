"""What packs and general rules say of the everyday payments of a bank's customers: almost nothing."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import numpy as np
import pytest

from services.generator import Configuration, Stream
from services.runtime.settings import load_settings
from services.scorer.path.records import Record
from services.scorer.path.replay import Replay
from services.scorer.path.rules.evaluate import Rules
from services.scorer.path.rules.pack import Packs
from services.scorer.path.rules.pack_format import ROLES
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import SHIPPED, pack_text
from services.scorer.rulebook.ruleset_file import load_ruleset

PAYERS = 300


@pytest.fixture(scope="module")
def spoken_of() -> Mapping[str, set[str]]:
    """Of each pack, the payers and payees without any typology that it asks people to look at, without a model."""
    stream = Stream(Configuration(payers=PAYERS, months=3, seed=5, base_rate="unit_test", profile="bank"))
    replay, packs = Replay(load_ruleset(load_settings())), Packs(tuple(parse_pack(pack_text(name)) for name in SHIPPED))
    found: dict[str, set[str]] = {name: set() for name in SHIPPED}
    offset = 0
    for chunk in stream.chunks():
        records = [
            Record(offset + at, ms, key, value)
            for at, (ms, key, value) in enumerate(zip(chunk.times_ms.tolist(), chunk.keys, chunk.values, strict=True))
        ]
        offset += len(records)
        payments, features = replay.measure(records)
        results = packs.evaluate(features, np.zeros(len(features)))
        for row, pack, side in np.argwhere(results.review).tolist():
            party = payments[row].payee if ROLES[side] == "payee" else payments[row].payer
            found[SHIPPED[pack]].add(party.account)
    assert offset > 50_000
    involved = {each.account for each in stream.accounts() if each.typology not in ("", "none", None)}
    return {name: accounts - involved for name, accounts in found.items()}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_pack_speaks_of_at_most_one_in_a_hundred_everyday_payers(
    spoken_of: Mapping[str, set[str]], name: str
) -> None:
    assert len(spoken_of[name]) <= PAYERS // 100, spoken_of[name]


def test_general_rules_do_not_take_a_shop_for_a_collector() -> None:
    """Shops get many payments of people who are new to them."""
    ruleset = load_ruleset(load_settings())
    replay, rules = Replay(ruleset), Rules(ruleset)
    stream = Stream(Configuration(payers=4_000, months=1, seed=5, profile="bank", noise=False))
    reviewed = seen = 0
    for chunk in islice(stream.chunks(), 20):
        found = zip(chunk.times_ms.tolist(), chunk.keys, chunk.values, strict=True)
        payments, features = replay.measure([Record(seen + at, *each) for at, each in enumerate(found)])
        review = rules.evaluate(features).review
        reviewed += sum(payments[row].merchant_category is not None for row in np.flatnonzero(review).tolist())
        seen += len(payments)
    assert seen > 10_000
    assert reviewed / seen < 1e-3
