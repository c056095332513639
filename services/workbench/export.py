"""Decisions and labels from Kafka to a data set, correct in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from msgspec import Struct

from models.labels import resolved
from services.contract.codec import DECISION_BYTES_MAX, Rejection, read
from services.contract.label import Label
from services.kafka.reading import read_log
from services.learner.joining.join import payment_key
from services.learner.joining.records import decode_label
from services.runtime.settings import Settings
from services.scorer.path.intake import AHEAD_MS_MAX
from services.scorer.path.features.registry import NAMES
from services.workbench.dataset import NEVER_MS, Dataset, joined, label_columns, texts

BATCH = 5_000
"""Decisions held as bytes at a time: about 15 MB."""


class _Party(Struct):
    account: str


class _Payment(Struct):
    payer: _Party
    payee: _Party


class _Decided(Struct):
    """A decision, as far as a data set holds it."""

    decision_id: str
    payment_id: str
    tenant: str
    event_time_ms: int
    outcome: str
    score: float
    features: tuple[float | None, ...]
    model_hash: str
    ruleset_hash: str
    feature_schema_hash: str
    payment: _Payment


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which decisions of history: those under a feature schema, by event time, both ends included."""

    feature_schema_hash: str
    from_ms: int = 0
    upto_ms: int = NEVER_MS


async def export(settings: Settings, feature_schema_hash: str, as_of_ms: int | None) -> tuple[Dataset, int]:
    """Every decision made by ``as_of_ms`` in event time, each with the label that counted then.

    Decisions under another feature schema than ``feature_schema_hash`` are left out.

    Returns
    -------
    The data set, and how many decisions were left out.
    """
    as_of = NEVER_MS if as_of_ms is None else as_of_ms
    chosen = Stretch(feature_schema_hash, upto_ms=as_of)
    found = [decoded(values, chosen) async for values in decisions(settings, chosen)]
    parts = [part for part, _ in found] or [decoded([], chosen)[0]]
    data = await labelled(settings, replace(joined(parts), as_of_ms=as_of))
    return data.chosen(np.lexsort((data.decision_id.astype(str), data.event_ms))), sum(
        left_out for _, left_out in found
    )


async def decisions(settings: Settings, chosen: Stretch) -> AsyncIterator[list[bytes]]:
    """The records of ``decisions.v1`` among which those of ``chosen`` are, ``BATCH`` at a time, oldest first in each
    partition.

    No payment is decided that is dated more than ``AHEAD_MS_MAX`` after its append, whose time its decision's record
    has: what was appended earlier than that before ``chosen`` begins is not read. A late payment can come any time
    after it ends, so the log is read up to its present end.
    """
    since_ms = max(0, chosen.from_ms - AHEAD_MS_MAX)
    for partition in range(settings.partitions):
        batch: list[bytes] = []
        log = read_log(settings, settings.topics.decisions.name, partition, "reading decisions", since_ms=since_ms)
        async for record in log:
            batch.append(record.value or b"")
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def decoded(values: Sequence[bytes], chosen: Stretch) -> tuple[Dataset, int]:
    """Decisions of ``decisions.v1`` as a data set without labels, in the order given; and how many of the stretch were
    left out, because they are of another feature schema."""
    said = [read(value, _Decided, "decision_invalid", DECISION_BYTES_MAX) for value in values]
    readable = [each for each in said if not isinstance(each, Rejection)]  # the learner puts the others aside
    found = [each for each in readable if chosen.from_ms <= each.event_time_ms <= chosen.upto_ms]
    rows = [
        each
        for each in found
        if each.feature_schema_hash == chosen.feature_schema_hash and len(each.features) == len(NAMES)
    ]
    n = len(rows)
    data = Dataset(
        decision_id=texts([row.decision_id for row in rows]),
        payment_id=texts([row.payment_id for row in rows]),
        tenant=texts([row.tenant for row in rows]),
        payer=texts([row.payment.payer.account for row in rows]),
        payee=texts([row.payment.payee.account for row in rows]),
        outcome=texts([row.outcome for row in rows]),
        model_hash=texts([row.model_hash for row in rows]),
        ruleset_hash=texts([row.ruleset_hash for row in rows]),
        event_ms=np.array([row.event_time_ms for row in rows], dtype=np.int64),
        score=np.array([row.score for row in rows], dtype=np.float64),
        **label_columns([None] * n),
        features=np.array([row.features for row in rows], dtype=np.float64).reshape(n, len(NAMES)),
        feature_schema_hash=chosen.feature_schema_hash,
        as_of_ms=NEVER_MS,
    )
    return data, len(found) - n


async def labelled(settings: Settings, data: Dataset) -> Dataset:
    """``data`` with the label of each decision that counts as of ``data.as_of_ms``; memory for those labels only."""
    keys = [payment_key(*each) for each in zip(data.tenant.tolist(), data.payment_id.tolist(), strict=True)]
    labels = await _labels(settings, set(keys))
    known = [resolved(labels.get(key, ()), data.as_of_ms) for key in keys]
    return replace(data, **label_columns(known))


async def _labels(settings: Settings, keys: Set[bytes]) -> dict[bytes, list[Label]]:
    """Labels of the payments ``keys``, by payment; a label that came twice counts once."""
    found: dict[bytes, dict[str, Label]] = defaultdict(dict)
    for partition in range(settings.partitions):
        async for record in read_log(settings, settings.topics.labels.name, partition, "reading labels"):
            label = decode_label(record.value)
            if isinstance(label, Rejection):  # the learner has put it aside
                continue
            key = payment_key(label.tenant, label.payment_id)
            if key in keys:
                found[key].setdefault(label.label_id, label)
    return {key: list(each.values()) for key, each in found.items()}
