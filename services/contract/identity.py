"""Names that anybody can compute again: UUIDs of version 5 (RFC 9562) and 64-bit digests."""

from __future__ import annotations

from hashlib import blake2b, sha1, sha256

_NAMESPACE = bytes.fromhex("8f0c5d7e6a3b5c1e9d2f4a7b6c8e0d13")  # drawn once, for Tocsin alone


def uuid5(*parts: str) -> str:
    """UUID version 5 of ``parts`` under Tocsin's own namespace. Parts are separated, so ``("ab", "c")`` and
    ``("a", "bc")`` differ.

    >>> uuid5("decision", "default", "p-1", "0" * 64)
    'd3fa7b27-fbc4-585e-9a72-d08403381b8c'
    """
    digest = bytearray(sha1(_NAMESPACE + "\x1f".join(parts).encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def digest64(text: str) -> int:
    """64-bit BLAKE2b of ``text``: what state remembers of an identifier. Never 0, which means *empty* there."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") or 1


def hash_of(data: bytes) -> str:
    """SHA-256 in hexadecimal: the hash that models, rulesets and feature schemas are named by."""
    return sha256(data).hexdigest()


def decision_id(tenant: str, payment_id: str, ruleset_hash: str) -> str:
    """The id of the one decision that a ruleset makes of a payment."""
    return uuid5("decision", tenant, payment_id, ruleset_hash)


def alert_id(tenant: str, role: str, account: str, queue: str, opened_by: str) -> str:
    """The id of the alert about a subject in a queue that the decision ``opened_by`` opened."""
    return uuid5("alert", tenant, role, account, queue, opened_by)


def example_id(tenant: str, payment_id: str, label_id: str) -> str:
    """The id of the training example that a label makes of a payment."""
    return uuid5("example", tenant, payment_id, label_id)


def silent_example_id(tenant: str, payment_id: str) -> str:
    """The id of the one training example that is made of a payment because nobody labelled it; no label's has it."""
    return uuid5("silence", tenant, payment_id)
