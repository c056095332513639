"""What a record of ``models.v1`` says: the one place where announcements are read, by whoever follows them."""

from __future__ import annotations

from services.contract.reading import TOPIC_BYTES_MAX, Rejection, read
from services.contract.types import ModelAnnouncement, Promotion

CHAMPION = b"champion"
"""Key of the promotion among announcements in ``models.v1``; theirs hold a slash."""
REASON = "announcement_invalid"


def read_announced(key: bytes | None, value: bytes | None) -> ModelAnnouncement | Promotion | Rejection | None:
    """The announcement in a record of ``models.v1``, or the promotion; ``None`` where its key says nothing any more.

    No input raises, and the detail of a rejection repeats nothing of the record.

    >>> read_announced(CHAMPION, None)
    >>> read_announced(CHAMPION, b"{}")
    Rejection(reason='announcement_invalid', field='champion', detail='Object missing required field `champion`')
    """
    if value is None:
        return None
    if key == CHAMPION:
        return read(value, Promotion, REASON, TOPIC_BYTES_MAX)
    return read(value, ModelAnnouncement, REASON, TOPIC_BYTES_MAX)


def model_of(said: ModelAnnouncement | Promotion) -> ModelAnnouncement:
    """The model that a record of ``models.v1`` carries, be it an announcement or the promotion."""
    return said.champion if isinstance(said, Promotion) else said
