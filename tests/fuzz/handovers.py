"""Records of ``payments.by-payee.v1``, mutated: as bytes, as columns of Arrow's, and as what the columns say."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from services.contract.columns import Columns, Some, Texts
from services.contract.handover import HANDOVER, PAYMENT
from services.scorer.path.records import Record
from tests.fuzz import seeds
from tests.fuzz.batches import mutated_batch
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import APPENDED_MS

NUMBERS = (0, -1, 1, 2, 3, 4, 255, 65_535, 2**31 - 1, 2**47 - 1, 2**47, 2**63 - 1, -(2**63), 4_102_444_800_000)
REALS = (0.0, -1.0, 1.0, 1e-300, 1e30, 1e35, 1e308, np.inf, -np.inf, np.nan)
TEXTS = (b"", b"\x00", b"\xff", b"\x1f", b'SECRET"\\', "\U0001f3e6".encode() * 128, b"x" * 40_000)
OFFSETS = ("from_offset", "upto_offset", "follows_offset")


def handover_record(draw: random.Random, ahead: int = 0) -> Record:
    """A batch of which a number or text is another, or the payment in it, or its metadata, or any byte; ``ahead`` moves
    it on in the log that it is of."""
    value = draw.choice(seeds.handovers()).value
    choice = draw.random()
    if choice < 0.2:
        value = mutated_batch(seeds.handovers(), draw)
    elif choice < 0.85 or ahead:
        found = HANDOVER.read(value, "")
        assert isinstance(found, Columns)
        arrays, said = dict(found.arrays), dict(found.said)
        if choice < 0.5:
            with_value(arrays, draw)
        elif choice < 0.7:
            _with_payment(arrays, draw)
        elif choice < 0.85:
            said[draw.choice(list(said))] = str(draw.choice((*NUMBERS, "", "SECRET", "1" * 5_000, "\u0663")))
        if ahead and choice < 0.7:
            arrays["offset"] = arrays["offset"] + ahead
            said |= {name: str(int(said[name]) + ahead) for name in OFFSETS}
        value = HANDOVER.write(found.rows, arrays, said)
    key = None if draw.random() < 0.95 else draw.choice((b"", b"\xff", b"\x1f", b"x" * 600))
    return Record(0, draw.choice((APPENDED_MS,) * 8 + (-1, 0)), key, value)


def later_each_time() -> Callable[[random.Random], Record]:
    """Makes records of which most go on in the log where those before have ended; some come again."""
    made = 0

    def record(draw: random.Random) -> Record:
        nonlocal made
        made += 1
        return handover_record(draw, 100 * max(1, made - draw.choice((0, 0, 0, 1, 7))))

    return record


def with_value(arrays: dict[str, Any], draw: random.Random) -> None:
    """One cell is another; now and then all of its column."""
    name = draw.choice(list(arrays))
    values = arrays[name]
    if isinstance(values, Texts):
        texts = [values.at(row) for row in range(len(values.ends) - 1)]
        texts[draw.randrange(len(texts))] = draw.choice(TEXTS)
        arrays[name] = Texts.of(texts)
        return
    numbers = (values.values if isinstance(values, Some) else values).copy()
    if not numbers.size:
        return
    number = draw.choice(REALS) if numbers.dtype.kind == "f" else np.int64(draw.choice(NUMBERS)).astype(numbers.dtype)
    if draw.random() < 0.1:
        numbers[...] = number
    else:
        numbers.reshape(-1)[draw.randrange(numbers.size)] = number
    arrays[name] = values._replace(values=numbers) if isinstance(values, Some) else numbers


def _with_payment(arrays: dict[str, Any], draw: random.Random) -> None:
    """Another payment behind the same columns."""
    payments: Texts = arrays["payment"]
    texts = [payments.at(row) for row in range(len(payments.ends) - 1)]
    paid = np.flatnonzero(arrays["kind"] == PAYMENT).tolist()
    if paid:
        row = draw.choice(paid)
        texts[row] = mutated(texts[row], [], draw)
        arrays["payment"] = Texts.of(texts)
