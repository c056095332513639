"""Building the Kafka Streams application."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from services.bench.kafka_streams import SOURCES, CannotBuild, built

ROOT = Path(__file__).parents[2]


def test_an_installed_tocsin_has_its_sources() -> None:
    chosen = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "services.bench"
    ]
    shipped = {file for pattern in chosen for file in SOURCES.parent.glob(pattern)}
    assert shipped >= {each for each in SOURCES.rglob("*") if each.is_file()}
    assert SOURCES.parent / "quix.txt" in shipped


def test_without_maven_the_reason_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotBuild, match="mvn is not on PATH"):
        built(tmp_path / "builds")


def test_a_maven_that_fails_is_quoted_and_leaves_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho '[ERROR] cannot reach the repository'\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}:/usr/bin:/bin")
    with pytest.raises(CannotBuild, match="cannot reach the repository"):
        built(tmp_path / "builds")
    assert list((tmp_path / "builds").iterdir()) == []


def test_what_is_built_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        folder = built(tmp_path)
    except CannotBuild as missing:
        pytest.skip(str(missing))
    assert (folder / "bench-streams.jar").is_file()
    assert any(each.name.startswith("kafka-streams-") for each in folder.iterdir())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert built(tmp_path) == folder
