"""Which challengers score: a pure function of what stands in ``models.v1``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.contract.announcement import CHAMPION, ModelAnnouncement, model_of, read_announced
from services.contract.codec import Rejection
from services.scorer.path.scoring.model import ModelRefused

VERSIONS_MAX = 8
"""Versions of a line that are remembered: where the latest is withdrawn or refused, the one before scores again."""


class HasScores(Protocol):
    """As much of a model as shadow needs."""

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]: ...


@dataclass(frozen=True, slots=True)
class Challenger:
    """A model that scores in shadow. ``kind`` is that of its announcement."""

    model_hash: str
    kind: str
    model: HasScores


@dataclass(slots=True)
class _Announced:
    order: int
    said: ModelAnnouncement
    model: HasScores | None = None
    is_refused: bool = False


class Roster:
    """Takes the records of ``models.v1`` in their order; ``challengers`` are those that score now.

    They are every announcement of a challenger, the latest version of each line, without the champion; of more than
    ``most`` those announced last. A tombstone takes its version away.

    Parameters
    ----------
    most
        How many may score.
    build
        The model of an announcement; raises ``ModelRefused``.
    refuse
        Told, once each, of what cannot be used.
    pinned
        Hash of the model that scorers are pinned to, and which is therefore the champion; empty: none.
    """

    def __init__(
        self,
        most: int,
        build: Callable[[ModelAnnouncement], HasScores],
        refuse: Callable[[object], None],
        pinned: str = "",
    ) -> None:
        self._most, self._build, self._refuse, self._pinned = most, build, refuse, pinned
        self._lines: dict[str, dict[bytes, _Announced]] = {}
        self._promoted = ""
        self._taken = 0

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Take a record. One that cannot be read is refused, and leaves nothing at its key."""
        key = key or b""
        self._taken += 1
        if key != CHAMPION:
            self._forget(key)
        elif value is None:
            self._promoted = ""
        found = read_announced(key, value)
        if isinstance(found, Rejection):
            self._refuse(found)
        if found is None or isinstance(found, Rejection):
            return
        said = model_of(found)
        if key == CHAMPION:
            self._promoted = said.model_hash
        elif said.challenger:
            line = self._lines.setdefault(said.name, {})
            line[key] = _Announced(self._taken, said)
            if len(line) > VERSIONS_MAX:
                del line[min(line, key=lambda each: line[each].said.version)]

    def challengers(self) -> tuple[Challenger, ...]:
        """Those that score now, the latest announced first. Models are built here, each once, when they first count."""
        champion = self._pinned or self._promoted
        found: list[Challenger] = []
        for line in sorted(self._lines.values(), key=_newest, reverse=True):
            if len(found) == self._most:
                break
            latest = self._usable(line)
            if latest is not None and latest.model is not None and latest.said.model_hash != champion:
                found.append(Challenger(latest.said.model_hash, latest.said.kind, latest.model))
        return tuple(found)

    def _usable(self, line: dict[bytes, _Announced]) -> _Announced | None:
        for each in sorted(line.values(), key=lambda each: each.said.version, reverse=True):
            if each.model is None and not each.is_refused:
                try:
                    each.model = self._build(each.said)
                except ModelRefused as error:
                    each.is_refused = True
                    self._refuse(error)
            if each.model is not None:
                return each
        return None

    def _forget(self, key: bytes) -> None:
        for name, line in list(self._lines.items()):
            line.pop(key, None)
            if not line:
                del self._lines[name]


def _newest(line: dict[bytes, _Announced]) -> int:
    return max(each.order for each in line.values())
