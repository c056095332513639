"""The first stage: bytes of ``payments.v1`` to columns, or to dead letters.

Plain payments are read in compiled code (``decoding``). Of all others the typed decoder of the contract says what they
are; its word on the plain ones is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract import dead_letter as dead_letters
from services.contract.codec import Rejection, decode_payment, decode_payment_label
from services.contract.events import PAYMENT_LABEL, type_header
from services.contract.fields import DEFAULT_TENANT
from services.contract.label import PaymentLabel
from services.contract.partitioner import partition_of
from services.contract.payment import Payment
from services.scorer.path.decoding.columns import Deployment, Log, Walked, walk_all
from services.scorer.path.decoding.content import content_digest
from services.scorer.path.decoding.fields import AT, COUNT, OF_PARTY, OF_PAYMENT, PAYEE_FIRST, PAYER_FIRST
from services.scorer.path.features.accounts import digests_of_keys
from services.scorer.path.features.inputs import CURRENCY_CODE, PAYER_INPUT, CorridorNames, payer_rows
from services.scorer.path.features.private import PrivateLists
from services.scorer.path.features.state import account_key
from services.scorer.path.handover import Spans
from services.scorer.path.intake import ANY, Intake
from services.scorer.path.records import Inbound, Outbound, Records

_LABEL = type_header(PAYMENT_LABEL)
_TENANT = np.frombuffer(DEFAULT_TENANT.encode(), dtype=np.uint8)


class Reading:
    """How a deployment reads payments: what currencies are worth, its lists, its key of digests, and what it takes."""

    def __init__(self, eur_per_minor: dict[str, float], private: PrivateLists, intake: Intake = ANY) -> None:
        self.eur_per_minor, self.private, self.intake = eur_per_minor, private, intake
        self.rates = np.array([eur_per_minor.get(code, np.nan) for code in CURRENCY_CODE])


@dataclass(frozen=True, slots=True)
class Decoded:
    """The n payments of a batch in columns, the labels among them, and the dead letters, in order."""

    records: Records
    data: NDArray[np.uint8]
    """That of the records first, then what else ``spans`` speak of."""
    at: NDArray[np.int64]
    """[n]: which record each payment came in."""
    rows: NDArray[Any]
    """``PAYER_INPUT[n]``."""
    spans: NDArray[np.int32]
    """[n, COUNT, 2]: where in ``data`` the text of each field begins, and its bytes; -1 where it is not told."""
    payers: NDArray[np.uint64]
    """[n, 2]: digest of tenant and account, like the next."""
    payees: NDArray[np.uint64]
    typed: dict[int, Payment]
    """Those that were not plain, by record."""
    labels: list[PaymentLabel] = field(default_factory=list)
    label_at: list[int] = field(default_factory=list)
    """Which record each label came in."""
    dead: list[Outbound] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    dead_at: list[int] = field(default_factory=list)
    """Which record each dead letter is, ascending."""

    def chosen(self, rows: NDArray[np.int64]) -> Decoded:
        """Some of the payments, with all else."""
        return replace(
            self,
            at=self.at[rows],
            rows=self.rows[rows],
            spans=self.spans[rows],
            payers=self.payers[rows],
            payees=self.payees[rows],
        )

    def with_dead(self, at: list[int], dead: list[Outbound], reasons: list[str]) -> Decoded:
        """With further dead letters, which are the records ``at``."""
        whole = sorted(zip([*self.dead_at, *at], [*self.dead, *dead], [*self.reasons, *reasons], strict=True), key=_at)
        return replace(
            self,
            dead_at=[place for place, _, _ in whole],
            dead=[letter for _, letter, _ in whole],
            reasons=[reason for _, _, reason in whole],
        )

    def payments_before(self) -> NDArray[np.int64]:
        """int64[k]: how many of the payments stand before each label."""
        return np.searchsorted(self.at, np.array(self.label_at, dtype=np.int64))

    @property
    def payments(self) -> Sequence[Payment]:
        """The payments, each read when it is asked for."""
        return _Payments(self)

    def text(self, row: int, which: int) -> str | None:
        """The text of a field (``fields.AT``); ``None`` where it is not told."""
        start, length = self.spans[row, which].tolist()
        return None if length < 0 else self.data[start : start + length].tobytes().decode()

    def texts(self, which: int, rows: NDArray[np.int64]) -> Spans:
        """The texts of a field, of some payments that all tell it."""
        chosen = self.spans[rows, which].astype(np.int64)
        return Spans(self.data, chosen[:, 0], chosen[:, 1])

    def values(self, rows: NDArray[np.int64]) -> Spans:
        """Some payments as they came."""
        chosen = self.records.values[self.at[rows]]
        return Spans(self.data, chosen[:, 0], chosen[:, 1])

    def corridor(self, row: int) -> CorridorNames:
        """What names the corridor of a payment."""
        fields = AT.payer_country, AT.payee_country, AT.currency, AT.received_currency, AT.rail
        return CorridorNames(*(self.text(row, each) for each in fields))


def _at(dead: tuple[int, Outbound, str]) -> int:
    return dead[0]


class _Payments(Sequence[Payment]):
    def __init__(self, batch: Decoded) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return len(self._batch.at)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        at = int(self._batch.at[row])
        found = self._batch.typed.get(at) or decode_payment(self._batch.records.value(at))
        assert isinstance(found, Payment), "it was read before"
        return found


def decode(records: Iterable[Inbound], reading: Reading, topic: str, partition: int) -> Decoded:
    """Read a batch of ``payments.v1``. Whatever cannot be processed becomes a dead letter; nothing raises."""
    batch = Records.of(records)
    n, begin = len(batch), len(batch.data)
    is_label = batch.having(_LABEL)
    data = np.concatenate([batch.data, _TENANT])
    walked = Walked(
        plain=np.empty(n, dtype=np.bool_),
        spans=np.empty((n, COUNT, 2), dtype=np.int32),
        rows=np.empty(n, dtype=(np.record, PAYER_INPUT)),
        payers=np.empty((n, 2), dtype=np.uint64),
        payees=np.empty((n, 2), dtype=np.uint64),
    )
    key, intake = reading.private.texts.digests.key, reading.intake
    limits = intake.ahead_ms_max, intake.behind_ms_max
    deployment = Deployment(reading.rates, key, _TENANT, begin, partition, intake.partitions, *limits)
    walk_all(Log(data, batch.timestamps, batch.keys, batch.values, is_label), deployment, walked)
    plain = walked.plain.copy()
    labels: list[PaymentLabel] = []
    label_at: list[int] = []
    typed: dict[int, Payment] = {}
    dead: list[Outbound] = []
    reasons: list[str] = []
    dead_at: list[int] = []
    for at in np.flatnonzero(~walked.plain).tolist():
        record = batch[at]
        found = _read(record, bool(is_label[at]), intake, partition)
        if isinstance(found, Payment):
            typed[at] = found
        elif isinstance(found, PaymentLabel):
            labels.append(found)
            label_at.append(at)
        else:
            dead.append(dead_letter(record, found, topic, partition))
            reasons.append(found.reason)
            dead_at.append(at)
    if typed:
        data = _take_typed(typed, walked, data, reading)
    places = np.flatnonzero(walked.plain)
    if len(places) < n:
        walked = walked.chosen(places)
    decoded = Decoded(
        batch,
        data,
        places,
        walked.rows,
        walked.spans,
        walked.payers,
        walked.payees,
        typed,
        labels,
        label_at,
        dead,
        reasons,
        dead_at,
    )
    _read_references(decoded, plain[places], reading)
    return decoded


def _read(record: Inbound, is_label: bool, intake: Intake, partition: int) -> Payment | PaymentLabel | Rejection:
    found = decode_payment_label(record.value) if is_label else decode_payment(record.value)
    if isinstance(found, Rejection):
        return found
    payer = found.payer if isinstance(found, PaymentLabel) else found.payer.account
    if record.key != payer.encode():
        return Rejection("key_mismatch", "key", "The record's key must be the payer's account, in UTF-8")
    if intake.partitions and partition_of(record.key, intake.partitions) != partition:
        return Rejection("wrong_partition", "key", "Kafka's default partitioner (murmur2) puts this key elsewhere")
    if isinstance(found, Payment):
        return intake.time_refused(found.event_time_ms, record.timestamp) or found
    return found


def _take_typed(
    typed: dict[int, Payment], walked: Walked, data: NDArray[np.uint8], reading: Reading
) -> NDArray[np.uint8]:
    """Write the payments that were not plain among the others; returns ``data`` with their texts behind it."""
    at, payments = np.array(list(typed), dtype=np.int64), list(typed.values())
    key = reading.private.texts.digests.key
    tenants = [payment.tenant.encode() for payment in payments]
    rows = payer_rows(payments, reading.eur_per_minor, reading.private)
    rows["content"] = [content_digest(payment, key) for payment in payments]
    walked.rows[at] = rows
    for accounts, parties in ((walked.payers, "payer"), (walked.payees, "payee")):
        names = [getattr(payment, parties).account.encode() for payment in payments]
        accounts[at] = digests_of_keys(list(map(account_key, tenants, names)), key)
    walked.spans[at, :, 1] = -1
    parts: list[bytes] = []
    size = len(data)
    for row, payment in typed.items():
        for which, text in _texts_of(payment):
            walked.spans[row, which] = size, len(text)
            parts.append(text)
            size += len(text)
    walked.plain[at] = True
    return np.concatenate([data, np.frombuffer(b"".join(parts), dtype=np.uint8)])


def _texts_of(payment: Payment) -> Iterator[tuple[int, bytes]]:
    """Every text that a payment tells, with its field."""
    parts = ((0, OF_PAYMENT, payment), (PAYER_FIRST, OF_PARTY, payment.payer), (PAYEE_FIRST, OF_PARTY, payment.payee))
    for first, names, part in parts:
        for place, name in enumerate(names):
            value = getattr(part, name)
            if isinstance(value, str):
                yield first + place, value.encode()


def _read_references(decoded: Decoded, plain: NDArray[np.bool_], reading: Reading) -> None:
    """What references tell, and what the deployer's lists hold, of those rows that were walked."""
    private, rows = reading.private, decoded.rows
    for row in np.flatnonzero(plain & (decoded.spans[:, AT.reference, 1] > 0)).tolist():
        text = decoded.text(row, AT.reference) or ""
        told = private.texts.reference(text)
        rows["excuse"][row], rows["is_handle"][row], rows["text"][row] = told.kind, told.is_handle, told.digest
        rows["reference_absent"][row] = not text.strip()
    if private.confirmed or private.lexicon:
        walked = np.flatnonzero(plain).tolist()
        accounts = [decoded.text(row, AT.payee_account) or "" for row in walked]
        rows["confirmed"][walked] = private.are_confirmed(accounts)
        rows["in_lexicon"][walked] = private.hold_terms([decoded.text(row, AT.reference) for row in walked])


def dead_letter(
    record: Inbound, rejection: Rejection, topic: str, partition: int, first: dead_letters.First | None = None
) -> Outbound:
    """The record as it came, with what was wrong and where it stood in its headers; ``first`` is the record that it
    conflicts with."""
    origin = (topic, partition, record.offset)
    letter = dead_letters.dead_letter(rejection, origin, record.key, record.value, record.headers, first)
    return Outbound(partition, record.timestamp, letter.key, letter.value or b"", letter.headers)
