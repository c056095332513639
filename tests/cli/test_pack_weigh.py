"""``tocsin pack weigh`` as people type it, on tiny worlds."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from services.cli import app_of
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import pack_text

APP = app_of(["pack"])
RUNNER = CliRunner(env={"COLUMNS": "200"})
TINY = ("--payers", "200", "--months", "3", "--base-rate", "0.1", "--worlds-per-family", "1")
FAMILIES = 7


def weigh(*arguments: str) -> Result:
    return RUNNER.invoke(APP, ["pack", "weigh", *arguments])


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, str]:
    """What it says for machines, the pack that it writes, and what it tells on the way."""
    out = tmp_path_factory.mktemp("out") / "pack.toml"
    result = weigh("lsac", *TINY, "--json", "--out", str(out))
    assert result.exit_code == 0, result.stderr
    return orjson.loads(result.stdout), out.read_text("utf-8"), result.stderr


def test_every_indicator_has_a_weight_with_its_interval_and_why(said: tuple[dict[str, Any], str, str]) -> None:
    found, _, told = said
    before = parse_pack(pack_text("lsac"))
    assert [each["id"] for each in found["indicators"]] == [each.id for each in before.indicators]
    assert len(found["worlds"]) == FAMILIES == told.count("weighing: world ")
    for each in found["indicators"]:
        assert each["innocent"] or each["weight"] >= 0.0
        assert not each["innocent"] or each["weight"] <= 0.0
        if each["why"] == "counted":
            low, high = each["log_ratio"]["low"], each["log_ratio"]["high"]
            assert 0.0 < each["weight"] <= low + 1e-4 or high - 1e-4 <= each["weight"] < 0.0
        if each["interval"] is not None:
            assert each["interval"] == pytest.approx([each["log_ratio"][end] for end in ("low", "high")], abs=0.006)
    why = {each["id"]: each["why"] for each in found["indicators"]}
    assert (why["N1"], why["X4"]) == ("immediate", "unmeasured"), "no world has a list of payees or a lexicon"
    assert "not that it finds" in found["note"]


def test_the_pack_that_it_writes_has_the_weights_that_it_says(said: tuple[dict[str, Any], str, str]) -> None:
    found, text, _ = said
    pack = parse_pack(text)
    assert pack.prior == found["prior"]["after"]
    for each, told in zip(pack.indicators, found["indicators"], strict=True):
        assert (each.weight, each.counters) == (told["weight"], told["innocent"])
        assert (None if each.interval is None else [*each.interval]) == told["interval"]


def test_the_same_command_says_the_same_and_people_get_a_table(said: tuple[dict[str, Any], str, str]) -> None:
    from services.workbench.indicators.page import markdown

    result = weigh("lsac", *TINY)
    assert result.stdout == markdown(said[0])
    assert result.stdout.count("\n") == len(said[0]["indicators"]) + 2


def test_a_pack_of_which_worlds_know_nothing_is_refused() -> None:
    result = weigh("mule", *TINY)
    assert result.exit_code == 2
    assert "its label is 'mule'" in result.stderr


def test_held_out_worlds_are_refused() -> None:
    assert weigh("lsac", *TINY, "--worlds", "held-out").exit_code == 2
