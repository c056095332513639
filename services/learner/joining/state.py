"""What the join keeps in its store.

Keys: ``d`` decision, ``j`` labels that it met, ``w`` waiting label, ``t`` kept decisions by day of event time and
digest, ``m`` the rest. A payment is named by a digest of 128 bits; no identifier is part of a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from models.labels import Rank
from services.contract.errors import TocsinError

Changes = dict[bytes, bytes | None]
"""Values to be written by key; ``None`` removes."""


class KeyValues(Protocol):
    """An ordered map of bytes that is written atomically."""

    def get(self, key: bytes) -> bytes | None:
        """The value at ``key``."""

    def scan(self, start: bytes, stop: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to ``limit`` entries with ``start <= key < stop``, ascending."""

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Make all changes, or none."""


class StateRefused(TocsinError, ValueError):
    """What the store holds is of another format. The message says what to do."""


FORMAT = 3
META = b"m"
DAYS = b"t"
PLACE_BYTES = len(DAYS) + 4 + 16
"""Of a place: a key of a decision by day and digest."""


class Meta(msgspec.Struct, array_like=True):
    """What is known of the whole."""

    latest_event_ms: int = 0
    decisions: int = 0
    sequence: int = 0
    swept: bytes = DAYS
    """The latest place that the sweep passed over."""
    forgotten: bytes = DAYS
    """The latest place that was forgotten: nothing can be before it."""
    format: int = 0


class Met(msgspec.Struct, array_like=True):
    """Labels that met a decision."""

    standing: Rank
    """Of the one that counts."""
    ids: bytes
    """Digests of all label ids, 8 bytes each."""
    learned: bool = True
    """Whether one of them made an example."""


def meta_in(store: KeyValues) -> Meta:
    """What ``store`` knows of itself; one that is empty begins.

    Raises
    ------
    StateRefused
        When it is of another format.
    """
    found = store.get(META)
    meta = msgspec.msgpack.decode(found, type=Meta) if found else Meta(format=FORMAT)
    if meta.format != FORMAT:
        raise StateRefused(
            f"the learner's store is of format {meta.format}, and {FORMAT} is wanted: delete its folder, and it is "
            f"made again from the topics"
        )
    return meta
