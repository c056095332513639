"""Frames: how a payment travels from the payer hop to the payee hop (``payments.by-payee.v1``, internal).

Little-endian. A ``HEADER``; of a payment what the payer hop ``TOLD`` of it (so that the payee hop parses no JSON), then
tenant, payment id and the original JSON; of an outflow the tenant; of a label the payment's amount over cleared,
whether it is confirmed, and the tenant. The record's key is the account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.codec import Rejection, decode_payment
from services.contract.types import Origin, Payment, PaymentLabel
from services.scorer.path.columns import LabelColumns, PayeeColumns, PayerColumns, known_or_nan, label_columns
from services.scorer.path.features import INDEX, PAYER_HOP, RECENT_PAYEES
from services.scorer.path.records import Inbound
from services.scorer.path.state import account_key

PAYMENT, OUTFLOW, LABEL = range(3)
_MAGIC = b"TOC2"
HEADER = np.dtype(
    [
        ("magic", "S4"),
        ("size", "<u4"),  # of the whole frame, bytes
        ("kind", "<u2"),
        ("tenant", "<u2"),  # bytes of it
        ("payment_id", "<u2"),  # bytes of it
        ("partition", "<u2"),  # where the payment, or the label, was read
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
_PAYMENT = np.dtype([("header", HEADER), ("told", TOLD)])
_LABEL = np.dtype([("header", HEADER), ("over_cleared", "<f8"), ("confirmed", "<u1")])
_LEAST = np.array([_PAYMENT.itemsize + 1, HEADER.itemsize, _LABEL.itemsize])
"""Bytes of the shortest frame of each kind, without tenant and payment id."""
_decoder = msgspec.json.Decoder(Payment)


def schema_number(schema: bytes) -> int:
    """The first 8 bytes of a feature schema's hash as headers hold them."""
    return int.from_bytes(schema[:8], "little")


def told_of(
    columns: PayerColumns, features: NDArray[np.float64], recent_payees: NDArray[np.uint16], onward: NDArray[np.int64]
) -> NDArray[Any]:
    """``TOLD[m]`` of the rows ``onward`` (int64[m]) of a batch, which the payer hop made ``features`` and
    ``recent_payees`` of."""
    told = np.empty(len(onward), dtype=TOLD)
    told["status"] = columns.status[onward]
    told["payer_country"] = columns.payer_country[onward]
    told["opened_ms"] = columns.payee_opened_ms[onward]
    told["payer"] = columns.payer_digest[onward]
    told["text"] = columns.text[onward]
    told["confirmed"] = columns.confirmed[onward]
    told["in_lexicon"] = columns.in_lexicon[onward]
    told["features"] = features[onward]
    told["recent_payees"] = recent_payees[onward]
    return told


def headers_of(
    columns: PayerColumns, onward: NDArray[np.int64], offsets: Sequence[int], partition: int, schema: int
) -> NDArray[Any]:
    """``HEADER[m]`` of the same payments, without the lengths."""
    headers = np.zeros(len(onward), dtype=HEADER)
    headers["magic"] = _MAGIC
    headers["kind"] = PAYMENT
    headers["partition"] = partition
    headers["schema"] = schema
    headers["offset"] = offsets
    headers["event_ms"] = columns.event_ms[onward]
    headers["amount"] = columns.amount[onward]
    return headers


def payment_frames(
    headers: NDArray[Any], told: NDArray[Any], tenants: Sequence[bytes], ids: Sequence[bytes], raw: Sequence[bytes]
) -> list[bytes]:
    """Frames of payments; writes the lengths into their ``headers``."""
    headers["tenant"] = _lengths(tenants)
    headers["payment_id"] = _lengths(ids)
    headers["size"] = _PAYMENT.itemsize + headers["tenant"] + headers["payment_id"] + _lengths(raw)
    fixed = np.empty(len(headers), dtype=_PAYMENT)
    fixed["header"], fixed["told"] = headers, told
    return [b"".join(parts) for parts in zip(_pieces(fixed), tenants, ids, raw, strict=True)]


def outflow_frames(headers: NDArray[Any], tenants: Sequence[bytes]) -> list[bytes]:
    """Frames of notes that the accounts in the records' keys paid out what payments with ``headers`` moved."""
    headers = outflow_headers(headers)
    headers["size"] = HEADER.itemsize + headers["tenant"]
    return [piece + tenant for piece, tenant in zip(_pieces(headers), tenants, strict=True)]


