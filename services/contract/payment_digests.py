"""Payments by 128 bits: what tables of the learner and the workbench know them by, and what samples draw from.

A payment's digest is that of its tenant and its id by SipHash-2-4, under a key that everybody knows: what is kept,
sampled or left out can be computed again by anybody. That two of 10**9 payments have the same digest has a probability
below 1e-20.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.columns import Texts
from services.contract.siphash import digests_of, key_of, siphash128

Digests = NDArray[np.uint64]
"""uint64[n, 2]: the first and the last 64 bits of n digests."""

_KEY = key_of(b"tocsin: payments")


def payment_digests(tenant: Texts, payment_id: Texts) -> Digests:
    """The digests of n payments, uint64[n, 2]."""
    out = np.empty((len(tenant.ends) - 1, 2), dtype=np.uint64)
    _fill(*_fixed(tenant), *_fixed(payment_id), _KEY, out)
    return out


def keys_of(digests: Digests) -> list[bytes]:
    """Each digest as 16 bytes, in the order of the numbers that they are."""
    keys: list[bytes] = digests.astype(">u8").view("V16").ravel().tolist()
    return keys


def payment_key(tenant: str, payment_id: str) -> bytes:
    """The digest of one payment, 16 bytes.

    >>> payment_key("default", "p-1").hex()
    '8b12c926e47f8d1f5c2979bba33bb061'
    """
    name = tenant.encode()
    low, high = digests_of(len(name).to_bytes(2, "big") + name + payment_id.encode(), _KEY)
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")


@njit(cache=True)
def _fill(tenants: Any, tenant_ends: Any, payments: Any, payment_ends: Any, key: Any, out: Any) -> None:
    longest = 0
    for row in range(len(out)):
        longest = max(longest, tenant_ends[row + 1] - tenant_ends[row] + payment_ends[row + 1] - payment_ends[row])
    text = np.empty(longest + 2, dtype=np.uint8)
    for row in range(len(out)):
        length = tenant_ends[row + 1] - tenant_ends[row]
        text[0], text[1] = length >> 8 & 0xFF, length & 0xFF
        at = 2
        for place in range(tenant_ends[row], tenant_ends[row + 1]):
            text[at] = tenants[place]
            at += 1
        for place in range(payment_ends[row], payment_ends[row + 1]):
            text[at] = payments[place]
            at += 1
        low, high = siphash128(text, 0, at, key)
        out[row, 0], out[row, 1] = high, low


def _fixed(texts: Texts) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Bytes and ends that cannot be written: of one type to the compiler, wherever they come from."""
    data, ends = np.frombuffer(texts.data, dtype=np.uint8), texts.ends.view()
    data.flags.writeable = ends.flags.writeable = False
    return data, ends
