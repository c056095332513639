"""What the payer hop hands over to the payee hop (``payments.by-payee.v1``): batches of columns.

A record holds what one batch of ``payments.v1`` has for one partition of payees, in the order of the log: payments
with all that the payer hop knows of them, so that the payee hop computes none of it again; *outflows*, notes to an
account, seen there as a payee, that it paid money out; and labels. It names the input offsets that it stands for, and
which one it follows, so that the reader notices what came twice and what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.columns import BATCH_BYTES, Columns, Some, Texts
from services.contract.handover import HANDOVER, LABEL, OUTFLOW, PAYMENT
from services.scorer.path.features.registry import PAYER_AT
from services.scorer.path.records import Outbound

OFFSET_MAX = 2**47
"""No log is as long: at a million records a second it takes four years."""
POSITIONS = 2 * OFFSET_MAX
"""Places of payments and notes in one log; those of a log that took its place come after all of them."""
_OTHER_BYTES = 240
"""Of a row besides features and texts, roughly."""


class Spans(NamedTuple):
    """n texts that stand anywhere in ``data`` (uint8): int64[n] each."""

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Texts) -> Spans:
        """Texts that stand one after the other."""
        ends = texts.ends.astype(np.int64)
        return cls(np.frombuffer(texts.data, dtype=np.uint8), ends[:-1], np.diff(ends))

    def chosen(self, rows: NDArray[np.int64]) -> Texts:
        """The texts of ``rows`` (int64[m]) one after the other; of -1 the empty one."""
        lengths = np.where(rows >= 0, self.lengths[rows], 0) if len(self.lengths) else np.zeros(len(rows), np.int64)
        ends = np.zeros(len(rows) + 1, dtype=np.int32)
        np.cumsum(lengths, out=ends[1:])
        data = np.empty(ends[-1], dtype=np.uint8)
        _gather(self.data, self.starts, rows, ends, data)
        return Texts(data, ends)


class Source(NamedTuple):
    """The log that is handed over: a partition of ``payments.v1``, under a feature schema (``hops.schema_of``)."""

    partition: int
    schema: bytes
    generation: int = 0
    """How often another log has taken the place of this one, whose offsets then begin anew."""


class Onward(NamedTuple):
    """The m payments of a batch that go on. Arrays have length m, texts too."""

    places: NDArray[np.int64]
    """Of each among all payments of the batch."""
    offsets: NDArray[np.int64]
    appended_ms: NDArray[np.int64]
    rows: NDArray[Any]
    """``PAYER_INPUT``."""
    features: NDArray[np.float64]
    """[m, len(PAYER_HOP)]."""
    recent_payees: NDArray[np.uint16]
    """[m, RECENT_PAYEES]."""
    payer_accounts: NDArray[np.uint64]
    """[m, 2]: digests of tenant and account, like the next."""
    payee_accounts: NDArray[np.uint64]
    tenants: Spans
    payment_ids: Spans
    payers: Spans
    payees: Spans
    payments: Spans
    """As they came."""
    to_payee: NDArray[np.int64]
    """Partition of the payee, and of the payer seen as one."""
    to_payer: NDArray[np.int64]


class LabelsOnward(NamedTuple):
    """The k labels of a batch that go on."""

    before: NDArray[np.int64]
    """How many payments of the batch stand before each."""
    offsets: NDArray[np.int64]
    appended_ms: NDArray[np.int64]
    event_ms: NDArray[np.int64]
    over_cleared: NDArray[np.float64]
    confirmed: NDArray[np.bool_]
    accounts: NDArray[np.uint64]
    """[k, 2]: of the payees."""
    to: NDArray[np.int64]
    """Their partitions."""


class _Entries(NamedTuple):
    """Everything of a batch that goes on."""

    kind: NDArray[np.uint8]
    row: NDArray[np.int64]
    """Among payments, or among labels."""
    to: NDArray[np.int64]


def moves_money(features: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool[n]: whether money is known to have left the payer, of payments with payer-hop ``features``."""
    known: NDArray[np.bool_] = ~np.isnan(features[:, PAYER_AT.amount]) & (features[:, PAYER_AT.is_refused] == 0.0)
    return known


