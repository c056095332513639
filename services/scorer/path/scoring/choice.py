"""Which model scores the next batch: a pure function of what stands in ``models.v1`` and of which model is pinned."""

from __future__ import annotations

from typing import NamedTuple

from services.contract.announcement import CHAMPION, model_of, read_announced
from services.contract.codec import Rejection
from services.scorer.path.scoring.ensemble import model_from
from services.scorer.path.scoring.model import Model, ModelRefused, untrained_model


class Announced(NamedTuple):
    """A model, and when it was announced or promoted; 0 for the untrained one."""

    model: Model
    written_ms: int


def chosen(pinned: str, champion: Announced | None, latest: Announced) -> Announced:
    """The champion, or while none is promoted ``latest``. Where a model is ``pinned``, no promotion counts: ``latest``
    is then that model, or the untrained one until it is announced."""
    return latest if pinned or champion is None else champion


class Choice:
    """Takes the records of ``models.v1`` in their order; ``current`` is what scores now.

    An announcement that cannot be used changes nothing. Challengers are passed over unread: they are the shadow
    worker's, unless one is pinned. So is a tombstone of an announcement: the model in use stays.

    ``feature_schema_hash`` is that of the features computed here, ``pinned`` the hash of the only model that is ever
    taken; empty: none.
    """

    def __init__(self, feature_schema_hash: str, pinned: str = "") -> None:
        self._schema_hash, self._pinned = feature_schema_hash, pinned
        self._champion: Announced | None = None
        self._latest = Announced(untrained_model(feature_schema_hash), 0)
        self.current = self._latest

    def take(self, key: bytes | None, value: bytes | None, written_ms: int) -> Rejection | ModelRefused | None:
        """Take a record, which was ``written_ms``; returns why it cannot be used, if it cannot."""
        said = read_announced(key, value)
        if isinstance(said, Rejection):
            return said
        if said is None:
            if key == CHAMPION:
                self._champion = None
        else:
            announcement = model_of(said)
            if key != CHAMPION and announcement.challenger and announcement.model_hash != self._pinned:
                return None
            try:
                announced = Announced(model_from(announcement, self._schema_hash), written_ms)
            except ModelRefused as error:
                return error
            if key == CHAMPION:
                self._champion = announced
            elif self._pinned in ("", announced.model.hash):
                self._latest = announced
        now = chosen(self._pinned, self._champion, self._latest)
        if now.model.hash != self.current.model.hash:  # the same one under another version is no other model
            self.current = now
        return None
