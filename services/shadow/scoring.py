"""Batches of decisions through the challengers: a record of theirs for each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from services.contract.codec import Rejection
from services.contract.served import Served, read_served
from services.contract.shadow_scores import ShadowScores, write_shadow_scores
from services.scorer.path.features.registry import NAMES
from services.scorer.path.records import HopResult, Inbound, Mark, Outbound
from services.shadow.roster import Challenger

NAME = "shadow"
RESULTS = ("scored", "failed", "feature_schema", "no_challenger", "invalid")


class NoState:
    """What shadow remembers of its log: nothing."""

    nbytes = 0
    evicted = 0
    latest_event_ms = 0
    is_written_each_batch = True

    def begin_at(self, offset: int, generation: int) -> int:
        """Nothing to forget, and nothing to take again."""
        return offset

    def __len__(self) -> int:
        return 0

    def checkpoint(self, next_offset: int) -> list[tuple[bytes, bytes | None]]:
        """Nothing to write."""
        return []

    def beyond_log(self) -> list[tuple[bytes, bytes | None]]:
        """Nothing: there is no state."""
        return []

    def restore(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Nothing to take."""


class Shadow:
    """Scores a partition of ``features.v1``: a function of its log and of the challengers of each batch.

    A batch under another feature schema than ``feature_schema_hash`` gets a record without scores, so that every one
    that can be read has exactly one and a lost one shows. What cannot be read is counted only: the learner, which reads
    the same log, puts it aside with its bytes.
    """

    name = NAME

    def __init__(self, feature_schema_hash: str, partition: int) -> None:
        self._schema_hash, self._partition = feature_schema_hash, partition
        self.state = NoState()

    def take(self, records: Sequence[Inbound]) -> None:
        """Nothing: there is no state."""

    def process(self, records: Sequence[Inbound], model: Sequence[Challenger], mark: Mark) -> HopResult:
        """One record of ``shadow-scores.v1`` for each of ``records``, by the challengers ``model``."""
        found = [(record, read_served(record.value)) for record in records]
        sound = [(record, served) for record, served in found if not isinstance(served, Rejection)]
        fits = [self._fits(served) for _, served in sound]
        mark("decode")
        parts = [served.features for (_, served), fit in zip(sound, fits, strict=True) if fit]
        features = np.concatenate([np.empty((0, len(NAMES))), *parts])
        scores = np.empty((len(features), len(model)))
        for column, challenger in enumerate(model if len(features) else ()):
            scores[:, column] = challenger.model.scores(features)
        mark("model")
        result = HopResult({})
        out: list[Outbound] = []
        row = 0
        for (record, served), fit in zip(sound, fits, strict=True):
            stop = row + len(served) if fit else row
            said = _said(served, scores[row:stop], model, fit)
            row = stop
            _count(said, result)
            out.append(Outbound(self._partition, record.timestamp, None, write_shadow_scores(said), []))
        if len(sound) < len(records):
            result.counts["invalid"] = len(records) - len(sound)
        result.outputs["shadow_scores"] = out
        mark("encode")
        return result

    def _fits(self, served: Served) -> bool:
        return served.by.feature_schema_hash == self._schema_hash and served.features.shape[1] == len(NAMES)


def _said(served: Served, scores: NDArray[np.float64], model: Sequence[Challenger], fit: bool) -> ShadowScores:
    """The record of a batch: the ``scores`` (float64[n, challengers]) where it ``fit``, and else none."""
    by = model if fit else ()
    return ShadowScores(
        model_hash=served.by.model_hash,
        challengers=tuple(each.model_hash for each in by),
        unscored="" if by else "no_challenger" if fit else "feature_schema",
        decision_id=served.decision_id,
        tenant=served.tenant,
        payment_id=served.payment_id,
        event_time_ms=served.event_time_ms,
        score=served.score,
        scores=scores if by else np.empty((len(served), 0)),
    )


def _count(said: ShadowScores, result: HopResult) -> None:
    if said.unscored:
        result.counts[said.unscored] += len(said)
        return
    scored = int((~np.isnan(said.scores)).any(axis=1).sum())
    result.counts["scored"] += scored
    result.counts["failed"] += len(said) - scored
