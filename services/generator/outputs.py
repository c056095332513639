"""Where records go: NDJSON, Parquet, or a folder of pacs.008 messages; and truth, in a file of its own.

Files appear under their name only when they are complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
import orjson

from services.contract.errors import TocsinError
from services.generator.pacs008 import TRANSFERS_MAX, document, transfer
from services.generator.rows import MALFORMED
from services.generator.stream import Chunk
from services.generator.truth import AccountTruth, LabelTruth, PaymentTruth, TruthRecord

_PARQUET_ROWS = 65_536
_INTEGERS = ("event_time_ms", "amount_minor", "utc_offset_minutes", "received_amount_minor")
_TEXTS = (
    "payment_id", "currency", "received_currency", "rail", "status", "purpose", "reference", "merchant_category",
    "device", "relationship",
)  # fmt: skip
_PARTY_TEXTS = ("account", "country", "agent", "device", "phone", "pickup")


class OutputError(TocsinError, ValueError):
    """A file cannot be written. The message starts with its name."""


class Writer(Protocol):
    """Takes chunks. A context manager: leaving it without an exception completes the output."""

    records: int
    left_out: int

    def write(self, chunk: Chunk) -> None:
        """Write the records of ``chunk``."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class _Partial:
    """A file that gets its name when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path, self.partial = path, path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.partial.touch()
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror}") from None

    def done(self, complete: bool) -> None:
        if complete:
            self.partial.replace(self._path)
        else:
            self.partial.unlink(missing_ok=True)


class NdjsonWriter:
    """One record a line, exactly as generated, damaged ones included."""

    def __init__(self, path: Path) -> None:
        self.records = self.left_out = 0
        self._partial = _Partial(path)
        self._file = self._partial.partial.open("wb", buffering=1 << 20)

    def write(self, chunk: Chunk) -> None:
        """Write the records of ``chunk``."""
        self._file.write(b"\n".join(chunk.values) + b"\n")
        self.records += len(chunk.values)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._partial.done(kind is None)


class ParquetWriter:
    """One column a field (``payer_account``, ...). Damaged records cannot be rows: they are left out, and counted.

    Raises
    ------
    OutputError
        When pyarrow is not installed, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        arrow, parquet = _arrow(path)
        self.records = self.left_out = 0
        self._arrow, self._partial, self._rows = arrow, _Partial(path), list[dict[str, Any]]()
        fields = [(name, arrow.int64()) for name in _INTEGERS] + [(name, arrow.string()) for name in _TEXTS]
        for side in ("payer", "payee"):
            fields += [(f"{side}_{name}", arrow.string()) for name in _PARTY_TEXTS]
            fields += [(f"{side}_opened_ms", arrow.int64()), (f"{side}_minor", arrow.bool_())]
        self._schema = arrow.schema(fields)
        self._file = parquet.ParquetWriter(self._partial.partial, self._schema, compression="zstd")

    def write(self, chunk: Chunk) -> None:
        """Write the records of ``chunk``."""
        for value, kind in zip(chunk.values, chunk.kinds.tolist(), strict=True):
            if kind == MALFORMED:
                self.left_out += 1
                continue
            self._rows.append(_flat(orjson.loads(value)))
        self.records += len(chunk.values)
        if len(self._rows) >= _PARQUET_ROWS:
            self._flush()

    def _flush(self) -> None:
        columns = {field.name: [row.get(field.name) for row in self._rows] for field in self._schema}
        self._file.write_table(self._arrow.table(columns, schema=self._schema))
        self._rows.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self._rows:
            self._flush()
        self._file.close()
        self._partial.done(kind is None)


