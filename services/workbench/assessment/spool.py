"""Payments under a pack on disk: a stream is followed once, and read again as often as something is to be learned.

Features are kept as float32, which halves them; what is learned looks at nothing finer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.kinds.kind import Share
from models.measures import Floats, Whole
from services.scorer.path.features.registry import FEATURES
from services.workbench.assessment.replayed import Batch, Labelled

_ROW = np.dtype(
    [
        ("event_ms", "i8"),
        ("accounts", "i8", (2,)),
        ("payers", "u8", (2,)),
        ("payees", "u8", (2,)),
        ("lines", "i8", (2,)),
        ("features", "f4", (len(FEATURES),)),
    ]
)
_ROWS = 16_384


class UnderPack(NamedTuple):
    """n payments that a pack applies to, or may (``Batch.subject_to_pack``), in order; columns of two are of payer and
    payee."""

    event_ms: Whole
    accounts: Whole
    """int64[n, 2], as of ``Batch``, like the rest."""
    payers: NDArray[np.uint64]
    payees: NDArray[np.uint64]
    lines: Whole
    features: Floats


def under_pack(batch: Batch) -> UnderPack:
    """Those of a batch."""
    rows = np.flatnonzero(batch.subject_to_pack)
    payers, payees = (np.ascontiguousarray(each[rows]) for each in batch.digests)
    return UnderPack(
        np.ascontiguousarray(batch.event_ms[rows]), batch.accounts[rows], payers, payees, batch.lines[rows],
        np.ascontiguousarray(batch.features[rows]),
    )  # fmt: skip


class Spool:
    """The payments under a pack of one stream, in a file.

    Parameters
    ----------
    stream
        Which is followed once, by ``fill``.
    path
        Of the file.
    """

    def __init__(self, stream: Labelled, path: Path) -> None:
        self.stream, self._path = stream, path

    def fill(self, share: Share) -> Iterator[UnderPack]:
        """Follow the stream, keep its payments under a pack, and pass them on."""
        with self._path.open("wb", buffering=1 << 20) as file:
            for batch in self.stream.batches(share):
                found = under_pack(batch)
                if not len(found.event_ms):
                    continue
                rows = np.empty(len(found.event_ms), dtype=_ROW)
                for name, column in zip(UnderPack._fields, found, strict=True):
                    rows[name] = column
                file.write(rows.tobytes())
                yield found

    def pieces(self, share: Share) -> Iterator[UnderPack]:
        """What was kept, in pieces."""
        size, read = self._path.stat().st_size, 0
        with self._path.open("rb") as file:
            while data := file.read(_ROWS * _ROW.itemsize):
                rows = np.frombuffer(data, dtype=_ROW)
                read += len(data)
                share(read / size)
                columns = {name: np.ascontiguousarray(rows[name]) for name in UnderPack._fields}
                yield UnderPack(**{**columns, "features": rows["features"].astype(np.float64)})