def outflow_headers(headers: NDArray[Any]) -> NDArray[Any]:
    """The headers of the notes on the payments that have ``headers``."""
    noted = headers.copy()
    noted["kind"] = OUTFLOW
    noted["payment_id"] = 0
    return noted


def label_frames(
    labels: Sequence[PaymentLabel], offsets: Sequence[int], partition: int, schema: int, tenants: Sequence[bytes]
) -> list[bytes]:
    """Frames of labels that were read at ``offsets`` of a partition, for their payees."""
    rows = np.zeros(len(labels), dtype=_LABEL)
    headers = rows["header"]
    headers["magic"], headers["kind"], headers["schema"] = _MAGIC, LABEL, schema
    headers["tenant"] = _lengths(tenants)
    headers["size"] = _LABEL.itemsize + headers["tenant"]
    headers["partition"], headers["offset"] = partition, offsets
    headers["event_ms"] = [label.event_time_ms for label in labels]
    headers["amount"] = known_or_nan(label.amount_eur for label in labels)
    rows["over_cleared"] = known_or_nan(label.amount_over_cleared for label in labels)
    rows["confirmed"] = [label.confirmed for label in labels]
    return [piece + tenant for piece, tenant in zip(_pieces(rows), tenants, strict=True)]


def is_payment_from(frame: bytes, origin: Origin) -> bool:
    """Whether ``frame`` carries the payment that was read at ``origin``."""
    if len(frame) < HEADER.itemsize or not frame.startswith(_MAGIC):
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
    payment_ids: list[bytes] = field(default_factory=list)
    """m."""
    raw_payments: list[bytes] = field(default_factory=list)
    """m."""
    labels: LabelColumns = field(default_factory=lambda: label_columns([], []))
    """k."""
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

    def payment(self, row: int) -> Payment:
        """One of the m payments. Where a name comes twice the last counts, as it did at the payer hop, and the fast
        decoder refuses what the contract's does not: an earlier value of the wrong type."""
        raw = self.raw_payments[row]
        try:
            return _decoder.decode(raw)
        except msgspec.ValidationError:
            payment = decode_payment(raw)
            assert isinstance(payment, Payment), "the payer hop sends on only what it could read"
            return payment

    def columns(self) -> PayeeColumns:
        """What the payee hop's kernel reads."""
        outflow, told = self.outflow, self.told
        features = self.payer_features()

        def spread(of_payments: NDArray[Any]) -> NDArray[Any]:
            out = np.zeros((len(outflow), *of_payments.shape[1:]), dtype=of_payments.dtype)
            out[~outflow] = of_payments
            return out

        return PayeeColumns(
            outflow=outflow,
            event_ms=np.ascontiguousarray(self.headers["event_ms"]),
            amount=np.ascontiguousarray(self.headers["amount"]),
            status=spread(told["status"]),
            payer_country=spread(told["payer_country"].astype(np.int64)),
            opened_ms=spread(told["opened_ms"]),
            payer_digest=spread(told["payer"]),
            payer_signs=spread(features[:, INDEX["remit_signs"]]),
            recent_payees=spread(told["recent_payees"]),
            is_remittance=spread(features[:, INDEX["is_remittance"]]),
            text=spread(told["text"]),
            confirmed=spread(told["confirmed"]),
            in_lexicon=spread(told["in_lexicon"]),
            over_cleared=spread(features[:, INDEX["payer_amount_over_cleared"]]),
            is_small=spread(features[:, INDEX["amount_is_small"]]),
            cross_border=spread(features[:, INDEX["is_cross_border"]]),
            roundness=spread(features[:, INDEX["amount_roundness"]]),
        )


