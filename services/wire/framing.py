"""From columns to the bytes of a batch's records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.wire.columns import Outgoing
from services.wire.varints import Bytes, copy, frozen, varint_size, write_text, write_varint


class Framed(NamedTuple):
    """The records of one batch. Timestamps are in ms; the first is what those of the records are counted from."""

    data: Bytes
    record_count: int
    first_timestamp: int
    max_timestamp: int


class _Arrays(NamedTuple):
    """``Outgoing`` as kernels take it."""

    timestamps: NDArray[np.int64]
    key_data: Bytes
    keys: NDArray[np.int64]
    value_data: Bytes
    values: NDArray[np.int64]
    header_data: Bytes
    headers: NDArray[np.int64]


def framed(records: Outgoing, bytes_max: int) -> Iterator[Framed]:
    """``records`` in as few batches as have room for them, in order; none without a record.

    Parameters
    ----------
    bytes_max
        Of a batch's records before compression; a larger record has a batch to itself.
    """
    timestamps, keys, values, headers = records
    arrays = _Arrays(
        timestamps,
        frozen(keys.data),
        np.ascontiguousarray(keys.spans),
        frozen(values.data),
        np.ascontiguousarray(values.spans),
        frozen(headers.data),
        np.ascontiguousarray(headers.spans),
    )
    sizes = np.empty(len(timestamps), dtype=np.int64)
    start = 0
    while start < len(timestamps):
        stop, size = _measure(arrays, start, bytes_max, sizes)
        out = np.empty(size, dtype=np.uint8)
        _write(arrays, start, stop, sizes, out)
        yield Framed(out, stop - start, int(timestamps[start]), int(timestamps[start:stop].max()))
        start = stop


@njit(cache=True)
def _measure(records: _Arrays, start: int, bytes_max: int, sizes: NDArray[np.int64]) -> Any:
    """int64, int64: where the batch from ``start`` on ends, and its bytes; of each record those behind its length are
    written to ``sizes``."""
    total, first = 0, records.timestamps[start]
    for row in range(start, len(records.timestamps)):
        size = (
            1
            + varint_size(records.timestamps[row] - first)
            + varint_size(row - start)
            + _text_size(records.keys[row, 1])
            + _text_size(records.values[row, 1])
            + records.headers[row, 1]
        )
        whole = varint_size(size) + size
        if row > start and total + whole > bytes_max:
            return row, total
        sizes[row] = size
        total += whole
    return len(records.timestamps), total


@njit(cache=True)
def _text_size(length: int) -> int:
    return int(varint_size(length) + max(length, 0))


@njit(cache=True)
def _write(records: _Arrays, start: int, stop: int, sizes: NDArray[np.int64], out: Bytes) -> None:
    at, first = 0, records.timestamps[start]
    for row in range(start, stop):
        at = write_varint(out, at, sizes[row])
        out[at] = 0  # attributes
        at = write_varint(out, at + 1, records.timestamps[row] - first)
        at = write_varint(out, at, row - start)
        at = write_text(out, at, records.key_data, records.keys[row, 0], records.keys[row, 1])
        at = write_text(out, at, records.value_data, records.values[row, 0], records.values[row, 1])
        copy(out, at, records.header_data, records.headers[row, 0], records.headers[row, 1])
        at += records.headers[row, 1]
