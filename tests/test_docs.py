"""What README and docs say is there: links, files, commands, settings, figures."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import typer

from services.cli import app_of
from services.cli.demo import demo
from services.contract.document import markdown
from services.contract.served import SERVED, write_served
from services.runtime.settings import NO_SETTINGS, Settings
from services.workbench.features_page import OPENED_BY, features_page
from tests.contract.batches import served

APP = app_of()
ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [each.relative_to(ROOT).as_posix() for each in PAGES]
SAID = "software works as specified, not that it finds"
DAY = re.compile(r"20\d\d-\d\d-\d\d")


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", _prose(page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\(([^)\s]+)\)", _prose(page.read_text("utf-8")))
    astray = []
    for link in links:
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            astray.append(link)
    assert astray == []


@pytest.mark.parametrize("name", [each for each in NAMES if each != "docs/recipes.md"])
def test_every_file_that_a_page_names_is_there(name: str) -> None:
    """Recipes name files that they make; a test of theirs follows them."""
    text = (ROOT / name).read_text("utf-8")
    named = re.findall(r"(?<![\w./-])(?:services|models|tests|deploy|docs)/[\w./-]*\w", text)
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_every_page_that_the_code_names_is_there() -> None:
    sources = [file for top in ("services", "models", "deploy") for file in (ROOT / top).rglob("*") if file.is_file()]
    texts = [each.read_text("utf-8") for each in sources if each.suffix in (".py", ".toml", ".yml")]
    named = {each for text in texts for each in re.findall(r"docs/[\w./-]+\.md", text)}
    assert "docs/mappings.md" in named
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_that_a_page_names_is_one(name: str) -> None:
    known = {f"TOCSIN_{each.upper()}" for each in Settings.model_fields} | {*NO_SETTINGS, "TOCSIN_"}
    told_as_wrong = {"TOCSIN_PARTITONS", "TOCSIN_SCORER_PORT"}
    named = set(re.findall(r"TOCSIN_[A-Z_]*", (ROOT / name).read_text("utf-8")))
    assert named - known - told_as_wrong == set()


def _commands() -> set[str]:
    """The commands, and those of their groups: ``train``, ``model show``."""
    found = set()
    for name, command in typer.main.get_command(APP).commands.items():  # type: ignore[attr-defined]
        found |= {name} | {f"{name} {each}" for each in getattr(command, "commands", ())}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_command_that_a_page_names_is_one(name: str) -> None:
    known = _commands()
    groups = {each.split()[0] for each in known if " " in each}
    text = (ROOT / name).read_text("utf-8")
    for first, second in re.findall(r"(?:`|bin/|^)tocsin ([a-z-]+)(?: ([a-z-]+))?", text, re.MULTILINE):
        assert first in known, f"tocsin {first}"
        if first in groups and second:
            assert f"{first} {second}" in known, f"tocsin {first} {second}"


def _rows(page: str, columns: int) -> list[list[str]]:
    """The rows of all tables of a page with so many columns, without their heads."""
    lines = [line for line in (ROOT / page).read_text("utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [
        row for row in rows if len(row) == columns and set("".join(row)) != {"-"} and row[-1] not in ("day", "command")
    ]


def test_every_measurement_has_its_command_and_its_day() -> None:
    rows = [row for row in _rows("docs/measurements.md", 4) if row[0] not in ("decisions/s", "10", "100", "1,000")]
    assert len(rows) > 40
    for row in rows:
        assert DAY.fullmatch(row[3]), row
        assert row[2] == "once" or "`" in row[2], row


def test_every_figure_of_the_readme_is_among_the_measurements() -> None:
    known = {(row[1], row[2]) for row in _rows("docs/measurements.md", 4)}
    rows = _rows("README.md", 3)
    assert len(rows) >= 5
    for _, figure, command in rows:
        assert [each for each, by in known if figure in each and by == command], (figure, command)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "docs/for-data-scientists.md",
        "docs/measurements.md",
        "docs/assessment.md",
        "docs/poison.md",
        "docs/indicators-across-worlds.md",
        "docs/internals/packs.md",
    ],
)
def test_what_is_found_on_synthetic_data_is_said_to_be_no_proof(name: str) -> None:
    assert SAID in " ".join((ROOT / name).read_text("utf-8").split())


def test_the_page_of_topics_is_what_the_command_writes() -> None:
    page = (ROOT / "docs/topics.md").read_text("utf-8")
    assert page == markdown(), "out of date: tocsin topics document --out docs/topics.md"


def test_the_page_of_features_and_columns_is_what_the_command_writes() -> None:
    page = (ROOT / "docs/features.md").read_text("utf-8")
    assert page == features_page(), "out of date: tocsin topics columns --out docs/features.md"


@pytest.mark.parametrize("library", OPENED_BY)
def test_a_record_of_columns_is_opened_as_the_page_says(library: str) -> None:
    of_it = {name: pytest.importorskip(name) for name in ("pyarrow", library)}
    pytest.importorskip("pyarrow.ipc")
    names = of_it | {"value": write_served(served(3))}
    assert eval(OPENED_BY[library], names).shape == (3, len(SERVED.columns))


def test_makefile_readme_and_command_agree_on_the_size_of_the_demo() -> None:
    payments = f"{inspect.signature(demo).parameters['payments'].default:,} payments"
    for name in ("README.md", "Makefile"):
        (line,) = re.findall(r"^(?:make demo|demo: ).*$", (ROOT / name).read_text("utf-8"), re.MULTILINE)
        assert payments in line, name
