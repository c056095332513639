"""Served features come back as written; of any other bytes nothing raises, and no array leaves its memory."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

from services.contract.codec import Rejection
from services.contract.columns import Texts
from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.served import SERVED, Served, ServedBy, read_served, write_served
from tests.contract.batches import served, texts
from tests.contract.payloads import SEEDED

COUNTS = st.integers(0, 4)
TEXT_COLUMNS = ("tenant", "payment_id", "payer", "payee")


def bits(value: Any) -> Any:
    if isinstance(value, Texts):
        return bytes(value.data), value.ends.tolist()
    return (value.shape, value.dtype, value.tobytes()) if isinstance(value, np.ndarray) else value


def same(one: Served, other: Served) -> bool:
    return all(bits(getattr(one, each.name)) == bits(getattr(other, each.name)) for each in fields(Served))


@SEEDED
@given(rows=st.integers(0, 9), features=COUNTS, rules=COUNTS, packs=COUNTS, seed=st.integers(0, 2**32 - 1))
def test_what_decisions_were_made_of_comes_back_to_the_bit(
    rows: int, features: int, rules: int, packs: int, seed: int
) -> None:
    batch = served(rows, features, rules, packs, seed)
    found = read_served(write_served(batch))
    assert isinstance(found, Served)
    assert same(found, batch)
    assert len(found) == rows
    assert found.decision_ids() == [str(UUID(bytes=each.tobytes())) for each in batch.decision_id]
    assert found.texts("payer") == [f"konto-å{at % 3}" for at in range(rows)]


def test_every_column_has_its_place_in_a_batch() -> None:
    assert [column.name for column in SERVED.columns] == [each.name for each in fields(Served)][1:]
    assert list(SERVED.metadata) == [each.name for each in fields(ServedBy)]
    assert all(each.meaning for each in SERVED.columns)
    assert all(SERVED.metadata.values())


def put(**changes: Any) -> Rejection | Served:
    """Two rows with columns changed, read back."""
    return read_served(write_served(replace(served(2), **changes)))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"outcome": np.array([0, 2], dtype=np.uint8)}, "outcome"),
        ({"rules": np.array([[0, 1, 2], [0, 1, 3]], dtype=np.uint8)}, "rules"),
        ({"appended_ms": np.array([0, -2])}, "appended_ms"),
        ({"appended_ms": np.array([0, 2**53 + 1])}, "appended_ms"),
        ({"event_time_ms": np.array([0, -1])}, "event_time_ms"),
        ({"event_time_ms": np.array([0, EVENT_TIME_MS_MAX + 1])}, "event_time_ms"),
        ({"event_time_ms": np.array([0, 2**63 - 1])}, "event_time_ms"),
        ({"partition": np.array([0, -1], dtype=np.int32)}, "partition"),
        ({"offset": np.array([-1, 0])}, "offset"),
        ({"offset": np.array([0, 2**53 + 1])}, "offset"),
        ({"score": np.array([0.0, np.nan])}, "score"),
        ({"score": np.array([0.0, -np.inf])}, "score"),
        ({"probability": np.array([np.nan, 0.5])}, "probability"),
        ({"probability": np.array([0.0, 1.0000001])}, "probability"),
        ({"probability": np.array([-1e-9, 0.5])}, "probability"),
        ({"tenant": texts(["SECRET", ""])}, "tenant"),
        ({"payment_id": texts(["SECRET\x1f", "b"])}, "payment_id"),
        ({"payer": texts(["a", "SECRET\x7f"])}, "payer"),
        ({"payee": texts(["x" * 513, "b"])}, "payee"),
        ({"features": np.full((2, 4), np.inf)}, "features"),
        ({"features": np.full((2, 4), -np.inf)}, "features"),
        ({"features": np.zeros((2, 5))}, "features"),
        ({"features": np.zeros((2, 3))}, "features"),
        ({"rules": np.zeros((2, 2), dtype=np.uint8)}, "features"),
        ({"packs": np.zeros((2, 1))}, "features"),
    ],
)
def test_what_no_decision_can_have_is_refused_by_its_column(changes: dict[str, Any], field: str) -> None:
    found = put(**changes)
    assert isinstance(found, Rejection)
    assert (found.reason, found.field) == ("features_invalid", field)
    assert "SECRET" not in str(found)


def test_what_is_at_the_edge_of_what_there_can_be_is_taken() -> None:
    found = put(
        event_time_ms=np.array([0, EVENT_TIME_MS_MAX]),
        offset=np.array([0, 2**53]),
        partition=np.array([0, 2**31 - 1], dtype=np.int32),
        appended_ms=np.array([-1, 2**53]),
        score=np.array([-0.0, 1.7976931348623157e308]),
        probability=np.array([0.0, 1.0]),
        payee=texts(["\U0001f3e6" * 128, '"\\\x80']),
        features=np.full((2, 4), np.nan),
    )
    assert isinstance(found, Served)
    assert np.signbit(found.score[0])


@pytest.mark.parametrize("version", ["", " 1", "-1", "1.0", "x", "²", "٣", "9" * 16, "9" * 5_000])
def test_a_model_version_that_is_no_number_is_refused(version: str) -> None:
    batch = served(1)
    arrays = {column.name: getattr(batch, column.name) for column in SERVED.columns}
    said = dict.fromkeys(SERVED.metadata, "") | {
        "feature_names": ",".join(batch.by.feature_names), "rule_ids": ",".join(batch.by.rule_ids),
        "pack_names": ",".join(batch.by.pack_names),
    }  # fmt: skip
    assert isinstance(read_served(SERVED.write(1, arrays, said | {"model_version": "12"})), Served)
    found = read_served(SERVED.write(1, arrays, said | {"model_version": version}))
    assert isinstance(found, Rejection)
    assert found.field == "model_version"


# --- mutations -------------------------------------------------------------------------------------------------------

SEED = write_served(served(5))
NUMBERS = (0, 1, -1, 2, 4, 8, 16, 2**15, 2**31 - 1, -(2**31), 2**32 - 1, 2**40, 2**62, 2**63 - 1, -(2**63))


def within(array: NDArray[Any], value: bytes) -> bool:
    """Whether all of an array lies in the record's own memory."""
    first, end = byte_bounds(np.frombuffer(value, dtype=np.uint8))
    start, stop = byte_bounds(array)
    return array.size == 0 or first <= start <= stop <= end