class Pacs008Writer:
    """A new folder of messages, ``pacs008-000000001.xml`` and so on, each with up to 5,000 transfers.

    Raises
    ------
    OutputError
        When the folder exists and is not empty.
    """

    def __init__(self, folder: Path) -> None:
        self.records = self.left_out = 0
        self._folder, self._transfers, self._number, self._last_ms = folder, list[str](), 0, 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise OutputError(f"{folder}: must be a new or an empty folder")
        except OSError as error:
            raise OutputError(f"{folder}: {error.strerror}") from None

    def write(self, chunk: Chunk) -> None:
        """Write the credit transfers of ``chunk``."""
        for value, kind, time_ms in zip(chunk.values, chunk.kinds.tolist(), chunk.times_ms.tolist(), strict=True):
            said = None if kind == MALFORMED else transfer(value)
            if said is None:
                self.left_out += 1
                continue
            self._transfers.append(said)
            self._last_ms = time_ms
            if len(self._transfers) == TRANSFERS_MAX:
                self._flush()
        self.records += len(chunk.values)

    def _flush(self) -> None:
        self._number += 1
        path = self._folder / f"pacs008-{self._number:09d}.xml"
        path.write_bytes(document(self._number, self._transfers, self._last_ms))
        self._transfers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self._transfers:
            self._flush()


WRITERS: dict[str, type[NdjsonWriter] | type[ParquetWriter] | type[Pacs008Writer]] = {
    "ndjson": NdjsonWriter,
    "parquet": ParquetWriter,
    "pacs008": Pacs008Writer,
}


class TruthWriter:
    """Truth records into NDJSON, or into Parquet if the file's name ends in ``.parquet``.

    Raises
    ------
    OutputError
        When the file cannot be written, or needs pyarrow and there is none.
    """

    def __init__(self, path: Path) -> None:
        self.counts = {"account": 0, "payment": 0, "label": 0}
        self._is_parquet = path.suffix == ".parquet"
        if self._is_parquet:
            self._arrow, parquet = _arrow(path)
            self._schema = _truth_schema(self._arrow)
        self._partial = _Partial(path)
        if self._is_parquet:
            self._table = parquet.ParquetWriter(self._partial.partial, self._schema, compression="zstd")
        else:
            self._file = self._partial.partial.open("wb", buffering=1 << 20)

    def write(self, records: Iterable[TruthRecord]) -> None:
        """Write ``records``."""
        for part in _batches(records):
            for record in part:
                self.counts[_record(record)] += 1
            if self._is_parquet:
                rows = [msgspec.to_builtins(record) for record in part]
                columns = {field.name: [row.get(field.name) for row in rows] for field in self._schema}
                self._table.write_table(self._arrow.table(columns, schema=self._schema))
            else:
                self._file.write(msgspec.json.Encoder().encode_lines(part))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        (self._table if self._is_parquet else self._file).close()
        self._partial.done(kind is None)


def _batches(records: Iterable[TruthRecord]) -> Iterator[list[TruthRecord]]:
    part: list[TruthRecord] = []
    for record in records:
        part.append(record)
        if len(part) == _PARQUET_ROWS:
            yield part
            part = []
    if part:
        yield part


def _record(record: TruthRecord) -> str:
    return str(type(record).__struct_config__.tag)


def _truth_schema(arrow: Any) -> Any:
    kinds: dict[str, Any] = {"record": arrow.string()}
    integers = ("payments", "counterparties", "lifetime_payments", "cluster", "case", "label_time_ms")
    for struct in (AccountTruth, PaymentTruth, LabelTruth):
        for name in struct.__struct_fields__:
            kinds[name] = arrow.int64() if name in integers else arrow.string()
    kinds["minor"], kinds["weight"] = arrow.bool_(), arrow.float64()
    return arrow.schema(list(kinds.items()))


def _flat(payment: dict[str, Any]) -> dict[str, Any]:
    payment.setdefault("status", "accepted")
    for side in ("payer", "payee"):
        for name, value in payment.pop(side).items():
            payment[f"{side}_{name}"] = value
    return payment


def _arrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise OutputError(f"{path}: writing Parquet needs pyarrow: pip install 'tocsin[parquet]'") from None
    return pyarrow, pyarrow.parquet
