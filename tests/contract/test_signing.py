"""Signed announcements: whoever lacks the key can say nothing, and take nothing away."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from services.contract.signing import SIGNATURE, is_signed, signature, signed

KEY = b"of this deployment"
RECORDS: list[tuple[bytes | None, bytes | None]] = [
    (b"general/1", b"{}"),
    (b"general/1", None),
    (b"general/1", b""),
    (b"general/1", b"-"),
    (b"champion", b"{}"),
    (b"", b"general/1{}"),
    (None, b"{}"),
    (None, None),
    (b"general/1{", b"}"),
    (b"-", None),
]


def test_a_signature_is_of_one_key_and_value() -> None:
    assert len({signature(KEY, *each) for each in RECORDS}) == len(RECORDS)
    for ours in RECORDS:
        for theirs in RECORDS:
            assert is_signed(KEY, *ours, signed(KEY, *theirs)) == (ours == theirs)


def test_a_signature_is_what_it_is_said_to_be() -> None:
    expected = hmac.new(KEY, b"models.v1+9:general/1+2:{}", hashlib.sha256).hexdigest()
    assert signed(KEY, b"general/1", b"{}") == [(SIGNATURE, expected.encode())]
    assert signature(KEY, b"k", None) == hmac.new(KEY, b"models.v1+1:k-", hashlib.sha256).hexdigest().encode()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(SIGNATURE, None)],
        [(SIGNATURE, b"")],
        [(SIGNATURE, b"\xff" * 64)],
        [(SIGNATURE.upper(), signature(KEY, b"k", b"v"))],
        [(SIGNATURE, signature(KEY, b"k", b"v")[:-1])],
        [(SIGNATURE, signature(b"another key", b"k", b"v"))],
        [(SIGNATURE, signature(KEY, b"k", b"v"))] * 2,
        [(SIGNATURE, b"0" * 64), (SIGNATURE, signature(KEY, b"k", b"v"))],
    ],
)
def test_what_has_not_the_one_right_signature_is_not_signed(headers: list[tuple[str, bytes | None]]) -> None:
    assert not is_signed(KEY, b"k", b"v", headers)
    assert is_signed(b"", b"k", b"v", headers)  # without a key nothing is asked for


def test_without_a_key_nothing_is_signed() -> None:
    assert signed(b"", b"k", b"v") == []
