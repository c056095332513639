"""The contract's codec: any bytes give a payment or a reason, and nothing of a record leaks into what is said of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.codec import Rejection, decode_payment
from services.contract.payment import Party, Payment
from tests.contract.payloads import ACCEPTED, FULL, GOOD, REFUSED, SEEDED, written

REASONS = {"empty", "oversized", "not_json", "not_a_payment", "field_missing", "field_invalid", "event_time_unit"}
FIELDS = {
    "",
    *Payment.__struct_fields__,
    *(f"{side}.{name}" for side in ("payer", "payee") for name in Party.__struct_fields__),
}  # fmt: skip


def assert_sound(value: bytes | None) -> None:
    found = decode_payment(value)
    if isinstance(found, Rejection):
        assert found.reason in REASONS
        assert found.field in FIELDS
        assert found.detail
        assert "SECRET" not in found.detail + found.field
        assert not re.search(r"765432|444444", found.detail)
    else:
        assert isinstance(found, Payment)


@settings(SEEDED, max_examples=1_000)
@given(value=st.none() | st.binary(max_size=400))
def test_arbitrary_bytes_never_raise(value: bytes | None) -> None:
    assert_sound(value)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FULL, "account", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip


@SEEDED
@given(value=JSON_VALUES)
def test_arbitrary_json_never_raises(value: Any) -> None:
    assert_sound(json.dumps(value).encode())


@SEEDED
@given(name=st.sampled_from([*FULL, "payer__account", "payer__country", "payee__opened_ms"]), value=JSON_VALUES)
def test_any_json_in_any_field_never_raises_and_an_error_names_that_field(name: str, value: Any) -> None:
    record = written(**{name: value})
    assert_sound(record)
    found = decode_payment(record)
    if isinstance(found, Rejection) and found.reason == "field_invalid":
        assert found.field.split(".")[0] == name.split("__")[0]


@settings(SEEDED, max_examples=1_500)
@given(at=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_raises(at: int, bit: int) -> None:
    flipped = bytearray(GOOD)
    flipped[at] ^= 1 << bit
    assert_sound(bytes(flipped))


def test_a_payment_cut_off_anywhere_is_not_json() -> None:
    for length in range(1, len(GOOD)):
        found = decode_payment(GOOD[:length])
        assert isinstance(found, Rejection)
        assert (found.reason, found.field) == ("not_json", "")
        assert "SECRET" not in found.detail


@SEEDED
@given(start=st.integers(0, len(GOOD)), stop=st.integers(0, len(GOOD)), piece=st.binary(max_size=30))
def test_a_payment_with_a_piece_cut_out_or_spliced_in_never_raises(start: int, stop: int, piece: bytes) -> None:
    assert_sound(GOOD[:start] + piece + GOOD[stop:])


@pytest.mark.parametrize(("value", "expected"), [pytest.param(*rest, id=why) for why, *rest in REFUSED])
def test_what_is_wrong_with_a_payment_is_said_by_reason_and_field(
    value: bytes | None, expected: tuple[str, str]
) -> None:
    found = decode_payment(value)
    assert isinstance(found, Rejection)
    assert (found.reason, found.field) == expected
    assert_sound(value)


@pytest.mark.parametrize("value", [pytest.param(value, id=why) for why, value in ACCEPTED])
def test_a_payment_that_is_unusual_but_right_is_accepted(value: bytes) -> None:
    assert isinstance(decode_payment(value), Payment)


def test_of_a_name_that_stands_twice_the_last_one_counts() -> None:
    found = decode_payment(GOOD[:-1] + b', "amount_minor": 5}')
    assert isinstance(found, Payment)
    assert found.amount_minor == 5
    wrong = decode_payment(GOOD[:-1] + b', "amount_minor": "5"}')
    assert isinstance(wrong, Rejection)
    assert (wrong.reason, wrong.field) == ("field_invalid", "amount_minor")
