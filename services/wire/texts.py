"""Byte strings in a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.wire.varints import Bytes, frozen


class Texts(NamedTuple):
    """n byte strings: ``spans``, int64[n, 2], is where in ``data`` each begins, and its length, -1 for ``None``."""

    data: Bytes
    spans: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[bytes | None]) -> Texts:
        """``texts``, one behind the other."""
        try:
            data = b"".join(texts)  # type: ignore[arg-type]
            lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))  # type: ignore[arg-type]
        except TypeError:
            data = b"".join(text or b"" for text in texts)
            lengths = np.array([-1 if text is None else len(text) for text in texts], dtype=np.int64)
        sizes = np.maximum(lengths, 0)
        spans = np.stack([np.cumsum(sizes) - sizes, lengths], axis=1)
        return cls(frozen(data), spans)

    def bytes_in_all(self) -> int:
        """How many bytes the texts have together."""
        return int(np.maximum(self.spans[:, 1], 0).sum())
