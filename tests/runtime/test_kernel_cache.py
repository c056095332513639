"""Machine code is as old as its sources: seen on a copy of the code, edited between runs, each in a fresh process."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grimp
import pytest

from services.runtime.kernel_cache import FOLDERS_MAX, ROOT, SOURCES, discard_oldest, folder_name, hold

KERNELS = Path("services/scorer/path/features/kernels.py")
PROBE = """
import json

import services
from numba import config, njit
from services.scorer.path.features.kernels import roundness


@njit(cache=True)
def probe(amount_minor):
    return roundness(amount_minor)


result = probe(120)
print(json.dumps([result, probe.stats.cache_hits.total(), config.CACHE_DIR]))
"""
"""Calls a kernel of another file. 120 has two significant digits."""


@dataclass(frozen=True)
class Run:
    """What the probe said."""

    result: float
    hits: int
    folder: Path
    errors: str


@dataclass(frozen=True)
class Copy:
    """The code, where a test may edit it, and a base for its machine code."""

    root: Path
    base: Path

    def run(self, *options: str, program: str = "probe.py", **variables: str) -> Run:
        """Run the probe in a process of its own."""
        inherited = {name: each for name, each in os.environ.items() if not name.startswith("NUMBA_")}
        chosen = {"PYTHONPATH": str(self.root), "NUMBA_CACHE_DIR": str(self.base)} | variables
        done = subprocess.run(
            [sys.executable, *options, program], cwd=self.root, env=inherited | chosen, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        result, hits, folder = json.loads(done.stdout)
        return Run(result, hits, Path(folder), done.stderr)

    def edit(self, before: str, after: str) -> None:
        """Change the kernel that the probe calls."""
        text = (self.root / KERNELS).read_text()
        assert text.count(before) == 1
        (self.root / KERNELS).write_text(text.replace(before, after))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    root = tmp_path / "code"
    shutil.copytree(ROOT / "services", root / "services", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "probe.py").write_text(PROBE)
    return Copy(root, tmp_path / "base")


def test_an_edited_kernel_is_what_its_callers_in_other_files_call(copy: Copy) -> None:
    before = copy.run()
    copy.edit("return 1.0 / digits", "return 1.0 * digits")
    edited = copy.run()
    copy.edit("return 1.0 * digits", "return 1.0 / digits")
    after = copy.run()
    assert [each.result for each in (before, edited, after)] == [0.5, 2.0, 0.5]
    assert [each.hits for each in (before, edited, after)] == [0, 0, 1], "the same sources find their machine code"
    assert before.folder == after.folder != edited.folder
    assert before.folder.parent == edited.folder.parent == copy.base


def test_a_process_uses_the_folder_that_the_one_before_it_chose(copy: Copy) -> None:
    chosen = copy.run().folder
    again = copy.run(NUMBA_CACHE_DIR=str(chosen))
    assert (again.folder, again.hits) == (chosen, 1)
    copy.edit("return 1.0 / digits", "return 1.0 * digits")
    assert copy.run(NUMBA_CACHE_DIR=str(chosen)).folder.parent == chosen.parent, "of other sources: beside it"


def test_a_notebook_may_import_numba_first(copy: Copy) -> None:
    (copy.root / "notebook.py").write_text("import numba\n" + PROBE)
    assert copy.run(program="notebook.py").folder == copy.base / folder_name({}, copy.root)


def test_where_nothing_is_chosen_it_is_the_cache_folder(copy: Copy) -> None:
    done = copy.run(NUMBA_CACHE_DIR="", TOCSIN_CACHE=str(copy.base))
    assert (done.result, done.folder.parent, done.errors) == (0.5, copy.base, "")


def test_a_base_that_cannot_be_written_is_told_and_another_used(copy: Copy) -> None:
    copy.base.write_text("no folder")
    done = copy.run(TOCSIN_CACHE=str(copy.root / "cache"))
    assert (done.result, done.folder.parent) == (0.5, copy.root / "cache")
    assert f"NUMBA_CACHE_DIR: {copy.base} cannot be written (Not a directory)" in done.errors


def test_where_nothing_can_be_kept_the_code_is_made_anew_and_goes_with_the_process(copy: Copy) -> None:
    copy.base.write_text("no folder")
    (copy.root / "services" / "__pycache__").write_text("no folder")
    runs = [copy.run("-B", NUMBA_CACHE_DIR="", TOCSIN_CACHE=str(copy.base)) for _ in range(2)]
    assert [(each.result, each.hits) for each in runs] == [(0.5, 0), (0.5, 0)]
    assert not [each.folder.parent for each in runs if each.folder.parent.exists()]


def test_importing_us_imports_neither_numba_nor_numpy() -> None:
    program = "import sys, services; print(sorted({'numba', 'numpy'} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT) == "[]\n"


def test_what_changes_machine_code_changes_the_name_and_where_it_is_kept_does_not() -> None:
    name = folder_name({})
    assert folder_name({"NUMBA_BOUNDSCHECK": "1"}) != name
    assert folder_name({"NUMBA_CACHE_DIR": "/elsewhere", "TOCSIN_PARTITIONS": "8"}) == name


def test_the_folders_unused_for_longest_go_unless_they_are_held(tmp_path: Path) -> None:
    folders = [tmp_path / f"kernels-{number:016x}" for number in range(FOLDERS_MAX + 4)]
    descriptors = [hold(each) for each in folders]
    for age_s, folder in enumerate(reversed(folders)):
        os.utime(folder / ".held", (1_000_000 - age_s, 1_000_000 - age_s))
    for other in ("kernels-of-somebody-else", "path_0123"):
        (tmp_path / other).mkdir()
    discard_oldest(tmp_path)
    assert all(each.exists() for each in folders), "all are held"
    for descriptor in descriptors[1:]:
        os.close(descriptor)
    discard_oldest(tmp_path)
    os.close(descriptors[0])
    assert [each for each in folders if not each.exists()] == folders[1:4]
    left = {each.name for each in tmp_path.iterdir()} - {each.name for each in folders}
    assert left == {"kernels-of-somebody-else", "path_0123"}


def test_the_name_covers_every_cached_kernel_and_all_that_its_file_imports() -> None:
    graph = grimp.build_graph("services", "models", exclude_type_checking_imports=True, cache_dir=None)
    modules = {module for module in graph.modules if _has_cached_kernel(_file(module))}
    assert modules
    imported = {each for module in modules for each in graph.find_upstream_modules(module)}
    files = {_file(module).relative_to(ROOT) for module in modules | imported}
    sources = [Path(each) for each in SOURCES]
    assert [each for each in sorted(files) if not any(each.is_relative_to(source) for source in sources)] == []


def _file(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _has_cached_kernel(file: Path) -> bool:
    """Whether it says ``cache=True`` anywhere."""

    def says_so(node: Any) -> bool:
        return isinstance(node, ast.keyword) and node.arg == "cache" and getattr(node.value, "value", False) is True

    return any(map(says_so, ast.walk(ast.parse(file.read_text("utf-8")))))
