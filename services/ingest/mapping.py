"""The mapping file: from the columns of somebody's file to the fields of ``Payment``. docs/mappings.md explains it.

A mapping is read and checked once; every error names the file and the key. ``services.ingest.mapper`` turns it into
functions over rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, field

from services.contract.errors import TocsinError
from services.contract.label import Disposition
from services.ingest.numbers import Rounding
from services.ingest.times import TimeForm

Format = Literal["csv", "parquet", "ndjson"]
Scalar = str | int | float | bool


class MappingError(TocsinError, ValueError):
    """A mapping cannot be used. Its message has one line a problem, each starting with the file and the key."""


class Condition(Struct, frozen=True, forbid_unknown_fields=True):
    """A test of one column: exactly one of the four is given."""

    column: str
    equals: Scalar | None = None
    one_of: tuple[Scalar, ...] | None = None
    empty: bool | None = None
    less_than: float | int | None = None


class Skip(Condition, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rows that are no payments: counted under ``name``, not sent."""

    name: str


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the value of one field comes from, and how it is read."""

    column: str | None = None
    constant: Scalar | None = None
    template: str | None = None
    row_number: int | None = None
    """The number of the first row."""
    when: Condition | None = None
    translate: dict[str, str] | None = None
    otherwise: str | None = None
    """What ``translate`` gives for a value that it does not list."""
    default: str | None = None
    """What an empty cell means."""
    unit: Literal["major", "minor"] | None = None
    rounding: Rounding = "exact"
    decimal_mark: Literal[".", ","] = "."
    group_mark: Literal["", ",", ".", " ", "'"] = ""
    absolute: bool = False
    time: TimeForm | None = None
    start: str | None = None
    pattern: str | None = field(name="format", default=None)
    zone: str = "UTC"


Field = Source | tuple[Source, ...]


class PartyFields(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of ``Party``."""

    account: Field
    country: Field | None = None
    agent: Field | None = None
    device: Field | None = None
    phone: Field | None = None
    pickup: Field | None = None
    opened_ms: Field | None = None
    minor: Field | None = None


class PaymentFields(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of ``Payment``."""

    payment_id: Field
    event_time_ms: Field
    amount_minor: Field
    currency: Field
    payer: PartyFields
    payee: PartyFields
    tenant: Field | None = None
    utc_offset_minutes: Field | None = None
    received_amount_minor: Field | None = None
    received_currency: Field | None = None
    rail: Field | None = None
    status: Field | None = None
    purpose: Field | None = None
    reference: Field | None = None
    merchant_category: Field | None = None
    device: Field | None = None
    relationship: Field | None = None

    def sources(self) -> Iterator[tuple[str, tuple[Source, ...]]]:
        """Every mapped field with its alternatives, parties as ``payer.account``, in the order of ``Payment``."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, PartyFields):
                for part in value.__struct_fields__:
                    inner = getattr(value, part)
                    if inner is not None:
                        yield f"{name}.{part}", _alternatives(inner)
            elif value is not None:
                yield name, _alternatives(value)


class LabelFields(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The column that says what a payment turned out to be, and how many days later that became known."""

    column: str
    suspicious: tuple[Scalar, ...]
    not_suspicious: tuple[Scalar, ...] = ()
    delay_days: float | int
    source: str = "matured"

    def dispositions(self) -> dict[str, Disposition]:
        """What each value of the column means, by its text. Any other value is no label."""
        table: dict[str, Disposition] = {scalar_text(value): "not_suspicious" for value in self.not_suspicious}
        return table | {scalar_text(value): "suspicious" for value in self.suspicious}


class CsvLayout(Struct, frozen=True, forbid_unknown_fields=True):
    """How a CSV file is written."""

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    """The names of the columns, when the file has no header line."""
    multiline: bool = False
    """Whether a quoted field may go on over several lines."""


class Mapping(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One mapping file."""

    title: str
    format: Format
    canonical: bool = False
    """The file's lines are payments already; they are checked and sent as they are."""
    csv: CsvLayout = CsvLayout()
    empty: tuple[str, ...] = ()
    """Texts that mean *no value*, such as ``NULL``."""
    payment: PaymentFields | None = None
    skip: tuple[Skip, ...] = ()
    label: LabelFields | None = None
    origin: str = ""
    """The file that the mapping was read from; set by the loader."""


def scalar_text(value: Scalar) -> str:
    """A value of the mapping as the text that a cell is compared with.

    >>> scalar_text(1), scalar_text(1.0), scalar_text(True), scalar_text("1")
    ('1', '1', 'true', '1')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _alternatives(value: Field) -> tuple[Source, ...]:
    return (value,) if isinstance(value, Source) else value
