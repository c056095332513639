"""``tocsin pack`` as people type it."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from services.cli import app_of
from services.scorer.rulebook.pack_file import SHIPPED, pack_folder

APP = app_of()
RUNNER = CliRunner(env={"COLUMNS": "200"})


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of one's own with the pack ``mule``."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for each in pack_folder("mule").iterdir():
        (folder / each.name).write_bytes(each.read_bytes())
    return folder


def test_lint_names_every_pack_that_ships_with_its_fixtures() -> None:
    said = RUNNER.invoke(APP, ["pack", "lint"])
    assert said.exit_code == 0
    assert [line.split()[0] for line in said.stdout.splitlines()] == list(SHIPPED)
    assert "13 fixtures" in next(line for line in said.stdout.splitlines() if line.startswith("lsac "))


def test_lint_names_the_indicator_and_the_key_that_are_wrong(own: Path) -> None:
    file = own / "pack.toml"
    file.write_text(file.read_text("utf-8").replace("{measured} of the", "{value} of the", 1), "utf-8")
    said = RUNNER.invoke(APP, ["pack", "lint", str(own)])
    assert said.exit_code == 1
    assert "indicator M1: reason" in said.stderr


def test_lint_names_the_line_of_a_fixture_that_is_no_payment(own: Path) -> None:
    with (own / "lookalike.ndjson").open("ab") as file:
        file.write(b"{}\n")
    said = RUNNER.invoke(APP, ["pack", "lint", str(own)])
    assert said.exit_code == 1
    assert "lookalike.ndjson: line 64: payment_id" in said.stderr


def test_lint_wants_fixtures(own: Path) -> None:
    (own / "positive.ndjson").unlink()
    said = RUNNER.invoke(APP, ["pack", "lint", str(own)])
    assert said.exit_code == 1
    assert "there is no positive.ndjson" in said.stderr
    shutil.rmtree(own)
    said = RUNNER.invoke(APP, ["pack", "lint", str(own)])
    assert (said.exit_code, "pack.toml: there is no such file" in said.stderr) == (1, True)


def test_the_hash_of_a_term_does_not_depend_on_how_it_is_spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TOCSIN_PACK_KEY" in RUNNER.invoke(APP, ["pack", "hash-term", "moon"]).stderr
    monkeypatch.setenv("TOCSIN_PACK_KEY", "secret")
    printed = [
        RUNNER.invoke(APP, ["pack", "hash-term", text]).stdout for text in ("Blue Moon", "blue   m\u00f3on!", "blue")
    ]
    assert printed[0] == printed[1] != printed[2]
    assert "1 to 3 words" in RUNNER.invoke(APP, ["pack", "hash-term", "a b c d"]).output


@pytest.mark.parametrize("name", SHIPPED)
def test_show_prints_a_pack_for_people_and_for_machines(name: str) -> None:
    shown = RUNNER.invoke(APP, ["pack", "show", name])
    assert shown.exit_code == 0
    described = orjson.loads(RUNNER.invoke(APP, ["pack", "show", name, "--json"]).stdout)
    assert described["name"] == name
    assert described["title"] in " ".join(shown.stdout.split())
    assert all(indicator["id"] in shown.stdout for indicator in described["indicators"])


def test_show_tells_intervals_and_what_is_said_and_not_counted() -> None:
    shown = RUNNER.invoke(APP, ["pack", "show", "lsac"], env={"COLUMNS": "400"}).stdout
    described = orjson.loads(RUNNER.invoke(APP, ["pack", "show", "lsac", "--json"]).stdout)["indicators"]
    uncounted = 0
    for each in described:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"\u2502 {each['id']} ")]
        assert ("0: said, not counted" in line) == (each["weight"] == 0.0)
        uncounted += each["weight"] == 0.0
        if each["interval"] is not None:
            low, high = each["interval"]
            assert f"{low:+g} to {high:+g}" in line
    assert 0 < uncounted < len(described)


def test_coverage_names_tests_that_exist_for_every_indicator_and_feature() -> None:
    rows = orjson.loads(RUNNER.invoke(APP, ["pack", "coverage", "--json"]).stdout)
    assert {row["pack"] for row in rows} == set(SHIPPED)
    root = Path(__file__).parents[2]
    for test in {test.partition("[")[0] for row in rows for test in row["tests"]}:
        file, _, function = test.partition("::")
        assert f"def {function}(" in (root / file).read_text("utf-8")