def assert_safe(found: Served, value: bytes) -> None:
    """Arrays have the length that they say and none leaves the record; texts are texts."""
    for column in SERVED.columns:
        held = getattr(found, column.name)
        if isinstance(held, Texts):
            data = np.frombuffer(held.data, dtype=np.uint8) if held.data else np.empty(0, dtype=np.uint8)
            assert held.ends.min() >= 0
            assert held.ends.max() <= len(data)
            assert len(found.texts(column.name)) == len(found)
            arrays: list[NDArray[Any]] = [held.ends, data] if len(found) else []
        else:
            assert len(held) == len(found)
            arrays = [held]
        assert all(within(each, value) for each in arrays), column.name
    assert len(found.decision_ids()) == len(found)
    write_served(found)


def fate(value: bytes) -> str:
    found = read_served(value)
    if isinstance(found, Rejection):
        assert found.reason == "features_invalid"
        assert "SECRET" not in str(found)
        return "refused"
    assert_safe(found, value)
    return "read"


def test_every_bit_may_be_the_other() -> None:
    fates = {fate(flipped(at, bit)) for at in range(len(SEED)) for bit in range(8)}
    assert fates == {"read", "refused"}


def flipped(at: int, bit: int) -> bytes:
    return SEED[:at] + bytes([SEED[at] ^ 1 << bit]) + SEED[at + 1 :]


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_every_number_in_what_describes_a_record_may_be_any_other(size: int) -> None:
    """Lengths, offsets and counts of flatbuffers; whatever size they are of."""
    words = {int(number).to_bytes(9, "little", signed=True)[:size] for number in NUMBERS}
    for at in range(0, len(SEED) - size, size):
        for word in words:
            fate(SEED[:at] + word + SEED[at + size :])


def test_pieces_of_records_in_any_order_are_refused_or_read() -> None:
    draw = random.Random(7)
    others = [SEED, write_served(served(0)), write_served(served(3, 0, 0, 0)), write_served(served(40, 9, 9, 9))]
    fates = set()
    for _ in range(4_000):
        one, other = draw.choice(others), draw.choice(others)
        start, stop = (8 * draw.randrange(len(one) // 8 + 1) for _ in range(2))
        from_, to = sorted(8 * draw.randrange(len(other) // 8 + 1) for _ in range(2))
        fates.add(fate(one[:start] + other[from_:to] + one[stop:]))
    assert "refused" in fates
