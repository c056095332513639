"""The last stage of each hop: what was computed, as records in the order of the log."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from services.contract.events import cloud_event
from services.contract.label import PaymentLabel
from services.contract.partitioner import partitions_of
from services.contract.payment import Payment
from services.scorer.path.decision import DecisionWriter, Verdicts, Written
from services.scorer.path.decode import Decoded
from services.scorer.path.features.registry import PAYER_AT
from services.scorer.path.frame import Frames, Source, label_frames, outflow_frames, payment_frames
from services.scorer.path.records import Inbound, Outbound

_DECISION = (
    b'{"decision_id":"%b","payment_id":%b,"tenant":%b,"event_time_ms":%d,"outcome":"%b","score":%b,"probability":%b,'
    b'"reasons":%b,"rules":%b,"features":[%b],%b,"origin":{"partition":%d,"offset":%d},"payment":%b%b}'
)
"""JSON of a ``Decision``, its fields in the order of its type."""
_Reviewed = tuple[int, str, Payment, int, list[Written]]
"""Row, decision id, payment, time of its append, findings."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A batch at the payer hop: n payments, of which m go on to their payees, and k labels."""

    batch: Decoded
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
) -> dict[str, list[Outbound]]:
    """Decisions to the partition the batch was read from, and reviews to their subjects'."""
    decided: list[Outbound] = []
    reviewed: list[_Reviewed] = []
    paid = ~frames.outflow
    records = list(compress(frames.records, paid.tolist()))
    tenants = [payment.tenant for payment in frames.payments]
    ids = [payment.payment_id for payment in frames.payments]
    parts = zip(
        map(orjson.dumps, ids),
        map(orjson.dumps, tenants),
        *(frames.headers[name][paid].tolist() for name in ("event_ms", "partition", "offset")),
        *map(_numbers, (verdicts.scores, verdicts.probabilities, verdicts.features)),
        writer.rules.written(verdicts.results),
        strict=True,
    )
    named, review = writer.named(verdicts.model), verdicts.review.tolist()
    for row, (name, tenant, event_ms, source, offset, score, probability, values, rules) in enumerate(parts):
        identity = writer.decision_id(tenants[row], ids[row])
        findings = writer.findings(row, verdicts) if review[row] else []
        value = _DECISION % (
            identity.encode(), name, tenant, event_ms, b"review" if review[row] else b"pass", score, probability,
            writer.written_reasons(row, verdicts), rules, values, named, source, offset,
            frames.raw_payments[row], b"," + writer.of_review(row, verdicts, findings) if review[row] else b"",
        )  # fmt: skip
        headers = cloud_event("decision.v1", identity)
        decided.append(Outbound(partition, records[row].timestamp, records[row].key, value, headers))
        if review[row]:
            reviewed.append((row, identity, frames.payments[row], records[row].timestamp, findings))
    return {"decisions": decided, "reviews": _reviews(reviewed, verdicts, writer, subjects)}


def _numbers(values: NDArray[np.float64]) -> list[bytes]:
    """JSON of each number, or of each row of numbers without its brackets, of ``values``; of them all at once, which
    is cheaper."""
    if not len(values):
        return []
    return (
        orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY).strip(b"[]").split(b"],[" if values.ndim > 1 else b",")
    )


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
