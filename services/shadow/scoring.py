"""A batch of decisions through the challengers: one record a decision. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct

from services.contract.codec import DECISION_BYTES_MAX, Rejection, encode, read
from services.contract.events import cloud_event
from services.contract.fields import EventTimeMs, Id, Name
from services.contract.shadow_scores import ShadowScores
from services.scorer.path.features.registry import NAMES
from services.scorer.path.records import HopResult, Inbound, Mark, Outbound
from services.shadow.roster import Challenger

NAME = "shadow"
RESULTS = ("scored", "failed", "feature_schema", "no_challenger", "invalid")


class Decided(Struct, frozen=True, gc=False):
    """A decision, as far as challengers need it. The rest of the record is skipped unread."""

    decision_id: Name
    payment_id: Id
    tenant: Id
    event_time_ms: EventTimeMs
    score: float
    features: tuple[float | None, ...]
    model_hash: Name
    feature_schema_hash: Name


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

    def restore(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Nothing to take."""


class Shadow:
    """Scores a partition of ``decisions.v1``: a function of its log and of the challengers of each batch.

    A record under another feature schema than ``feature_schema_hash`` gets a record without scores, so that every
    decision that can be read has exactly one and a lost one shows. What cannot be read is counted only: the learner,
    which reads the same log, puts it aside with its bytes.
    """

    name = NAME

    def __init__(self, feature_schema_hash: str, partition: int) -> None:
        self._schema_hash, self._partition = feature_schema_hash, partition
        self.state = NoState()

    def take(self, records: Sequence[Inbound]) -> None:
        """Nothing: there is no state."""

    def process(self, records: Sequence[Inbound], model: Sequence[Challenger], mark: Mark) -> HopResult:
        """One record of ``shadow-scores.v1`` for each decision of ``records``, by the challengers ``model``."""
        found = [(record, read(record.value, Decided, "decision_invalid", DECISION_BYTES_MAX)) for record in records]
        sound = [(record, decided) for record, decided in found if not isinstance(decided, Rejection)]
        fits = [each.feature_schema_hash == self._schema_hash and len(each.features) == len(NAMES) for _, each in sound]
        rows = [decided.features for (_, decided), fit in zip(sound, fits, strict=True) if fit]
        features = np.array(rows, dtype=np.float64).reshape(len(rows), len(NAMES))
        mark("decode")
        said = [(each.model_hash, each.model.scores(features).tolist()) for each in model] if rows else []
        mark("model")
        result = HopResult({})
        out: list[Outbound] = []
        row = 0
        for (record, decided), fit in zip(sound, fits, strict=True):
            scores = {name: of[row] for name, of in said if of[row] == of[row]} if fit else {}
            row += fit
            unscored = None
            if not scores:
                unscored = "feature_schema" if not fit else "failed" if model else "no_challenger"
            result.counts[unscored or "scored"] += 1
            value = ShadowScores(
                decided.decision_id, decided.payment_id, decided.tenant, decided.event_time_ms, decided.model_hash,
                decided.score, scores, unscored,
            )  # fmt: skip
            headers = cloud_event("shadow-scores.v1", decided.decision_id)
            out.append(Outbound(self._partition, record.timestamp, record.key, encode(value), headers))
        if len(sound) < len(records):
            result.counts["invalid"] = len(records) - len(sound)
        result.outputs["shadow_scores"] = out
        mark("encode")
        return result
