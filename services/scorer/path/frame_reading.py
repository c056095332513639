"""Reading frames. A frame that is corrupt, or forged, is a dead letter: nothing of it is an index or a clock unchecked.

``payments.by-payee.v1`` is internal, but who can write to a cluster is for its operators to say. So everything that the
payee hop's kernel addresses memory with, or that moves the partition's clock, is held within what the payer hop can
write, and the payment itself is read: the decision repeats it, and it must be the one that the frame speaks of.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import compress, repeat
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.codec import Rejection, decode_payment
from services.contract.fields import AMOUNT_EUR_MAX, EVENT_TIME_MS_MAX, OVER_CLEARED_MAX
from services.contract.payment import Payment
from services.scorer.path.decode import FUTURE_MS_MAX
from services.scorer.path.features.inputs import COUNTRY_CODE, LABEL_INPUT, STATUS_CODE, rows_of
from services.scorer.path.features.state import account_key
from services.scorer.path.frame import (
    GENERATIONS_MAX,
    HEADER,
    LABEL,
    LABEL_FRAME,
    MAGIC,
    OUTFLOW,
    PAYMENT,
    PAYMENT_HEAD,
    TOLD,
    Frames,
    lengths_of,
    schema_number,
)
from services.scorer.path.records import Inbound

OFFSET_MAX = 2**47
"""No log is as long: at a million records a second it takes four years."""
_LOG_POSITIONS = 2 * OFFSET_MAX
"""Places of payments and notes in one log; those of a log that took its place come after all of them."""
_ID_CHARACTERS_MAX = 128
_ID = re.compile(rf"[^\x00-\x1f\x7f]{{1,{_ID_CHARACTERS_MAX}}}")
ID_BYTES_MAX = 4 * _ID_CHARACTERS_MAX
_LEAST = np.array([PAYMENT_HEAD.itemsize + 1, HEADER.itemsize, LABEL_FRAME.itemsize])
"""Bytes of the shortest frame of each kind, without tenant and payment id."""
_TEXTS_AT = (PAYMENT_HEAD.itemsize, HEADER.itemsize, LABEL_FRAME.itemsize)
"""Where each kind's tenant begins."""


def read_frames(
    records: Sequence[Inbound], schema: bytes, sources: int, seen: NDArray[np.int64] | None = None
) -> Frames:
    """Read a batch.

    Parameters
    ----------
    schema
        As ``hops.schema_of``.
    sources
        Partitions of ``payments.v1``.
    seen
        int64[sources], updated: the position of each up to which its frames have been read. A frame at or before that
        is a repeat, and dropped. ``None`` where nothing repeats, so that nothing is dropped either: with exactly-once
        delivery. With at-least-once a crash makes the payer hop write some frames again.
    """
    reading = _Reading(records, schema_number(schema), sources)
    sound = reading.sound
    fresh = sound.copy()
    headers = reading.headers
    if seen is not None:
        fresh[:] = False
        _fresh_kernel(
            headers["partition"], headers["generation"], headers["offset"], headers["kind"], sound, seen, fresh
        )
    frames = reading.frames(fresh)
    frames.duplicates = int(np.count_nonzero(sound & ~fresh & (headers["kind"] == PAYMENT)))
    return frames


@njit(cache=True)
def _fresh_kernel(partition: Any, generation: Any, offset: Any, kind: Any, sound: Any, seen: Any, fresh: Any) -> None:
    for i in range(len(sound)):
        if not sound[i]:
            continue
        within_log = 2 * offset[i] + (1 if kind[i] == OUTFLOW else 0)  # a note follows its payment
        position = np.int64(generation[i]) * _LOG_POSITIONS + within_log
        if position > seen[partition[i]]:
            seen[partition[i]] = position
            fresh[i] = True


