"""What a payment says, as a digest: two records of one payment id with one content are repeats, others conflict.

The content is the typed fields in the order of ``fields.NAMES``, but for those that name the payment (tenant, payer's
account, payment id) and the one that may change (status). Each is a byte that says whether it is told and, where it is,

- of a text its bytes of UTF-8, after their number in two bytes;
- of a number eight bytes, of a flag one;

all little-endian. So spelling, order, ``null``, defaults and unknown fields change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit

from services.contract.payment import Payment
from services.contract.siphash import Key, digest_of, siphash64
from services.scorer.path.decoding.fields import (
    AT,
    COUNT,
    FLAG,
    NUMBER,
    OF_PARTY,
    OF_PAYMENT,
    PARTY,
    RULES,
    TEXT,
)

_APART = (AT.tenant, AT.payer_account, AT.payment_id, AT.status)
CONTENT = np.array([at for at in range(COUNT) if at not in _APART and RULES.kind[at] != PARTY], dtype=np.int64)
"""Places of the fields that are content."""
_BYTES_OF_CHARACTER = 4
CONTENT_BYTES_MAX = sum(
    3 + _BYTES_OF_CHARACTER * int(RULES.most[at]) if RULES.kind[at] == TEXT else 9 for at in CONTENT.tolist()
)


def content_of(payment: Payment) -> bytes:
    """The content of a payment, as it is digested."""
    told = [*_values(payment, OF_PAYMENT), *_values(payment.payer, OF_PARTY), *_values(payment.payee, OF_PARTY)]
    return b"".join(_written(told[at], int(RULES.kind[at])) for at in CONTENT.tolist())


def content_digest(payment: Payment, key: Key) -> int:
    """The digest of a payment's content under the deployment's key."""
    return digest_of(content_of(payment), key)


def _values(part: Any, names: tuple[str, ...]) -> Iterator[Any]:
    return (getattr(part, name) for name in names)


def _written(value: Any, kind: int) -> bytes:
    if value is None:
        return b"\0"
    if kind == TEXT:
        text: bytes = value.encode()
        return b"\1" + len(text).to_bytes(2, "little") + text
    return b"\1" + int(value).to_bytes(8 if kind == NUMBER else 1, "little", signed=True)


@njit(cache=True)
def digest_content(data: Any, spans: Any, numbers: Any, room: Any, key: Key) -> Any:
    """uint64: the same of a payment that was walked (``walk.walk``); ``room`` is uint8[CONTENT_BYTES_MAX], to write
    in."""
    end = 0
    for at in CONTENT:
        start, length = spans[at, 0], spans[at, 1]
        room[end] = 1 if length >= 0 else 0
        end += 1
        if length < 0:
            continue
        if RULES.kind[at] == TEXT:
            room[end], room[end + 1] = length & 0xFF, length >> 8
            end += 2
            for place in range(length):
                room[end + place] = data[start + place]
            end += length
            continue
        number = numbers[at]
        for _ in range(1 if RULES.kind[at] == FLAG else 8):
            room[end] = number & 0xFF
            number >>= 8
            end += 1
    return siphash64(room, 0, end, key)
