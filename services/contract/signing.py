"""Signed records of ``models.v1``: with a key, nobody without it can say which model decides, or take one away.

A signature covers key and value of a record and nothing else: it says that whoever holds the key wrote this once, under
this name. It does not say that it is the latest: who may write to the topic may repeat an older record, or delete.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from services.contract.events import Headers

SIGNATURE = "tocsin_signature"
"""Header: HMAC-SHA256 in hexadecimal."""


def signature(models_key: bytes, key: bytes | None, value: bytes | None) -> bytes:
    """What the header of a record holds. A tombstone is signed, too, and is no empty value; neither can one record's
    key and value be another's.

    >>> signature(b"k", b"a", b"b") == signature(b"k", b"ab", b"")
    False
    """
    parts = (b"-" if each is None else b"+%d:%b" % (len(each), each) for each in (key, value))
    return hmac.digest(models_key, b"models.v1" + b"".join(parts), "sha256").hex().encode()


def signed(models_key: bytes, key: bytes | None, value: bytes | None) -> Headers:
    """The headers to add to a record; none without a key."""
    return [(SIGNATURE, signature(models_key, key, value))] if models_key else []


def is_signed(
    models_key: bytes, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> bool:
    """Whether a record has the one signature that it must have; without a key every record passes. It takes the same
    time however much of a signature is right."""
    if not models_key:
        return True
    found = [header or b"" for name, header in headers if name == SIGNATURE]
    return len(found) == 1 and hmac.compare_digest(found[0], signature(models_key, key, value))
