"""Amounts are exact: what a person reads in the file is what is sent, to the last minor unit."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.codes import CURRENCY_EXPONENT
from services.ingest.numbers import BadValueError, Rounding, scaled

MODES: dict[Rounding, str] = {
    "down": ROUND_DOWN,
    "floor": ROUND_FLOOR,
    "half_even": ROUND_HALF_EVEN,
    "half_up": ROUND_HALF_UP,
}


def twin(value: Decimal, multiplier: int, rounding: Rounding) -> int | None:
    """The same by the decimal module with room for every digit; ``None`` where a remainder is refused."""
    with localcontext(prec=1_000, Emax=10_000, Emin=-10_000):
        product = value * multiplier
        if rounding == "exact":
            return int(product) if product == product.to_integral_value() else None
        return int(product.quantize(Decimal(1), rounding=MODES[rounding]))


def outcome(value: object, multiplier: int, rounding: Rounding) -> int | None:
    try:
        return scaled(value, multiplier, rounding)
    except BadValueError as error:
        return None if error.reason == "inexact" else -1


multipliers = st.sampled_from([1, 10, 100, 1_000, 10_000, 86_400_000])
roundings = st.sampled_from(["exact", *MODES])
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15)
cents = st.integers(-(10**15), 10**15).map(lambda n: n / 100)


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), cents), multipliers, roundings)
def test_a_float_is_read_as_its_shortest_decimal(value: float, multiplier: int, rounding: Rounding) -> None:
    assert outcome(value, multiplier, rounding) == twin(Decimal(repr(value)), multiplier, rounding)


@given(decimals, multipliers, roundings)
def test_a_decimal_is_scaled_exactly(value: Decimal, multiplier: int, rounding: Rounding) -> None:
    assert outcome(value, multiplier, rounding) == twin(value, multiplier, rounding)


@given(decimals, multipliers, roundings)
def test_text_is_scaled_exactly(value: Decimal, multiplier: int, rounding: Rounding) -> None:
    if len(str(value)) <= 64:
        assert outcome(str(value), multiplier, rounding) == twin(value, multiplier, rounding)


@given(st.integers(0, 2**53), st.sampled_from(sorted(CURRENCY_EXPONENT)))
def test_minor_units_of_any_currency_survive_being_printed_and_read(minor: int, currency: str) -> None:
    exponent = CURRENCY_EXPONENT[currency]
    printed = f"{minor // 10**exponent}.{minor % 10**exponent:0{exponent}d}" if exponent else str(minor)
    assert scaled(printed, 10**exponent) == minor


@given(st.text(max_size=80))
def test_any_text_is_a_number_or_a_named_refusal(text: str) -> None:
    try:
        result: int | str = scaled(text, 100)
    except BadValueError as error:
        result = error.reason
    assert isinstance(result, int) or result in {"field_invalid", "inexact"}


@pytest.mark.parametrize(
    ("value", "multiplier", "rounding", "expected"),
    [
        (0.29, 100, "exact", 29),
        (1.15, 100, "exact", 115),
        (203.54999999999998, 100, "half_even", 20355),
        ("12.50", 100, "exact", 1250),
        ("12.500", 100, "exact", 1250),
        ("+.5", 100, "exact", 50),
        ("5.", 100, "exact", 500),
        ("1.5e3", 1, "exact", 1500),
        ("1.005", 100, "half_even", 100),
        ("1.005", 100, "half_up", 101),
        ("-1.005", 100, "half_up", -101),
        ("-0.001", 100, "floor", -1),
        (9_007_199_254_740_993, 1, "exact", 9_007_199_254_740_993),
    ],
)
def test_numbers_that_once_went_wrong_somewhere(
    value: object, multiplier: int, rounding: Rounding, expected: int
) -> None:
    assert scaled(value, multiplier, rounding) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1.005", "inexact"),
        (0.001, "inexact"),
        ("", "field_invalid"),
        (".", "field_invalid"),
        ("1_000", "field_invalid"),
        ("1,000", "field_invalid"),
        ("٣", "field_invalid"),
        ("0x10", "field_invalid"),
        ("NaN", "field_invalid"),
        ("1e999", "field_invalid"),
        ("9" * 65, "field_invalid"),
        (float("inf"), "field_invalid"),
        (float("nan"), "field_invalid"),
        (Decimal("sNaN"), "field_invalid"),
        (Decimal("1e9999"), "field_invalid"),
        (True, "field_invalid"),
        (None, "field_invalid"),
        ([1], "field_invalid"),
    ],
)
def test_what_is_no_exact_amount_is_refused_with_a_reason(value: object, reason: str) -> None:
    with pytest.raises(BadValueError) as caught:
        scaled(value, 100)
    assert caught.value.reason == reason
