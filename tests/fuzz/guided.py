"""The same readers guided by coverage, where Google's ``atheris`` is installed (it is no dependency of ours).

    pip install atheris
    python -m tests.fuzz.guided corpus -max_total_time=600

Every seed is written into the folder ``corpus`` first; libFuzzer adds what reaches new code. Whatever escapes a reader
is a crash, with its input in a file. Kernels are compiled, so what guides is Python's part of the readers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

Reader = Callable[[bytes], object]


def readers() -> list[tuple[Reader, Callable[[], list[Any]]]]:
    """Each reader of one record's bytes, and its seeds."""
    from services.contract import announcement, codec
    from services.contract.alert import Alert
    from services.contract.served import read_served
    from services.contract.shadow_scores import read_shadow_scores
    from services.learner.joining import records
    from services.scorer.path.hops import PayeeHop
    from services.scorer.path.records import Record, no_mark
    from tests.fuzz import decoding, hops, seeds

    scorer = seeds.scorer()

    def through(make: Callable[[], Any], headers: Any = ()) -> Reader:
        return lambda data: make().process([Record(0, seeds.APPENDED_MS, b"SECRET-1", data, headers)], scorer, no_mark)

    def read(kind: Any) -> Reader:
        return lambda data: codec.read(data, kind, "invalid")

    payee = through(lambda: PayeeHop(seeds.ruleset(), "by-payee", 0, 1, 1))
    return [
        (codec.decode_payment, seeds.payments),
        (lambda data: decoding.compare([Record(0, seeds.APPENDED_MS, b"SECRET-1", data)]), seeds.payments),
        (codec.decode_payment_label, seeds.payment_labels),
        (payee, seeds.handovers),
        (read_served, seeds.served),
        (records.decode_label, seeds.labels),
        (records.read_example, seeds.examples),
        (lambda data: announcement.read_announced(b"a/1", data), seeds.announced),
        (lambda data: announcement.read_announced(announcement.CHAMPION, data), seeds.announced),
        (through(hops.make_alerter), seeds.reviews),
        (through(hops.make_alerter, seeds.snoozes()[0].headers), seeds.snoozes),
        (read(Alert), seeds.reviews),
        (read_shadow_scores, seeds.shadow_scores),
    ]


def kernels() -> list[str]:
    """Modules with kernels: numba compiles the bytecode that it is given, and cannot what guides."""
    files = [each for each in Path("services").rglob("*.py") if "@njit" in each.read_text("utf-8")]
    return [".".join(each.with_suffix("").parts) for each in files]


def write_corpus(folder: Path) -> None:
    """Every seed as a file: the number of its reader, then its bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (_, seeds_of) in enumerate(readers()):
        for each in seeds_of():
            data = bytes([number]) + each.value
            (folder / sha256(data).hexdigest()).write_bytes(data)


def main() -> None:
    """The command; its arguments are libFuzzer's."""
    try:
        atheris = import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    with atheris.instrument_imports(include=["services"], exclude=kernels()):
        chosen = [reader for reader, _ in readers()]
    folders = [each for each in sys.argv[1:] if not each.startswith("-")]
    if folders:
        write_corpus(Path(folders[0]))

    def test_one_input(data: bytes) -> None:
        if data:
            chosen[data[0] % len(chosen)](data[1:])

    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
