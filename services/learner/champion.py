"""The champion: promoting a model, going back to the one before, and handing the choice back to the learner."""

from __future__ import annotations

from collections.abc import Callable

from services.contract.announcement import ModelAnnouncement, Promotion
from services.contract.errors import TocsinError
from services.kafka.announcing import name_of
from services.scorer.path.scoring.ensemble import SHADOW_ONLY

BEFORE_MAX = 32
"""Champions remembered for rollbacks."""


class PromotionError(TocsinError, RuntimeError):
    """A model cannot be promoted, or there is nothing to go back to. The message says what."""


def promoted(champion: ModelAnnouncement, current: Promotion | None) -> Promotion:
    """The promotion that makes ``champion`` follow ``current``. To promote the champion again changes nothing.

    Raises
    ------
    PromotionError
        When ``champion`` is of a kind that nobody decides with.
    """
    if champion.kind in SHADOW_ONLY:
        raise PromotionError(f"{name_of(champion)} is of kind {champion.kind}: {SHADOW_ONLY[champion.kind]}")
    if current is None:
        return Promotion(champion)
    if current.champion == champion:
        return current
    return Promotion(champion, (*current.before, name_of(current.champion))[-BEFORE_MAX:])


def rolled_back(current: Promotion | None, load: Callable[[str, int], ModelAnnouncement]) -> Promotion | None:
    """The promotion of the champion before ``current``, which ``load`` finds by name and version; ``None`` when the
    choice goes back to the learner.

    Raises
    ------
    PromotionError
        When no model was promoted.
    """
    if current is None:
        raise PromotionError("no model was promoted: workers score with the one announced last")
    if not current.before:
        return None
    name, _, version = current.before[-1].rpartition("/")
    return Promotion(load(name, int(version)), current.before[:-1])
