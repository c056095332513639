"""What challengers say, beside what was served."""

from __future__ import annotations

from msgspec import Struct

from services.contract.fields import EventTimeMs


class ShadowScores(Struct, frozen=True, omit_defaults=True):
    """What challengers say of a decided payment, beside what was served. Nothing acts on it.

    Every decision that can be read has one, without ``scores`` where nobody could score it.
    """

    decision_id: str
    payment_id: str
    tenant: str
    event_time_ms: EventTimeMs
    model_hash: str
    """Of the model that decided."""
    score: float
    """As served, log-odds."""
    scores: dict[str, float] = {}
    """Log-odds, by the challenger's model hash."""
    unscored: str | None = None
    """Why there are no scores: ``feature_schema`` (the decision has another), ``no_challenger``, or ``failed``: those
    there are gave no number."""
