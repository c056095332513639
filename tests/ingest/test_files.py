"""Rows of real files: every line becomes a payment, a bad row with its original bytes, or a named exclusion."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from services.contract.codec import Rejection
from services.contract.label import Label
from services.ingest.files import MappedFile
from services.ingest.mapping import Mapping, MappingError
from services.ingest.mapping_file import load_mapping, parse_mapping
from services.ingest.readers import LINE_BYTES_MAX, SourceError
from services.ingest.rows import Bad, Filtered, MappedRow, Ready, Windowed

ROOT = Path(__file__).parents[2]
Write = Callable[[str, str | bytes], Path]
OWN = """
title = "own"
format = "csv"
empty = ["NULL"]
[payment]
payment_id = { template = "shop-{Order No}-{#row}" }
event_time_ms = { column = "When", time = "format", format = "%d.%m.%Y %H:%M", zone = "Europe/Prague" }
amount_minor = { column = "Amount", unit = "major", decimal_mark = ",", group_mark = "." }
currency = { column = "Currency" }
payer.account = { column = "From" }
payer.country = { column = "Country", translate = { Czechia = "CZ" }, otherwise = "XK" }
payee.account = { column = "To", default = "till" }
status = { column = "State", translate = { ok = "accepted", no = "rejected" } }
[csv]
delimiter = ";"
[[skip]]
name = "test order"
column = "From"
one_of = ["test", "demo"]
[[skip]]
name = "tiny"
column = "Order No"
less_than = 10
[label]
column = "Fraud"
suspicious = ["yes"]
not_suspicious = ["no"]
delay_days = 1.5
source = "chargeback"
"""
HEADER = "Order No;When;Amount;Currency;From;Country;To;State;Fraud\n"


def own(text: str = OWN) -> Mapping:
    return parse_mapping(text, "own.toml")


def rows_of(path: Path, mapping: Mapping, labels: bool = False) -> list[MappedRow]:
    with MappedFile(path, mapping, labels) as mapped:
        return list(mapped)


def document(row: MappedRow) -> Any:
    assert isinstance(row, Ready), row
    return orjson.loads(row.value)


@pytest.mark.parametrize("name", ["own.csv", "own.csv.gz"])
def test_a_csv_of_ones_own_becomes_payments(write: Write, name: str) -> None:
    content = ("\ufeff" + HEADER + '11;01.04.2018 02:00;"1.234,5";EUR; anna ;Czechia;;ok;yes\r\n').encode()
    path = write(name, gzip.compress(content) if name.endswith("gz") else content)
    (row,) = rows_of(path, own(), labels=True)
    assert isinstance(row, Ready)
    assert (row.line, row.account, row.payment_id) == (2, "anna", "shop-11-0")
    assert document(row) == {
        "payment_id": "shop-11-0",
        "event_time_ms": 1_522_540_800_000,
        "amount_minor": 123_450,
        "currency": "EUR",
        "payer": {"account": "anna", "country": "CZ"},
        "payee": {"account": "till"},
    }
    assert isinstance(row.label, Label)
    assert (row.label.payment_id, row.label.disposition, row.label.source) == ("shop-11-0", "suspicious", "chargeback")
    assert row.label.label_time_ms == 1_522_540_800_000 + 36 * 3_600_000


@pytest.mark.parametrize(
    ("line", "reason", "field"),
    [
        ("11;01.04.2018 02:00;1,5;EUR;anna;;b;ok", "columns_mismatch", ""),
        ("11;01.04.2018 02:00;1,5;EUR;anna;;b;ok;no;x", "columns_mismatch", ""),
        ('11;"01.04.2018 02:00;1,5;EUR;anna;;b;ok;no', "csv_malformed", ""),
        ('11;"01.04.2018"02:00;1,5;EUR;anna;;b;ok;no', "csv_malformed", ""),
        ("11;2018-04-01;1,5;EUR;anna;;b;ok;no", "field_invalid", "event_time_ms"),
        ("11;;1,5;EUR;anna;;b;ok;no", "field_missing", "event_time_ms"),
        ("11;01.04.2018 02:00;1,555;EUR;anna;;b;ok;no", "inexact", "amount_minor"),
        ("11;01.04.2018 02:00;1,5;JPY;anna;;b;ok;no", "inexact", "amount_minor"),
        ("11;01.04.2018 02:00;much;EUR;anna;;b;ok;no", "field_invalid", "amount_minor"),
        ("11;01.04.2018 02:00;-1;EUR;anna;;b;ok;no", "field_invalid", "amount_minor"),
        ("11;01.04.2018 02:00;NULL;EUR;anna;;b;ok;no", "field_missing", "amount_minor"),
        ("11;01.04.2018 02:00;1;EUX;anna;;b;ok;no", "field_invalid", "currency"),
        ("11;01.04.2018 02:00;1;;anna;;b;ok;no", "field_missing", "currency"),
        ("11;01.04.2018 02:00;1;EUR; ;;b;ok;no", "field_missing", "payer.account"),
        ("11;01.04.2018 02:00;1;EUR;" + "a" * 129 + ";;b;ok;no", "field_invalid", "payer.account"),
        ("11;01.04.2018 02:00;1;EUR;anna;;b;maybe;no", "untranslated", "status"),
        (";01.04.2018 02:00;1;EUR;anna;;b;ok;no", "field_missing", "payment_id"),
        ("11;01.04.1918 02:00;1;EUR;anna;;b;ok;no", "field_invalid", "event_time_ms"),
        ("11;01.04.2018 02:00;1" + "0" * 30 + ";EUR;anna;;b;ok;no", "field_invalid", "amount_minor"),
    ],
)
def test_a_bad_row_keeps_its_bytes_and_says_why(write: Write, line: str, reason: str, field: str) -> None:
    good = "12;01.04.2018 02:00;1,5;EUR;anna;;b;ok;no"
    rows = rows_of(write("own.csv", HEADER + f"{good}\n{line}\n{good}\n"), own())
    assert [type(row) for row in rows] == [Ready, Bad, Ready]
    bad = rows[1]
    assert isinstance(bad, Bad)
    assert (bad.line, bad.rejection.reason, bad.rejection.field) == (3, reason, field)
    assert bad.original == line.encode()
    assert [document(row)["payment_id"] for row in (rows[0], rows[2])] == ["shop-12-0", "shop-12-2"]


@pytest.mark.parametrize(
    ("mapped", "cell", "minor"),
    [
        ('{ column = "Fraud" }', "true", True),
        ('{ column = "Fraud" }', "TRUE", True),
        ('{ column = "Fraud" }', "1", True),
        ('{ column = "Fraud" }', "False", False),
        ('{ column = "Fraud" }', "0", False),
        ('{ column = "Fraud" }', "", None),
        ('{ column = "Fraud" }', "NULL", None),
        ('{ column = "Fraud", default = "false" }', "", False),
        ('{ column = "Fraud", translate = { youth = "true" }, otherwise = "0" }', "youth", True),
        ('{ column = "Fraud", translate = { youth = "true" }, otherwise = "0" }', "adult", False),
        ("{ constant = true }", "", True),
    ],
)
@pytest.mark.parametrize("role", ["payer", "payee"])
def test_whether_an_account_is_a_minors_comes_from_a_column(
    write: Write, role: str, mapped: str, cell: str, minor: bool | None
) -> None:
    mapping = own(OWN.replace("[csv]", f"{role}.minor = {mapped}\n[csv]"))
    (row,) = rows_of(write("own.csv", HEADER + f"11;01.04.2018 02:00;1,5;EUR;anna;;b;ok;{cell}\n"), mapping)
    found = document(row)[role]
    assert ("minor" in found, found.get("minor")) == (minor is not None, minor)


def test_a_cell_that_is_neither_yes_nor_no_makes_the_row_bad(write: Write) -> None:
    mapping = own(OWN.replace("[csv]", 'payee.minor = { column = "Fraud" }\n[csv]'))
    (row,) = rows_of(write("own.csv", HEADER + "11;01.04.2018 02:00;1,5;EUR;anna;;b;ok;maybe\n"), mapping)
    assert isinstance(row, Bad)
    assert (row.rejection.reason, row.rejection.field) == ("field_invalid", "payee.minor")
    assert "maybe" not in row.rejection.detail


def test_a_boolean_of_ndjson_is_read_as_it_is(write: Write) -> None:
    text = OWN.replace('format = "csv"', 'format = "ndjson"').replace('[csv]\ndelimiter = ";"', "")
    mapping = own(text.replace("[[skip]]", 'payee.minor = { column = "kyc.minor" }\n[[skip]]', 1))
    line = {"Order No": 11, "When": "01.04.2018 02:00", "Amount": "1,5", "Currency": "EUR", "From": "anna", "To": "b"}
    rows = orjson.dumps(line | {"State": "ok", "kyc": {"minor": True}})
    (row,) = rows_of(write("own.ndjson", rows), mapping)
    assert document(row)["payee"] == {"account": "b", "minor": True}


def test_rows_that_are_no_payments_are_counted_by_name(write: Write) -> None:
    lines = ["11;x;;;test;;;;", "", "9.5;x;;;anna;;;;", "ten;01.04.2018 02:00;1;EUR;anna;;;ok;"]
    rows = rows_of(write("own.csv", HEADER + "\n".join(lines)), own())
    assert rows[:3] == [Filtered(2, "test order"), Filtered(3, "blank line"), Filtered(4, "tiny")]
    assert document(rows[3])["payment_id"] == "shop-ten-2"


def test_bytes_that_are_no_text_spoil_one_line_only(write: Write) -> None:
    good = "12;01.04.2018 02:00;1,5;EUR;anna;;b;ok;no\n"
    content = (HEADER + good).encode() + b"\xff\xfe;\n" + b"a" * (LINE_BYTES_MAX + 5) + b"\n" + good.encode()
    rows = rows_of(write("own.csv", content), own())
    assert [type(row) for row in rows] == [Ready, Bad, Bad, Ready]
    assert [(row.rejection.reason, row.line) for row in rows if isinstance(row, Bad)] == [
        ("not_text", 3),
        ("oversized", 4),
    ]
    assert isinstance(rows[2], Bad)
    assert rows[2].original == b"a" * LINE_BYTES_MAX


def test_a_quoted_field_may_go_on_over_lines_where_the_mapping_says_so(write: Write) -> None:
    mapping = own(OWN.replace("[csv]", "reference = { column = 'Fraud' }\n[csv]\nmultiline = true", 1))
    text = HEADER + '12;01.04.2018 02:00;1;EUR;anna;;b;ok;"two\nlines"\n' + "12;x;1;EUR;anna;;b;ok;no\n"
    first, second = rows_of(write("own.csv", text), mapping)
    assert document(first)["reference"] == "two\nlines"
    assert isinstance(second, Bad)
    assert second.line == 4


def test_columns_may_be_named_by_the_mapping_when_the_file_has_no_header(write: Write) -> None:
    names = ", ".join(f'"{name}"' for name in HEADER.strip().split(";"))
    mapping = own(OWN.replace("[csv]", f"[csv]\ncolumns = [{names}]", 1))
    (row,) = rows_of(write("own.csv", "12;01.04.2018 02:00;1;EUR;anna;;b;ok;no\n"), mapping)
    assert isinstance(row, Ready)
    assert row.line == 1


def test_ndjson_reads_inside_objects(write: Write) -> None:
    text = """