class _Reading:
    """n records, and which of them are sound: what is wrong with the others is in ``why``, by place."""

    def __init__(self, records: Sequence[Inbound], schema: int, sources: int) -> None:
        self.records = list(records)
        self.values = [record.value or b"" for record in records]
        size = HEADER.itemsize
        heads = b"".join([value[:size].ljust(size, b"\0") for value in self.values])
        self.headers: NDArray[Any] = np.frombuffer(heads, dtype=HEADER)
        self.sound: NDArray[np.bool_] = np.ones(len(records), dtype=np.bool_)
        self.why: dict[int, Rejection] = {}
        self.tenants: list[bytes] = [b""] * len(records)
        self.payments: dict[int, tuple[Payment, bytes]] = {}
        self._check_layout(schema)
        self._check_header(sources)
        self._check_told()
        self._check_label()
        rows = np.flatnonzero(self.sound)
        said = (self.headers[name][rows].tolist() for name in ("kind", "tenant", "payment_id", "event_ms"))
        for at, kind, tenant_bytes, id_bytes, event_ms in zip(rows.tolist(), *said, strict=True):
            begin = _TEXTS_AT[kind]
            tenant = self.tenants[at] = self.values[at][begin : begin + tenant_bytes]
            if kind == PAYMENT:
                self._read_payment(at, begin + tenant_bytes, begin + tenant_bytes + id_bytes, event_ms)
            elif not (len(tenant) <= ID_BYTES_MAX and _is_tenant(tenant) and _is_id(self.records[at].key or b"")):
                self._refuse(at, Rejection("frame_invalid", "tenant", "No tenant or account is named so"))

    def _require(self, holds: NDArray[Any], detail: str, field: str = "", reason: str = "frame_invalid") -> None:
        for at in np.flatnonzero(self.sound & ~holds).tolist():
            self.why[at] = Rejection(reason, field, detail)
        self.sound &= holds

    def _check_layout(self, schema: int) -> None:
        headers, sizes = self.headers, lengths_of(self.values)
        keyed = np.fromiter((record.key is not None for record in self.records), dtype=np.bool_, count=len(sizes))
        self._require(keyed, "The frame has no key", "key")
        self._require(headers["magic"] == MAGIC, "Not a frame of the payer hop")
        self._require(
            headers["schema"] == schema,
            "Of another feature schema, or key of digests",
            reason="feature_schema_mismatch",
        )
        kind = np.minimum(headers["kind"], LABEL)
        least = _LEAST[kind] + headers["tenant"] + headers["payment_id"]
        fits = np.where(kind == PAYMENT, least <= sizes, (least == sizes) & (headers["payment_id"] == 0))
        self._require((headers["kind"] <= LABEL) & (headers["size"] == sizes) & fits, "Its lengths cannot be right")

    def _check_header(self, sources: int) -> None:
        headers = self.headers
        event_ms, offset, amount, kind = (headers[name] for name in ("event_ms", "offset", "amount", "kind"))
        self._require(headers["partition"] < sources, "There is no such partition", "partition")
        self._require((offset >= 0) & (offset < OFFSET_MAX), "No log is as long", "offset")
        self._require(headers["generation"] <= GENERATIONS_MAX, "No log was replaced as often", "generation")
        self._require((event_ms >= 0) & (event_ms <= EVENT_TIME_MS_MAX), "No time of a payment", "event_ms")
        known = (amount >= 0.0) & (amount <= AMOUNT_EUR_MAX)
        self._require(known | (np.isnan(amount) & (kind != OUTFLOW)), "No amount of a payment", "amount")
        appended_ms = np.fromiter((record.timestamp for record in self.records), dtype=np.int64, count=len(kind))
        in_future = (appended_ms >= 0) & (event_ms > appended_ms + FUTURE_MS_MAX) & (kind != LABEL)
        self._require(
            ~in_future, "More than a day after the payment was appended", "event_ms", reason="event_time_in_future"
        )

    def _check_told(self) -> None:
        is_payment = self.sound & (self.headers["kind"] == PAYMENT)
        told = np.frombuffer(self._parts(is_payment, HEADER.itemsize, PAYMENT_HEAD.itemsize), dtype=TOLD)
        status, country, opened_ms = told["status"], told["payer_country"], told["opened_ms"]
        numbers = np.column_stack([told["features"], told["confirmed"], told["in_lexicon"]])
        for field, holds in (
            ("status", (status >= 0) & (status < len(STATUS_CODE))),
            ("payer_country", (country >= -1) & (country <= max(COUNTRY_CODE.values()))),
            ("opened_ms", (opened_ms >= -1) & (opened_ms <= EVENT_TIME_MS_MAX)),
            ("features", ~(np.abs(numbers) > OVER_CLEARED_MAX).any(axis=1)),
        ):
            spread = np.ones(len(self.sound), dtype=np.bool_)
            spread[is_payment] = holds
            self._require(spread, "Not what the payer hop can say of a payment", field)

    def _check_label(self) -> None:
        is_label = self.sound & (self.headers["kind"] == LABEL)
        rows = np.frombuffer(self._parts(is_label, 0, LABEL_FRAME.itemsize), dtype=LABEL_FRAME)
        ratio = rows["over_cleared"]
        known = np.isnan(ratio) | ((ratio >= 0.0) & (ratio <= OVER_CLEARED_MAX))
        spread = np.ones(len(self.sound), dtype=np.bool_)
        spread[is_label] = known & (rows["confirmed"] <= 1)
        self._require(spread, "Not what the payer hop can say of a label", "over_cleared")

    def _parts(self, chosen: NDArray[np.bool_], start: int, stop: int) -> bytes:
        return b"".join([value[start:stop] for value in compress(self.values, chosen.tolist())])

    def _read_payment(self, at: int, id_at: int, raw_at: int, event_ms: int) -> None:
        """Read the payment of a frame, whose id stands at ``id_at`` and whose JSON at ``raw_at``."""
        value, key = self.values[at], self.records[at].key
        raw = value[raw_at:]
        payment = decode_payment(raw)
        if isinstance(payment, Rejection):
            self._refuse(at, Rejection("frame_invalid", payment.field, payment.detail))
            return
        names = payment.tenant.encode(), payment.payment_id.encode(), payment.payee.account.encode()
        if names != (self.tenants[at], value[id_at:raw_at], key) or payment.event_time_ms != event_ms:
            self._refuse(at, Rejection("frame_invalid", "", "It speaks of another payment than it carries"))
            return
        self.payments[at] = payment, raw

    def _refuse(self, at: int, why: Rejection) -> None:
        self.sound[at], self.why[at] = False, why

    def frames(self, chosen: NDArray[np.bool_]) -> Frames:
        """Those that are ``chosen`` (bool[n]) of the sound ones, and the unsound."""
        headers = self.headers
        is_label, is_payment = chosen & (headers["kind"] == LABEL), chosen & (headers["kind"] == PAYMENT)
        others = np.flatnonzero(chosen & ~is_label).tolist()
        labels = np.flatnonzero(is_label).tolist()
        paid = [self.payments[at] for at in np.flatnonzero(is_payment).tolist()]
        return Frames(
            records=[self.records[at] for at in others],
            headers=headers[chosen & ~is_label],
            told=np.frombuffer(self._parts(is_payment, HEADER.itemsize, PAYMENT_HEAD.itemsize), dtype=TOLD),
            tenants=[self.tenants[at] for at in others],
            payments=[payment for payment, _ in paid],
            raw_payments=[raw for _, raw in paid],
            labels=_label_rows(
                np.frombuffer(self._parts(is_label, 0, LABEL_FRAME.itemsize), dtype=LABEL_FRAME),
                np.searchsorted(others, labels),
            ),
            labelled=[account_key(self.tenants[at], self.records[at].key or b"") for at in labels],
            rejected=[(self.records[at], self.why[at]) for at in sorted(self.why)],
        )


def _label_rows(frames: NDArray[Any], before: NDArray[np.int64]) -> NDArray[Any]:
    return rows_of(
        LABEL_INPUT,
        len(frames),
        before=before,
        event_ms=frames["header"]["event_ms"],
        value=frames["over_cleared"],
        digest=repeat(0, len(frames)),
        confirmed=frames["confirmed"] != 0,
    )


def _is_id(name: bytes) -> bool:
    """Whether ``name`` is what the contract calls an ``Id``, in UTF-8."""
    if name.isalnum():
        return len(name) <= _ID_CHARACTERS_MAX
    try:
        return _ID.fullmatch(name.decode()) is not None
    except UnicodeDecodeError:
        return False


_is_tenant = lru_cache(4_096)(_is_id)
"""Tenants are few, and none that is asked about is longer than ``ID_BYTES_MAX``: 3 MiB."""
