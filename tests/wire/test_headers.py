"""Headers in a column are those of the records, however they are written and asked for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.events import cloud_event, type_header
from services.wire.headers import Header, LazyHeaders, header_column, headers_with, same_headers
from services.wire.texts import Texts

SEEDED = settings(derandomize=True, deadline=None, max_examples=100)
HEADER = st.tuples(st.text(max_size=5), st.binary(max_size=200))
ROWS = st.lists(st.lists(HEADER, max_size=3), max_size=6)


@SEEDED
@given(ROWS)
def test_what_goes_into_a_column_comes_out(rows: list[list[Header]]) -> None:
    column = header_column(rows)
    assert [list(each) for each in column] == rows
    assert [list(column[at]) for at in range(len(rows))] == rows
    assert [list(each) for each in column[1:]] == rows[1:]


@SEEDED
@given(st.lists(HEADER, max_size=2), st.text(max_size=5), st.lists(st.binary(max_size=70)), st.lists(HEADER))
def test_records_that_differ_in_one_value_are_as_if_written_one_by_one(
    before: list[Header], name: str, values: list[bytes], after: list[Header]
) -> None:
    expected = [[*before, (name, value), *after] for value in values]
    assert [list(each) for each in headers_with(before, name, Texts.of(values), after)] == expected
    assert [list(each) for each in header_column(expected)] == expected


@SEEDED
@given(st.lists(HEADER, max_size=3), st.integers(0, 4))
def test_the_same_headers_are_those_of_each_record(headers: list[Header], count: int) -> None:
    assert [list(each) for each in same_headers(headers, count)] == [headers] * count


@SEEDED
@given(ROWS, st.one_of(HEADER, st.just(("ce_type", b"x"))))
def test_which_records_have_a_header(rows: list[list[Header]], header: Header) -> None:
    rows = [*rows, [("first", b""), header]]
    assert header_column(rows).having(header).tolist() == [header in headers for headers in rows]


@SEEDED
@given(st.lists(HEADER, max_size=4), HEADER)
def test_one_record_is_asked_as_a_list_is(headers: list[Header], other: Header) -> None:
    (lazy,) = header_column([headers])
    assert (other in lazy) == (other in headers)
    assert all(header in lazy for header in headers)
    assert (len(lazy), [lazy[at] for at in range(len(headers))]) == (len(headers), headers)
    assert lazy == headers or not headers


def test_a_name_that_is_no_text_is_spelled_out_and_a_value_may_be_missing() -> None:
    raw = bytes([4, 4, 0xFF, ord("a"), 2, 7, 2, ord("b"), 1])
    assert list(LazyHeaders(raw)) == [(r"\xffa", b"\x07"), ("b", None)]


def test_events_differ_in_their_ids_only() -> None:
    events = [cloud_event("payment.v1", str(number)) for number in range(3)]
    column = header_column(events)
    assert [list(each) for each in column] == events
    assert column.having(type_header("payment.v1")).all()
