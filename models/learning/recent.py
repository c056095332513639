"""Which examples came lately: a bounded memory of ids, so that a repeat is known as one."""

from __future__ import annotations

from collections import deque

from services.contract.identity import digest64


class RecentIds:
    """64-bit digests of the latest ``size`` ids.

    >>> recent = RecentIds(2)
    >>> [recent.add(each) for each in ("a", "a", "b", "c", "a")]
    [True, False, True, True, True]
    """

    def __init__(self, size: int, packed: bytes = b"") -> None:
        self._size = size
        self._order: deque[bytes] = deque()
        self._known: set[bytes] = set()
        for start in range(0, len(packed), 8):
            self._remember(packed[start : start + 8])

    def add(self, name: str) -> bool:
        """Whether ``name`` is none of the latest; then it is the latest."""
        digest = digest64(name).to_bytes(8, "little")
        if digest in self._known:
            return False
        self._remember(digest)
        return True

    def pack(self) -> bytes:
        """The digests, little-endian, oldest first: ``RecentIds(size, recent.pack())`` is its equal."""
        return b"".join(self._order)

    def _remember(self, digest: bytes) -> None:
        if len(self._order) == self._size:
            self._known.discard(self._order.popleft())
        self._order.append(digest)
        self._known.add(digest)
