"""A mapping is checked once, when it is read, and every problem names the file and the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.ingest.mapping import MappingError
from services.ingest.mapping_file import load_mapping, parse_mapping, shipped_mappings

PAYMENT = """
title = "own"
format = "csv"
[payment]
payment_id = { column = "id" }
event_time_ms = { column = "when", time = "iso" }
amount_minor = { column = "amount", unit = "major" }
currency = { constant = "EUR" }
payer.account = { column = "from" }
payee.account = { column = "to" }
"""


def test_the_shipped_mappings_are_sound() -> None:
    assert shipped_mappings() == ("amlgentex", "benford", "berka", "handbook", "tocsin")
    for name in shipped_mappings():
        assert load_mapping(name).title


def test_a_mapping_is_read_from_a_path(write: Callable[[str, str], Path]) -> None:
    assert load_mapping(write("own.toml", PAYMENT)).title == "own"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"id" }', '"id", colum = "x" }', "payment.payment_id: Object contains unknown field `colum`"),
        ('payment_id = { column = "id" }', "", "payment: Object missing required field `payment_id`"),
        ('currency = { constant = "EUR" }', 'currency = { constant = "EUX" }', "payment.currency.constant: Invalid"),
        ('currency = { constant = "EUR" }', "currency = {}", "payment.currency: exactly one of column, constant"),
        (', unit = "major"', "", 'payment.amount_minor.unit: missing: "major" (12.50 euros) or "minor"'),
        (', unit = "major"', ', unit = "euros"', "payment.amount_minor.unit: Invalid enum value"),
        ('unit = "major"', 'unit = "major", group_mark = "."', "payment.amount_minor.group_mark: must differ"),
        ('time = "iso"', 'time = "isoo"', "payment.event_time_ms.time: Invalid enum value 'isoo'"),
        (', time = "iso"', "", "payment.event_time_ms.time: missing"),
        ('"iso"', '"days_after"', "payment.event_time_ms.start: goes with time = days_after or seconds_after"),
        ('"iso"', '"days_after", start = "soon"', "payment.event_time_ms.start: Not an ISO 8601"),
        ('"iso"', '"iso", start = "2020-01-01"', "payment.event_time_ms.start: goes with"),
        ('"iso"', '"format"', "payment.event_time_ms.format: goes with time = format"),
        ('"iso"', '"iso", zone = "Mars"', "payment.event_time_ms.zone: no time zone called 'Mars'"),
        ('"iso"', '"epoch_s", zone = "Europe/Prague"', "payment.event_time_ms.zone: only with"),
        ('"iso"', '"iso", unit = "major"', "payment.event_time_ms.unit: only for amounts read from a column"),
        ('"from" }', '"from", unit = "major" }', "payment.payer.account.unit: only for amounts"),
        ('{ column = "from" }', '{ template = "{a" }', "payment.payer.account.template: expected '}'"),
        ('{ column = "from" }', '{ template = "{a:5}" }', "payment.payer.account.template: braces hold"),
        ('{ column = "when", time = "iso" }', '{ template = "{a}" }', "payment.event_time_ms.template: only for"),
        ('"from" }', '"from", otherwise = "x" }', "payment.payer.account.otherwise: only with translate"),
        ('"from" }', '"from", translate = { a = "" } }', "payment.payer.account.translate.a: Expected `str` of"),
        (
            '"to" }',
            '"to" }\npayee.minor = { constant = "true" }',
            "payment.payee.minor.constant: Expected `bool | null`",
        ),
        (
            '"to" }',
            '"to" }\npayee.minor = { template = "{a}" }',
            "payment.payee.minor.template: only for fields that are",
        ),
        (
            '"to" }',
            '"to" }\npayee.minor = { column = "a", unit = "major" }',
            "payment.payee.minor.unit: only for amounts",
        ),
        (
            '"to" }',
            '"to" }\npayee.minor = { column = "a", translate = { y = "yes" } }',
            "payment.payee.minor.translate.y: must be one of true, 1, false, 0",
        ),
        (
            '"to" }',
            '"to" }\npayee.minor = { column = "a", default = "no" }',
            "payment.payee.minor.default: must be one of true, 1, false, 0",
        ),
        ('{ column = "from" }', "[]", "payment.payer.account: an empty list"),
        (
            '{ column = "from" }',
            '[{ column = "a" }, { column = "b" }]',
            "payment.payer.account[0].when: missing: the alternatives after it are never reached",
        ),
        (
            '{ column = "from" }',
            '[{ column = "a", when = { column = "b" } }]',
            "payment.payer.account.when: exactly one of equals",
        ),
        ("[payment]", '[csv]\ndelimiter = ";;"\n[payment]', "csv.delimiter: must be one character"),
        ("[payment]", '[csv]\nencoding = "utf-16"\n[payment]', "csv.encoding: must write ASCII as ASCII"),
        ("[payment]", '[csv]\nencoding = "latin-99"\n[payment]', "csv.encoding: no text encoding"),
        ('format = "csv"', 'format = "xml"', "format: Invalid enum value 'xml'"),
        ('format = "csv"', 'format = "ndjson"\ncsv.delimiter = ";"', 'csv: only with format = "csv"'),
        ("[payment]", 'received_currency = { constant = "EUR" }\n[payment]', "Object contains unknown field"),
        ('title = "own"', "title = ", "Invalid value"),
        (PAYMENT, 'title = "x"\nformat = "csv"', "payment: missing: which columns"),
        (PAYMENT, 'title = "x"\nformat = "csv"\ncanonical = true', "canonical: only with format"),
        ('"to" }', '"to" }\n[[skip]]\nname = "a"\ncolumn = "b"', "skip[0]: exactly one of equals"),
        ('"to" }', '"to" }\n[[skip]]\nname = ""\ncolumn = "b"\nempty = true', "skip[0].name: each rule needs"),
        (
            '"to" }',
            '"to" }\n[label]\ncolumn = "x"\nsuspicious = []\ndelay_days = -1',
            "label.delay_days: must be a number of days from 0",
        ),
        (
            '"to" }',
            '"to" }\n[label]\ncolumn = "x"\nsuspicious = [1]\nnot_suspicious = [1]\ndelay_days = 1',
            "label.not_suspicious: a value cannot mean both",
        ),
        (
            '"to" }',
            '"to" }\nreceived_currency = { constant = "EUR" }',
            "payment.received_currency: received_amount_minor and received_currency come together",
        ),
    ],
)
def test_a_problem_is_reported_with_its_key(old: str, new: str, problem: str) -> None:
    assert old in PAYMENT
    with pytest.raises(MappingError) as caught:
        parse_mapping(PAYMENT.replace(old, new, 1), "own.toml")
    assert f"own.toml: {problem}" in str(caught.value)


def test_all_problems_are_reported_at_once() -> None:
    broken = PAYMENT.replace(', unit = "major"', "").replace(', time = "iso"', "")
    with pytest.raises(MappingError) as caught:
        parse_mapping(broken, "own.toml")
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "payment.event_time_ms.time",
        "payment.amount_minor.unit",
    ]


def test_a_mapping_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(MappingError, match=r"hanbook: no such mapping .*shipped: amlgentex, benford, berka, handbook"):
        load_mapping("hanbook")
