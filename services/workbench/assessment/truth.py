"""What is true of the accounts of a stream: one line an account, in a file of its own, never beside a payment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from models.measures import Flags, Whole
from services.contract.codec import Rejection, read
from services.contract.errors import TocsinError
from services.contract.payment import Role
from services.generator import AccountTruth
from services.ingest.readers import Lines
from services.scorer.path.rules.pack_format import ROLES

EVERY_WORLD = -1
UNKNOWN_WORLD = -2
"""Of an account that no line tells of: its payments are of the other party's world."""
WORLD_MAX = 1_000_000
NO_LINE = -1
"""In place of a line's number: the last entry of every column of ``Truth``."""
UNTOLD = "untold"
"""The class of an account that no line tells of."""
EXPECTED = "NDJSON of one line an account: role, account, positive, class, world"

Name = Annotated[str, Meta(min_length=1, max_length=128)]


class AccountLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What is true of an account in one role."""

    role: Role
    account: Name
    """As in the payments."""
    positive: bool
    """Whether its payments follow the pattern that is looked for."""
    kind: Name = msgspec.field(name="class")
    """What it is, positive or not."""
    world: Annotated[int, Meta(ge=EVERY_WORLD, le=WORLD_MAX)]
    """Which world it belongs to; -1: it occurs in all of them."""
    sub_type: Name | None = None
    source_system: Name | None = None
    twin_of: Name | None = None
    """Of an innocent account that is made like a positive one: that one."""


class TruthError(TocsinError, ValueError):
    """What is true of a stream cannot be used. The message names file, line and field."""

    may_quote: ClassVar[bool] = True
    exit_code: ClassVar[int] = 2


class Truth:
    """The lines of a stream in columns, [lines + 1]: the last entry is that of an account without a line.

    Parameters
    ----------
    lines
        One an account and role.
    name
        Of the stream, for messages.
    place
        Where the line at hand stands, for messages.
    others_negative
        The roles in which accounts without a line are known to be negative. In others nothing is known of them, and
        they are not ranked.

    Raises
    ------
    TruthError
        When there is no line, no positive payer, or an account has two lines in one role.
    """

    def __init__(
        self,
        lines: Iterable[AccountLine],
        name: str,
        place: Callable[[], str] | None = None,
        others_negative: tuple[Role, ...] = (),
    ) -> None:
        self.others_negative = others_negative
        self.lines: list[AccountLine] = []
        self._line_of: dict[str, dict[str, int]] = {role: {} for role in ROLES}
        for line in lines:
            known = self._line_of[line.role]
            if line.account in known:
                where = name if place is None else place()
                raise TruthError(f"{where}: account: this {line.role} has a line already; expected {EXPECTED}")
            known[line.account] = len(self.lines)
            self.lines.append(line)
        if not self.lines:
            raise TruthError(f"{name}: holds no account; expected {EXPECTED}")
        named = sorted({line.world for line in self.lines} - {EVERY_WORLD})
        self.worlds: tuple[int, ...] = tuple(named or [0])
        self.positive: Flags = np.array([*(line.positive for line in self.lines), False], dtype=np.bool_)
        self.world: Whole = np.array([*(line.world for line in self.lines), UNKNOWN_WORLD], dtype=np.int64)
        if len(self.worlds) == 1:
            self.world[:] = self.worlds[0]
        self.is_payer: Flags = np.array([*(line.role == "payer" for line in self.lines), False], dtype=np.bool_)
        self.twin: Flags = np.array([*(line.twin_of is not None for line in self.lines), False], dtype=np.bool_)
        if not (self.positive & self.is_payer).any():
            raise TruthError(
                f"{name}: positive: true of no line whose role is payer, so nothing can be found; expected {EXPECTED}"
            )

    def line_of(self, role: Role, account: str) -> int:
        """The number of an account's line, from 0; ``NO_LINE``."""
        return self._line_of[role].get(account, NO_LINE)

    def named(self, field: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """The texts of a field, in order, and which of them each line tells: int64[lines + 1], -1 for none."""
        texts = [getattr(line, field) for line in self.lines] + [UNTOLD if field == "kind" else None]
        names = tuple(sorted({text for text in texts if text is not None}))
        place = {text: at for at, text in enumerate(names)}
        return names, np.array([place.get(text, -1) for text in texts], dtype=np.int64)


def read_truth(path: Path) -> Truth:
    """The truth of a file.

    Raises
    ------
    SourceError
        When it cannot be read.
    TruthError
        When a line is none of an account, or as ``Truth``.
    """

    source = Lines(path, EXPECTED)

    def lines() -> Iterator[AccountLine]:
        while value := source.next():
            if not value.isspace():
                yield _line(value, path, source.number)

    try:
        return Truth(lines(), str(path), lambda: f"{path}, line {source.number}")
    finally:
        source.close()


def generated_truth(accounts: Iterable[AccountTruth], world: int, name: str) -> Truth:
    """The truth of a generated stream, all of it of one world.

    It has a line of every payer but recipients that pay on what they got, and of those payees that are more than plain
    background.
    """
    lines = (line_of_generated(each, world) for each in accounts)
    return Truth(lines, name, others_negative=("payee",))


def line_of_generated(each: AccountTruth, world: int) -> AccountLine:
    """What the generator says of an account, as a line."""
    looked_for = ("lsac",) if each.role == "payer" else ("facilitator", "direct_beneficiary")
    return AccountLine(
        role="payer" if each.role == "payer" else "payee",
        account=each.account,
        positive=(each.typology if each.role == "payer" else each.population) in looked_for,
        kind=each.population,
        world=world,
        sub_type=each.sub_type,
        source_system=each.source_system,
        twin_of=each.twin_of,
    )


def _line(value: bytes, path: Path, number: int) -> AccountLine:
    found = read(value, AccountLine, "truth_invalid")
    if isinstance(found, Rejection):
        where = f"{found.field}: " if found.field else ""
        raise TruthError(f"{path}, line {number}: {where}{found.detail}; expected {EXPECTED}")
    return found
