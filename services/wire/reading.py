"""From the bytes of a batch's records to columns."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.errors import TocsinError
from services.wire.columns import Columns
from services.wire.headers import HeaderColumn
from services.wire.varints import Bytes, read_varint

RECORD_BYTES_MIN = 7
"""Length, attributes, two differences, key, value, headers: a byte each at least."""
_CORRUPT = -1


class RecordsCorrupt(TocsinError, ValueError):
    """Bytes that are no records, or not as many as they were said to be."""


def read_records(data: Bytes, count: int, base_offset: int, base_timestamp: int, position: int) -> Columns:
    """The ``count`` records that ``data`` consists of, without those before the offset ``position``.

    Parameters
    ----------
    base_offset, base_timestamp
        What the records' offsets and timestamps (ms) are counted from.

    Raises
    ------
    RecordsCorrupt
        When it does not consist of so many records. Nothing beyond ``data`` is read, whatever it says.
    """
    if not 0 <= count * RECORD_BYTES_MIN <= len(data):
        raise RecordsCorrupt(f"{count} records in {len(data)} bytes")
    offsets, timestamps = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    keys, values, headers = (np.empty((count, 2), dtype=np.int64) for _ in range(3))
    rows = _read(data, count, base_offset, base_timestamp, position, offsets, timestamps, keys, values, headers)
    if rows == _CORRUPT:
        raise RecordsCorrupt(f"{len(data)} bytes that are not {count} records")
    columns = Columns(data, offsets, timestamps, keys, values, HeaderColumn(data, headers))
    return columns if rows == count else columns.rows(0, rows)


@njit(cache=True)
def _read(
    data: Bytes,
    count: int,
    base_offset: int,
    base_timestamp: int,
    position: int,
    offsets: NDArray[np.int64],
    timestamps: NDArray[np.int64],
    keys: NDArray[np.int64],
    values: NDArray[np.int64],
    headers: NDArray[np.int64],
) -> int:
    """How many records it wrote to the columns, or ``_CORRUPT``. Offsets only rise: one that does not is left out."""
    row, at = 0, 0
    for _ in range(count):
        length, at = read_varint(data, at, len(data))
        if at < 0 or length < 1 or length > len(data) - at:
            return _CORRUPT
        end = at + length
        timestamp, at = read_varint(data, at + 1, end)  # behind the attributes, which say nothing
        if at < 0:
            return _CORRUPT
        offset, at = read_varint(data, at, end)
        if at < 0:
            return _CORRUPT
        at = _read_span(data, at, end, keys[row])
        if at < 0:
            return _CORRUPT
        at = _read_span(data, at, end, values[row])
        if at < 0:
            return _CORRUPT
        headers[row, 0], headers[row, 1] = at, end - at
        if _end_of_headers(data, at, end) != end:
            return _CORRUPT
        at = end
        if base_offset + offset >= position:
            offsets[row], timestamps[row] = base_offset + offset, base_timestamp + timestamp
            position = offsets[row] + 1
            row += 1
    return row if at == len(data) else _CORRUPT


@njit(cache=True)
def _read_span(data: Bytes, at: int, end: int, span: NDArray[np.int64]) -> int:
    """Where the text at ``at`` ends, or ``_CORRUPT``; ``span`` is then where it begins, and its length."""
    length, at = read_varint(data, at, end)
    if at < 0 or length > end - at:
        return _CORRUPT
    span[0], span[1] = at, max(length, -1)
    return at + int(max(span[1], 0))


@njit(cache=True)
def _end_of_headers(data: Bytes, at: int, end: int) -> int:
    count, at = read_varint(data, at, end)
    if at < 0 or count < 0:
        return _CORRUPT
    for _ in range(count):
        name_length, at = read_varint(data, at, end)
        if at < 0 or name_length < 0 or name_length > end - at:
            return _CORRUPT
        value_length, at = read_varint(data, at + name_length, end)
        if at < 0 or value_length > end - at:
            return _CORRUPT
        at += max(value_length, 0)
    return at
