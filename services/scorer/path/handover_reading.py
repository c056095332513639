"""Reading what is handed over. A record that is corrupt, or forged, is a dead letter: nothing of it is an index or a
clock unchecked.

``payments.by-payee.v1`` is internal, but who can write to a cluster is for its operators to say. So everything that the
payee hop's kernel addresses memory with, or that moves the partition's clock, is held within what the payer hop can
write. A record is taken whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.contract.codec import Rejection
from services.contract.columns import Columns, Texts
from services.contract.fields import AMOUNT_EUR_MAX, EVENT_TIME_MS_MAX, ID_CHARACTERS_MAX, OVER_CLEARED_MAX
from services.contract.handover import HANDOVER, LABEL, OUTFLOW, PAYMENT
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.inputs import COUNTRY_CODE, LABEL_INPUT, PAYEE_INPUT, STATUS_CODE
from services.scorer.path.features.registry import INDEX, PAYER_HOP
from services.scorer.path.handover import OFFSET_MAX, POSITIONS
from services.scorer.path.intake import AHEAD_MS_MAX
from services.scorer.path.records import Inbound

GENERATIONS_MAX = 30_000
"""How often the log of a partition can be replaced by another."""
_COUNTRY_MAX = max(COUNTRY_CODE.values())
_FEATURES_READ = tuple(name for name in PAYEE_INPUT.names or () if name in INDEX and name != "amount")
"""Features of the payer hop that the payee hop's kernel reads. It has the amount from a column of its own."""
_IS_LOG: NDArray[np.bool_] = np.array([feature.scale == "log" for feature in PAYER_HOP])
_NAMES = ("tenant", "payment_id", "payer", "payee")
_TEXTS = (*_NAMES, "payment")
_CHECKED = (
    "kind", "offset", "appended_ms", "event_ms", "value", "status", "payer_country", "opened_ms", "confirmed",
    "in_lexicon",
)  # fmt: skip
_STATUSES = len(STATUS_CODE)
_SCALARS = (
    "kind", "offset", "event_ms", "appended_ms", "value", "account_low", "account_high", "status", "payer_country",
    "opened_ms", "payer_digest", "text_digest", "confirmed", "in_lexicon",
)  # fmt: skip


class _Part(NamedTuple):
    """A record, read: the partition it is of, and its columns."""

    record: Inbound
    partition: int
    columns: Columns


@dataclass(slots=True)
class Handover:
    """A batch of ``payments.by-payee.v1``: n payments and outflows, of which m are payments; k labels among them; and
    the records that cannot be read."""

    inputs: NDArray[Any]
    """``PAYEE_INPUT[n]``: what the payee hop's kernel reads."""
    accounts: NDArray[np.uint64]
    """[n, 2]: digests of tenant and account."""
    labels: NDArray[Any]
    """``LABEL_INPUT[k]``."""
    labelled: NDArray[np.uint64]
    """[k, 2]: digests of the accounts of the labels' payees."""
    partition: NDArray[np.int32]
    """[m], where each payment was read, like all that follows."""
    handed_in: NDArray[np.int32]
    """Which of ``records`` each payment was handed over in."""
    offset: NDArray[np.int64]
    appended_ms: NDArray[np.int64]
    features: NDArray[np.float64]
    """[m, len(PAYER_HOP)]."""
    tenant: Texts
    payment_id: Texts
    payer: Texts
    payee: Texts
    payment: Texts
    """JSON, as it came."""
    records: list[Inbound] = field(default_factory=list)
    """Those that were read."""
    duplicates: int = 0
    """Payments among the records that came again."""
    gaps: int = 0
    """How often something is missing before a record."""
    rejected: list[tuple[Inbound, Rejection]] = field(default_factory=list)


def read_handovers(
    records: Iterable[Inbound], schema: bytes, seen: NDArray[np.int64], repeats_possible: bool
) -> Handover:
    """Read a batch.

    Parameters
    ----------
    schema
        As ``hops.schema_of``.
    seen
        int64[partitions of ``payments.v1``], updated: the position of each up to which it was handed over.
    repeats_possible
        Whether what was seen before is a repeat, and dropped: with at-least-once delivery a crash makes the payer hop
        write some of it again. With exactly-once nothing repeats, so nothing is dropped either.
    """
    parts: list[_Part] = []
    rejected: list[tuple[Inbound, Rejection]] = []
    duplicates = gaps = 0
    for record in records:
        found = _read(record, schema, len(seen))
        if isinstance(found, Rejection):
            rejected.append((record, found))
            continue
        arrays, partition = found.arrays, int(found.said["partition"])
        log_begins, follows = int(found.said["generation"]) * POSITIONS, int(found.said["follows_offset"])
        gaps += follows > 0 and log_begins + 2 * (follows - 1) > seen[partition]
        position = log_begins + 2 * arrays["offset"] + (arrays["kind"] == OUTFLOW)
        if repeats_possible:
            start = int(np.searchsorted(position, seen[partition], side="right"))
            duplicates += int(np.count_nonzero(arrays["kind"][:start] == PAYMENT))
            found = found.part(slice(start, found.rows))
        seen[partition] = max(seen[partition], position[-1])
        parts.append(_Part(record, partition, found))
    out = _together(parts)
    out.duplicates, out.gaps, out.rejected = duplicates, gaps, rejected
    return out


