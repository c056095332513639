"""A mapping bound to the columns of one file: functions from a row's cells to a payment. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

from services.contract.codec import Rejection
from services.contract.codes import CURRENCY_EXPONENT
from services.contract.fields import AMOUNT_MINOR_MAX, DEFAULT_TENANT, EVENT_TIME_MS_MAX
from services.contract.identity import uuid5
from services.contract.label import Label
from services.contract.units import DAY_MS
from services.ingest.checks import AMOUNTS, BOOLEANS, INTEGERS, ROW, TIMES, TRUTH, parse_template
from services.ingest.mapping import Condition, LabelFields, Mapping, MappingError, Source, scalar_text
from services.ingest.numbers import BadValueError, scaled
from services.ingest.rows import Filtered, Ready, ready_of_document
from services.ingest.times import iso_ms, time_reader, zone_of

Row: TypeAlias = Sequence[Any]
Document: TypeAlias = dict[str, Any]
ReadText: TypeAlias = Callable[[Row, int, Document], str | None]
"""From a row's cells, its number and the fields read before it. Most need only the cells, but one signature for all
saves a call for each field of each row."""
ReadValue: TypeAlias = Callable[[Row, int, Document], Any]
Test: TypeAlias = Callable[[Row, int, Document], bool]

_FLOAT_INTEGER_MAX = 2**53
_PLACES = "", "payer", "payee"


def cell_text(value: object) -> str | None:
    """A cell as text, ``None`` when it is empty. A whole float is written as an integer: 7.0 is ``7``.

    Raises
    ------
    BadValueError
        When the cell is no single value.

    >>> cell_text(" a "), cell_text(7.0), cell_text(float("nan")), cell_text("  "), cell_text(True)
    ('a', '7', None, None, 'true')
    """
    if type(value) is str:
        return value.strip() or None
    if type(value) is int:
        return str(value)
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value != value:  # NaN is how many tools write an empty cell
            return None
        return str(int(value)) if value.is_integer() and abs(value) < _FLOAT_INTEGER_MAX else repr(value)
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else None
    if isinstance(value, date):
        return value.isoformat()
    raise BadValueError("field_invalid", "Not a single value")


class RowMapper:
    """Maps rows of one file by a checked mapping with a ``[payment]`` table.

    ``columns`` are those of the file; ``None`` where rows may have any (NDJSON). Errors name the ``file``.

    Raises
    ------
    MappingError
        Naming each column that the file lacks, and the key that asks for it.
    """

    def __init__(self, mapping: Mapping, columns: Sequence[str] | None, file: str, labels: bool = False) -> None:
        assert mapping.payment is not None
        self._empty = frozenset(mapping.empty)
        self._columns = columns
        self._slots: dict[str, int] = {}
        self._absent: list[str] = []
        self._skips = [(skip.name, self._test(f"skip[{i}]", skip)) for i, skip in enumerate(mapping.skip)]
        self._base: Document = {}
        self._fields: list[tuple[str, int, str, ReadValue]] = []
        # Amounts come last: their number of decimals is the currency's, which must have been read by then.
        fields = sorted(mapping.payment.sources(), key=lambda each: each[0] in AMOUNTS)
        for name, sources in fields:
            self._add_field(name, sources)
        self._label = self._labeller(mapping.label) if labels and mapping.label else None
        if self._absent:
            found = ", ".join(columns or ())
            raise MappingError(
                "\n".join(f"{mapping.origin}: {each} in {file}; it has: {found}" for each in self._absent)
            )
        self.needed: tuple[str, ...] = tuple(self._slots)
        """The columns that ``map_row`` is to be given, in this order."""

    def map_row(self, line: int, number: int, row: Row) -> Ready | Filtered | Rejection:
        """One row: its line for people, its number from 0 for ids, and its cells in the order of ``needed``."""
        field = ""
        document = dict(self._base)
        payer = document["payer"] = dict(document.get("payer", ()))
        payee = document["payee"] = dict(document.get("payee", ()))
        places = (document, payer, payee)
        try:
            for rule, test in self._skips:
                if test(row, number, document):
                    return Filtered(line, rule)
            for field, place, name, read in self._fields:  # noqa: B007  a bad value is reported with its field
                value = read(row, number, document)
                if value is not None:
                    places[place][name] = value
            ready = ready_of_document(line, document)
            field = "label"
            if self._label is not None and isinstance(ready, Ready):
                label = self._label(row, number, ready, document.get("tenant", DEFAULT_TENANT))
                return ready._replace(label=label)
        except BadValueError as bad:
            return Rejection(bad.reason, field, bad.detail)
        return ready

    # From here on: building the functions, once per file.

    def _slot(self, key: str, column: str) -> int:
        if self._columns is not None and column not in self._columns and column not in self._slots:
            self._absent.append(f"{key}: no column {column!r}")
        return self._slots.setdefault(column, len(self._slots))

    def _add_field(self, name: str, sources: tuple[Source, ...]) -> None:
        place, _, last = name.rpartition(".")
        first = sources[0]
        if first.constant is not None and first.when is None:
            (self._base.setdefault(place, {}) if place else self._base)[last] = first.constant
            return
        reads = [self._reader(f"payment.{name}", last, source) for source in sources]
        self._fields.append((name, _PLACES.index(place), last, _first_that_applies(reads)))

    def _reader(self, key: str, last: str, source: Source) -> tuple[Test | None, ReadValue]:
        test = None if source.when is None else self._test(f"{key}.when", source.when)
        if source.constant is not None:
            constant = source.constant
            return test, lambda row, number, document: constant
        if last in AMOUNTS:
            return test, self._amount(key, last, source)
        if last in TIMES:
            return test, self._time(key, source)
        if last in INTEGERS:
            cell = self._cell(key, source)
            return test, lambda row, number, document: None if (v := cell(row)) is None else scaled(v, 1)
        if last in BOOLEANS:
            return test, _truth(self._text(key, source))
        return test, self._text(key, source)

    def _cell(self, key: str, source: Source) -> Callable[[Row], Any]:
        """The value of a column, ``None`` when it is empty, numbers left as they are."""
        slot, empty, default = self._slot(f"{key}.column", source.column or ""), self._empty, source.default

        def cell(row: Row) -> Any:
            value = row[slot]
            if isinstance(value, str):
                value = value.strip()
                if not value or value in empty:
                    return default
            elif value is None or value != value:
                return default
            return value

        return cell

    def _amount(self, key: str, last: str, source: Source) -> ReadValue:
        cell, rounding = self._cell(key, source), source.rounding
        currency_field = last.replace("amount_minor", "currency")
        group, mark, absolute, major = source.group_mark, source.decimal_mark, source.absolute, source.unit == "major"
        plain = not group and mark == "."
        multipliers = {currency: 10**exponent for currency, exponent in CURRENCY_EXPONENT.items()}

        def amount(row: Row, number: int, document: Document) -> int | None:
            value = cell(row)
            if value is None:
                return None
            if not plain and isinstance(value, str):
                value = (value.replace(group, "") if group else value).replace(mark, ".")
            multiplier = multipliers.get(document.get(currency_field, ""), 0) if major else 1
            if not multiplier:
                return 0  # the currency is missing or unknown, and that is what the decoder will report
            minor = scaled(value, multiplier, rounding)
            if minor > AMOUNT_MINOR_MAX:  # said here, since JSON could not even carry the largest of them
                raise BadValueError("field_invalid", f"The amount is above {AMOUNT_MINOR_MAX} minor units")
            return abs(minor) if absolute else minor

        return amount

    def _time(self, key: str, source: Source) -> ReadValue:
        assert source.time is not None
        cell, zone = self._cell(key, source), zone_of(source.zone)
        start_ms = 0 if source.start is None else iso_ms(source.start, zone)
        read = time_reader(source.time, start_ms, source.pattern or "", zone)
        return lambda row, number, document: None if (value := cell(row)) is None else read(value)

    def _text(self, key: str, source: Source) -> ReadText:
        default, table, otherwise = source.default, source.translate, source.otherwise
        if source.row_number is not None:
            first = source.row_number
            return lambda row, number, document: str(first + number)
        read = self._template(key, source.template) if source.template else self._column_text(key, source.column or "")
        if table is None and default is None:
            return read

        def text(row: Row, number: int, document: Document) -> str | None:
            value = read(row, number, document)
            if value is None:
                return default
            if table is None:
                return value
            translated = table.get(value, otherwise)
            if translated is None:
                raise BadValueError("untranslated", "The mapping's translate table does not list the value")
            return translated

        return text

    def _column_text(self, key: str, column: str) -> ReadText:
        slot, empty = self._slot(f"{key}.column", column), self._empty

        def text(row: Row, number: int, document: Document) -> str | None:
            value = cell_text(row[slot])
            return None if value in empty else value

        return text

    def _template(self, key: str, template: str) -> ReadText:
        """Literals and columns one after the other; nothing at all when one of the columns is empty."""
        parts: list[tuple[str, ReadText | None]] = []
        for literal, column in parse_template(template):
            if column is None:
                parts.append((literal, None))
            elif column == ROW:
                parts.append((literal, lambda row, number, document: str(number)))
            else:
                parts.append((literal, self._column_text(key, column)))

        def text(row: Row, number: int, document: Document) -> str | None:
            whole = ""
            for literal, read in parts:
                whole += literal
                if read is not None:
                    value = read(row, number, document)
                    if value is None:
                        return None
                    whole += value
            return whole

        return text

    def _test(self, key: str, condition: Condition) -> Test:
        read = self._column_text(key, condition.column)
        if condition.less_than is not None:
            bound = scaled(condition.less_than, 10**9, "floor")
            return lambda row, number, document: _is_below(read(row, number, document), bound)
        if condition.empty is not None:
            wanted = condition.empty
            return lambda row, number, document: (read(row, number, document) is None) == wanted
        values = condition.one_of if condition.equals is None else (condition.equals,)
        texts = frozenset(map(scalar_text, values or ()))
        return lambda row, number, document: read(row, number, document) in texts

    def _labeller(self, label: LabelFields) -> Callable[[Row, int, Ready, str], Label | None]:
        read, table, source = self._column_text("label", label.column), label.dispositions(), label.source
        delay_ms = scaled(label.delay_days, DAY_MS, "down")

        def labelled(row: Row, number: int, ready: Ready, tenant: str) -> Label | None:
            disposition = table.get(read(row, number, {}) or "")
            if disposition is None:
                return None
            known_ms = min(ready.event_time_ms + delay_ms, EVENT_TIME_MS_MAX)
            name = uuid5("label", tenant, ready.payment_id, source)
            return Label(name, ready.payment_id, disposition, known_ms, tenant, source)

        return labelled


def _truth(read: ReadText) -> ReadValue:
    """Yes or no from a text."""

    def truth(row: Row, number: int, document: Document) -> bool | None:
        text = read(row, number, document)
        if text is None:
            return None
        value = TRUTH.get(text.lower())
        if value is None:
            raise BadValueError("field_invalid", f"Not one of {', '.join(TRUTH)}")
        return value

    return truth


def _first_that_applies(reads: list[tuple[Test | None, ReadValue]]) -> ReadValue:
    """The value of the first alternative whose condition holds, ``None`` when none does."""
    test, only = reads[0]
    if test is None:
        return only

    def read(row: Row, number: int, document: Document) -> Any:
        for applies, value in reads:
            if applies is None or applies(row, number, document):
                return value(row, number, document)
        return None

    return read


def _is_below(text: str | None, bound: int) -> bool:
    """Whether ``text`` is a number under ``bound`` (in billionths). What is no number is for the field to report."""
    try:
        return text is not None and scaled(text, 10**9, "floor") < bound
    except BadValueError:
        return False
