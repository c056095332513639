"""A pack's file with other weights is the same file with other numbers."""

from __future__ import annotations

import difflib

import pytest

from services.scorer.path.rules.pack_format import PackError
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import SHIPPED, pack_text
from services.scorer.rulebook.pack_rewrite import NewWeight, with_weights

TEXT = pack_text("mule")
PACK = parse_pack(TEXT)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_weights_that_a_pack_has_change_no_byte(name: str) -> None:
    pack = parse_pack(pack_text(name))
    same = {each.id: NewWeight(each.weight, each.interval, each.counters) for each in pack.indicators}
    assert with_weights(pack_text(name), pack.prior, same) == pack_text(name)


def test_other_numbers_change_their_lines_and_no_other() -> None:
    first, against = PACK.indicators[0], next(each for each in PACK.indicators if each.counters)
    new = {first.id: NewWeight(0.25, (0.25, 1.5), False), against.id: NewWeight(0.0, (-0.75, 0.5), True)}
    changed = with_weights(TEXT, -3.5, new)
    lines = [each for each in difflib.ndiff(TEXT.splitlines(), changed.splitlines()) if each[0] in "+-"]
    assert sorted(lines) == sorted(
        [
            f"- prior = {PACK.prior!r}", "+ prior = -3.5",
            f"- weight = {first.weight!r}", "+ weight = 0.25", "+ interval = [0.25, 1.5]",
            f"- weight = {against.weight!r}", "+ weight = 0.0", "+ interval = [-0.75, 0.5]", "+ innocent = true",
        ]
    )  # fmt: skip
    read = {each.id: each for each in parse_pack(changed).indicators}
    assert (read[first.id].weight, read[first.id].interval) == (0.25, (0.25, 1.5))
    assert (read[against.id].counters, read[against.id].raises) == (True, False)
    back = {each.id: NewWeight(each.weight, each.interval, each.counters) for each in (first, against)}
    assert with_weights(changed, PACK.prior, back) == TEXT


def test_an_indicator_that_is_not_there_is_told() -> None:
    with pytest.raises(PackError, match="M99: not on a line"):
        with_weights(TEXT, -3.0, {"M99": NewWeight(1.0, None, False)})


def test_a_weight_that_does_not_stand_by_itself_is_told() -> None:
    first = PACK.indicators[0]
    dotted = TEXT.replace(f"\nweight = {first.weight!r}\n", f"\n  weight = {first.weight!r}\n", 1)
    assert dotted != TEXT
    with pytest.raises(PackError, match=f"{first.id}: weight: not on a line"):
        with_weights(dotted, -3.0, {first.id: NewWeight(1.0, None, False)})


def test_a_pack_that_could_not_be_used_is_not_written() -> None:
    with pytest.raises(PackError, match="its score reaches"):
        with_weights(TEXT, -99.0, {})
