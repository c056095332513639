"""Baselines by corridor: where from, where to, by which rail."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scorer.path.features.state_format import refused

CORRIDORS_MAX = 20_000
"""Corridors with a baseline of their own in one partition; further ones share one row."""
CORRIDOR_ROW = np.dtype(
    [("ms", "i8"), ("remits", "i8"), ("weight", "f8"), ("log_sum", "f8"), ("squares", "f8"), ("rounded", "f8")],
    align=True,
)


class Corridors:
    """Baselines by corridor (where from, where to, rail) of one partition: few rows, never forgotten.

    The first row is that of all corridors beyond ``CORRIDORS_MAX``, which only somebody who invents rails can reach.
    """

    def __init__(self) -> None:
        self.rows: NDArray[Any] = np.zeros(64, dtype=(np.record, CORRIDOR_ROW))
        self._slots: dict[tuple[str, str, str | None], int] = {}
        self._keys: list[bytes] = [b""]
        self._touched: set[int] = set()

    def slot(self, payer: str, payee: str, rail: str | None) -> int:
        """The row of a corridor, made when it is new; counts as changed until ``changelog`` is taken."""
        slot = self._slots.get((payer, payee, rail))
        if slot is None:
            slot = self._allocate(payer, payee, rail)
        self._touched.add(slot)
        return slot

    def _allocate(self, payer: str, payee: str, rail: str | None) -> int:
        if len(self._keys) >= CORRIDORS_MAX:
            return 0
        slot = self._slots[payer, payee, rail] = len(self._keys)
        self._keys.append("\x1f".join((payer, payee, *(() if rail is None else (rail,)))).encode())
        if slot == len(self.rows):
            self.rows = doubled(self.rows)
        return slot

    def items(self) -> list[tuple[bytes, bytes]]:
        """Every corridor's key and row as bytes."""
        return [(key, self.rows[slot].tobytes()) for slot, key in enumerate(self._keys)]

    def changelog(self) -> list[tuple[bytes, bytes]]:
        """Entries of the corridors asked for since the last call, by slot."""
        entries = [(self._keys[slot], self.rows[slot].tobytes()) for slot in sorted(self._touched)]
        self._touched.clear()
        return entries

    def restore(self, key: bytes, value: bytes) -> None:
        """Apply one entry.

        Raises
        ------
        StateFormatError
            When it is not one of a corridor.
        """
        try:
            payer, payee, *rail = key.decode().split("\x1f", 2) if key else ("", "")
        except ValueError:
            raise refused("an entry of the changelog is named like a corridor, and is none") from None
        if len(value) != CORRIDOR_ROW.itemsize:
            raise refused("an entry of the changelog is not as long as a corridor's")
        corridor = (payer, payee, rail[0] if rail else None)
        slot = self._slots.get(corridor) if key else 0
        if slot is None:
            slot = self._allocate(*corridor)  # may replace the rows
        self.rows[slot] = np.frombuffer(value, dtype=CORRIDOR_ROW)[0]


def doubled(rows: NDArray[Any]) -> NDArray[Any]:
    """The rows and as many empty ones, which take no memory before they are written."""
    grown = np.zeros(2 * len(rows), dtype=rows.dtype)
    grown[: len(rows)] = rows
    return grown
