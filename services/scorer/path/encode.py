"""The last stage of each hop: what was computed, as records in the order of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.contract.columns import Texts, parts
from services.contract.events import cloud_event
from services.contract.label import PaymentLabel
from services.contract.partitioner import partitions_of
from services.contract.payment import Payment
from services.contract.served import Served, write_served
from services.scorer.path.decision import REASONS_SHOWN, DecisionWriter, Verdicts, Written
from services.scorer.path.decode import Decoded
from services.scorer.path.features.registry import PAYER_AT
from services.scorer.path.frame import Frames, Source, label_frames, outflow_frames, payment_frames
from services.scorer.path.lean import Decided
from services.scorer.path.records import Inbound, Outbound, OutboundColumns

_OTHER_BYTES = 80
"""Of a row of served features besides texts, rules, packs and features, roughly."""
_Reviewed = tuple[int, str, Payment, int, list[Written]]
"""Row, decision id, payment, time of its append, findings."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A batch at the payer hop: n payments, of which m go on to their payees, and k labels."""

    batch: Decoded
    touched: NDArray[np.int64]
    """int64[n + k]: the payers' rows in state; -1 for a label whose payer has none."""
    verdicts: NDArray[np.uint8]
    """uint8[n]: ``FORWARD``, ``DUPLICATE`` or ``STATUS_UPDATE``."""
    onward: NDArray[np.int64]
    """int64[m]: which go on."""
    headers: NDArray[Any]
    """``HEADER[m]``, without the lengths."""
    told: NDArray[Any]
    """``TOLD[m]``."""
    labels: NDArray[np.int64]
    """Which labels go on: those that are no repeats."""

    def labels_onward(self) -> tuple[list[PaymentLabel], list[Inbound], NDArray[np.int64]]:
        """The labels that go on, their records, and how many payments of the batch stand before each."""
        chosen = self.labels.tolist()
        before = np.array([self.batch.payments_before[at] for at in chosen], dtype=np.int64)
        return [self.batch.labels[at] for at in chosen], [self.batch.label_records[at] for at in chosen], before


def forwarded(found: Measured, source: Source, payee_partitions: int) -> list[Outbound]:
    """Frames for the payee hop: every payment to its payee, to its payer's account a note of the money that left, and
    labels to the payees of their payments."""
    records = [found.batch.records[at] for at in found.onward.tolist()]
    payments = [found.batch.payments[at] for at in found.onward.tolist()]
    payees = [payment.payee.account.encode() for payment in payments]
    payers = [record.key or b"" for record in records]
    to_payee = partitions_of(payees, payee_partitions).tolist()
    to_payer = partitions_of(payers, payee_partitions).tolist()
    tenants = [payment.tenant.encode() for payment in payments]
    ids = [payment.payment_id.encode() for payment in payments]
    frames = payment_frames(found.headers, found.told, tenants, ids, [record.value or b"" for record in records])
    notes = outflow_frames(found.headers, tenants)
    out: list[Outbound] = []
    left = moves_money(found.told["features"])
    for at, (record, moved) in enumerate(zip(records, left.tolist(), strict=True)):
        out.append(Outbound(to_payee[at], record.timestamp, payees[at], frames[at], []))
        if moved:
            out.append(Outbound(to_payer[at], record.timestamp, payers[at], notes[at], []))
    return _with_labels(out, found, left, source, payee_partitions) if len(found.labels) else out


def _with_labels(
    frames: list[Outbound], found: Measured, moved: NDArray[np.bool_], source: Source, payee_partitions: int
) -> list[Outbound]:
    """The batch's other ``frames``, and those of its labels among them, in the order of the log."""
    labels, records, before = found.labels_onward()
    tenants = [label.tenant.encode() for label in labels]
    keys = [label.payee.encode() for label in labels]
    values = label_frames(labels, [record.offset for record in records], source, tenants)
    out: list[Outbound] = []
    start = 0
    for stop, to, record, key, value in zip(
        frames_before(before, found.onward, moved).tolist(), partitions_of(keys, payee_partitions).tolist(), records,
        keys, values, strict=True,
    ):  # fmt: skip
        out += frames[start:stop]
        out.append(Outbound(to, record.timestamp, key, value, []))
        start = stop
    return out + frames[start:]


