"""What must hold of a mapping beyond its shape. Pure: problems are values, each with the key it is about."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from datetime import UTC
from string import Formatter
from typing import Any, get_type_hints

import msgspec

from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.payment import Party, Payment
from services.contract.units import DAY_MS
from services.ingest.mapping import Condition, Mapping, Source
from services.ingest.numbers import BadValueError
from services.ingest.times import iso_ms, zone_of

Problem = tuple[str, str]

TIMES = frozenset({"event_time_ms", "opened_ms"})
AMOUNTS = frozenset({"amount_minor", "received_amount_minor"})
INTEGERS = frozenset({"utc_offset_minutes"})
BOOLEANS = frozenset({"minor"})
TRUTH = {"true": True, "1": True, "false": False, "0": False}
"""How a cell says yes or no, in any case of letters."""
ROW = "#row"
"""In a template: the row's number, from 0."""

_TYPES = get_type_hints(Payment, include_extras=True), get_type_hints(Party, include_extras=True)
_AMOUNT_OPTIONS = {"unit": None, "rounding": "exact", "decimal_mark": ".", "group_mark": "", "absolute": False}
_TIME_OPTIONS = {"time": None, "start": None, "pattern": None, "zone": "UTC"}
_TEXT_OPTIONS = {"translate": None, "otherwise": None}


def check(mapping: Mapping) -> Iterator[Problem]:
    """Every problem of ``mapping``, as (key, what is wrong)."""
    if mapping.canonical:
        if mapping.format != "ndjson":
            yield "canonical", 'only with format = "ndjson"'
        if mapping.payment or mapping.skip or mapping.label:
            yield "canonical", "lines that are payments already take no [payment], [[skip]] or [label]"
    elif mapping.payment is None:
        yield "payment", "missing: which columns are the payment's fields?"
    yield from _check_layout(mapping)
    if mapping.payment is not None:
        fields = dict(mapping.payment.sources())
        for name, sources in fields.items():
            yield from _check_field(name, sources)
        if ("received_amount_minor" in fields) != ("received_currency" in fields):
            yield "payment.received_currency", "received_amount_minor and received_currency come together"
    names = [skip.name for skip in mapping.skip]
    for index, skip in enumerate(mapping.skip):
        yield from _check_condition(f"skip[{index}]", skip)
        if not skip.name or names.index(skip.name) != index:
            yield f"skip[{index}].name", "each rule needs a name of its own"
    if mapping.label is not None:
        yield from _check_label(mapping)


def parse_template(text: str) -> list[tuple[str, str | None]]:
    """``text`` as pairs of a literal and the column that follows it (``None`` at the end).

    Raises
    ------
    ValueError
        When braces do not match, or hold more than a column's name.

    >>> parse_template("{bank}:{account}")
    [('', 'bank'), (':', 'account')]
    """
    parts = []
    for literal, name, specification, conversion in Formatter().parse(text):
        if name == "" or specification or conversion:
            raise ValueError("braces hold the name of a column and nothing else")
        parts.append((literal, name))
    return parts


def _check_layout(mapping: Mapping) -> Iterator[Problem]:
    layout = mapping.csv
    if mapping.format != "csv" and layout != type(layout)():
        yield "csv", f'only with format = "csv", not "{mapping.format}"'
    for key, text in (("delimiter", layout.delimiter), ("quote", layout.quote)):
        if len(text) > 1 or text in {"\n", "\r"} or (key == "delimiter" and not text):
            yield f"csv.{key}", "must be one character"
    if layout.delimiter == layout.quote:
        yield "csv.quote", "must differ from the delimiter"
    try:
        codecs.lookup(layout.encoding)
        if "\n;".encode(layout.encoding) != b"\n;":
            yield "csv.encoding", "must write ASCII as ASCII"
    except (LookupError, UnicodeError):
        yield "csv.encoding", f"no text encoding called {layout.encoding!r}"
    if len(set(layout.columns)) != len(layout.columns):
        yield "csv.columns", "a name occurs twice"


def _check_field(name: str, sources: tuple[Source, ...]) -> Iterator[Problem]:
    key = f"payment.{name}"
    if not sources:
        yield key, "an empty list of alternatives"
    for index, source in enumerate(sources):
        here = key if len(sources) == 1 else f"{key}[{index}]"
        yield from _check_source(here, name, source)
        if source.when is not None:
            yield from _check_condition(f"{here}.when", source.when)
        elif index < len(sources) - 1:
            yield f"{here}.when", "missing: the alternatives after it are never reached"


