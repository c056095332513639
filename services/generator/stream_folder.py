"""A folder of a stream as somebody else could have written it: ``payments.ndjson`` and ``truth.ndjson``.

``payments.ndjson`` has one payment.v1 a line, of all worlds, in the order of arrival. ``truth.ndjson`` has one line an
account and role: ``role``, ``account``, ``positive`` (an LSAC payer, a facilitator, or somebody paid directly),
``class``, ``world`` (by position), and, where they apply, ``sub_type``, ``source_system``, ``twin_of``, ``also`` (a
second routine) and ``person`` (the first account of somebody with two). A payee of whom nothing is planned is of class
``recipient`` or of what it is: ``charity``, ``platform``, ``agent``. Results on synthetic data show that the software
works as specified, not that it finds offenders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from services.generator.accounts import AGENT, CHARITY, COLLECTOR, MERCHANT, PLATFORM, SPECIAL, kind_of
from services.generator.chance import mix
from services.generator.configuration import Configuration
from services.generator.outputs import OutputError, whole_file
from services.generator.rows import MALFORMED, Rows, source
from services.generator.stream import Stream
from services.generator.truth import AccountTruth
from services.generator.worlds import families

PAYMENTS, TRUTH = "payments.ndjson", "truth.ndjson"
_CLASSES = {CHARITY: "charity", PLATFORM: "platform", AGENT: "agent", COLLECTOR: "collector", MERCHANT: "merchant"}
_POSITIVE_PAYEES = ("facilitator", "direct_beneficiary")
_OPTIONAL = ("sub_type", "source_system", "twin_of", "also", "person")


def world_names(held_out: bool, each: int, first: int = 0) -> tuple[str, ...]:
    """``each`` worlds of every training or held-out family, counted from ``first``.

    >>> world_names(held_out=False, each=2)[:3]
    ('harbour/0', 'harbour/1', 'ward/0')
    """
    return tuple(f"{name}/{first + at}" for name in families(held_out) for at in range(each))


def configurations(
    names: Sequence[str], payers: int, months: int, seed: int, base_rate: str | float
) -> list[Configuration]:
    """A run of each world, of seeds of their own, so that no account is in two of them."""
    return [
        Configuration(payers, months, mix(mix(seed) + at) >> 1, base_rate, world=name) for at, name in enumerate(names)
    ]


def write_stream_folder(
    folder: Path, configurations: Sequence[Configuration], share: Callable[[float, int], object] = lambda *_: None
) -> dict[str, Any]:
    """Write the runs of ``configurations``, all of the same months, as one stream; truth is in a file of its own.

    ``share`` hears which part is done, and how many payments are written. Damaged records are left out, late and
    repeated ones are not. Returns counts: ``payments``, ``accounts``, ``positive``, ``worlds``. Raises ``OutputError``
    when a file cannot be written. Memory: that of the payers of all worlds, and of a few days' payments.
    """
    if len({each.months for each in configurations}) != 1:
        raise OutputError(f"{folder}: its worlds must have the same months, and be at least one")
    streams = [Stream(each) for each in configurations]
    payees: list[set[int]] = [set() for _ in streams]
    days, payments, accounts, positive = configurations[0].days + 1, 0, 0, 0
    with whole_file(folder / PAYMENTS) as partial, partial.open("wb", buffering=1 << 20) as file:
        for day, parts in enumerate(zip(*(each.days() for each in streams), strict=True), 1):
            rows = [_kept(part.rows) for part in parts]
            lines = [line for stream, each in zip(streams, rows, strict=True) for line in stream.writer.lines(each)]
            for seen, each in zip(payees, rows, strict=True):
                seen.update(np.unique(each["payee"]).tolist())
                seen.update(np.unique(each["payer"][each["source"] == source("cash_out")]).tolist())
            order = np.argsort(np.concatenate([each["arrival"] for each in rows]), kind="stable").tolist()
            file.writelines(lines[at] + b"\n" for at in order)
            payments += len(lines)
            share(day / days, payments)
    with whole_file(folder / TRUTH) as partial, partial.open("wb", buffering=1 << 20) as file:
        for world, (stream, seen) in enumerate(zip(streams, payees, strict=True)):
            for line in _truth(stream, seen, world):
                accounts, positive = accounts + 1, positive + line["positive"]
                file.write(orjson.dumps(line) + b"\n")
    return {"payments": payments, "accounts": accounts, "positive": positive, "worlds": len(streams)}


def _kept(rows: Rows) -> Rows:
    kept: Rows = rows[rows["kind"] != MALFORMED]
    return kept


def _truth(stream: Stream, payees: set[int], world: int) -> Iterator[dict[str, Any]]:
    """The truth of one world, payers first; of payees those that were paid or took money out."""
    for each in stream.accounts():
        yield _line(each, world)
    name = stream.world.accounts.identifier
    for number in sorted(payees):
        kind = kind_of(number)
        if kind not in (SPECIAL, COLLECTOR):
            yield {
                "role": "payee",
                "account": name(number),
                "positive": False,
                "class": _CLASSES.get(kind, "recipient"),
                "world": world,
            }


def _line(truth: AccountTruth, world: int) -> dict[str, Any]:
    payer = truth.role == "payer" and truth.typology == "lsac"
    payee = truth.role == "payee" and truth.population in _POSITIVE_PAYEES
    line = {
        "role": truth.role,
        "account": truth.account,
        "positive": payer or payee,
        "class": truth.population,
        "world": world,
    }
    return line | {name: value for name in _OPTIONAL if (value := getattr(truth, name)) is not None}
