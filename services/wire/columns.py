"""Records of one partition in columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.wire.headers import HeaderColumn
from services.wire.texts import Texts
from services.wire.varints import Bytes, frozen


class Columns(NamedTuple):
    """n records of one partition, their bytes where they came in.

    ``offsets`` and ``timestamps`` (ms) are int64[n]; ``keys`` and ``values`` int64[n, 2]: where in ``data`` each
    begins, and its length, which is -1 where there is none.
    """

    data: Bytes
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    values: NDArray[np.int64]
    headers: HeaderColumn

    def rows(self, start: int, stop: int | None = None) -> Columns:
        """The records from ``start`` to before ``stop``, over the same bytes."""
        at = slice(start, stop)
        return Columns(
            self.data, self.offsets[at], self.timestamps[at], self.keys[at], self.values[at], self.headers[at]
        )


class Outgoing(NamedTuple):
    """n records to be written to one partition: ``timestamps`` (ms) is int64[n]."""

    timestamps: NDArray[np.int64]
    keys: Texts
    values: Texts
    headers: HeaderColumn


def joined(parts: Sequence[Columns]) -> Columns:
    """The records of at least one part, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    data = frozen(np.concatenate([part.data for part in parts]))
    starts = np.cumsum([0, *(len(part.data) for part in parts[:-1])])
    moved = np.array([[start, 0] for start in starts], dtype=np.int64)
    keys, values, headers = (
        np.concatenate([spans + by for spans, by in zip(column, moved, strict=True)])
        for column in zip(*((part.keys, part.values, part.headers.spans) for part in parts), strict=True)
    )
    return Columns(
        data,
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.timestamps for part in parts]),
        keys,
        values,
        HeaderColumn(data, headers),
    )
