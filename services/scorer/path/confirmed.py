"""The deployer's list of payees that an authority or an own case has confirmed, kept as keyed hashes."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from services.contract.identity import hash_of

HASH_BYTES = 16
_CACHE_MAX = 262_144


def keyed_hash(key: bytes, account: str) -> bytes:
    """What stands in the list for ``account``: BLAKE2b under ``key`` (at most 64 bytes). The file names nobody."""
    return blake2b(account.encode(), digest_size=HASH_BYTES, key=key).digest()


class Confirmed:
    """The list, ready to be asked. Without entries it costs nothing.

    >>> "acc-1" in Confirmed(b"secret", [keyed_hash(b"secret", "acc-1")])
    True
    """

    def __init__(self, key: bytes = b"", hashes: Iterable[bytes] = ()) -> None:
        self._key = key
        self._hashes = frozenset(hashes)
        self._known: dict[str, bool] = {}
        self.hash = hash_of(b"".join(sorted(self._hashes)))
        """Of the list, which names nobody; part of the ruleset's hash."""

    def __contains__(self, account: str) -> bool:
        if not self._hashes:
            return False
        known = self._known.get(account)
        if known is None:
            if len(self._known) >= _CACHE_MAX:
                self._known.clear()
            known = self._known[account] = keyed_hash(self._key, account) in self._hashes
        return known


NOBODY = Confirmed()
"""An empty list."""
