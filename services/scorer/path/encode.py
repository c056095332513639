"""The last stage of each hop: what was computed, as records in the order of the log."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.contract.events import cloud_event
from services.contract.types import Payment
from services.scorer.path.decision import DecisionWriter, Verdicts, Written
from services.scorer.path.decode import Decoded
from services.scorer.path.frame import Frames, outflow_frame, payment_frame
from services.scorer.path.hashing import partitions_of
from services.scorer.path.model import LogisticModel
from services.scorer.path.records import Outbound

_AMOUNT = 0
_REFUSED = 10
_Reviewed = tuple[int, str, Payment, int, list[Written]]
"""Row, decision id, payment, time of its append, findings."""


def forwarded(
    batch: Decoded,
    features: NDArray[np.float64],
    recent_payees: NDArray[np.uint16],
    onward: NDArray[np.int64],
    schema: bytes,
    partition: int,
    payee_partitions: int,
) -> list[Outbound]:
    """Frames for the payee hop: every payment to its payee, and to its payer's account a note of the money that left.

    ``onward`` are the rows of ``batch`` that go on; ``partition`` is where the batch was read.
    """
    chosen = onward.tolist()
    payees = [batch.payments[at].payee.account.encode() for at in chosen]
    payers = [batch.records[at].key or b"" for at in chosen]
    to_payee = partitions_of(payees, payee_partitions).tolist()
    to_payer = partitions_of(payers, payee_partitions).tolist()
    packed = features.tobytes()
    width = features.shape[1] * 8
    marks = recent_payees.tobytes()
    size = recent_payees.shape[1] * 2
    moved = moves_money(features).tolist()
    amounts = features[:, _AMOUNT].tolist()
    out: list[Outbound] = []
    for i, at in enumerate(chosen):
        record, payment = batch.records[at], batch.payments[at]
        row = packed[at * width : (at + 1) * width]
        recent = marks[at * size : (at + 1) * size]
        frame = payment_frame(schema, partition, record.offset, row, recent, record.value or b"")
        out.append(Outbound(to_payee[i], record.timestamp, payees[i], frame, []))
        if moved[at]:
            note = outflow_frame(schema, partition, record.offset, payment.event_time_ms, amounts[at], payment.tenant)
            out.append(Outbound(to_payer[i], record.timestamp, payers[i], note, []))
    return out


def moves_money(features: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool[n]: whether money is known to have left the payer, of payments with payer-hop ``features``."""
    known: NDArray[np.bool_] = ~np.isnan(features[:, _AMOUNT]) & (features[:, _REFUSED] == 0.0)
    return known


def decisions(
    frames: Frames,
    features: NDArray[np.float64],
    verdicts: Verdicts,
    model: LogisticModel,
    writer: DecisionWriter,
    partition: int,
    subjects: int,
) -> dict[str, list[Outbound]]:
    """Decisions to the partition the batch was read from, and reviews to their subjects'."""
    decided: list[Outbound] = []
    reviewed: list[_Reviewed] = []
    review = verdicts.review.tolist()
    row = -1
    for record, payment, origin in zip(frames.records, frames.payments, frames.origins, strict=True):
        if payment is None:
            continue
        row += 1
        identity = writer.decision_id(payment)
        raw = frames.raw_payments[row]
        findings = writer.findings(row, verdicts) if review[row] else []
        value = writer.decision(row, identity, payment, raw, origin, features, verdicts, model, findings)
        decided.append(Outbound(partition, record.timestamp, record.key, value, writer.headers(identity)))
        if review[row]:
            reviewed.append((row, identity, payment, record.timestamp, findings))
    return {"decisions": decided, "reviews": _reviews(reviewed, features, verdicts, model, writer, subjects)}


def _reviews(
    reviewed: list[_Reviewed],
    features: NDArray[np.float64],
    verdicts: Verdicts,
    model: LogisticModel,
    writer: DecisionWriter,
    subjects: int,
) -> list[Outbound]:
    """Each decision to review, once for each subject and pack that it is addressed to, in the subject's partition."""
    addressed = [
        (each, role, finding) for each in reviewed for role, finding in writer.addressed(each[0], verdicts, each[4])
    ]
    keys = [(each[2].payee if role == "payee" else each[2].payer).account.encode() for each, role, _ in addressed]
    out = []
    for (each, role, finding), key, to in zip(addressed, keys, partitions_of(keys, subjects).tolist(), strict=True):
        row, identity, payment, timestamp, _ = each
        body = writer.review(row, identity, payment, role, finding, features, verdicts, model)
        name = f"{identity}/{role}" if finding is None else f"{identity}/{role}/{finding.finding.pack}"
        out.append(Outbound(to, timestamp, key, body, cloud_event("review.v1", name)))
    return out