def _read(record: Inbound, schema: bytes, sources: int) -> Columns | Rejection:
    """One record, if all of it can be what the payer hop writes."""
    found = HANDOVER.read(record.value, "handover_invalid")
    if isinstance(found, Rejection):
        return found
    if found.said["schema"] != schema.hex():
        return Rejection("feature_schema_mismatch", "schema", "Of another feature schema, or key of digests")
    return _amiss_in_metadata(found, sources) or _amiss_in_columns(found, record.timestamp) or found


def _amiss_in_metadata(found: Columns, sources: int) -> Rejection | None:
    for name, least, most in (
        ("partition", 0, sources - 1),
        ("generation", 0, GENERATIONS_MAX),
        ("from_offset", 0, OFFSET_MAX - 1),
        ("upto_offset", 0, OFFSET_MAX),
        ("follows_offset", -1, OFFSET_MAX),
    ):
        text = found.said[name]
        digits = text.removeprefix("-") if least < 0 else text
        if not (digits.isdecimal() and len(digits) <= 15 and least <= int(text) <= most):
            return Rejection("handover_invalid", name, "No number that the payer hop can write")
    return None


def _amiss_in_columns(found: Columns, appended_ms: int) -> Rejection | None:
    if not found.rows:
        return Rejection("handover_invalid", "", "It holds nothing")
    arrays = found.arrays
    features, marks = arrays["features"], arrays["recent_payees"]
    paid = arrays["kind"] == PAYMENT
    if len(features.values) and features.values.shape[1] != len(PAYER_HOP):
        return _cannot_be("features")
    if len(marks.values) and marks.values.shape[1] != RECENT_PAYEES:
        return _cannot_be("recent_payees")
    offsets = int(found.said["from_offset"]), int(found.said["upto_offset"])
    numbers = tuple(arrays[name] for name in _CHECKED)
    amiss = _number_amiss(numbers, features.present, marks.present, offsets, max(appended_ms, -1))
    if amiss >= 0:
        return _cannot_be(_CHECKED[amiss])
    if not _can_be_features(features.values, _IS_LOG):
        return _cannot_be("features")
    for name in _TEXTS:
        texts = arrays[name]
        data: NDArray[np.uint8] = np.frombuffer(texts.data, dtype=np.uint8)
        if not _can_be_texts(data, texts.ends, paid, name in _NAMES):
            return _cannot_be(name)
    return None


def _cannot_be(name: str) -> Rejection:
    return Rejection("handover_invalid", name, "Not what the payer hop can say")


@njit(cache=True)
def _number_amiss(numbers: Any, has_features: Any, has_marks: Any, offsets: Any, appended_most: int) -> int:
    """Which of ``_CHECKED`` holds, in any row, what the payer hop cannot write, or -1. Offsets ascend, and a payment's
    note follows it."""
    kind, offset, appended_ms, event_ms, value, status, payer_country, opened_ms, confirmed, in_lexicon = numbers
    last = np.int64(-1)
    for i in range(len(kind)):
        if kind[i] > LABEL or has_features[i] != (kind[i] == PAYMENT) or has_marks[i] != (kind[i] == PAYMENT):
            return 0
        position = 2 * offset[i] + (kind[i] == OUTFLOW)
        if not offsets[0] <= offset[i] < offsets[1] or position <= last:
            return 1
        last = position
        if not -1 <= appended_ms[i] <= appended_most:
            return 2
        latest_ms, most = np.int64(EVENT_TIME_MS_MAX), OVER_CLEARED_MAX
        if kind[i] != LABEL:
            most = AMOUNT_EUR_MAX
            if appended_ms[i] >= 0:
                latest_ms = min(latest_ms, appended_ms[i] + AHEAD_MS_MAX)
        if not 0 <= event_ms[i] <= latest_ms:
            return 3
        if not (0.0 <= value[i] <= most or (np.isnan(value[i]) and kind[i] != OUTFLOW)):
            return 4
        if not 0 <= status[i] < _STATUSES:
            return 5
        if not -1 <= payer_country[i] <= _COUNTRY_MAX:
            return 6
        if not -1 <= opened_ms[i] <= EVENT_TIME_MS_MAX:
            return 7
        if abs(confirmed[i]) > 1.0:
            return 8
        if abs(in_lexicon[i]) > 1.0:
            return 9
    return -1


@njit(cache=True)
def _can_be_features(features: Any, is_log: Any) -> bool:
    """Whether all are features of the payer hop that models can read."""
    for i in range(features.shape[0]):
        for j in range(features.shape[1]):
            if abs(features[i, j]) > OVER_CLEARED_MAX or (is_log[j] and features[i, j] <= -1.0):
                return False
    return True


