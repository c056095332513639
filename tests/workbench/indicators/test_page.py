"""The page on indicators cannot drift: its table, its picture and the pack are those of the stored result."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import pack_text
from services.workbench.indicators.page import WHY, draw, markdown

DOCS = Path(__file__).parents[3] / "docs"
RESULT: dict[str, Any] = orjson.loads((DOCS / "indicators-across-worlds.json").read_bytes())
PAGE = (DOCS / "indicators-across-worlds.md").read_text("utf-8")
PACK = parse_pack(pack_text("lsac"))


def test_the_table_of_the_page_is_that_of_the_result() -> None:
    assert markdown(RESULT) in PAGE


def test_the_pack_has_the_weights_and_intervals_of_the_result() -> None:
    assert PACK.prior == RESULT["prior"]["after"]
    for each, told in zip(PACK.indicators, RESULT["indicators"], strict=True):
        interval = None if each.interval is None else [*each.interval]
        assert (each.id, each.weight, interval) == (told["id"], told["weight"], told["interval"])
        assert (each.statement, each.source.tag, each.counters) == (told["statement"], told["source"], told["innocent"])


def test_no_weight_leaves_its_meaning_or_its_interval() -> None:
    for each, told in zip(PACK.indicators, RESULT["indicators"], strict=True):
        if told["why"] in ("immediate", "unmeasured"):
            continue
        assert each.interval is not None
        low, high = each.interval
        assert 0.0 <= each.weight <= max(low, 0.0) or not each.raises
        assert min(high, 0.0) <= each.weight <= 0.0 or each.raises


def test_the_page_names_the_command_with_its_prior_and_the_figures_of_who_is_asked_about() -> None:
    assert f"--prior {RESULT['prior']['after']}" in PAGE
    for when, name in (("before", "before"), ("after", "now")):
        asked = RESULT["asked"][when]
        share = asked["positives"] / (asked["positives"] + asked["others"])
        assert f"| {name} | {asked['others']:,} | {asked['positives']:,} | {share:.1%} |".replace("%", " %") in PAGE
    options = RESULT["options"]
    assert options["held_out"] is False
    assert f"{len(RESULT['worlds'])} drawn worlds" in PAGE
    assert f"{options['payers']:,} payers and {options['months']} months each, seed {options['seed']}" in PAGE


@pytest.mark.parametrize("why", sorted(set(WHY) & {each["why"] for each in RESULT["indicators"]}))
def test_what_is_not_counted_has_no_weight_and_says_so(why: str) -> None:
    for each in RESULT["indicators"]:
        if each["why"] == why:
            assert (each["weight"] == 0.0) == WHY[why].startswith("said, not counted")


def test_the_picture_has_every_indicator_that_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(RESULT, tmp_path / "drawn.svg")
    told = {each["id"] for each in RESULT["indicators"] if each["interval"] is not None}
    for path in (tmp_path / "drawn.svg", DOCS / "indicators-across-worlds.svg"):
        labels = set(re.findall(r">([A-Z]\d[a-z]?-?)</text>", path.read_text("utf-8")))
        assert labels == told, path.name
