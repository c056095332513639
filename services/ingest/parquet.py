"""Rows of a Parquet file, a bounded batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from services.ingest.mapper import cell_text
from services.ingest.numbers import BadValueError
from services.ingest.readers import RawRow, SourceError
from services.runtime.files import unreadable

BATCH_ROWS = 4_096


class ParquetSource:
    """An open Parquet file.

    Raises
    ------
    SourceError
        When it cannot be read, or turns out to be damaged.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow  # here, since it takes a tenth of a second, and most files are of other formats
        from pyarrow import parquet

        self._arrow, self._path = pyarrow, path
        try:
            self._file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise SourceError(unreadable(path, error, "a Parquet file, as the mapping says")) from None
        except (OSError, pyarrow.ArrowException) as error:
            raise SourceError(f"{path}: is no Parquet file, as the mapping says: {error}") from None
        self.columns: tuple[str, ...] = tuple(self._file.schema_arrow.names)
        self._rows_all: int = max(1, self._file.metadata.num_rows)
        self._rows_read = 0

    def rows(self, needed: Sequence[str]) -> Iterator[RawRow]:
        """Rows, numbered from 1, with the cells of the columns ``needed``."""
        batches = self._file.iter_batches(batch_size=BATCH_ROWS, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                columns = [self._values(batch.column(name)) for name in needed]
            except (OSError, self._arrow.ArrowException) as error:
                raise SourceError(f"{self._path}: cannot be read after row {self._rows_read}: {error}") from None
            first = self._rows_read + 1
            for index, cells in enumerate(zip(*columns, strict=True)):
                yield RawRow(first + index, cells, partial(_original, batch, index))
            self._rows_read += batch.num_rows

    def _values(self, column: Any) -> list[Any]:
        """A column as Python values. Finer times than Python's are cut to microseconds."""
        if self._arrow.types.is_timestamp(column.type):
            column = column.cast(self._arrow.timestamp("us", column.type.tz), safe=False)
        values: list[Any] = column.to_pylist()
        return values

    def share(self) -> float:
        """How much of it has been read, 0 to 1."""
        return self._rows_read / self._rows_all

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _original(batch: Any, index: int) -> bytes:
    """One row of a batch as JSON."""
    return orjson.dumps(batch.slice(index, 1).to_pylist()[0], default=_plain)


def _plain(value: object) -> str | None:
    """What JSON has no form for, as text; for bytes, their hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    try:
        return cell_text(value)
    except BadValueError:
        return repr(value)
