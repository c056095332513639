"""Records in columns are a sequence of the same records one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.columns import Texts
from services.scorer.path.records import Outbound, OutboundColumns
from tests.contract.payloads import SEEDED

RECORDS = st.lists(
    st.tuples(st.integers(-1, 2**62), st.binary(max_size=5), st.binary(max_size=9)).map(
        lambda each: Outbound(3, *each, [])
    ),
    max_size=6,
)


def in_columns(records: list[Outbound], partition: int = 3) -> OutboundColumns:
    keys, values = (Texts.of([each[at] or b"" for each in records]) for at in (2, 3))  # type: ignore[misc]
    return OutboundColumns(
        partition,
        np.array([each.timestamp for each in records], dtype=np.int64),
        np.frombuffer(keys.data, dtype=np.uint8),
        keys.ends,
        np.frombuffer(values.data, dtype=np.uint8),
        values.ends,
    )


@SEEDED
@given(records=RECORDS, start=st.integers(-8, 8), stop=st.integers(-8, 8), step=st.sampled_from((1, 2, -1, -3)))
def test_each_record_is_where_it_was(records: list[Outbound], start: int, stop: int, step: int) -> None:
    columns = in_columns(records)
    assert len(columns) == len(records)
    assert list(columns) == records
    assert list(reversed(columns)) == records[::-1]
    assert columns[start:stop:step] == records[start:stop:step]
    assert [columns[at - len(records)] for at in range(len(records))] == records


@SEEDED
@given(records=RECORDS, others=RECORDS)
def test_they_equal_what_holds_the_same_records(records: list[Outbound], others: list[Outbound]) -> None:
    assert in_columns(records) == records == in_columns(records)
    assert (in_columns(records) == in_columns(others)) == (records == others)
    assert (in_columns(records, partition=4) == records) == (not records)


@pytest.mark.parametrize("at", [1, -2, 99])
def test_beyond_the_last_there_is_none(at: int) -> None:
    with pytest.raises(IndexError):
        in_columns([Outbound(3, 0, b"k", b"v", [])])[at]
