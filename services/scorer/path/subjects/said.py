"""What the model said of payments under a pack since the latest checkpoint.

A payee's subjects take the model's evidence in, and the log of payments does not hold it: another model may score by
the time that the log is taken into the state again. So it stands in the changelog, in the transaction of its batch,
until a checkpoint holds what came of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scorer.path.features.state_format import refused

SAID_PREFIX = b"\x04"
"""What keys of such entries begin with; a number follows, eight bytes, big-endian."""
_NUMBERS_MAX = 2**63
_ROW = np.dtype([("position", "<i8"), ("evidence", "<f8")])
Entry = tuple[bytes, bytes | None]


class Said:
    """The model's evidence by payment. ``form`` are the eight bytes that every value of the changelog begins with."""

    def __init__(self, form: bytes) -> None:
        self._form = form
        self._rows: list[NDArray[Any]] = []
        self._written = 0
        """How many of them the changelog holds."""
        self._keys: list[bytes] = []
        self._ended: list[bytes] = []
        """Keys of entries that a checkpoint has replaced, once it is whole."""
        self._next = 0

    def take(self, positions: NDArray[np.int64], evidence: NDArray[np.float64]) -> None:
        """What was said of n payments, float64[n], by where they stand in their log, int64[n]."""
        if len(evidence):
            rows = np.empty(len(evidence), dtype=_ROW)
            rows["position"], rows["evidence"] = positions, evidence
            self._rows.append(rows)

    def of(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """float64[n]: what was said of each of n payments, the latest word.

        Raises
        ------
        StateFormatError
            When nothing was said of one of them.
        """
        known = np.concatenate([np.array([(-1, np.nan)], dtype=_ROW), *self._rows])
        known = known[np.argsort(known["position"], kind="stable")]
        at = np.searchsorted(known["position"], positions, side="right") - 1
        if (known["position"][at] != positions).any():
            raise refused("the changelog does not hold what the model said of payments since the latest checkpoint")
        evidence: NDArray[np.float64] = known["evidence"][at]
        return evidence

    def entries(self, with_checkpoint: bool) -> list[Entry]:
        """Changelog entries of what was said since the last call, and the end of those that a checkpoint before this
        call replaced. One ``with_checkpoint`` replaces all of them."""
        out: list[Entry] = [(key, None) for key in self._ended]
        self._ended = []
        if with_checkpoint:
            self._ended, self._keys = self._keys, []
            self._rows, self._written = [], 0
            return out
        fresh = self._rows[self._written :]
        if fresh:
            key = SAID_PREFIX + self._next.to_bytes(8, "big")
            out.append((key, self._form + np.concatenate(fresh).tobytes()))
            self._keys.append(key)
            self._next += 1
            self._written = len(self._rows)
        return out

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take an entry, oldest first; ``value`` is without the eight bytes.

        Raises
        ------
        StateFormatError
            When it is none that this code wrote.
        """
        if value is None:
            self._keys = [each for each in self._keys if each != key]
            return
        number = int.from_bytes(key[len(SAID_PREFIX) :], "big")
        if len(key) != len(SAID_PREFIX) + 8 or number >= _NUMBERS_MAX or len(value) % _ROW.itemsize:
            raise refused("the changelog holds no whole rows of what the model said")
        self._keys.append(key)
        self._rows.append(np.frombuffer(value, dtype=_ROW))
        self._written = len(self._rows)
        self._next = max(self._next, number + 1)