def frames_before(
    payments: NDArray[np.int64], onward: NDArray[np.int64], moved: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """int64[k]: how many frames the first ``payments`` (int64[k]) of a batch make, of which ``onward`` go on and
    ``moved`` of these make a note beside."""
    ends = np.concatenate([[0], np.cumsum(1 + moved)])
    return ends[np.searchsorted(onward, payments)]


def moves_money(features: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool[n]: whether money is known to have left the payer, of payments with payer-hop ``features``."""
    known: NDArray[np.bool_] = ~np.isnan(features[:, PAYER_AT.amount]) & (features[:, PAYER_AT.is_refused] == 0.0)
    return known


def decisions(
    frames: Frames, verdicts: Verdicts, writer: DecisionWriter, partition: int, subjects: int
) -> dict[str, Sequence[Outbound]]:
    """Decisions, and what they were made of, to the partition the batch was read from; reviews to their subjects'."""
    paid = ~frames.outflow
    records = list(compress(frames.records, paid.tolist()))
    payees = Texts.of([record.key or b"" for record in records])
    appended_ms = np.array([record.timestamp for record in records], dtype=np.int64)
    reviewed = [(row, writer.findings(row, verdicts)) for row in np.flatnonzero(verdicts.review).tolist()]
    details = [b""] * len(records)
    for row, findings in reviewed:
        details[row] = writer.detail(row, verdicts, findings, frames.raw_payments[row])
    decided = Decided(
        tenant=Texts.of([payment.tenant.encode() for payment in frames.payments]),
        payer=Texts.of([payment.payer.account.encode() for payment in frames.payments]),
        payment_id=Texts.of([payment.payment_id.encode() for payment in frames.payments]),
        event_ms=frames.headers["event_ms"][paid],
        partition=frames.headers["partition"][paid].astype(np.int32),
        offset=frames.headers["offset"][paid],
        scores=verdicts.scores,
        probabilities=verdicts.probabilities,
        review=verdicts.review,
        leading=np.ascontiguousarray(verdicts.leading[:, :REASONS_SHOWN]),
        outcomes=verdicts.results.outcome,
        details=Texts.of(details),
    )
    lines = writer.lines(decided, verdicts.model)
    ids = [str(UUID(bytes=lines.ids[row].tobytes())) for row, _ in reviewed]
    to_review = [
        (row, identity, frames.payments[row], int(appended_ms[row]), findings)
        for (row, findings), identity in zip(reviewed, ids, strict=True)
    ]
    keys = np.frombuffer(payees.data, dtype=np.uint8)
    return {
        "decisions": OutboundColumns(partition, appended_ms, keys, payees.ends, lines.data, lines.ends),
        "features": _features(decided, payees, appended_ms, verdicts, lines.ids, writer, partition),
        "reviews": _reviews(to_review, verdicts, writer, subjects),
    }


def _features(
    decided: Decided, payees: Texts, appended_ms: NDArray[np.int64], verdicts: Verdicts, ids: NDArray[np.uint8],
    writer: DecisionWriter, partition: int,
) -> list[Outbound]:  # fmt: skip
    """What decisions were made of, in as few records as hold them. A record's time is the latest append of its rows."""
    by = writer.served_by(verdicts.model)
    risk = verdicts.packs.risk
    packs = risk.reshape(len(ids), risk.shape[1] * risk.shape[2])
    texts = (decided.tenant, decided.payment_id, decided.payer, payees)
    wide = 8 * verdicts.features.shape[1] + 8 * packs.shape[1] + decided.outcomes.shape[1]
    out = []
    for rows in parts(sum((each.lengths for each in texts), start=np.full(len(ids), _OTHER_BYTES + wide))):
        served = Served(
            by, ids[rows], decided.tenant.part(rows), decided.payment_id.part(rows), decided.payer.part(rows),
            payees.part(rows), decided.event_ms[rows], appended_ms[rows], decided.partition[rows],
            decided.offset[rows], decided.review[rows].astype(np.uint8), decided.scores[rows],
            decided.probabilities[rows], decided.outcomes[rows], packs[rows], verdicts.features[rows],
        )  # fmt: skip
        out.append(Outbound(partition, int(served.appended_ms.max()), None, write_served(served), []))
    return out


def _reviews(reviewed: list[_Reviewed], verdicts: Verdicts, writer: DecisionWriter, subjects: int) -> list[Outbound]:
    """Each decision to review, once for each subject and pack that it is addressed to, in the subject's partition."""
    addressed = [
        (each, role, finding) for each in reviewed for role, finding in writer.addressed(each[0], verdicts, each[4])
    ]
    keys = [(each[2].payee if role == "payee" else each[2].payer).account.encode() for each, role, _ in addressed]
    out = []
    for (each, role, finding), key, to in zip(addressed, keys, partitions_of(keys, subjects).tolist(), strict=True):
        row, identity, payment, timestamp, _ = each
        body = writer.review(row, identity, payment, role, finding, verdicts)
        name = f"{identity}/{role}" if finding is None else f"{identity}/{role}/{finding.finding.pack}"
        out.append(Outbound(to, timestamp, key, body, cloud_event("review.v1", name)))
    return out
