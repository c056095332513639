"""SipHash: the vectors of its reference code, and a twin that is written from the paper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.siphash import digest_of, digests_of, key_of
from tests.contract.payloads import SEEDED

KEY = bytes(range(16))
WORD = 2**64 - 1


@pytest.mark.parametrize(
    ("length", "narrow", "wide"),
    [
        (0, "310e0edd47db6f72", "a3817f04ba25a8e66df67214c7550293"),
        (1, "fd67dc93c539f874", "da87c1d86b99af44347659119b22fc45"),
        (15, "e545be4961ca29a1", None),
    ],
)
def test_it_gives_the_vectors_of_the_reference_code(length: int, narrow: str, wide: str | None) -> None:
    data, key = bytes(range(length)), key_of(KEY)
    assert digest_of(data, key).to_bytes(8, "little").hex() == narrow
    if wide is not None:
        assert b"".join(half.to_bytes(8, "little") for half in digests_of(data, key)).hex() == wide


@SEEDED
@given(data=st.binary(max_size=300), secret=st.binary(min_size=16, max_size=16))
def test_it_is_what_the_paper_says(data: bytes, secret: bytes) -> None:
    assert digest_of(data, key_of(secret)) == _siphash(data, secret, wide=False)[0]
    assert digests_of(data, key_of(secret)) == _siphash(data, secret, wide=True)


def _siphash(data: bytes, secret: bytes, wide: bool) -> tuple[int, int]:
    k0, k1 = (int.from_bytes(secret[at : at + 8], "little") for at in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    v[1] ^= 0xEE if wide else 0
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xEE if wide else 0xFF
    _rounds(v, 4)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    _rounds(v, 4)
    return low, v[0] ^ v[1] ^ v[2] ^ v[3]


def _rounds(v: list[int], count: int) -> None:
    def mix(a: int, b: int, turn: int, lift: int) -> None:
        v[a] = (v[a] + v[b]) & WORD
        v[b] = _rotated(v[b], turn) ^ v[a]
        if lift:
            v[a] = _rotated(v[a], lift)

    for _ in range(count):
        mix(0, 1, 13, 32)
        mix(2, 3, 16, 0)
        mix(0, 3, 21, 0)
        mix(2, 1, 17, 32)


def _rotated(word: int, places: int) -> int:
    return (word << places | word >> (64 - places)) & WORD
