"""The second stage: which payments of a batch were seen before, and what time it is in the partition as of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.contract.codec import Rejection
from services.contract.dead_letter import First
from services.scorer.path.decode import Decoded, dead_letter
from services.scorer.path.features.identities import CONFLICT, DUPLICATE, Identities
from services.scorer.path.features.state import AccountState

_CONFLICT = Rejection("conflicting_repeat", "payment_id", "This id stands for a payment with another content")


@dataclass(frozen=True, slots=True)
class Identified:
    """A batch without repeats and without what conflicts with an earlier payment, which is a dead letter."""

    batch: Decoded
    label_now_ms: NDArray[np.int64]
    """[k]: the partition's event time as of each label."""
    duplicates: int


def identify(batch: Decoded, state: AccountState, identities: Identities, topic: str, partition: int) -> Identified:
    """Tell ``state`` of the payments of ``batch``, and remember them."""
    rows = batch.rows
    now_ms = state.times(rows["event_ms"], rows["payer"])
    label_now_ms = now_ms[batch.payments_before()]
    rows["now_ms"] = now_ms[1:]
    first = identities.recognise(rows, batch.records.offsets[batch.at], state.generation)
    verdicts = rows["verdict"]
    dropped = (verdicts == DUPLICATE) | (verdicts == CONFLICT)
    if not dropped.any():
        return Identified(batch, label_now_ms, 0)
    conflicts = np.flatnonzero(verdicts == CONFLICT).tolist()
    places = batch.at[conflicts].tolist()
    letters = [
        dead_letter(
            batch.records[place],
            _CONFLICT,
            topic,
            partition,
            First(
                int(first.offset[row]),
                None if first.generation[row] == state.generation else int(first.generation[row]),
            ),
        )
        for row, place in zip(conflicts, places, strict=True)
    ]
    kept = batch.chosen(np.flatnonzero(~dropped)).with_dead(places, letters, [_CONFLICT.reason] * len(letters))
    return Identified(kept, label_now_ms, int(np.count_nonzero(verdicts == DUPLICATE)))
