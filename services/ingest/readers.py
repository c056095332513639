"""Files as rows of cells, one bounded piece at a time: CSV and NDJSON (gzipped or not), and Parquet."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, cast

import orjson

from services.contract.codec import Rejection
from services.contract.errors import TocsinError
from services.ingest.mapping import CsvLayout
from services.runtime.files import unreadable

LINE_BYTES_MAX = 900_000
"""A longer line is refused, and only this much of it is kept: a Kafka record ends at 1 MiB by default."""


class SourceError(TocsinError, OSError):
    """A file cannot be opened, or cannot be read to its end. The message names it."""

    may_quote = True


class RawRow(NamedTuple):
    """One row as it was found."""

    line: int
    cells: Any
    """Those that were asked for, in their order; a line's bytes, where it is not taken apart; a ``Rejection`` of a row
    that cannot be read; ``None`` for a blank line."""
    original: Callable[[], bytes]


class Lines:
    """The lines of a file, gzipped or not, none longer than ``LINE_BYTES_MAX``."""

    def __init__(self, path: Path, expected: str = "a CSV or NDJSON file, as the mapping says") -> None:
        self.path = path
        self.number = 0
        """Of the line read last, from 1."""
        self.cut = False
        """Whether that line was too long, and is only its beginning."""
        try:
            self._raw: BufferedReader = path.open("rb")
            self._bytes_all = max(1, path.stat().st_size)
        except OSError as error:
            raise SourceError(unreadable(path, error, expected)) from None
        zipped = self._raw.peek(2)[:2] == b"\x1f\x8b"
        self._text: IO[bytes] = cast(IO[bytes], gzip.GzipFile(fileobj=self._raw)) if zipped else self._raw

    def next(self) -> bytes:
        """The next line with its line feed, ``b""`` at the end.

        Raises
        ------
        SourceError
            When the file cannot be read further, such as a gzip file that was cut off.
        """
        try:
            line = self._text.readline(LINE_BYTES_MAX)
            self.cut = len(line) == LINE_BYTES_MAX and not line.endswith(b"\n")
            rest = line
            while self.cut and rest and not rest.endswith(b"\n"):
                rest = self._text.readline(LINE_BYTES_MAX)
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(f"{self.path}: cannot be read after line {self.number}: {error}") from None
        self.number += bool(line)
        return line

    def share(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return min(1.0, self._raw.tell() / self._bytes_all)

    def close(self) -> None:
        """Close the file."""
        self._text.close()
        self._raw.close()


def too_long() -> Rejection:
    """What a line beyond ``LINE_BYTES_MAX`` is refused with."""
    return Rejection("oversized", "", f"The line is longer than {LINE_BYTES_MAX} bytes; only its beginning is kept")


class _OpenQuoteError(TocsinError):
    """The CSV reader asks for a second line within one row, and the layout forbids that."""


class _CsvLines:
    """Feeds ``csv.reader``, and remembers the raw lines of the row at hand and what is wrong with them."""

    def __init__(self, lines: Lines, layout: CsvLayout) -> None:
        self._lines, self._layout = lines, layout
        self.raw: list[bytes] = []
        self.fault: Rejection | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if self.raw and not self._layout.multiline:
            raise _OpenQuoteError
        line = self._lines.next()
        if not line:
            raise StopIteration
        self.raw.append(line)
        if self._lines.cut:
            self.fault = too_long()
            return "\n"
        if self._lines.number == 1 and line.startswith(b"\xef\xbb\xbf"):
            line = line[3:]
        try:
            return line.decode(self._layout.encoding)
        except UnicodeDecodeError:
            self.fault = Rejection("not_text", "", f"The line is not {self._layout.encoding}")
            return "\n"


class CsvSource(Lines):
    """Rows of a CSV file. Each physical line is a row, unless the layout allows fields over several lines."""

    def __init__(self, path: Path, layout: CsvLayout) -> None:
        super().__init__(path)
        self._feed = _CsvLines(self, layout)
        self._reader = csv.reader(self._feed, delimiter=layout.delimiter, quotechar=layout.quote or None, strict=True)
        self.columns = layout.columns
        if not layout.columns:
            try:
                self.columns = self._header()
            except SourceError:
                self.close()
                raise

    def _header(self) -> tuple[str, ...]:
        row = self._next()
        if row is None or isinstance(row.cells, Rejection) or not row.cells:
            raise SourceError(f"{self.path}: its first line is no CSV header")
        names = tuple(name.strip() for name in row.cells)
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise SourceError(f"{self.path}: its header names {', '.join(sorted(repeated))} more than once")
        return names

    def _next(self) -> RawRow | None:
        feed = self._feed
        feed.raw, feed.fault = [], None
        line = self.number + 1
        cells: list[str] | Rejection | None
        try:
            cells = next(self._reader, None)
        except csv.Error as error:
            cells = Rejection("csv_malformed", "", f"Not CSV: {error}")
        except _OpenQuoteError:
            hint = "A quoted field does not end on its line (csv.multiline = true would allow that)"
            cells = Rejection("csv_malformed", "", hint)
        if cells is None and not feed.raw:
            return None
        raw = feed.raw
        return RawRow(line, feed.fault or cells or None, lambda: b"".join(raw).rstrip(b"\r\n"))

    def rows(self, needed: Sequence[str]) -> Iterator[RawRow]:
        """Rows with the cells of the columns ``needed``; one with too few or too many cells is a ``Rejection``."""
        width = len(self.columns)
        slots = [self.columns.index(name) for name in needed]
        pick = itemgetter(*slots) if len(slots) > 1 else lambda cells: [cells[slot] for slot in slots]
        while (row := self._next()) is not None:
            cells = row.cells
            if isinstance(cells, list):
                if len(cells) == width:
                    yield RawRow(row.line, pick(cells), row.original)
                    continue
                row = row._replace(cells=Rejection("columns_mismatch", "", f"{len(cells)} cells, and {width} columns"))
            yield row


class NdjsonSource(Lines):
    """Rows of a file with one JSON object a line. A column ``a.b`` is ``b`` inside ``a``."""

    columns = None
    """Each row may have others."""

    def originals(self) -> Iterator[RawRow]:
        """Lines as bytes, unparsed."""
        while line := self.next():
            text = line.strip()
            yield RawRow(self.number, too_long() if self.cut else text or None, lambda text=text: text)  # type: ignore[misc]

    def rows(self, needed: Sequence[str]) -> Iterator[RawRow]:
        """Rows with the values of the columns ``needed``, ``None`` where there is none."""
        paths = [name.split(".") for name in needed]
        for row in self.originals():
            yield row._replace(cells=_inside_all(row.cells, paths)) if isinstance(row.cells, bytes) else row


def _inside_all(text: bytes, paths: Sequence[Sequence[str]]) -> list[Any] | Rejection:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Rejection("not_json", "", str(error))
    if not isinstance(document, dict):
        return Rejection("not_a_payment", "", "Not a JSON object")
    return [_inside(document, path) for path in paths]


def _inside(document: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document
