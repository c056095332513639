"""The payment within a frame is read as the contract reads it, by whichever of two ways."""

from __future__ import annotations

import pytest

from services.contract.codec import decode_payment
from services.contract.payment import Payment
from services.scorer.path.frame_reading import payment_in
from tests.support.payments import payment_log

PLAIN = [entry.value or b"" for entry in payment_log(5, 60)]
SOUND = next(value for value in PLAIN if value.isascii() and isinstance(decode_payment(value), Payment))
ONE = b'"amount_minor"'


def changed(addition: bytes) -> bytes:
    return SOUND[:-1] + b"," + addition + b"}"


HOSTILE = [
    b"",
    b"{}",
    SOUND[:-1],
    SOUND + b"x",
    changed(b'"amount_minor":7'),
    changed(b'"amount_minor":"7"'),
    SOUND.replace(ONE, b'"amount_minor":"7",' + ONE),
    changed(b'"received_amount_minor":7'),
    changed(b'"received_currency":"EUR"'),
    changed(b'"reference":"\xff"'),
    changed(b'"unknown":"\xff"'),
    changed('"reference":"für Ängie"'.encode()),
    changed(b'"unknown":"\\ud800"'),
    changed(b'"unknown":' + b"[" * 600 + b"]" * 600),
    changed(b'"unknown":' + b"[" * 60_000 + b"]" * 60_000),
]


@pytest.mark.parametrize("raw", [*PLAIN, *HOSTILE], ids=range(len(PLAIN) + len(HOSTILE)))
def test_a_frame_s_payment_is_what_the_contract_makes_of_it(raw: bytes) -> None:
    assert payment_in(raw) == decode_payment(raw)


def test_both_ways_are_taken_here() -> None:
    sound = [value for value in PLAIN if isinstance(decode_payment(value), Payment)]
    assert {value.isascii() for value in sound} == {True, False}
