"""Frames: how a payment travels from the payer hop to the payee hop (``payments.by-payee.v1``, internal).

Little-endian. A ``HEADER``; of a payment what the payer hop ``TOLD`` of it (so that the payee hop computes none again),
then tenant, payment id and the original JSON; of an outflow the tenant; of a label the payment's amount over cleared,
whether it is confirmed, and the tenant. The record's key is the account.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.contract.codec import Rejection
from services.contract.decision import Origin
from services.contract.identity import digest64
from services.contract.label import PaymentLabel
from services.contract.payment import Payment
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.inputs import PAYEE_INPUT, known_or_nan, label_rows
from services.scorer.path.features.registry import INDEX, PAYER_HOP
from services.scorer.path.records import Inbound

PAYMENT, OUTFLOW, LABEL = range(3)
MAGIC = b"TOC3"
GENERATIONS_MAX = 30_000
"""How often the log of a partition can be replaced by another."""
HEADER = np.dtype(
    [
        ("magic", "S4"),
        ("size", "<u4"),  # of the whole frame, bytes
        ("kind", "<u2"),
        ("tenant", "<u2"),  # bytes of it
        ("payment_id", "<u2"),  # bytes of it
        ("partition", "<u2"),  # where the payment, or the label, was read
        ("generation", "<u2"),  # of that log
        ("schema", "<u8"),  # feature schema, its first 8 bytes
        ("offset", "<i8"),
        ("event_ms", "<i8"),  # of the payment
        ("amount", "<f8"),  # EUR
    ]
)
TOLD = np.dtype(
    [
        ("status", "<i4"),
        ("payer_country", "<i4"),
        ("opened_ms", "<i8"),  # of the payee's account
        ("payer", "<u8"),  # digest
        ("text", "<u8"),  # digest of the reference
        ("confirmed", "<f8"),
        ("in_lexicon", "<f8"),
        ("features", "<f8", (len(PAYER_HOP),)),
        ("recent_payees", "<u2", (RECENT_PAYEES,)),  # marks
    ]
)
PAYMENT_HEAD = np.dtype([("header", HEADER), ("told", TOLD)])
LABEL_FRAME = np.dtype([("header", HEADER), ("over_cleared", "<f8"), ("confirmed", "<u1")])
_TOLD_READ = ("status", "payer_country", "opened_ms", "payer", "text", "confirmed", "in_lexicon", "recent_payees")
_FEATURES_READ = tuple(name for name in PAYEE_INPUT.names or () if name in INDEX)
"""What the payee hop's kernel reads of a payment's ``TOLD``, and of its features."""


def schema_number(schema: bytes) -> int:
    """The first 8 bytes of a feature schema's hash as headers hold them."""
    return int.from_bytes(schema[:8], "little")


def told_of(
    payments: NDArray[Any], features: NDArray[np.float64], recent_payees: NDArray[np.uint16], onward: NDArray[np.int64]
) -> NDArray[Any]:
    """``TOLD[m]`` of the rows ``onward`` (int64[m]) of a batch of ``payments`` (``PAYER_INPUT[n]``), of which the payer
    hop made ``features`` and ``recent_payees``."""
    told = np.empty(len(onward), dtype=TOLD)
    for name in ("status", "payer_country", "payer", "text", "confirmed", "in_lexicon"):
        told[name] = payments[name][onward]
    told["opened_ms"] = payments["payee_opened_ms"][onward]
    told["features"] = features[onward]
    told["recent_payees"] = recent_payees[onward]
    return told


class Source(NamedTuple):
    """The log that frames are made of: a partition of ``payments.v1``, under a feature schema (``schema_number``)."""

    partition: int
    schema: int
    generation: int = 0
    """How often another log has taken the place of this one, whose offsets then begin anew."""


def headers_of(
    payments: NDArray[Any], onward: NDArray[np.int64], offsets: Sequence[int], source: Source
) -> NDArray[Any]:
    """``HEADER[m]`` of the same payments, without the lengths."""
    headers = np.zeros(len(onward), dtype=HEADER)
    headers["kind"] = PAYMENT
    _name_source(headers, source)
    headers["offset"] = offsets
    headers["event_ms"] = payments["event_ms"][onward]
    headers["amount"] = payments["amount"][onward]
    return headers


def _name_source(headers: NDArray[Any], source: Source) -> None:
    headers["magic"] = MAGIC
    headers["partition"], headers["schema"], headers["generation"] = source


