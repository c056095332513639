"""Decisions as served, and labels, from Kafka to a data set, correct in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from models.labels import resolved
from services.contract.codec import Rejection
from services.contract.columns import Texts
from services.contract.label import Label
from services.contract.payment_digests import keys_of, payment_digests, payment_key
from services.contract.served import REVIEW, Served, read_served
from services.kafka.reading import read_log
from services.learner.joining.records import decode_label
from services.runtime.settings import Settings
from services.scorer.path.features.registry import NAMES
from services.scorer.path.intake import AHEAD_MS_MAX
from services.workbench.dataset import NEVER_MS, Dataset, concatenated, joined, label_columns, texts

BATCH_BYTES = 8_000_000
"""What is held of the log at a time: batches of about 6,000 decisions."""


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
    found = [decoded(values, chosen) async for values in served_batches(settings, chosen)]
    parts = [Dataset.empty(feature_schema_hash), *(part for part, _ in found)]
    data = await labelled(settings, replace(joined(parts), as_of_ms=as_of))
    return data.chosen(np.lexsort((data.decision_id.astype(str), data.event_ms))), sum(
        left_out for _, left_out in found
    )


async def served_batches(settings: Settings, chosen: Stretch) -> AsyncIterator[list[bytes]]:
    """The records of ``features.v1`` among whose rows those of ``chosen`` are, about ``BATCH_BYTES`` at a time, oldest
    first in each partition.

    No payment is decided that is dated more than ``AHEAD_MS_MAX`` after its append, and a record has the time of the
    latest append of its rows: one that is earlier than that before ``chosen`` begins holds nothing of it, and neither
    does any that stands before the first which is not. A late payment can come any time after ``chosen`` ends, so the
    log is read up to its present end.
    """
    since_ms = max(0, chosen.from_ms - AHEAD_MS_MAX)
    for partition in range(settings.partitions):
        batch: list[bytes] = []
        size = 0
        log = read_log(settings, settings.topics.features.name, partition, "reading decisions", since_ms=since_ms)
        async for record in log:
            batch.append(record.value or b"")
            size += len(batch[-1])
            if size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch


def decoded(values: Sequence[bytes], chosen: Stretch) -> tuple[Dataset, int]:
    """The rows of records of ``features.v1`` as a data set without labels, in the order given; and how many of the
    stretch were left out, because they are of another feature schema."""
    parts, left_out = [Dataset.empty(chosen.feature_schema_hash)], 0
    for value in values:
        served = read_served(value)
        if isinstance(served, Rejection):  # the learner puts it aside
            continue
        in_stretch = (served.event_time_ms >= chosen.from_ms) & (served.event_time_ms <= chosen.upto_ms)
        if (served.by.feature_schema_hash, served.by.feature_names) == (chosen.feature_schema_hash, NAMES):
            parts.append(_as_data(served).chosen(in_stretch))
        else:
            left_out += int(np.count_nonzero(in_stretch))
    return concatenated(parts), left_out


def _as_data(served: Served) -> Dataset:
    n, by = len(served), served.by
    return Dataset(
        decision_id=texts(served.decision_ids()),
        payment_id=texts(served.texts("payment_id")),
        tenant=texts(served.texts("tenant")),
        payer=texts(served.texts("payer")),
        payee=texts(served.texts("payee")),
        outcome=np.where(served.outcome == REVIEW, "review", "pass").astype(object),
        model_hash=texts([by.model_hash] * n),
        ruleset_hash=texts([by.ruleset_hash] * n),
        event_ms=served.event_time_ms,
        score=served.score,
        **label_columns([None] * n),
        features=served.features,
        feature_schema_hash=by.feature_schema_hash,
        as_of_ms=NEVER_MS,
    )


async def labelled(settings: Settings, data: Dataset) -> Dataset:
    """``data`` with the label of each decision that counts as of ``data.as_of_ms``; memory for those labels only."""
    tenants, payments = (Texts.of([each.encode() for each in of.tolist()]) for of in (data.tenant, data.payment_id))
    keys = keys_of(payment_digests(tenants, payments))
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
