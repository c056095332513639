"""Baselines by corridor: where from, where to, by which rail."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.scorer.path.features.state_format import refused
from services.scorer.path.features.tables import Table

CORRIDORS_MAX = 20_000
"""Corridors with a baseline of their own in one partition; further ones share one row."""
CORRIDOR_ROW = np.dtype(
    [
        ("low", "u8"),  # half of the digest of its name, both 0 in the row that corridors share
        ("high", "u8"),
        ("ms", "i8"), ("remits", "i8"), ("weight", "f8"), ("log_sum", "f8"), ("squares", "f8"),
        ("rounds", "i8"), ("round_weight", "f8"), ("rounded", "f8"),  # of those whose roundness is known
    ]
)  # fmt: skip


class Corridors:
    """Baselines by corridor (where from, where to, rail) of one partition: few rows, never forgotten.

    The first row is that of all corridors beyond ``CORRIDORS_MAX``, which only somebody who invents rails can reach.
    """

    def __init__(self) -> None:
        self.table = Table(CORRIDOR_ROW, reserved=1)
        self._slots: dict[tuple[str, str, str | None], int] = {}
        self._by_digest: dict[tuple[int, int], int] = {}

    @property
    def rows(self) -> NDArray[Any]:
        """``CORRIDOR_ROW[...]``, by slot."""
        return self.table.rows

    def slot(self, payer: str, payee: str, rail: str | None) -> int:
        """The row of a corridor, made when it is new; counts as changed until the next checkpoint."""
        slot = self._slots.get((payer, payee, rail))
        if slot is None:
            slot = self._named(payer, payee, rail)
        self.table.changed[slot] = True
        return slot

    def _named(self, payer: str, payee: str, rail: str | None) -> int:
        name = "\x1f".join((payer, payee, *(() if rail is None else (rail,)))).encode()
        digest = hash_of(name)
        halves = int(digest[:16], 16), int(digest[16:32], 16)
        slot = self._by_digest.get(halves)
        if slot is None:
            if self.table.used >= CORRIDORS_MAX:
                return 0
            slot = self.table.used
            self.table.extend(slot + 1)
            self.rows[slot]["low"], self.rows[slot]["high"] = halves
            self._by_digest[halves] = slot
        self._slots[payer, payee, rail] = slot
        return slot

    def items(self) -> list[bytes]:
        """Every corridor's row as bytes, in the order in which they were made."""
        return [row.tobytes() for row in self.rows[: self.table.used]]

    def settle(self) -> None:
        """After rows were put back: find them again.

        Raises
        ------
        StateFormatError
            When they are none that this code wrote.
        """
        rows = self.rows[1 : self.table.used]
        digests = zip(rows["low"].tolist(), rows["high"].tolist(), strict=True)
        self._slots.clear()
        self._by_digest = {halves: slot for slot, halves in enumerate(digests, start=1)}
        if self.table.used > CORRIDORS_MAX or len(self._by_digest) != len(rows) or (0, 0) in self._by_digest:
            raise refused("the changelog holds corridors that no kernel of this code has written")