def read_frames(records: Sequence[Inbound], schema: bytes, seen: NDArray[np.int64]) -> Frames:
    """Read a batch. A frame at or before what ``seen`` (int64, by origin partition) says is a repeat.

    ``seen`` is updated. With exactly-once delivery nothing repeats; with at-least-once a crash makes the payer hop
    write some frames again, and they must not count twice.
    """
    values = [record.value or b"" for record in records]
    headers = _headers(values)
    sound = _sound(values, headers, schema_number(schema), len(seen))
    sound &= np.fromiter((record.key is not None for record in records), dtype=np.bool_, count=len(records))
    fresh = np.zeros(len(records), dtype=np.bool_)
    _fresh_kernel(headers["partition"], headers["offset"], headers["kind"], sound, seen, fresh)
    chosen = np.flatnonzero(fresh).tolist()
    rejected = [
        (records[at], _rejection(records[at], values[at], headers[at], schema))
        for at in np.flatnonzero(~sound).tolist()
    ]
    kept = headers[fresh]
    frames = Frames(
        records=[],
        headers=kept[kept["kind"] != LABEL],
        told=np.empty(0, dtype=TOLD),
        tenants=[],
        duplicates=int(np.count_nonzero(sound & ~fresh & (headers["kind"] == PAYMENT))),
        rejected=rejected,
    )
    told: list[bytes] = []
    labels: list[bytes] = []
    before: list[int] = []
    lengths = zip(chosen, kept["kind"].tolist(), kept["tenant"].tolist(), kept["payment_id"].tolist(), strict=True)
    for at, kind, tenant_bytes, id_bytes in lengths:
        value, record = values[at], records[at]
        if kind == LABEL:
            frames.labelled.append(account_key(value[_LABEL.itemsize :], record.key or b""))
            labels.append(value[: _LABEL.itemsize])
            before.append(len(frames.records))
            continue
        frames.records.append(record)
        if kind == OUTFLOW:
            frames.tenants.append(value[HEADER.itemsize :])
            continue
        tenant = _PAYMENT.itemsize + tenant_bytes
        payment_id = tenant + id_bytes
        told.append(value[HEADER.itemsize : _PAYMENT.itemsize])
        frames.tenants.append(value[_PAYMENT.itemsize : tenant])
        frames.payment_ids.append(value[tenant:payment_id])
        frames.raw_payments.append(value[payment_id:])
    frames.told = np.frombuffer(b"".join(told), dtype=TOLD)
    if labels:
        frames.labels = _label_columns(np.frombuffer(b"".join(labels), dtype=_LABEL), before)
    return frames


def _label_columns(rows: NDArray[Any], before: Sequence[int]) -> LabelColumns:
    return LabelColumns(
        before=np.array(before, dtype=np.int64),
        event_ms=np.ascontiguousarray(rows["header"]["event_ms"]),
        value=np.ascontiguousarray(rows["over_cleared"]),
        confirmed=rows["confirmed"] != 0,
        digest=np.zeros(len(rows), dtype=np.uint64),
    )


def _headers(values: Sequence[bytes]) -> NDArray[Any]:
    """The headers of frames, zeros for what is too short to have one."""
    size = HEADER.itemsize
    return np.frombuffer(b"".join([value[:size].ljust(size, b"\0") for value in values]), dtype=HEADER)


def _sound(values: Sequence[bytes], headers: NDArray[Any], schema: int, partitions: int) -> NDArray[np.bool_]:
    """bool[n]: which values are frames of this code's."""
    least = _LEAST[np.minimum(headers["kind"], LABEL)]
    sizes = _lengths(values)
    return np.asarray(
        (headers["magic"] == _MAGIC)
        & (headers["schema"] == schema)
        & (headers["kind"] <= LABEL)
        & (headers["partition"] < partitions)
        & (headers["size"] == sizes)
        & (least + headers["tenant"] + headers["payment_id"] <= sizes)
    )


@njit(cache=True)
def _fresh_kernel(partition: Any, offset: Any, kind: Any, sound: Any, seen: Any, fresh: Any) -> None:
    for i in range(len(sound)):
        position = 2 * offset[i] + (1 if kind[i] == OUTFLOW else 0)  # a note follows its payment
        if sound[i] and position > seen[partition[i]]:
            seen[partition[i]] = position
            fresh[i] = True


def _rejection(record: Inbound, value: bytes, header: Any, schema: bytes) -> Rejection:
    """Why a record is no frame of this code's."""
    if record.key is None:
        return Rejection("frame_invalid", "key", "The frame has no key")
    if header["magic"] != _MAGIC:
        return Rejection("frame_invalid", "", "Not a frame of the payer hop")
    if header["schema"] != schema_number(schema):
        written = int(header["schema"]).to_bytes(8, "little").hex()
        return Rejection("feature_schema_mismatch", "", f"Written under feature schema {written}")
    return Rejection("frame_invalid", "", "Its header cannot be right")


def _lengths(texts: Sequence[bytes]) -> NDArray[np.int64]:
    return np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))


def _pieces(rows: NDArray[Any]) -> list[bytes]:
    """The bytes of each row."""
    packed, size = rows.tobytes(), rows.dtype.itemsize
    return [packed[at : at + size] for at in range(0, len(packed), size)]
