"""Feed mutated records to every reader of every topic: ``python -m tests.fuzz.run --records 1000000 --seed 1``.

The same seed makes the same records. A failure prints the target, its round and the seed, which bring it back. With
``NUMBA_BOUNDSCHECK=1`` a kernel that leaves its arrays is a failure, too.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import warnings
from collections import Counter
from typing import Any

from tests.fuzz import columns, decoding, hops, learning

BATCH = 100
WEIGHTS = {
    "changelog of the payer hop": 0.3, "changelog of the payee hop": 0.3, "changelog of the subject hop": 0.3,
    "changelog of the alerter": 0.3,
    "announcements": 0.3, "examples, learned by halfspace": 0.3,
}  # fmt: skip
"""How often a target's turn comes, where it is not each time: those that cost most."""


def targets() -> list[Any]:
    """Every reader."""
    return [*hops.targets(), *learning.targets(), *columns.targets(), *decoding.targets()]


def run(records: int, seed: int, progress: Any = None, only: str = "") -> dict[str, Counter[str]]:
    """Feed ``records`` in all; what became of them, by target. Whatever escapes is raised. ``only`` that target is fed
    whose name is given."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return _run(records, seed, progress, only)


def _run(records: int, seed: int, progress: Any, only: str) -> dict[str, Counter[str]]:
    draw = random.Random(seed)
    chosen = [target for target in targets() if only in ("", target.name)]
    fates: dict[str, Counter[str]] = {target.name: Counter() for target in chosen}
    if not chosen:
        raise ValueError("no target has that name")
    fed = turns = 0
    while fed < records:
        for number, target in enumerate(chosen):
            if draw.random() > WEIGHTS.get(target.name, 1.0):
                continue
            own = random.Random(f"{seed} {number} {turns}")
            count = min(BATCH, records - fed)
            try:
                found = target.feed(count, own)
            except BaseException:
                print(f"{target.name}: round {turns} of seed {seed}", file=sys.stderr)
                raise
            assert found.total() == count, f"{target.name}: a record has no fate, or two"
            fates[target.name] += found
            fed += count
            if fed >= records:
                break
        turns += 1
        if progress is not None:
            progress(fed)
    return fates


def table(fates: dict[str, Counter[str]]) -> str:
    """What became of the records, a line a target and result."""
    lines = []
    for name, results in fates.items():
        lines.append(f"{name:40} {results.total():>10,}")
        lines += [f"    {result:36} {count:>10,}" for result, count in sorted(results.items())]
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Mutated records over all readers of all topics.")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="TARGET", help="the one target to feed")
    options = parser.parse_args()
    started = told = time.monotonic()

    def progress(fed: int) -> None:
        nonlocal told
        if time.monotonic() - told > 5.0:
            told = time.monotonic()
            print(f"{fed:,} of {options.records:,} records, {told - started:.0f} s", file=sys.stderr)

    fates = run(options.records, options.seed, progress, options.only)
    print(table(fates))
    total = sum(each.total() for each in fates.values())
    print(f"{total:,} records in {time.monotonic() - started:.0f} s; nothing escaped")


if __name__ == "__main__":
    main()
