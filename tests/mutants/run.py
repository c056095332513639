"""``make mutants``: how many small changes to the code some test near it notices, without Kafka, and which it does not.

Each mutant is written into a copy of the tree, and the tests that ``targets.toml`` names run on it, kernels as Python.
A mutant that no test can notice is in ``explained.toml``, with the reason. What survives else asks for a test.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from tests.mutants.making import Mutant, mutants_of

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
COPIES = ROOT / "var" / "mutants"
COPIED = ("services", "models", "tests", "pyproject.toml")
PYTEST = (
    *("-x", "-q", "--no-header", "--assert=plain", "-p", "no:cacheprovider"),
    *("-W", "ignore::RuntimeWarning"),  # of NumPy, about a NaN that compiled code passes over in silence
)
SAID = "said.txt"
PATIENCE = 10.0
"""Times as long as the tests take without a change; then the mutant hangs, which is noticed, too."""
PATIENCE_S_MIN = 20.0
Fate = Literal["killed", "survived", "explained", "not run"]


@dataclass
class Target:
    """A module, the tests nearest to it, and how many of its mutants are tried (0: all)."""

    module: str
    tests: list[str]
    sample: int = 0
    mutants: list[Mutant] = field(default_factory=list)
    """Those that are tried."""
    changes: set[tuple[str, str]] = field(default_factory=set)
    """Of all: the line as it is, and as it is changed."""
    seconds: float = 0.0


def targets_of(only: str) -> list[Target]:
    """Those whose module ``only`` is a part of, with the mutants to try: a sample that is the same every time."""
    said = tomllib.loads((HERE / "targets.toml").read_text())
    chosen = [Target(**each) for each in said["target"] if only in each["module"]]
    for target in chosen:
        target.mutants = mutants_of((ROOT / target.module).read_text())
        target.changes = {(each.before, each.after) for each in target.mutants}
        if 0 < target.sample < len(target.mutants):
            target.mutants = random.Random(target.module).sample(target.mutants, target.sample)
    return chosen


def explained(targets: list[Target]) -> set[tuple[str, str, str]]:
    """Module, line and changed line of the mutants that change nothing anybody could notice.

    Raises
    ------
    SystemExit
        When an explanation is of a change that no mutant of its module makes any more.
    """
    said = tomllib.loads((HERE / "explained.toml").read_text())
    changes = {target.module: target.changes for target in targets}
    known = {(each["module"], each["before"], after) for each in said["mutant"] for after in each["after"]}
    for module, before, after in sorted(known):
        if module in changes and (before, after) not in changes[module]:
            raise SystemExit(f"explained.toml: no mutant of {module} makes {after!r} of {before!r}")
    return known


def copied(number: int) -> Path:
    """A copy of the tree, its code compiled so that it is compiled again where it differs."""
    copy = COPIES / str(number)
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    compiling = ["-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "services", "models", "tests"]
    subprocess.run([python(), *compiling], cwd=copy, check=True)
    return copy


def python() -> str:
    """The interpreter that has the project and its tests; this one has cosmic-ray."""
    return os.environ.get("MUTANTS_PYTHON", str(ROOT / ".venv" / "bin" / "python"))


class Copy:
    """A copy of the tree with a process that runs tests in it (``tests.mutants.forking``)."""

    def __init__(self, number: int) -> None:
        self.tree = copied(number)
        environment = {
            **os.environ, "PYTHONPATH": str(self.tree), "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_DISABLE_JIT": "1",
            "CI": "1",
        }  # fmt: skip
        self._forking = subprocess.Popen(
            [python(), "-m", "tests.mutants.forking"], cwd=self.tree, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def passes(self, tests: list[str], patience_s: float) -> bool:
        """Whether ``tests`` pass within ``patience_s``."""
        assert self._forking.stdin is not None
        assert self._forking.stdout is not None
        self._forking.stdin.write(json.dumps([patience_s, [*PYTEST, *tests]]) + "\n")
        return int(self._forking.stdout.readline()) == 0

    def said(self) -> str:
        """What pytest said last."""
        return (self.tree / SAID).read_text()


def survives(target: Target, mutant: Mutant, copies: SimpleQueue[Copy]) -> bool:
    """Whether the target's tests pass in spite of ``mutant``."""
    copy = copies.get()
    try:
        (copy.tree / target.module).write_text(mutant.code)
        return copy.passes(target.tests, max(PATIENCE_S_MIN, PATIENCE * target.seconds))
    finally:
        shutil.copy(ROOT / target.module, copy.tree / target.module)
        copies.put(copy)


def require_passing(targets: list[Target], copy: Copy) -> None:
    """Run each target's tests without a change, and note how long they take."""
    for target in targets:
        began = time.monotonic()
        if not copy.passes(target.tests, 600.0):
            print(copy.said())
            raise SystemExit(f"{' '.join(target.tests)} does not pass as it is, with kernels as Python")
        target.seconds = time.monotonic() - began


def main() -> None:
    """Try the mutants, print a table and the survivors; 1 where one survives that is not explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="a part of the path of the modules to try")
    parser.add_argument("--minutes", type=float, default=20.0, help="after which no further mutant is tried")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    until = time.monotonic() + 60.0 * options.minutes
    targets = targets_of(options.only)
    known = explained(targets)
    copies: SimpleQueue[Copy] = SimpleQueue()
    for number in range(options.processes):
        copies.put(Copy(number))
    copy = copies.get()
    require_passing(targets, copy)
    copies.put(copy)

    def fate(tried: tuple[Target, Mutant]) -> Fate:
        target, mutant = tried
        if (target.module, mutant.before, mutant.after) in known:
            return "explained"
        if time.monotonic() > until:
            return "not run"
        return "survived" if survives(target, mutant, copies) else "killed"

    every = [(target, mutant) for target in targets for mutant in target.mutants]
    random.Random(0).shuffle(every)
    with ThreadPoolExecutor(options.processes) as pool:
        fates = list(pool.map(fate, every))
    sys.exit(1 if _report(targets, list(zip(every, fates, strict=True))) else 0)


def _report(targets: list[Target], tried: list[tuple[tuple[Target, Mutant], Fate]]) -> int:
    """Print what became of them; returns how many survived."""
    counts: dict[str, Counter[Any]] = {target.module: Counter() for target in targets}
    for (target, _), fate in tried:
        counts[target.module][fate] += 1
    print(f"{'module':<44} killed survived explained not run  score")
    total = Counter[Any]()
    for module, count in [*counts.items(), ("all", total)]:
        met = count["killed"] + count["survived"]
        score = f"{100.0 * count['killed'] / met:.1f} %" if met else "-"
        total += count if module != "all" else Counter()
        cells = [count[fate] for fate in ("killed", "survived", "explained", "not run")]
        print(f"{module:<44} {cells[0]:6} {cells[1]:8} {cells[2]:9} {cells[3]:7} {score:>7}")
    survivors = [(target.module, mutant) for (target, mutant), fate in tried if fate == "survived"]
    for module, mutant in sorted(survivors, key=lambda each: (each[0], each[1].line)):
        print(f"\n{module}:{mutant.line}\n  - {mutant.before}\n  + {mutant.after}")
    return len(survivors)


if __name__ == "__main__":
    main()