@njit(cache=True)
def _can_be_texts(data: Any, ends: Any, paid: Any, are_names: bool) -> bool:
    """Whether payments have a text each and others none. Names have no control characters, which in UTF-8 are one byte
    each, and at most ``ID_CHARACTERS_MAX``: a byte that goes on with a character is 10xxxxxx."""
    for i in range(len(paid)):
        if (ends[i + 1] > ends[i]) != paid[i]:
            return False
        if are_names:
            characters = 0
            for at in range(ends[i], ends[i + 1]):
                if data[at] < 0x20 or data[at] == 0x7F:
                    return False
                characters += (data[at] & 0xC0) != 0x80
            if characters > ID_CHARACTERS_MAX:
                return False
    return True


def _together(parts: Sequence[_Part]) -> Handover:
    """The records' rows, one record's after the other's."""

    def whole(name: str) -> NDArray[Any]:
        return np.concatenate([part.columns.arrays[name] for part in parts]) if parts else np.empty(0)

    scalars = {name: whole(name) for name in _SCALARS}
    kind = scalars["kind"]
    paid, labelled = kind == PAYMENT, kind == LABEL
    moving = ~labelled
    accounts = np.stack([scalars["account_low"], scalars["account_high"]], axis=1).astype(np.int64).view(np.uint64)
    features = _rows("features", parts, len(PAYER_HOP), np.float64)
    rows = [part.columns.rows for part in parts]
    partitions, handed_in = (
        np.repeat(np.array(each, dtype=np.int32), rows)[paid] if parts else np.empty(0, dtype=np.int32)
        for each in ([part.partition for part in parts], range(len(parts)))
    )
    labels: NDArray[Any] = np.zeros(int(labelled.sum()), dtype=(np.record, LABEL_INPUT))
    labels["before"] = np.cumsum(moving)[labelled]
    labels["event_ms"], labels["value"] = scalars["event_ms"][labelled], scalars["value"][labelled]
    labels["confirmed"] = scalars["confirmed"][labelled] == 1.0
    texts = {name: _joined([_paid_texts(part, name) for part in parts]) for name in _TEXTS}
    return Handover(
        inputs=_inputs(
            scalars, moving, paid[moving], features, _rows("recent_payees", parts, RECENT_PAYEES, np.uint16)
        ),
        accounts=accounts[moving],
        labels=labels,
        labelled=accounts[labelled],
        partition=partitions,
        handed_in=handed_in,
        offset=scalars["offset"][paid].astype(np.int64),
        appended_ms=scalars["appended_ms"][paid].astype(np.int64),
        features=features,
        tenant=texts["tenant"],
        payment_id=texts["payment_id"],
        payer=texts["payer"],
        payee=texts["payee"],
        payment=texts["payment"],
        records=[part.record for part in parts],
    )


def _inputs(
    scalars: dict[str, NDArray[Any]], moving: NDArray[np.bool_], paid: NDArray[np.bool_], features: NDArray[np.float64],
    recent_payees: NDArray[np.uint16],
) -> NDArray[Any]:  # fmt: skip
    """``PAYEE_INPUT`` of what is ``moving``, of which payments are ``paid``."""
    rows = np.zeros(len(paid), dtype=(np.record, PAYEE_INPUT))
    rows["outflow"] = ~paid
    rows["event_ms"], rows["amount"] = scalars["event_ms"][moving], scalars["value"][moving]
    for name in ("status", "payer_country", "opened_ms", "confirmed", "in_lexicon"):
        rows[name] = scalars[name][moving]
    for name in ("payer", "text"):
        rows[name] = scalars[f"{name}_digest"][moving].astype(np.int64).view(np.uint64)
    rows["recent_payees"][paid] = recent_payees
    for name in _FEATURES_READ:
        rows[name][paid] = features[:, INDEX[name]]
    return rows


def _rows(name: str, parts: Sequence[_Part], width: int, dtype: Any) -> NDArray[Any]:
    found = [part.columns.arrays[name].values for part in parts]
    return np.concatenate([each for each in found if len(each)] or [np.empty((0, width), dtype=dtype)])


def _paid_texts(part: _Part, name: str) -> Texts:
    """The texts of payments: those of other rows are empty."""
    texts: Texts = part.columns.arrays[name]
    paid = part.columns.arrays["kind"] == PAYMENT
    return Texts(texts.data, np.concatenate([texts.ends[:-1][paid], texts.ends[-1:]]))


def _joined(parts: Sequence[Texts]) -> Texts:
    ends, size = [np.zeros(1, dtype=np.int32)], 0
    for part in parts:
        ends.append(part.ends[1:] - part.ends[0] + np.int32(size))
        size += int(part.ends[-1] - part.ends[0])
    data = [np.frombuffer(part.data, dtype=np.uint8)[part.ends[0] : part.ends[-1]] for part in parts if len(part.data)]
    return Texts(np.concatenate(data or [np.empty(0, dtype=np.uint8)]), np.concatenate(ends))
