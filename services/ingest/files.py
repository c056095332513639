"""A file and a mapping together: an iterable of rows that are ready to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from services.contract.codec import Rejection
from services.ingest.mapper import RowMapper
from services.ingest.mapping import Mapping
from services.ingest.parquet import ParquetSource
from services.ingest.readers import CsvSource, NdjsonSource
from services.ingest.rows import BLANK, Bad, Filtered, MappedRow, Ready, ready_of_bytes


class MappedFile:
    """The rows of ``path`` as ``mapping`` reads them; iterate it once. A context manager.

    Memory does not grow with the file: one line, or one bounded batch of Parquet rows, is held at a time. CSV and
    NDJSON may be gzipped; the content decides, not the name. With ``labels`` payments carry the label that the mapping
    gives them.

    Raises
    ------
    SourceError
        When the file cannot be opened, or (while iterating) not read to its end.
    MappingError
        When the mapping asks for a column that the file lacks.
    """

    def __init__(self, path: Path, mapping: Mapping, labels: bool = False) -> None:
        self.name = path.name
        self._source: CsvSource | NdjsonSource | ParquetSource
        if mapping.format == "parquet":
            self._source = ParquetSource(path)
        elif mapping.format == "csv":
            self._source = CsvSource(path, mapping.csv)
        else:
            self._source = NdjsonSource(path)
        self._mapper: RowMapper | None = None
        if not mapping.canonical:
            try:
                self._mapper = RowMapper(mapping, self._source.columns, self.name, labels)
            except ValueError:
                self._source.close()
                raise

    def __iter__(self) -> Iterator[MappedRow]:
        map_row: Callable[[int, int, Any], Ready | Filtered | Rejection]
        if self._mapper is not None:
            rows, map_row = self._source.rows(self._mapper.needed), self._mapper.map_row
        else:
            assert isinstance(self._source, NdjsonSource)
            rows, map_row = self._source.originals(), _as_it_is
        number = -1
        for line, cells, original in rows:
            if cells is None:
                yield Filtered(line, BLANK)
                continue
            number += 1
            mapped = cells if isinstance(cells, Rejection) else map_row(line, number, cells)
            yield Bad(line, mapped, original()) if isinstance(mapped, Rejection) else mapped

    def share(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return self._source.share()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()


def _as_it_is(line: int, number: int, payment: Any) -> Ready | Rejection:
    return ready_of_bytes(line, payment)
