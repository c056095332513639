"""The last stage of the payee hop: what was decided, as records in the order of the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.contract.codec import Rejection, decode_payment
from services.contract.columns import Texts, parts
from services.contract.events import cloud_event
from services.contract.evidence import Evidence, EvidenceBy, write_evidence
from services.contract.partitioner import partitions_of
from services.contract.payment import Payment
from services.contract.served import Served, write_served
from services.scorer.path.asking.adding import Added
from services.scorer.path.decision import REASONS_SHOWN, DecisionWriter, Verdicts, Written, names_of
from services.scorer.path.decode import dead_letter
from services.scorer.path.handover import Spans
from services.scorer.path.handover_reading import Handover
from services.scorer.path.lean import Decided
from services.scorer.path.records import Inbound, Outbound, OutboundColumns

_OTHER_BYTES = 80
"""Of a row of served features besides texts, rules, packs and features, roughly; of a row of evidence besides texts and
features, too."""
_TEXTS = ("tenant", "payment_id", "payer", "payee", "payment")


@dataclass(frozen=True, slots=True)
class From:
    """What is decided on: a partition of ``payments.by-payee.v1``, under a schema (``hops.schema_of``)."""

    topic: str
    partition: int
    schema: bytes


def decisions(
    found: Handover,
    verdicts: Verdicts,
    added: Added,
    writer: DecisionWriter,
    source: From,
    partitions: int,
    hands_on: bool = True,
) -> tuple[dict[str, list[Outbound] | OutboundColumns], Counter[str]]:
    """Decisions, and what they were made of, to the partition the batch was read from; reviews to their subjects', and,
    where it ``hands_on``, what is known of payments under a pack to their payers' (``partitions`` has each of these
    topics); and dead letters, with how many there are for each reason: records that cannot be read, and those with a
    payment to review that is not what its columns say, which only a forged one holds."""
    partition = source.partition
    reviewed, forged = _reviewed(found, verdicts, writer)
    put_aside = [*found.rejected, *forged]
    details = [b""] * len(found.offset)
    for each in reviewed:
        details[each.row] = writer.detail(each.row, verdicts, each.findings, each.raw)
    decided = Decided(
        tenant=found.tenant,
        payer=found.payer,
        payment_id=found.payment_id,
        event_ms=found.inputs["event_ms"][~found.inputs["outflow"]],
        partition=found.partition,
        offset=found.offset,
        scores=verdicts.scores,
        probabilities=verdicts.probabilities,
        review=verdicts.review,
        leading=np.ascontiguousarray(verdicts.leading[:, :REASONS_SHOWN]),
        outcomes=verdicts.results.outcome,
        details=Texts.of(details),
    )
    lines = writer.lines(decided, verdicts.model)
    outputs: dict[str, list[Outbound] | OutboundColumns] = {
        "decisions": OutboundColumns(
            partition, found.appended_ms, np.frombuffer(found.payee.data, dtype=np.uint8), found.payee.ends,
            lines.data, lines.ends,
        ),
        "features": _features(decided, found, verdicts, lines.ids, writer, partition),
        "evidence": _evidence(found, verdicts, added, lines.ids, source, partitions) if hands_on else [],
        "reviews": _reviews(reviewed, lines.ids, verdicts, writer, partitions),
        "dead_letters": [dead_letter(*each, source.topic, partition) for each in put_aside],
    }  # fmt: skip
    return outputs, Counter(why.reason for _, why in put_aside)


def _features(
    decided: Decided, found: Handover, verdicts: Verdicts, ids: NDArray[np.uint8], writer: DecisionWriter,
    partition: int,
) -> list[Outbound]:  # fmt: skip
    """What decisions were made of, in as few records as hold them. A record's time is the latest append of its rows."""
    by, risk = writer.served_by(verdicts.model), verdicts.packs.risk
    packs = risk.reshape(len(ids), risk.shape[1] * risk.shape[2])
    texts = (found.tenant, found.payment_id, found.payer, found.payee)
    wide = 8 * verdicts.features.shape[1] + 8 * packs.shape[1] + decided.outcomes.shape[1]
    out = []
    for rows in parts(sum((each.lengths for each in texts), start=np.full(len(ids), _OTHER_BYTES + wide))):
        served = Served(
            by, ids[rows], found.tenant.part(rows), found.payment_id.part(rows), found.payer.part(rows),
            found.payee.part(rows), decided.event_ms[rows], found.appended_ms[rows], found.partition[rows],
            found.offset[rows], decided.review[rows].astype(np.uint8), decided.scores[rows],
            decided.probabilities[rows], decided.outcomes[rows], packs[rows], verdicts.features[rows],
        )  # fmt: skip
        out.append(Outbound(partition, int(served.appended_ms.max()), None, write_served(served), []))
    return out


