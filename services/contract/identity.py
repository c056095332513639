"""Names that anybody can compute again: UUIDs of version 5 (RFC 9562) and 64-bit digests."""

from __future__ import annotations

from hashlib import sha1, sha256

from services.contract.siphash import digest_of, key_of

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


class Digests:
    """64-bit SipHash digests of identifiers, under a key that only the deployment knows.

    State remembers accounts, devices and texts by such digests and counts distinct ones by their bits. Whoever can
    compute them can choose names that count as one, or that push one another out; under a key nobody outside can. The
    key is of any length; with an empty one the digests are those that everybody can compute.

    >>> Digests().of("a") == digest64("a") != Digests(b"secret").of("a")
    True
    """

    def __init__(self, key: bytes = b"") -> None:
        self._secret = key
        self.key = key_of(sha256(key).digest() if key else bytes(16))
        """As compiled code takes it (``services.contract.siphash``)."""
        self.fingerprint = digest_of(_FINGERPRINT, self.key).to_bytes(8, "little") if key else b""
        """Which key it is: part of what names a ruleset and a layout of state. Nothing without a key."""

    def of(self, text: str) -> int:
        """The digest of ``text``. Never 0, which means *empty* in state."""
        return digest_of(text.encode(), self.key) or 1

    def __reduce__(self) -> tuple[type[Digests], tuple[bytes]]:
        """Another process begins its own."""
        return Digests, (self._secret,)


_FINGERPRINT = b"tocsin\x1fwhich key\x1f"
"""No identifier holds U+001F in such a place."""
digest64 = Digests().of
"""The digest without a key, where nobody gains by choosing it."""


def hash_of(data: bytes) -> str:
    """SHA-256 in hexadecimal: the hash that models, rulesets and feature schemas are named by."""
    return sha256(data).hexdigest()


def decision_prefix(ruleset_hash: str) -> bytes:
    """What the names of all decisions under a ruleset begin with, before UUIDs are made of them."""
    return _NAMESPACE + f"decision\x1f{ruleset_hash}\x1f".encode()


def decision_id(tenant: str, payer: str, payment_id: str, ruleset_hash: str) -> str:
    """The id of the one decision that a ruleset makes of a payment, which its payer's account and its id name."""
    return uuid5("decision", ruleset_hash, tenant, payer, payment_id)


def alert_id(tenant: str, role: str, account: str, queue: str, opened_by: str) -> str:
    """The id of the alert about a subject in a queue that the decision ``opened_by`` opened."""
    return uuid5("alert", tenant, role, account, queue, opened_by)


def example_id(tenant: str, payment_id: str, label_id: str) -> str:
    """The id of the training example that a label makes of a payment."""
    return uuid5("example", tenant, payment_id, label_id)


def silent_example_id(tenant: str, payment_id: str) -> str:
    """The id of the one training example that is made of a payment because nobody labelled it; no label's has it."""
    return uuid5("silence", tenant, payment_id)
