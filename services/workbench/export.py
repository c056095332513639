"""Decisions and labels from Kafka to a data set, correct in time."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import numpy as np
from msgspec import Struct

from services.contract.codec import Rejection
from services.contract.types import Label
from services.learner.join import payment_key
from services.learner.records import decode_label
from services.scorer.path.features import NAMES
from services.scorer.shell.logs import read_log
from services.settings import Settings
from services.workbench.dataset import NEVER_MS, NOT_SUSPICIOUS, SUSPICIOUS, UNLABELLED, Dataset, texts
from services.workbench.labels import resolved


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


async def export(settings: Settings, feature_schema_hash: str, as_of_ms: int | None) -> tuple[Dataset, int]:
    """Every decision made by ``as_of_ms`` in event time, each with the label that counted then.

    Decisions under another feature schema than ``feature_schema_hash`` are left out.

    Returns
    -------
    The data set, and how many decisions were left out.
    """
    as_of = NEVER_MS if as_of_ms is None else as_of_ms
    labels = await _labels(settings)
    decoder = msgspec.json.Decoder(_Decided)
    rows: list[_Decided] = []
    features: list[np.ndarray] = []
    left_out = 0
    topic = settings.topics.decisions.name
    for partition in range(settings.partitions):
        async for record in read_log(settings, topic, partition, "reading decisions"):
            decided = decoder.decode(record.value or b"")
            if decided.event_time_ms > as_of:
                continue
            if decided.feature_schema_hash != feature_schema_hash or len(decided.features) != len(NAMES):
                left_out += 1
                continue
            features.append(np.array(decided.features, dtype=np.float64))
            decided.features = ()
            rows.append(decided)
    known = [resolved(labels.get(payment_key(row.tenant, row.payment_id), ()), as_of) for row in rows]
    return _dataset(rows, known, features, feature_schema_hash, as_of), left_out


async def _labels(settings: Settings) -> dict[bytes, list[Label]]:
    """Labels by payment; a label that came twice counts once."""
    found: dict[bytes, dict[str, Label]] = defaultdict(dict)
    for partition in range(settings.partitions):
        async for record in read_log(settings, settings.topics.labels.name, partition, "reading labels"):
            label = decode_label(record.value)
            if not isinstance(label, Rejection):  # the learner has put it aside
                found[payment_key(label.tenant, label.payment_id)].setdefault(label.label_id, label)
    return {key: list(each.values()) for key, each in found.items()}


def _dataset(
    rows: list[_Decided], labels: list[Label | None], features: list[np.ndarray], schema: str, as_of_ms: int
) -> Dataset:
    dispositions = {"suspicious": SUSPICIOUS, "not_suspicious": NOT_SUSPICIOUS}
    data = Dataset(
        decision_id=texts([row.decision_id for row in rows]),
        payment_id=texts([row.payment_id for row in rows]),
        tenant=texts([row.tenant for row in rows]),
        payer=texts([row.payment.payer.account for row in rows]),
        payee=texts([row.payment.payee.account for row in rows]),
        outcome=texts([row.outcome for row in rows]),
        model_hash=texts([row.model_hash for row in rows]),
        ruleset_hash=texts([row.ruleset_hash for row in rows]),
        source=texts(["" if label is None else label.source for label in labels]),
        event_ms=np.array([row.event_time_ms for row in rows], dtype=np.int64),
        score=np.array([row.score for row in rows], dtype=np.float64),
        label=np.array(
            [UNLABELLED if label is None else dispositions[label.disposition] for label in labels], dtype=np.int8
        ),
        label_ms=np.array([NEVER_MS if label is None else label.label_time_ms for label in labels], dtype=np.int64),
        weight=np.array([1.0 if label is None else label.weight for label in labels], dtype=np.float64),
        features=np.array(features, dtype=np.float64).reshape(len(rows), len(NAMES)),
        feature_schema_hash=schema,
        as_of_ms=as_of_ms,
    )
    return data.chosen(np.lexsort((data.decision_id.astype(str), data.event_ms)))
