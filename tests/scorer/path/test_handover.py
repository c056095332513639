"""What the payer hop hands over is what the payee hop reads, whatever was between them; and nothing else is read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.contract.columns import Columns, Some, Texts
from services.contract.handover import HANDOVER, LABEL
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.inputs import PAYEE_INPUT, PAYER_INPUT
from services.scorer.path.features.registry import INDEX, PAYER_AT, PAYER_HOP
from services.scorer.path.handover import LabelsOnward, Onward, Source, Spans, hand_over
from services.scorer.path.handover_reading import Handover, read_handovers
from services.scorer.path.intake import AHEAD_MS_MAX
from services.scorer.path.records import Outbound, Record
from tests.contract.payloads import SEEDED

SCHEMA = bytes.fromhex("00ff" * 4)
SOURCE = Source(1, SCHEMA)
SOURCES, PARTITIONS = 3, 4
START_MS, BATCH_START = 1_764_000_000_000, 7


@dataclass(frozen=True)
class Given:
    """A batch as a test writes it down: of each of its payments whether it goes on, moves money and where to, and of
    each label how many payments stand before it and where it goes to."""

    payments: tuple[tuple[bool, bool, int, int], ...]
    labels: tuple[tuple[int, int], ...] = ()


@st.composite
def batches(draw: st.DrawFn) -> Given:
    to = st.integers(0, PARTITIONS - 1)
    payments = draw(st.lists(st.tuples(st.booleans(), st.booleans(), to, to), max_size=12))
    labels = draw(st.lists(st.tuples(st.integers(0, len(payments)), to), max_size=5))
    return Given(tuple(payments), tuple(sorted(labels)))


def onward(batch: Given) -> tuple[Onward, LabelsOnward, int]:
    """The batch as the payer hop has it, and the offset behind it: records are numbered in the order of the log."""
    order = sorted(
        [(3 * at + 1, "payment", at) for at in range(len(batch.payments))]
        + [(3 * before, "label", at) for at, (before, _) in enumerate(batch.labels)],
        key=lambda each: (each[0], each[2]),
    )
    offset = {(kind, at): BATCH_START + place for place, (_, kind, at) in enumerate(order)}
    on = [at for at, (goes_on, *_) in enumerate(batch.payments) if goes_on]
    m, k = len(on), len(batch.labels)
    rows = np.zeros(m, dtype=(np.record, PAYER_INPUT))
    rows["event_ms"], rows["amount"], rows["in_lexicon"] = (
        START_MS + np.array(on, dtype=np.int64),
        20.0 + np.array(on),
        np.nan,
    )
    rows["payer"], rows["payee_opened_ms"] = 2**64 - 1 - np.array(on, dtype=np.uint64), -1
    features = np.arange(m * len(PAYER_HOP), dtype=np.float64).reshape(m, len(PAYER_HOP))
    features[:, PAYER_AT.is_refused] = [not batch.payments[at][1] for at in on]
    texts = {name: spans([f"{name}-{at}".encode() for at in on]) for name in ("tenant", "id", "payer", "payee", "json")}
    payments = Onward(
        np.array(on, dtype=np.int64), np.array([offset["payment", at] for at in on], dtype=np.int64),
        START_MS + 10 + np.array(on, dtype=np.int64), rows, features,
        np.arange(m * RECENT_PAYEES, dtype=np.uint16).reshape(m, RECENT_PAYEES), numbered(1, on), numbered(2, on),
        texts["tenant"], texts["id"], texts["payer"], texts["payee"], texts["json"],
        np.array([batch.payments[at][2] for at in on], dtype=np.int64),
        np.array([batch.payments[at][3] for at in on], dtype=np.int64),
    )  # fmt: skip
    labels = LabelsOnward(
        np.array([before for before, _ in batch.labels], dtype=np.int64),
        np.array([offset["label", at] for at in range(k)], dtype=np.int64),
        START_MS + np.arange(k), START_MS - np.arange(k), 0.5 + np.arange(k, dtype=np.float64), np.arange(k) % 2 == 0,
        numbered(3, list(range(k))), np.array([to for _, to in batch.labels], dtype=np.int64),
    )  # fmt: skip
    return payments, labels, BATCH_START + len(order)


def spans(texts: list[bytes]) -> Spans:
    return Spans.of(Texts.of(texts))


def numbered(kind: int, rows: list[int]) -> NDArray[np.uint64]:
    """A digest for each account that a test can tell: its kind, and its row."""
    return np.array([[kind, row] for row in rows], dtype=np.uint64).reshape(len(rows), 2)


def handed(batch: Given, before: NDArray[np.int64] | None = None, source: Source = SOURCE) -> list[Outbound]:
    payments, labels, stop = onward(batch)
    marks = np.full(PARTITIONS, -1) if before is None else before
    return hand_over(payments, labels, source, (BATCH_START, stop), marks)


def read(records: list[Outbound], to: int, seen: NDArray[np.int64] | None = None, repeats: bool = False) -> Handover:
    inbound = [
        Record(at, each.timestamp, each.key, each.value) for at, each in enumerate(records) if each.partition == to
    ]
    return read_handovers(inbound, SCHEMA, np.full(SOURCES, -1) if seen is None else seen, repeats)


def expected(batch: Given, to: int) -> tuple[list[tuple[str, int]], list[tuple[int, int]]]:
    """Payments and notes for a partition, in the order of the log; and its labels, with how many of these stand
    before each."""
    moving: list[tuple[str, int]] = []
    labels = []
    for at in range(len(batch.payments) + 1):
        labels += [
            (len(moving), number) for number, (before, where) in enumerate(batch.labels) if (before, where) == (at, to)
        ]
        if at == len(batch.payments):
            break
        goes_on, moves, payee, payer = batch.payments[at]
        moving += [("payment", at)] * (goes_on and payee == to) + [("note", at)] * (goes_on and moves and payer == to)
    return moving, labels


@SEEDED
@given(batch=batches())
def test_every_payment_note_and_label_comes_to_its_partition_in_the_order_of_the_log(batch: Given) -> None:
    records = handed(batch)
    for to in range(PARTITIONS):
        found = read(records, to)
        moving, labels = expected(batch, to)
        assert not found.rejected
        assert [("note" if out else "payment", int(ms) - START_MS) for out, ms in zip(
            found.inputs["outflow"], found.inputs["event_ms"], strict=True)] == moving  # fmt: skip
        assert found.accounts.tolist() == [[1 if kind == "note" else 2, at] for kind, at in moving]
        assert list(zip(found.labels["before"].tolist(), found.labelled[:, 1].tolist(), strict=True)) == labels
        assert found.labels["value"].tolist() == [0.5 + number for _, number in labels]
        assert found.labels["confirmed"].tolist() == [number % 2 == 0 for _, number in labels]


@SEEDED
@given(batch=batches())
def test_all_that_was_known_of_a_payment_comes_with_it_to_the_bit(batch: Given) -> None:
    payments, _, _ = onward(batch)
    records = handed(batch)
    for to in range(PARTITIONS):
        found, row = read(records, to), np.flatnonzero(payments.to_payee == to)
        assert found.features.tobytes() == payments.features[row].tobytes()
        assert found.offset.tolist() == payments.offsets[row].tolist()
        assert found.appended_ms.tolist() == payments.appended_ms[row].tolist()
        assert set(found.partition.tolist()) <= {SOURCE.partition}
        for name, told in (("payment_id", "id"), ("payee", "payee"), ("payment", "json"), ("tenant", "tenant")):
            assert texts(getattr(found, name)) == [f"{told}-{payments.places[at]}" for at in row]
        inputs = found.inputs[~found.inputs["outflow"]]
        assert inputs["payer"].tolist() == payments.rows["payer"][row].tolist()
        assert inputs["recent_payees"].tolist() == payments.recent_payees[row].tolist()
        assert inputs["amount"].tolist() == payments.rows["amount"][row].tolist()
        for name in set(PAYEE_INPUT.names or ()) & set(INDEX) - {"amount"}:
            assert inputs[name].tolist() == payments.features[row, INDEX[name]].tolist()


def texts(column: Texts) -> list[str]:
    whole, ends = bytes(column.data), column.ends.tolist()
    return [whole[start:stop].decode() for start, stop in pairwise(ends)]


MANY = Given(tuple((True, True, 0, 0) for _ in range(2_500)), ((0, 0), (1_200, 0), (2_500, 0)))


def test_a_large_batch_becomes_several_records_that_follow_one_another() -> None:
    records = handed(MANY)
    assert len(records) > 2
    assert all(len(each.value) < 1_048_576 for each in records)
    seen = np.full(SOURCES, -1)
    parts = [read([record], 0, seen) for record in records]
    assert [part.gaps for part in parts] == [0] * len(parts)
    whole = read(records, 0)
    for name in PAYEE_INPUT.names or ():  # field by field: between them a row has room that means nothing
        assert np.concatenate([part.inputs[name] for part in parts]).tobytes() == whole.inputs[name].tobytes()
    assert len(whole.labels) == 3


def test_what_comes_again_is_dropped_where_it_can_and_counted() -> None:
    records, seen = handed(MANY), np.full(SOURCES, -1)
    first = read(records[:2], 0, seen, repeats=True)
    again = read(records, 0, seen, repeats=True)
    assert again.duplicates == len(first.offset)
    assert len(first.offset) + len(again.offset) == len(MANY.payments)
    assert not len(read(records, 0, seen, repeats=True).inputs)
    assert len(read(records, 0, seen, repeats=False).offset) == len(MANY.payments), "exactly once nothing repeats"


def test_a_log_that_took_anothers_place_is_no_repeat() -> None:
    seen = np.full(SOURCES, -1)
    read(handed(MANY), 0, seen, repeats=True)
    replaced = handed(MANY, source=SOURCE._replace(generation=1))
    found = read(replaced, 0, seen, repeats=True)
    assert (found.duplicates, found.gaps, len(found.offset)) == (0, 0, len(MANY.payments))


def test_a_record_that_is_missing_shows() -> None:
    records, seen = handed(MANY), np.full(SOURCES, -1)
    read(records[:1], 0, seen)
    assert read(records[2:], 0, seen).gaps == 1


SMALL = Given(((True, True, 0, 0), (True, False, 0, 1)), ((1, 0),))


def forged(name: str, value: Any, row: int = 0) -> bytes:
    """The record of ``SMALL`` with one value of a column, or of the metadata, replaced."""
    found = HANDOVER.read(handed(SMALL)[0].value, "")
    arrays, said = dict(found.arrays), dict(found.said)  # type: ignore[union-attr]
    if name in said:
        said[name] = value
    elif isinstance(arrays[name], Texts):
        texts = [arrays[name].at(each) for each in range(found.rows)]  # type: ignore[union-attr]
        arrays[name] = Texts.of([*texts[:row], value, *texts[row + 1 :]])
    else:
        arrays[name] = arrays[name].copy()
        arrays[name][row] = value
    return HANDOVER.write(found.rows, arrays, said)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema", "0" * 16), ("partition", "3"), ("partition", "-1"), ("partition", "x"), ("generation", "30001"),
        ("from_offset", "9" * 16), ("upto_offset", "x"), ("follows_offset", "-2"), ("kind", 3), ("offset", 6),
        ("offset", 9), ("event_ms", -1), ("event_ms", START_MS + AHEAD_MS_MAX + 86_400_000), ("appended_ms", 2**62),
        ("appended_ms", -2), ("payment_id", b"i" * 129), ("payee", "\u00e4".encode() * 129), ("tenant", b"\x1f"),
        ("value", -1.0), ("value", np.inf), ("status", 4), ("payer_country", 676), ("payer_country", -2),
        ("opened_ms", -2), ("confirmed", 2.0), ("in_lexicon", np.inf),
    ],
)  # fmt: skip
def test_a_forged_record_is_put_aside_whole_and_named(name: str, value: Any) -> None:
    good = handed(SMALL)
    seen = np.full(SOURCES, -1)
    records = [Outbound(0, START_MS + 11, None, forged(name, value), []), *good]
    found = read(records, 0, seen)
    assert [(why.reason, why.field) for _, why in found.rejected] == [
        ("feature_schema_mismatch" if name == "schema" else "handover_invalid", name)
    ]
    assert found.inputs.tobytes() == read(good, 0).inputs.tobytes()


def test_an_amount_is_what_its_own_column_says() -> None:
    """That one is held within what there is; the feature is served as it came."""
    found = HANDOVER.read(handed(SMALL)[0].value, "")
    assert isinstance(found, Columns)
    features: Some = found.arrays["features"]
    values = features.values.copy()
    values[:, PAYER_AT.amount] = 7.0
    value = HANDOVER.write(found.rows, {**found.arrays, "features": Some(features.present, values)}, found.said)
    read_again = read([Outbound(0, START_MS + 11, None, value, [])], 0)
    assert read_again.inputs["amount"].tolist() == found.arrays["value"][found.arrays["kind"] != LABEL].tolist()


@pytest.mark.parametrize("value", [-1.0, -2.0, 1e36, np.inf])
def test_a_feature_that_no_model_could_read_is_put_aside(value: float) -> None:
    found = HANDOVER.read(handed(SMALL)[0].value, "")
    assert isinstance(found, Columns)
    features: Some = found.arrays["features"]
    values = features.values.copy()
    values[0, PAYER_AT.payer_gap] = value
    record = HANDOVER.write(found.rows, {**found.arrays, "features": Some(features.present, values)}, found.said)
    ((_, why),) = read([Outbound(0, START_MS + 11, None, record, [])], 0).rejected
    assert why.field == "features"


@SEEDED
@given(places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_every_byte_of_a_record_may_be_any_other(places: list[tuple[int, int]]) -> None:
    value = bytearray(handed(SMALL)[0].value)
    for at, byte in places:
        value[at % len(value)] = byte
    found = read([Outbound(0, START_MS + 11, None, bytes(value), [])], 0)
    assert len(found.rejected) <= 1
    assert len(found.inputs) in (0, 3)
