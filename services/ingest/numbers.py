"""Exact numbers from the cells of a file: integer maths on decimal digits, never float rounding by accident."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Literal

from services.contract.errors import TocsinError

Rounding = Literal["exact", "half_even", "half_up", "down", "floor"]

TEXT_LENGTH_MAX = 64
"""A longer text is no amount and no time; reading its digits would only burn time."""

EXPONENT_MAX = 400
"""Powers of ten beyond this (a float reaches 308) are refused before they are computed."""

_FLOAT_DIGITS_EXACT = 10**15
_NUMBER = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII)


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
    coefficient, exponent = decimal_parts(value)
    coefficient *= multiplier
    power: int = 10 ** abs(exponent)
    return coefficient * power if exponent >= 0 else _divided(coefficient, power, rounding)


def decimal_parts(value: object) -> tuple[int, int]:
    """``(coefficient, exponent)`` with ``value == coefficient * 10**exponent``.

    Raises
    ------
    BadValueError
        When ``value`` is no finite number.
    """
    if isinstance(value, bool):
        raise _not_a_number()
    if isinstance(value, int):
        return value, 0
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _not_a_number()
        return _of_text(repr(value))
    if isinstance(value, Decimal):
        sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or abs(exponent) > EXPONENT_MAX:
            raise _not_a_number()
        coefficient = int("".join(map(str, digits)))
        return (-coefficient if sign else coefficient), exponent
    if isinstance(value, str):
        return _of_text(value.strip())
    raise _not_a_number()


def _of_text(text: str) -> tuple[int, int]:
    match = _NUMBER.fullmatch(text) if len(text) <= TEXT_LENGTH_MAX else None
    if match is None:
        raise _not_a_number()
    sign, whole, fraction, exponent = match.groups("")
    if not whole and not fraction:
        raise _not_a_number()
    power = int(exponent or 0)
    if abs(power) > EXPONENT_MAX:
        raise _not_a_number()
    coefficient = int(whole + fraction)
    return (-coefficient if sign == "-" else coefficient), power - len(fraction)


def _divided(numerator: int, denominator: int, rounding: Rounding) -> int:
    """``numerator / denominator`` (positive), rounded as asked."""
    quotient, remainder = divmod(abs(numerator), denominator)
    negative = numerator < 0
    if remainder:
        if rounding == "exact":
            raise BadValueError("inexact", "The number has more decimals than its unit allows")
        twice = 2 * remainder
        up = (
            (rounding == "half_up" and twice >= denominator)
            or (rounding == "half_even" and (twice, quotient & 1) >= (denominator, 1))
            or (rounding == "floor" and negative)
        )
        quotient += up
    return -quotient if negative else quotient


def _not_a_number() -> BadValueError:
    return BadValueError("field_invalid", "Not a number")
