"""Where records go: NDJSON, Parquet, or a folder of pacs.008 messages; and truth, in a file of its own.

Files appear under their name only when they are complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import orjson

from services.contract.errors import TocsinError
from services.generator.pacs008 import TRANSFERS_MAX, document, transfer
from services.generator.rows import MALFORMED
from services.generator.stream import Chunk
from services.generator.truth import AccountTruth, LabelTruth, PaymentTruth, TruthRecord

T = TypeVar("T")
_PARQUET_ROWS = 65_536
_INTEGERS = ("event_time_ms", "amount_minor", "utc_offset_minutes", "received_amount_minor")
_TEXTS = (
    "payment_id", "currency", "received_currency", "rail", "status", "purpose", "reference", "merchant_category",
    "device", "relationship",
)  # fmt: skip
_PARTY_TEXTS = ("account", "country", "agent", "device", "phone", "pickup")
_TRUTH_INTEGERS = ("payments", "counterparties", "lifetime_payments", "cluster", "case", "label_time_ms")


class OutputError(TocsinError, ValueError):
    """A file cannot be written. The message starts with its name."""


def write_ndjson(path: Path, chunks: Iterable[Chunk]) -> int:
    """One record a line, exactly as generated, damaged ones included. Leaves out none."""
    with whole_file(path) as partial, partial.open("wb", buffering=1 << 20) as file:
        for chunk in chunks:
            file.write(b"\n".join(chunk.values) + b"\n")
    return 0


def write_parquet(path: Path, chunks: Iterable[Chunk]) -> int:
    """One column a field (``payer_account``, ...). Returns how many records are left out: damaged ones, no rows."""
    left_out = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal left_out
        for value, kind, _ in _records(chunks):
            if kind == MALFORMED:
                left_out += 1
            else:
                yield _flat(orjson.loads(value))

    with _table(path, _payment_fields) as write:
        for part in _batches(rows(), _PARQUET_ROWS):
            write(part)
    return left_out


def write_pacs008(folder: Path, chunks: Iterable[Chunk]) -> int:
    """A new folder of messages, ``pacs008-000000001.xml`` and so on, each with up to 5,000 transfers.

    Returns how many records are left out, which are no credit transfers. Raises ``OutputError`` also when the folder
    exists and is not empty.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(f"{folder}: must be a new or an empty folder")
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}") from None
    left_out = 0

    def transfers() -> Iterator[tuple[str, int]]:
        nonlocal left_out
        for value, kind, time_ms in _records(chunks):
            said = None if kind == MALFORMED else transfer(value)
            if said is None:
                left_out += 1
            else:
                yield said, time_ms

    for number, part in enumerate(_batches(transfers(), TRANSFERS_MAX), 1):
        message = document(number, [text for text, _ in part], created_ms=part[-1][1])
        (folder / f"pacs008-{number:09d}.xml").write_bytes(message)
    return left_out


WRITERS: dict[str, Callable[[Path, Iterable[Chunk]], int]] = {
    "ndjson": write_ndjson,
    "parquet": write_parquet,
    "pacs008": write_pacs008,
}
"""Each writes all of ``chunks``, and returns how many records the format cannot say. Raises ``OutputError`` when a file
cannot be written; what could not be finished is not there."""


class TruthWriter:
    """Takes truth records, and counts them by kind."""

    def __init__(self, write: Callable[[list[TruthRecord]], object]) -> None:
        self._write = write
        self.counts = Counter(account=0, payment=0, label=0)

    def write(self, records: Iterable[TruthRecord]) -> None:
        """Write ``records``."""
        for part in _batches(records, _PARQUET_ROWS):
            self.counts.update(str(type(record).__struct_config__.tag) for record in part)
            self._write(part)


@contextmanager
def truth_writer(path: Path) -> Iterator[TruthWriter]:
    """Truth records into NDJSON, or into Parquet if the file's name ends in ``.parquet``. Raises as ``WRITERS`` do."""
    if path.suffix == ".parquet":
        with _table(path, _truth_fields) as write:
            yield TruthWriter(lambda part: write([msgspec.to_builtins(record) for record in part]))
    else:
        with whole_file(path) as partial, partial.open("wb", buffering=1 << 20) as file:
            yield TruthWriter(lambda part: file.write(msgspec.json.Encoder().encode_lines(part)))


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write ``path``: a file that gets its name at the end of the block, and is removed if that fails."""
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _table(path: Path, fields: Callable[[Any], dict[str, Any]]) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """A Parquet file of the ``fields`` that pyarrow's types make; what is yielded writes rows into it."""
    import pyarrow.parquet  # here, since it takes a tenth of a second, and most runs write another format

    schema = pyarrow.schema(list(fields(pyarrow).items()))
    with whole_file(path) as partial, pyarrow.parquet.ParquetWriter(partial, schema, compression="zstd") as file:
        yield lambda rows: file.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _payment_fields(arrow: Any) -> dict[str, Any]:
    fields = dict.fromkeys(_INTEGERS, arrow.int64()) | dict.fromkeys(_TEXTS, arrow.string())
    for side in ("payer", "payee"):
        fields |= {f"{side}_{name}": arrow.string() for name in _PARTY_TEXTS}
        fields |= {f"{side}_opened_ms": arrow.int64(), f"{side}_minor": arrow.bool_()}
    return fields


def _truth_fields(arrow: Any) -> dict[str, Any]:
    names = [name for struct in (AccountTruth, PaymentTruth, LabelTruth) for name in struct.__struct_fields__]
    fields = dict.fromkeys(["record", *names], arrow.string()) | dict.fromkeys(_TRUTH_INTEGERS, arrow.int64())
    return fields | {"minor": arrow.bool_(), "weight": arrow.float64()}


def _records(chunks: Iterable[Chunk]) -> Iterator[tuple[bytes, int, int]]:
    """Value, kind and time (ms) of each record."""
    for chunk in chunks:
        yield from zip(chunk.values, chunk.kinds.tolist(), chunk.times_ms.tolist(), strict=True)


def _flat(payment: dict[str, Any]) -> dict[str, Any]:
    payment.setdefault("status", "accepted")
    for side in ("payer", "payee"):
        for name, value in payment.pop(side).items():
            payment[f"{side}_{name}"] = value
    return payment


def _batches(records: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(records)
    while part := list(islice(remaining, size)):
        yield part