def _evidence(
    found: Handover, verdicts: Verdicts, added: Added, ids: NDArray[np.uint8], source: From, partitions: int
) -> list[Outbound]:
    """All that is known of payments under a pack, in as few records to each partition of payers as hold it."""
    rows, batch, positions = added.under
    payers = Spans.of(found.payer).chosen(rows)
    to = partitions_of([payers.at(at) for at in range(len(rows))], partitions)
    model = verdicts.model
    by = EvidenceBy(source.schema, source.partition, model.version, model.hash, added.model_hash)
    out = []
    for partition in np.unique(to).tolist():
        at = np.flatnonzero(to == partition)
        chosen = rows[at]
        texts = (Spans.of(getattr(found, name)).chosen(chosen) for name in _TEXTS)
        whole = Evidence(
            by, ids[chosen], **dict(zip(_TEXTS, texts, strict=True)),
            event_time_ms=batch.event_ms[at], appended_ms=found.appended_ms[chosen], position=positions[at],
            score=verdicts.scores[chosen], probability=verdicts.probabilities[chosen], evidence=batch.evidence[at],
            others=added.others[at], payee_risk=added.risk[at], features=verdicts.features[chosen],
        )  # fmt: skip
        sizes = np.full(len(at), _OTHER_BYTES + 8 * whole.features.shape[1])
        for each in parts(sum((getattr(whole, name).lengths for name in _TEXTS), start=sizes)):
            part = whole.part(each)
            out.append(Outbound(partition, int(part.appended_ms.max()), None, write_evidence(part), []))
    return out


@dataclass(frozen=True, slots=True)
class _Reviewed:
    """A payment that goes to review. It is read again as it came, since a review says what no column holds."""

    row: int
    raw: bytes
    payment: Payment
    appended_ms: int
    findings: list[Written]


def _reviewed(
    found: Handover, verdicts: Verdicts, writer: DecisionWriter
) -> tuple[list[_Reviewed], list[tuple[Inbound, Rejection]]]:
    """The payments to review, and the records with one that is not what its columns say."""
    reviewed, forged = [], set()
    for row in np.flatnonzero(verdicts.review).tolist():
        raw, appended_ms = found.payment.at(row), int(found.appended_ms[row])
        payment = decode_payment(raw)
        if isinstance(payment, Payment) and names_of(payment) == tuple(
            getattr(found, name).at(row) for name in ("tenant", "payment_id", "payer", "payee")
        ):
            reviewed.append(_Reviewed(row, raw, payment, appended_ms, writer.findings(row, verdicts)))
        else:
            forged.add(int(found.handed_in[row]))
    why = Rejection("handover_invalid", "payment", "Another payment than its columns speak of")
    return reviewed, [(found.records[each], why) for each in sorted(forged)]


def _reviews(
    reviewed: Sequence[_Reviewed], ids: NDArray[np.uint8], verdicts: Verdicts, writer: DecisionWriter, subjects: int
) -> list[Outbound]:
    """Each decision to review, once for each subject and pack that it is addressed to, in the subject's partition."""
    addressed = [
        (each, role, finding)
        for each in reviewed
        for role, finding in writer.addressed(each.row, verdicts, each.findings)
    ]
    keys = [
        (each.payment.payee if role == "payee" else each.payment.payer).account.encode() for each, role, _ in addressed
    ]
    out = []
    for (each, role, finding), key, to in zip(addressed, keys, partitions_of(keys, subjects).tolist(), strict=True):
        identity = str(UUID(bytes=ids[each.row].tobytes()))
        body = writer.review(each.row, identity, each.payment, role, finding, verdicts)
        name = f"{identity}/{role}" if finding is None else f"{identity}/{role}/{finding.finding.pack}"
        out.append(Outbound(to, each.appended_ms, key, body, cloud_event("review.v1", name)))
    return out
