"""Exact numbers from the cells of a file: decimal digits, never float rounding by accident."""

from __future__ import annotations

import decimal
import re
from decimal import Context, Decimal
from typing import Literal

from services.contract.errors import TocsinError

Rounding = Literal["exact", "half_even", "half_up", "down", "floor"]

TEXT_LENGTH_MAX = 64
"""A longer text is no amount and no time; reading its digits would only burn time."""

EXPONENT_MAX = 400
"""Powers of ten beyond this (a float reaches 308) are refused before they are computed."""

_FLOAT_DIGITS_EXACT = 10**15
_NUMBER = re.compile(r"[+-]?(?=\.?\d)\d*(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
_EVERY_DIGIT = Context(prec=decimal.MAX_PREC, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)
_MODES = {
    "exact": decimal.ROUND_DOWN,
    "down": decimal.ROUND_DOWN,
    "floor": decimal.ROUND_FLOOR,
    "half_even": decimal.ROUND_HALF_EVEN,
    "half_up": decimal.ROUND_HALF_UP,
}


class BadValueError(TocsinError):
    """A cell cannot become the value of a field.

    It stays inside the mapping of one row, which turns it into a ``Rejection``: to a caller, bad input is a value.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def scaled(value: object, multiplier: int, rounding: Rounding = "exact") -> int:
    """``value * multiplier`` as an integer, computed exactly.

    A float stands for its shortest decimal, the one that a person sees printed: 0.29 is 29 hundredths, although the
    binary number is slightly less.

    Parameters
    ----------
    value
        ``int``, ``float``, ``Decimal``, or text such as ``12.5``, ``-3`` or ``1.5e3``.
    multiplier
        Units in one: 100 for euros to cents, 1,000 for seconds to milliseconds.
    rounding
        What to do with a remainder: ``exact`` refuses it, ``down`` goes towards zero, ``floor`` towards minus
        infinity, ``half_even`` and ``half_up`` (away from zero) to the nearest.

    Raises
    ------
    BadValueError
        ``field_invalid`` when it is no finite number, ``inexact`` when ``exact`` finds a remainder.

    >>> scaled(0.29, 100), scaled("1.005", 100, "half_even"), scaled("1.5e3", 1)
    (29, 100, 1500)
    """
    if type(value) is int:
        return value * multiplier
    if type(value) is float:
        # The nearest integer is exact when dividing it again gives the same float: up to 15 digits, the decimal
        # that this division rounds to is the float's own shortest one.
        product = value * multiplier
        if -1e15 < product < 1e15:
            nearest: int = round(product)
            if nearest / multiplier == value and -_FLOAT_DIGITS_EXACT < nearest < _FLOAT_DIGITS_EXACT:
                return nearest
    scaled_up = _EVERY_DIGIT.multiply(_number(value), multiplier)
    whole = scaled_up.to_integral_value(_MODES[rounding], _EVERY_DIGIT)
    if rounding == "exact" and whole != scaled_up:
        raise BadValueError("inexact", "The number has more decimals than its unit allows")
    return int(whole)


def _number(value: object) -> Decimal:
    """The number that a cell holds, with every digit of it."""
    text = repr(value) if isinstance(value, float) else value
    number = None
    if isinstance(text, str):
        text = text.strip()
        if len(text) <= TEXT_LENGTH_MAX and _NUMBER.fullmatch(text):
            number = Decimal(text)
    elif isinstance(text, int | Decimal) and not isinstance(text, bool):
        number = Decimal(text)
    if number is None or not number.is_finite() or abs(number.adjusted()) > EXPONENT_MAX:
        raise BadValueError("field_invalid", "Not a number")
    return number