def hand_over(
    payments: Onward, labels: LabelsOnward, source: Source, offsets: tuple[int, int], handed: NDArray[np.int64]
) -> list[Outbound]:
    """Records for the payee hop: every payment to its payee, to its payer's account a note of the money that left, and
    labels to the payees of their payments.

    Parameters
    ----------
    offsets
        The batch's input offsets: the first, and the one behind its last.
    handed
        int64[partitions of payees], updated: the position behind what each was handed last; -1 for
        nothing yet.
    """
    entries, log_begins = _ordered(payments, labels), source.generation * POSITIONS
    said = {
        "schema": source.schema.hex(),
        "partition": str(source.partition),
        "generation": str(source.generation),
        "from_offset": str(offsets[0]),
        "upto_offset": str(offsets[1]),
    }
    whole = Columns(len(entries.kind), _arrays(entries, payments, labels), said)
    out = []
    for rows in _parts(entries, payments):
        part, to = whole.part(rows), int(entries.to[rows.start])
        follows = str(max(-1, (int(handed[to]) - log_begins) // 2))
        value = HANDOVER.write(part.rows, part.arrays, said | {"follows_offset": follows})
        out.append(Outbound(to, int(part.arrays["appended_ms"].max()), None, value, []))
        handed[to] = log_begins + 2 * (int(part.arrays["offset"][-1]) + 1)
    return out


def _ordered(payments: Onward, labels: LabelsOnward) -> _Entries:
    """By partition; in each a payment's note follows it, and a label comes before the payments that it came before."""
    moved = np.flatnonzero(moves_money(payments.features))
    paid, k = np.arange(len(payments.places)), np.arange(len(labels.before))
    kind = np.concatenate([np.full(len(each), code, np.uint8) for code, each in enumerate((paid, moved, k))])
    place = np.concatenate([3 * payments.places + 1, 3 * payments.places[moved] + 2, 3 * labels.before])
    row = np.concatenate([paid, moved, k])
    to = np.concatenate([payments.to_payee, payments.to_payer[moved], labels.to])
    order = np.lexsort((place, to))
    return _Entries(kind[order], row[order], to[order])


def _parts(entries: _Entries, payments: Onward) -> Iterator[slice]:
    """Neighbours of one partition that fit into one record; a payment and its note stay together."""
    texts = payments.payments.lengths + payments.payees.lengths + payments.payers.lengths
    per_payment = payments.features.itemsize * payments.features.shape[1] + texts
    sizes = np.full(len(entries.kind), _OTHER_BYTES)
    is_payment = entries.kind == PAYMENT
    sizes[is_payment] += per_payment[entries.row[is_payment]]
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        last = int(np.searchsorted(entries.to, entries.to[start], side="right"))
        before = int(ends[start - 1]) if start else 0
        stop = min(last, max(start + 1, int(np.searchsorted(ends, before + BATCH_BYTES, side="right"))))
        while stop < last and entries.kind[stop] == OUTFLOW:
            stop += 1
        yield slice(start, stop)
        start = stop


def _arrays(entries: _Entries, payments: Onward, labels: LabelsOnward) -> dict[str, Any]:
    """The columns of records that hold ``entries``."""
    kind, row = entries.kind, entries.row
    paid, labelled, noted = kind == PAYMENT, kind == LABEL, kind == OUTFLOW
    rows = payments.rows
    of_payment, of_label = row[~labelled], row[labelled]

    def either(payment: NDArray[Any], label: NDArray[Any]) -> NDArray[Any]:
        """What is told of the payments and notes, and of the labels."""
        out: NDArray[Any] = np.empty((len(kind), *payment.shape[1:]), dtype=payment.dtype)
        out[~labelled], out[labelled] = payment[of_payment], label[of_label]
        return out

    def told(name: str, dtype: str) -> NDArray[Any]:
        """What is told of payments only."""
        out: NDArray[Any] = np.zeros(len(kind), dtype=dtype)
        out[paid] = rows[name][row[paid]].view(np.int64) if dtype == "i8" else rows[name][row[paid]]
        return out

    accounts = either(payments.payee_accounts, labels.accounts)
    accounts[noted] = payments.payer_accounts[row[noted]]
    confirmed = told("confirmed", "f8")
    confirmed[labelled] = labels.confirmed[of_label]
    chosen = np.where(paid, row, -1)
    return {
        "kind": kind,
        "offset": either(payments.offsets, labels.offsets),
        "event_ms": either(rows["event_ms"], labels.event_ms),
        "appended_ms": either(payments.appended_ms, labels.appended_ms),
        "value": either(rows["amount"], labels.over_cleared),
        "account_low": accounts[:, 0],
        "account_high": accounts[:, 1],
        "tenant": payments.tenants.chosen(chosen),
        "payment_id": payments.payment_ids.chosen(chosen),
        "payer": payments.payers.chosen(chosen),
        "payee": payments.payees.chosen(chosen),
        "payment": payments.payments.chosen(chosen),
        "status": told("status", "i4"),
        "payer_country": told("payer_country", "i4"),
        "opened_ms": told("payee_opened_ms", "i8"),
        "payer_digest": told("payer", "i8"),
        "text_digest": told("text", "i8"),
        "confirmed": confirmed,
        "in_lexicon": told("in_lexicon", "f8"),
        "features": Some(paid, payments.features[row[paid]]),
        "recent_payees": Some(paid, payments.recent_payees[row[paid]]),
    }


@njit(cache=True)
def _gather(data: Any, starts: Any, rows: Any, ends: Any, out: Any) -> None:
    for i in range(len(rows)):
        if rows[i] >= 0:
            start = starts[rows[i]]
            for place in range(ends[i + 1] - ends[i]):
                out[ends[i] + place] = data[start + place]
