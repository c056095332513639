"""What the payee hop hands to the payers of payments under a pack, in columns (``evidence.by-payer.v1``, internal)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract.codec import Rejection
from services.contract.columns import Column, Layout, Texts
from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.served import are_ids

EVIDENCE = Layout(
    "evidence.v1",
    (
        Column("decision_id", "uuid", "", "Of the decision, as in `decisions.v1`"),
        Column("tenant", "text", "", "Of the payment, like the next four"),
        Column("payment_id", "text", "", "Unique for its payer"),
        Column("payer", "text", "", "Account"),
        Column("payee", "text", "", "Account"),
        Column("payment", "text", "", "The payment as it came, JSON"),
        Column("event_time_ms", "i8", "ms", "When it was made"),
        Column("appended_ms", "i8", "ms", "When it was appended to `payments.v1`; -1 where brokers do not say"),
        Column("position", "i8", "", "Where it stands in the partition of `payments.by-payee.v1`; grows, even where "
               "another log takes that one's place"),
        Column("score", "f8", "log-odds", "Of the decision"),
        Column("probability", "f8", "", "That of the score"),
        Column("evidence", "f8", "log-odds", "The score without the model's bias; NaN where nothing was learned"),
        Column("others", "f8", "log-odds", "Highest and mean of other payers' words at the payee before it, and how "
               "many there are", "other"),
        Column("payee_risk", "f8", "log-odds", "Of the payee, by the subject model; NaN without one"),
        Column("features", "f8", "its own", "As served; NaN where missing", "feature"),
    ),
    {
        "schema": "Which features, and which key of digests, 16 hexadecimal digits",
        "partition": "Of `payments.by-payee.v1`, where the payments were read",
        "model_version": "Of the model that decided",
        "model_hash": "The same, SHA-256",
        "subject_model_hash": "Of the model of subjects that gave `payee_risk`; empty without one",
    },
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EvidenceBy:
    """What the payments of a record have in common."""

    schema: bytes
    """Eight bytes, as ``hops.schema_of``."""
    partition: int
    model_version: int
    model_hash: str
    subject_model_hash: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """n payments under a pack. Arrays have length n."""

    by: EvidenceBy
    decision_id: NDArray[np.uint8]
    """uint8[n, 16]."""
    tenant: Texts
    payment_id: Texts
    payer: Texts
    payee: Texts
    payment: Texts
    event_time_ms: NDArray[np.int64]
    appended_ms: NDArray[np.int64]
    position: NDArray[np.int64]
    score: NDArray[np.float64]
    probability: NDArray[np.float64]
    evidence: NDArray[np.float64]
    others: NDArray[np.float64]
    """float64[n, 3]."""
    payee_risk: NDArray[np.float64]
    features: NDArray[np.float64]
    """float64[n, k]."""

    def __len__(self) -> int:
        return len(self.event_time_ms)

    def part(self, rows: slice) -> Evidence:
        """Some neighbouring ones."""
        columns = {each.name: getattr(self, each.name) for each in EVIDENCE.columns}
        parts: dict[str, Any] = {
            name: of.part(rows) if isinstance(of, Texts) else of[rows] for name, of in columns.items()
        }
        return Evidence(self.by, **parts)


def write_evidence(found: Evidence) -> bytes:
    """A record of ``evidence.by-payer.v1``."""
    by = found.by
    said = {
        "schema": by.schema.hex(),
        "partition": str(by.partition),
        "model_version": str(by.model_version),
        "model_hash": by.model_hash,
        "subject_model_hash": by.subject_model_hash,
    }
    return EVIDENCE.write(len(found), {each.name: getattr(found, each.name) for each in EVIDENCE.columns}, said)


def read_evidence(value: bytes | None, schema: bytes, partitions: int, features: int) -> Evidence | Rejection:
    """What ``write_evidence`` made under ``schema``, in one of ``partitions``, with so many ``features``; no input
    raises.

    >>> read_evidence(b"", bytes(8), 1, 130)
    Rejection(reason='evidence_invalid', field='', detail='The record has no value, or is larger than any of ours')
    """
    found = EVIDENCE.read(value, REASON)
    if isinstance(found, Rejection):
        return found
    said, arrays = found.said, found.arrays
    if said["schema"] != schema.hex():
        return Rejection("feature_schema_mismatch", "schema", "Of another feature schema, or key of digests")
    for name, most in (("partition", partitions - 1), ("model_version", 10**_DIGITS_MAX)):
        text = said[name]
        if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX and int(text) <= most):
            return Rejection(REASON, name, "No number that the payee hop can write")
    if not found.rows:
        return Rejection(REASON, "", "It holds nothing")
    if arrays["features"].shape[1] != features or arrays["others"].shape[1] != OTHERS:
        return Rejection(REASON, "features", "Not as many as there are")
    for name, (low, high) in _BOUNDS.items():
        if not ((arrays[name] >= low) & (arrays[name] <= high)).all():
            return Rejection(REASON, name, f"Not from {low} to {high}")
    for name in _IDS:
        if not are_ids(arrays[name]):
            return Rejection(REASON, name, "Empty, too long, or with control characters")
    for name, most in _SIZES.items():
        if (np.abs(arrays[name]) > most).any():
            return Rejection(REASON, name, f"Beyond {most:g}")
    by = EvidenceBy(
        schema, int(said["partition"]), int(said["model_version"]), said["model_hash"], said["subject_model_hash"]
    )
    return Evidence(by, **arrays)


REASON = "evidence_invalid"
OTHERS = 3
_DIGITS_MAX = 15
_IDS = ("tenant", "payment_id", "payer", "payee")
_REAL_MAX = sys.float_info.max
_BOUNDS = {
    "event_time_ms": (0, EVENT_TIME_MS_MAX),
    "appended_ms": (-1, 2**53),
    "position": (0, 2**63 - 1),
    "score": (-_REAL_MAX, _REAL_MAX),
    "probability": (0, 1),
}
"""Of numbers that each column is to have; NaN is none."""
_SIZES = {"evidence": _REAL_MAX, "others": 16.0, "payee_risk": _REAL_MAX, "features": _REAL_MAX}
"""Of numbers that may be NaN."""