title = "own"
format = "ndjson"
[payment]
payment_id = { column = "id" }
event_time_ms = { column = "at", time = "epoch_s" }
amount_minor = { column = "money.value", unit = "major" }
currency = { column = "money.currency" }
payer.account = { column = "from" }
payee.account = { column = "to" }
"""
    good = b'{"id":7,"at":1522540800.5,"money":{"value":0.29,"currency":"EUR"},"from":"a","to":7.0}'
    bad = [b"[1]", b'{"id":', b'{"id":{"x":1}}', b'{"id":1,"at":1522540800,"money":3,"from":"a","to":"b"}']
    rows = rows_of(write("own.ndjson", b"\n".join([good, b" ", *bad])), own(text))
    assert document(rows[0]) == {
        "payment_id": "7",
        "event_time_ms": 1_522_540_800_500,
        "amount_minor": 29,
        "currency": "EUR",
        "payer": {"account": "a"},
        "payee": {"account": "7"},
    }
    assert rows[1] == Filtered(2, "blank line")
    found = [
        (row.line, row.rejection.reason, row.rejection.field, row.original) for row in rows if isinstance(row, Bad)
    ]
    assert found == [
        (3, "not_a_payment", "", bad[0]),
        (4, "not_json", "", bad[1]),
        (5, "field_invalid", "payment_id", bad[2]),
        (6, "field_missing", "amount_minor", bad[3]),
    ]


def test_canonical_lines_are_sent_byte_for_byte(write: Write) -> None:
    line = (
        b'{ "note":"kept", "payment_id":"p","event_time_ms":1522540800000,"amount_minor":1,"currency":"EUR",'
        b'"payer":{"account":"a"},"payee":{"account":"b"}}'
    )
    first, second, third = rows_of(write("own.ndjson", line + b"\r\n\n{}"), load_mapping("tocsin"))
    assert first == Ready(1, "a", line, "p", 1_522_540_800_000)
    assert second == Filtered(2, "blank line")
    assert isinstance(third, Bad)
    assert (third.line, third.rejection.reason, third.original) == (3, "field_missing", b"{}")


def test_a_parquet_row_that_is_bad_is_kept_as_json(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "own.parquet"
    columns = {
        "CUSTOMER_ID": [1, 2, None],
        "TERMINAL_ID": [1, 1, 1],
        "TX_AMOUNT": [1.5, -1.0, 2.0],
        "TX_TIME_SECONDS": [0, 1, 2],
        "bytes": [b"\xff", b"\xff", None],
    }
    parquet.write_table(arrow.table(columns), path)
    first, second, third = rows_of(path, load_mapping("handbook"))
    assert document(first)["amount_minor"] == 150
    assert isinstance(second, Bad)
    assert (second.line, second.rejection.field) == (2, "amount_minor")
    assert orjson.loads(second.original) == {
        "CUSTOMER_ID": 2,
        "TERMINAL_ID": 1,
        "TX_AMOUNT": -1.0,
        "TX_TIME_SECONDS": 1,
        "bytes": "ff",
    }
    assert isinstance(third, Bad)
    assert (third.rejection.reason, third.rejection.field) == ("field_missing", "payer.account")


def test_columns_that_the_file_lacks_are_named(write: Write) -> None:
    with pytest.raises(MappingError) as caught:
        MappedFile(write("own.csv", "Order No;When\n"), own())
    assert "own.toml: payment.amount_minor.column: no column 'Amount' in own.csv; it has: Order No, When" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.csv", b"", "its first line is no CSV header"),
        ("own.csv", b"a;a\n", "its header names a more than once"),
        ("own.parquet", b"PAR1", "own.parquet"),
    ],
)
def test_a_file_that_cannot_be_opened_is_named(write: Write, name: str, content: bytes, message: str) -> None:
    mapping = load_mapping("handbook") if name.endswith("parquet") else own()
    with pytest.raises(SourceError, match=message):
        MappedFile(write(name, content), mapping)
    with pytest.raises(SourceError, match="absent"):
        MappedFile(Path("absent.csv"), own())


def test_a_gzip_file_that_was_cut_off_gives_its_rows_and_then_says_so(write: Write) -> None:
    lines = "".join(f"{i};01.04.2018 02:00;1;EUR;anna{i * 7919 % 1000};;b;ok;no\n" for i in range(10, 5_000))
    path = write("own.csv.gz", gzip.compress((HEADER + lines).encode())[:-2_000])
    seen: list[MappedRow] = []
    with MappedFile(path, own()) as mapped, pytest.raises(SourceError, match="cannot be read after line"):
        seen.extend(mapped)
    assert len(seen) > 100
    assert all(isinstance(row, Ready) for row in seen)


def test_a_window_leaves_out_by_name_and_ends_at_its_limit() -> None:
    rows: list[MappedRow] = [Ready(line, "a", b"", str(line), line * 10) for line in range(1, 10)]
    rows.insert(4, Bad(99, Rejection("empty", "", ""), b""))
    seen = list(Windowed(rows, skip=1, limit=3, from_ms=30, until_ms=80))
    assert [getattr(row, "name", None) or row.line for row in seen if not isinstance(row, Label)] == [
        "skipped by --skip",
        "before --from",
        3,
        4,
        99,
        5,
    ]
    assert [row.name for row in Windowed(rows, until_ms=20) if isinstance(row, Filtered)] == ["not before --until"] * 8
    assert list(Windowed(rows, limit=0)) == []


def test_the_example_of_the_documentation_works(write: Write) -> None:
    blocks = (ROOT / "docs" / "mappings.md").read_text("utf-8").split("```")
    (row,) = rows_of(write("orders.csv", blocks[1].lstrip("\n")), own(blocks[3].removeprefix("toml\n")), labels=True)
    assert isinstance(row, Ready)
    assert row.value == (
        b'{"payment_id":"order-11","event_time_ms":1522540800000,"amount_minor":123450,"currency":"EUR",'
        b'"payer":{"account":"anna","country":"CZ"},"payee":{"account":"shop-7"},"rail":"card"}'
    )
    assert row.label is not None
    assert row.label.disposition == "not_suspicious"


def test_labels_are_valid_records(write: Write) -> None:
    path = write("own.csv", HEADER + "12;01.04.2018 02:00;1;EUR;anna;;b;ok;no\n13;01.04.2018 02:00;1;EUR;a;;b;ok;?\n")
    first, second = rows_of(path, own(), labels=True)
    assert isinstance(first, Ready)
    assert isinstance(second, Ready)
    assert first.label is not None
    assert msgspec.json.decode(msgspec.json.encode(first.label), type=Label) == first.label
    assert second.label is None
