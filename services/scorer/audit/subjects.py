"""What subjects are computed again from: what models said of payments, as ``features.v1`` has it, and evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.contract.alert import Alert, Contribution, Review
from services.contract.codec import Rejection, decode, decode_payment
from services.contract.decision import Finding
from services.contract.evidence import Evidence, read_evidence
from services.contract.partitioner import partitions_of
from services.contract.payment import Payment
from services.contract.served import read_served
from services.kafka.reading import read_batches, read_log
from services.runtime.settings import Settings
from services.scorer.path.asking.adding import evidence_of
from services.scorer.path.asking.hop import SubjectHop
from services.scorer.path.asking.safeguard import SubjectScoring
from services.scorer.path.features.registry import INDEX, NAMES, feature_schema_hash
from services.scorer.path.hops import schema_of
from services.scorer.path.records import Records
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.model import Model, untrained_model
from services.scorer.path.subjects.said import Said

_LOG = 2**47
"""No log is as long."""
Scores = Mapping[str, list[NDArray[Any]]]
"""By model: partition, offset and score of n payments under a pack, float64[n, 3]; offsets are below 2**53."""


async def scores_on_record(settings: Settings, partition: int) -> Scores:
    """What the models said of the payments under a pack of a partition of payees.

    Raises
    ------
    NotInLogs
        When the log no longer reaches back to its beginning.
    """
    found: dict[str, list[NDArray[Any]]] = defaultdict(list)
    async for record in read_log(settings, settings.topics.features.name, partition, "what models said", whole=True):
        served = read_served(record.value)
        if not isinstance(served, Rejection) and served.by.feature_names == NAMES:
            under = served.features[:, INDEX["is_remittance"]] == 1.0
            columns = served.partition, served.offset, served.score
            found[served.by.model_hash].append(np.column_stack([each[under].astype(np.float64) for each in columns]))
    return found


def said_by(models: Mapping[str, Model], scores: Scores) -> Callable[..., NDArray[np.float64]]:
    """What the models said beyond their biases, by where payments were read in ``payments.v1``: partitions int32[n] and
    offsets int64[n] to float64[n].

    Raises
    ------
    StateFormatError
        From what is returned, of a payment of which no model said anything.
    """
    said = Said(b"")
    for name, parts in scores.items():
        for rows in parts:
            places = rows[:, 0].astype(np.int64) * _LOG + rows[:, 1].astype(np.int64)
            said.take(places, evidence_of(rows[:, 2], models[name]))
    return lambda partitions, offsets: said.of(partitions.astype(np.int64) * _LOG + offsets)


@dataclass(frozen=True, slots=True)
class PayersPayment:
    """What a payment under a pack contributes to an alert about its payer, and what a pack then found, if it asked."""

    contribution: Contribution
    finding: Finding | None


async def payers_payments(
    settings: Settings, ruleset: Ruleset, alert: Alert, decision_ids: Collection[str], model: SubjectScoring
) -> dict[str, PayersPayment]:
    """The payments of the decisions ``decision_ids`` of an alert about a payer, by decision: computed again from the
    beginning of the payer's partition of evidence. Those that are under no pack are not among them.

    Raises
    ------
    NotInLogs
        When the log no longer reaches back to its beginning.
    """
    topic, count = settings.topics.evidence.name, settings.partitions
    partition = int(partitions_of([alert.subject.account.encode()], count)[0])
    schema = schema_of(ruleset)
    hop = SubjectHop(
        ruleset, schema, topic, partition, count, settings.repeats_possible, settings.subjects_max, model
    )  # fmt: skip
    unused = untrained_model(feature_schema_hash(ruleset.parameters))
    wanted = {UUID(each).bytes: each for each in decision_ids}
    found: dict[str, PayersPayment] = {}
    findings: dict[str, Finding] = {}
    async for batch in read_batches(settings, topic, partition, "subject hop"):
        for record in hop.process(Records.of(batch), unused).outputs["reviews"]:
            review = decode(record.value, Review)
            if review.finding is not None and review.queue == alert.queue:
                findings[review.decision_id] = review.finding
        for record in batch:
            if any(each in (record.value or b"") for each in wanted):
                evidence = read_evidence(record.value, schema, count, len(NAMES))
                if isinstance(evidence, Evidence):
                    found |= _payments_in(evidence, wanted, findings)
        if len(found) == len(wanted):
            break
    return found


def _payments_in(
    evidence: Evidence, wanted: Mapping[bytes, str], findings: Mapping[str, Finding]
) -> dict[str, PayersPayment]:
    """Those of ``wanted`` in a record, by decision."""
    found = {}
    for row, raw in enumerate(evidence.decision_id):
        name = wanted.get(raw.tobytes())
        payment = None if name is None else decode_payment(evidence.payment.at(row))
        if name is not None and isinstance(payment, Payment):
            contribution = Contribution(
                payment.payment_id,
                name,
                payment.event_time_ms,
                payment.amount_minor,
                payment.currency,
                float(evidence.probability[row]),
            )
            found[name] = PayersPayment(contribution, findings.get(name))
    return found
