"""What challengers say of decisions, beside what was served, in columns (``shadow-scores.v1``). Nothing acts on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.contract.codec import Rejection
from services.contract.columns import Column, Layout, Texts

SHADOW_SCORES = Layout(
    "shadow-scores.v1",
    (
        Column("decision_id", "uuid", "", "Of the decision, as in `decisions.v1`"),
        Column("tenant", "text", "", "Of the payment, like the next two"),
        Column("payment_id", "text", "", "Unique for its payer"),
        Column("event_time_ms", "i8", "ms", "When it was made"),
        Column("score", "f8", "log-odds", "As served"),
        Column("scores", "f8", "log-odds", "NaN where it gave no number", "challenger", "challengers"),
    ),
    {
        "model_hash": "Of the model that decided, SHA-256",
        "challengers": "Hashes of the models of `scores`, in order, with a comma between",
        "unscored": "Why nobody scored the batch: `feature_schema` (it was decided under another), or `no_challenger`; "
        "empty where somebody did",
    },
)


@dataclass(frozen=True, slots=True)
class ShadowScores:
    """What k challengers say of n decisions: of a whole batch of ``features.v1``, so that a lost one shows. Arrays have
    length n."""

    model_hash: str
    """Of the model that decided."""
    challengers: tuple[str, ...]
    """Their hashes."""
    unscored: str
    """As the layout has it."""
    decision_id: NDArray[np.uint8]
    """uint8[n, 16]."""
    tenant: Texts
    payment_id: Texts
    event_time_ms: NDArray[np.int64]
    score: NDArray[np.float64]
    """As served, log-odds."""
    scores: NDArray[np.float64]
    """float64[n, k], log-odds."""

    def __len__(self) -> int:
        return len(self.event_time_ms)


def write_shadow_scores(said: ShadowScores) -> bytes:
    """A record of ``shadow-scores.v1``."""
    metadata = {
        "model_hash": said.model_hash,
        "challengers": ",".join(said.challengers),
        "unscored": said.unscored,
    }
    return SHADOW_SCORES.write(
        len(said), {each.name: getattr(said, each.name) for each in SHADOW_SCORES.columns}, metadata
    )


def read_shadow_scores(value: bytes | None) -> ShadowScores | Rejection:
    """What ``write_shadow_scores`` made; no input raises.

    >>> read_shadow_scores(b"{}")
    Rejection(reason='shadow_scores_invalid', field='', detail='Not an Arrow IPC stream of one batch, uncompressed')
    """
    found = SHADOW_SCORES.read(value, "shadow_scores_invalid")
    if isinstance(found, Rejection):
        return found
    challengers = tuple(filter(None, found.said["challengers"].split(",")))
    if found.arrays["scores"].shape[1] != len(challengers):
        return Rejection("shadow_scores_invalid", "scores", "Of another number than there are challengers")
    return ShadowScores(found.said["model_hash"], challengers, found.said["unscored"], **found.arrays)