def _check_source(key: str, name: str, source: Source) -> Iterator[Problem]:
    chosen = [each for each in ("column", "constant", "template", "row_number") if getattr(source, each) is not None]
    if len(chosen) != 1:
        yield key, "exactly one of column, constant, template and row_number"
        return
    last = name.rpartition(".")[2]
    is_text = last not in TIMES | AMOUNTS | INTEGERS | BOOLEANS
    if not is_text and chosen[0] in {"template", "row_number"}:
        yield f"{key}.{chosen[0]}", "only for fields that are text"
    if source.template is not None:
        try:
            parse_template(source.template)
        except ValueError as error:
            yield f"{key}.template", str(error)
    read = chosen[0] == "column"
    yield from _foreign(key, source, _AMOUNT_OPTIONS, last in AMOUNTS and read, "amounts read from a column")
    yield from _foreign(key, source, _TIME_OPTIONS, last in TIMES and read, "times read from a column")
    translated = (is_text and chosen[0] in {"column", "template"}) or (last in BOOLEANS and read)
    yield from _foreign(key, source, _TEXT_OPTIONS, translated, "texts of a column or template")
    if source.otherwise is not None and source.translate is None:
        yield f"{key}.otherwise", "only with translate"
    if source.default is not None and chosen[0] not in {"column", "template"}:
        yield f"{key}.default", "only with column or template"
    if last in AMOUNTS and read:
        yield from _check_amount(key, source)
    if last in TIMES and read:
        yield from _check_time(key, source)
    yield from _check_values(key, name, source)


def _foreign(key: str, source: Source, options: dict[str, Any], allowed: bool, where: str) -> Iterator[Problem]:
    for option, default in options.items():
        if not allowed and getattr(source, option) != default:
            yield f"{key}.{'format' if option == 'pattern' else option}", f"only for {where}"


def _check_amount(key: str, source: Source) -> Iterator[Problem]:
    if source.unit is None:
        yield f"{key}.unit", 'missing: "major" (12.50 euros) or "minor" (1250 cents)?'
    if source.group_mark == source.decimal_mark:
        yield f"{key}.group_mark", "must differ from decimal_mark"


def _check_time(key: str, source: Source) -> Iterator[Problem]:
    form = source.time
    if form is None:
        yield f"{key}.time", "missing: one of iso, epoch_s, epoch_ms, seconds_after, days_after, format"
    for option, value, forms in (
        ("start", source.start, {"seconds_after", "days_after"}),
        ("format", source.pattern, {"format"}),
    ):
        if (value is None) == (form in forms):
            yield f"{key}.{option}", f"goes with time = {' or '.join(sorted(forms))}, and only there"
    try:
        zone = zone_of(source.zone)
    except ValueError as error:
        zone = UTC
        yield f"{key}.zone", str(error)
    if source.zone != "UTC" and form not in {"iso", "format"}:
        yield f"{key}.zone", "only with time = iso or format"
    if source.start is not None:
        try:
            iso_ms(source.start, zone)
        except BadValueError as error:
            yield f"{key}.start", str(error)


def _check_values(key: str, name: str, source: Source) -> Iterator[Problem]:
    """Values that the mapping itself states must be ones that the contract allows."""
    party, _, last = name.rpartition(".")
    wanted = _TYPES[bool(party)][last]
    stated: list[tuple[str, object]] = [("constant", source.constant)]
    if last not in TIMES | AMOUNTS | INTEGERS:
        stated += [("otherwise", source.otherwise), ("default", source.default)]
        stated += [(f"translate.{value}", text) for value, text in (source.translate or {}).items()]
    for option, value in stated:
        if value is None:
            continue
        if last in BOOLEANS and isinstance(value, str) and option != "constant":
            if value.lower() not in TRUTH:
                yield f"{key}.{option}", f"must be one of {', '.join(TRUTH)}"
            continue
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError as error:
            yield f"{key}.{option}", str(error)


def _check_condition(key: str, condition: Condition) -> Iterator[Problem]:
    tests = (condition.equals, condition.one_of, condition.empty, condition.less_than)
    if sum(test is not None for test in tests) != 1:
        yield key, "exactly one of equals, one_of, empty and less_than"


def _check_label(mapping: Mapping) -> Iterator[Problem]:
    label = mapping.label
    assert label is not None
    if not label.suspicious:
        yield "label.suspicious", "at least one value"
    if set(map(str, label.suspicious)) & set(map(str, label.not_suspicious)):
        yield "label.not_suspicious", "a value cannot mean both"
    if not 0 <= label.delay_days <= EVENT_TIME_MS_MAX / DAY_MS:
        yield "label.delay_days", "must be a number of days from 0"
    if not 1 <= len(label.source) <= 35:
        yield "label.source", "must have 1 to 35 characters"
