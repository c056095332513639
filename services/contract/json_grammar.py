"""The grammar of JSON (RFC 8259) in UTF-8 (RFC 3629) as one table: what each byte makes of each state.

Nothing here is known of which bracket is open: whoever walks keeps that, and is told by an event.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

(
    VALUE, FIRST_ELEMENT, FIRST_NAME, NAME, COLON, AFTER,
    MINUS, ZERO, INTEGER, POINT, FRACTION, POWER, SIGNED, EXPONENT,
    T, TR, TRU, F, FA, FAL, FALS, N, NU, NUL,
) = range(24)  # fmt: skip
"""States outside texts: what may come next, or what has been read of a number or a word."""
(
    TEXT, ESCAPED, DIGIT_1, DIGIT_2, DIGIT_3, DIGIT_4, SURROGATE_2, HIGH_3, HIGH_4, PAIR, PAIR_ESCAPED, LOW_1, LOW_2,
    MORE_1, MORE_2, MORE_3, AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4,
) = range(20)  # fmt: skip
"""States within a text: of an escape's four digits, the next to come, which may be those of a pair of surrogates; of a
character beyond ASCII, how many bytes are to follow, or after which first one the second is limited."""
IN_TEXT, IN_NAME, _STATES = 24, 44, 64
"""Where the states of values' texts begin, and those of names'."""
(BAD, BEGIN_NUMBER, BEGIN_POWER, END_NUMBER, OPEN, CLOSE, COMMA, BEGIN_NAME, ESCAPE_IN_NAME, END_NAME) = range(64, 74)
"""Events stand where the next state would: what it is, or whether there is one, is for the walk to say. ``CLOSE`` and
``COMMA`` end a number, too."""
EVENTS = BAD

_BLANKS, _DIGITS, _HEXADECIMAL = b" \t\n\r", b"0123456789", b"0123456789abcdefABCDEF"
_FOLLOWING = bytes(range(0x80, 0xC0))
Rule = Callable[[int, bytes, int], None]
"""Of a state, some bytes, and what they lead to."""


def _written() -> NDArray[np.uint8]:
    table = np.full((_STATES, 256), BAD, dtype=np.uint8)

    def rule(state: int, options: bytes, following: int) -> None:
        table[state, list(options)] = following

    for state in (VALUE, FIRST_ELEMENT, FIRST_NAME, NAME, COLON, AFTER):
        rule(state, _BLANKS, state)
    for state in (VALUE, FIRST_ELEMENT):
        for options, following in (
            (b"{[", OPEN), (b'"', IN_TEXT + TEXT), (b"-" + _DIGITS, BEGIN_NUMBER), (b"t", T), (b"f", F), (b"n", N),
        ):  # fmt: skip
            rule(state, options, following)
    rule(FIRST_ELEMENT, b"]", CLOSE)
    rule(FIRST_NAME, b"}", CLOSE)
    rule(FIRST_NAME, b'"', BEGIN_NAME)
    rule(NAME, b'"', BEGIN_NAME)
    rule(COLON, b":", VALUE)
    _write_numbers(rule)
    for state in (AFTER, ZERO, INTEGER, FRACTION, EXPONENT):
        rule(state, b"]}", CLOSE)
        rule(state, b",", COMMA)
    for state, letter, following in zip(
        (T, TR, TRU, F, FA, FAL, FALS, N, NU, NUL), b"ruealseull",
        (TR, TRU, AFTER, FA, FAL, FALS, AFTER, NU, NUL, AFTER), strict=True,
    ):  # fmt: skip
        table[state, letter] = following
    _write_texts(rule, IN_TEXT, ESCAPED + IN_TEXT, AFTER)
    _write_texts(rule, IN_NAME, ESCAPE_IN_NAME, END_NAME)
    return table


def _write_numbers(rule: Rule) -> None:
    rule(MINUS, b"0", ZERO)
    rule(MINUS, b"123456789", INTEGER)
    for state, following in ((INTEGER, INTEGER), (POINT, FRACTION), (FRACTION, FRACTION)):
        rule(state, _DIGITS, following)
    for state in (POWER, SIGNED, EXPONENT):
        rule(state, _DIGITS, EXPONENT)
    rule(POWER, b"+-", SIGNED)
    rule(ZERO, b".", POINT)
    rule(INTEGER, b".", POINT)
    for state in (ZERO, INTEGER, FRACTION):
        rule(state, b"eE", BEGIN_POWER)
    for state in (ZERO, INTEGER, FRACTION, EXPONENT):
        rule(state, _BLANKS, END_NUMBER)


def _write_texts(rule: Rule, first: int, escape: int, end: int) -> None:
    """A text's states from ``first`` on; ``escape`` follows a backslash in it, ``end`` its quotation mark."""
    for state, options, following in (
        (TEXT, bytes(range(0x20, 0x80)), TEXT),
        (ESCAPED, b'"\\/bfnrt', TEXT), (ESCAPED, b"u", DIGIT_1),
        (DIGIT_1, _HEXADECIMAL, DIGIT_2), (DIGIT_1, b"dD", SURROGATE_2),
        (DIGIT_2, _HEXADECIMAL, DIGIT_3), (DIGIT_3, _HEXADECIMAL, DIGIT_4), (DIGIT_4, _HEXADECIMAL, TEXT),
        (SURROGATE_2, b"01234567", DIGIT_3), (SURROGATE_2, b"89abAB", HIGH_3),
        (HIGH_3, _HEXADECIMAL, HIGH_4), (HIGH_4, _HEXADECIMAL, PAIR), (PAIR, b"\\", PAIR_ESCAPED),
        (PAIR_ESCAPED, b"u", LOW_1), (LOW_1, b"dD", LOW_2), (LOW_2, b"cdefCDEF", DIGIT_3),
        (TEXT, bytes(range(0xC2, 0xE0)), MORE_1), (TEXT, bytes(range(0xE1, 0xF0)), MORE_2),
        (TEXT, b"\xf1\xf2\xf3", MORE_3),
        (TEXT, b"\xe0", AFTER_E0), (TEXT, b"\xed", AFTER_ED), (TEXT, b"\xf0", AFTER_F0), (TEXT, b"\xf4", AFTER_F4),
        (MORE_1, _FOLLOWING, TEXT), (MORE_2, _FOLLOWING, MORE_1), (MORE_3, _FOLLOWING, MORE_2),
        (AFTER_E0, _FOLLOWING[0x20:], MORE_1), (AFTER_ED, _FOLLOWING[:0x20], MORE_1),
        (AFTER_F0, _FOLLOWING[0x10:], MORE_2), (AFTER_F4, _FOLLOWING[:0x10], MORE_2),
    ):  # fmt: skip
        rule(first + state, options, first + following)
    rule(first + TEXT, b"\\", escape)
    rule(first + TEXT, b'"', end)


GRAMMAR = _written()
"""uint8[states, 256]: the next state, or an event."""
FINAL = np.zeros(_STATES, dtype=np.bool_)
"""Where JSON may end."""
FINAL[[AFTER, ZERO, INTEGER, FRACTION, EXPONENT]] = True
