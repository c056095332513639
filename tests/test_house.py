"""The house is in order: no file too long to read, nothing loose in the hall, every folder in its place."""

from __future__ import annotations

from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES_MAX = 400


def _sources(*tops: str) -> Iterator[Path]:
    for top in tops:
        yield from sorted((ROOT / top).rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _folders(top: str) -> set[str]:
    return {each.name for each in (ROOT / top).iterdir() if each.is_dir() and any(each.glob("*.py"))}


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    sources = [*_sources("services", "models", "tests")]
    assert len(sources) > 300
    assert [_name(each) for each in sources if len(each.read_text("utf-8").splitlines()) > LINES_MAX] == []


def test_the_top_level_of_services_has_only_folders() -> None:
    assert {each.name for each in (ROOT / "services").iterdir() if each.is_file()} == {"__init__.py", "py.typed"}


def test_every_folder_is_a_package() -> None:
    """A folder without ``__init__.py`` would be passed over: by import contracts, and by pytest's names of tests."""
    sources = [*_sources("services", "models", "tests")]
    assert [_name(each) for each in {file.parent for file in sources} if not (each / "__init__.py").is_file()] == []


def test_every_folder_of_services_has_its_place_in_the_contract_on_imports() -> None:
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter", "utf-8")
    placed = contracts["importlinter:contract:the-house"]["layers"].replace("|", " ").split()
    assert sorted(placed) == sorted([*(f"services.{each}" for each in _folders("services")), "models"])


def test_tests_stand_in_folders_named_like_what_they_test() -> None:
    """Tests of more than one folder stand in a folder of their own, named here."""
    of_many = {"deploy", "faults", "fuzz", "integration", "models", "mutants", "support"}
    assert _folders("tests") - of_many <= _folders("services")
    for top in ("models", "services/scorer", "services/scorer/path", "services/learner"):
        inside = _folders(top)
        assert _folders(f"tests/{top.removeprefix('services/')}") <= inside
