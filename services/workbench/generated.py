"""A data set of a generated stream, without Kafka: features as workers with one partition would serve them, labels as
late and as wrong as the generator's. What is learned of it shows that the software works as specified."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from models.kinds.kind import Share
from models.labels import resolved
from services.contract.identity import decision_id
from services.contract.label import Label
from services.contract.payment import Payment
from services.generator import Configuration, Stream
from services.generator.labels import label_of
from services.scorer.path.decision import decide
from services.scorer.path.features.registry import NAMES, feature_schema_hash
from services.scorer.path.records import Record, no_mark
from services.scorer.path.replay import Replay
from services.scorer.path.rules.evaluate import Rules
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.model import untrained_model
from services.workbench.dataset import Dataset, label_columns, texts


def generated(configuration: Configuration, ruleset: Ruleset, share: Share) -> Dataset:
    """The decisions of a run under ``ruleset`` and no model, each with the label that counts at the end of the run.

    Memory grows with the number of payments: about 1 KB each.
    """
    stream, replay, rules = Stream(configuration), Replay(ruleset), Rules(ruleset)
    schema = feature_schema_hash(ruleset.parameters)
    model = untrained_model(schema)
    labels: dict[str, list[Label]] = defaultdict(list)
    for case in stream.case_labels():
        labels[case.payment_id].append(label_of(case))
    payments: list[Payment] = []
    parts, reviews = [], []
    offset = 0
    for number, day in enumerate(stream.days()):
        for label in day.labels:
            labels[label.payment_id].append(label_of(label))
        for chunk in stream.written(day.rows):
            published = zip(chunk.keys, chunk.values, chunk.times_ms.tolist(), strict=True)
            records = [Record(offset + at, ms, key, value) for at, (key, value, ms) in enumerate(published)]
            offset += len(records)
            found, features = replay.measure(records)
            payments += found
            parts.append(features)
            reviews.append(decide(features, rules, model, no_mark).review)
        share(min(number / configuration.days, 1.0))
    known = [resolved(labels.get(payment.payment_id, ()), configuration.end_ms) for payment in payments]
    n = len(payments)
    data = Dataset(
        decision_id=texts(
            [decision_id(each.tenant, each.payer.account, each.payment_id, ruleset.hash) for each in payments]
        ),
        payment_id=texts([each.payment_id for each in payments]),
        tenant=texts([each.tenant for each in payments]),
        payer=texts([each.payer.account for each in payments]),
        payee=texts([each.payee.account for each in payments]),
        outcome=texts(["review" if each else "pass" for part in reviews for each in part.tolist()]),
        model_hash=texts([model.hash] * n),
        ruleset_hash=texts([ruleset.hash] * n),
        event_ms=np.array([each.event_time_ms for each in payments], dtype=np.int64),
        score=np.full(n, model.bias),
        **label_columns(known),
        features=np.concatenate(parts) if parts else np.zeros((0, len(NAMES))),
        feature_schema_hash=schema,
        as_of_ms=configuration.end_ms,
    )
    return data.chosen(np.argsort(data.event_ms, kind="stable"))