def payment_frames(
    headers: NDArray[Any], told: NDArray[Any], tenants: Sequence[bytes], ids: Sequence[bytes], raw: Sequence[bytes]
) -> list[bytes]:
    """Frames of payments; writes the lengths into their ``headers``."""
    headers["tenant"] = lengths_of(tenants)
    headers["payment_id"] = lengths_of(ids)
    headers["size"] = PAYMENT_HEAD.itemsize + headers["tenant"] + headers["payment_id"] + lengths_of(raw)
    fixed = np.empty(len(headers), dtype=PAYMENT_HEAD)
    fixed["header"], fixed["told"] = headers, told
    return [b"".join(parts) for parts in zip(bytes_of(fixed), tenants, ids, raw, strict=True)]


def outflow_frames(headers: NDArray[Any], tenants: Sequence[bytes]) -> list[bytes]:
    """Frames of notes that the accounts in the records' keys paid out what payments with ``headers`` moved."""
    headers = outflow_headers(headers)
    headers["size"] = HEADER.itemsize + headers["tenant"]
    return [piece + tenant for piece, tenant in zip(bytes_of(headers), tenants, strict=True)]


def outflow_headers(headers: NDArray[Any]) -> NDArray[Any]:
    """The headers of the notes on the payments that have ``headers``."""
    noted = headers.copy()
    noted["kind"] = OUTFLOW
    noted["payment_id"] = 0
    return noted


def label_frames(
    labels: Sequence[PaymentLabel], offsets: Sequence[int], source: Source, tenants: Sequence[bytes]
) -> list[bytes]:
    """Frames of labels that were read at ``offsets`` of a partition, for their payees."""
    rows = np.zeros(len(labels), dtype=LABEL_FRAME)
    headers = rows["header"]
    headers["kind"] = LABEL
    _name_source(headers, source)
    headers["tenant"] = lengths_of(tenants)
    headers["size"] = LABEL_FRAME.itemsize + headers["tenant"]
    headers["offset"] = offsets
    headers["event_ms"] = [label.event_time_ms for label in labels]
    headers["amount"] = known_or_nan(label.amount_eur for label in labels)
    rows["over_cleared"] = known_or_nan(label.amount_over_cleared for label in labels)
    rows["confirmed"] = [label.confirmed for label in labels]
    return [piece + tenant for piece, tenant in zip(bytes_of(rows), tenants, strict=True)]


def is_payment_from(frame: bytes, origin: Origin) -> bool:
    """Whether ``frame`` carries the payment that was read at ``origin``."""
    if len(frame) < HEADER.itemsize or not frame.startswith(MAGIC):
        return False
    header = np.frombuffer(frame, dtype=HEADER, count=1)[0]
    return bool(
        header["kind"] == PAYMENT and header["partition"] == origin.partition and header["offset"] == origin.offset
    )


@dataclass(slots=True)
class Frames:
    """A batch of ``payments.by-payee.v1``, read: n payments and outflows, of which m are payments; k labels among them;
    and those that cannot be read."""

    records: list[Inbound]
    headers: NDArray[Any]
    """``HEADER[n]``."""
    told: NDArray[Any]
    """``TOLD[m]``."""
    tenants: list[bytes]
    """n."""
    payments: list[Payment] = field(default_factory=list)
    """m."""
    raw_payments: list[bytes] = field(default_factory=list)
    """m."""
    labels: NDArray[Any] = field(default_factory=lambda: label_rows([], [], digest64))
    """``LABEL_INPUT[k]``."""
    labelled: list[bytes] = field(default_factory=list)
    """The keys in state of the accounts of the labels' payees, k."""
    duplicates: int = 0
    """Payments among the records that came again."""
    rejected: list[tuple[Inbound, Rejection]] = field(default_factory=list)

    @property
    def outflow(self) -> NDArray[np.bool_]:
        """bool[n]: which of them are notes of money paid out."""
        return np.asarray(self.headers["kind"] == OUTFLOW)

    def payer_features(self) -> NDArray[np.float64]:
        """float64[m, len(PAYER_HOP)] of the payments, in order."""
        return np.asarray(self.told["features"])

    def inputs(self) -> NDArray[Any]:
        """``PAYEE_INPUT[n]``: what the payee hop's kernel reads."""
        rows = np.zeros(len(self.headers), dtype=(np.record, PAYEE_INPUT))
        rows["outflow"] = self.outflow
        rows["event_ms"], rows["amount"] = self.headers["event_ms"], self.headers["amount"]
        paid, features = ~self.outflow, self.payer_features()
        for name in _TOLD_READ:
            rows[name][paid] = self.told[name]
        for name in _FEATURES_READ:
            rows[name][paid] = features[:, INDEX[name]]
        return rows


def lengths_of(texts: Sequence[bytes]) -> NDArray[np.int64]:
    """int64[n]: bytes of each of ``texts``."""
    return np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))


def bytes_of(rows: NDArray[Any]) -> list[bytes]:
    """The bytes of each row, n of n."""
    packed, size = rows.tobytes(), rows.itemsize * math.prod(rows.shape[1:])
    return [packed[at : at + size] for at in range(0, len(packed), size)]
