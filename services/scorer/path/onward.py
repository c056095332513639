"""What of a batch goes on from the payer hop, and with what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract.columns import Texts
from services.contract.partitioner import partitions_of
from services.contract.siphash import Key
from services.scorer.path.decode import Decoded
from services.scorer.path.features.accounts import digests_of_keys
from services.scorer.path.features.inputs import known_or_nan
from services.scorer.path.features.payer import FORWARD
from services.scorer.path.features.state import account_key
from services.scorer.path.handover import LabelsOnward, Onward, Spans


@dataclass(frozen=True, slots=True)
class Measured:
    """A batch at the payer hop: n payments, and k labels."""

    batch: Decoded
    inputs: NDArray[Any]
    """``PAYER_INPUT[n]``."""
    accounts: NDArray[np.uint64]
    """[n, 2]: digests of the payers' accounts."""
    features: NDArray[np.float64]
    """[n, len(PAYER_HOP)]."""
    recent_payees: NDArray[np.uint16]
    verdicts: NDArray[np.uint8]
    """[n]: ``FORWARD``, ``DUPLICATE`` or ``STATUS_UPDATE``."""
    fresh: NDArray[np.bool_]
    """[k]: which labels are no repeats."""


def payments_onward(found: Measured, key: Key, partitions: int) -> Onward:
    """The payments that go on. ``key`` is that of digests, ``partitions`` those of payees."""
    rows = np.flatnonzero(found.verdicts == FORWARD)
    payments = [found.batch.payments[at] for at in rows.tolist()]
    records = [found.batch.records[at] for at in rows.tolist()]
    tenants = [payment.tenant.encode() for payment in payments]
    payees = [payment.payee.account.encode() for payment in payments]
    payers = [record.key or b"" for record in records]
    return Onward(
        places=rows,
        offsets=np.array([record.offset for record in records], dtype=np.int64),
        appended_ms=np.array([record.timestamp for record in records], dtype=np.int64),
        rows=found.inputs[rows],
        features=found.features[rows],
        recent_payees=found.recent_payees[rows],
        payer_accounts=found.accounts[rows],
        payee_accounts=digests_of_keys(list(map(account_key, tenants, payees)), key),
        tenants=_spans(tenants),
        payment_ids=_spans(payment.payment_id.encode() for payment in payments),
        payers=_spans(payers),
        payees=_spans(payees),
        payments=_spans(record.value or b"" for record in records),
        to_payee=partitions_of(payees, partitions),
        to_payer=partitions_of(payers, partitions),
    )


def labels_onward(found: Measured, key: Key, partitions: int) -> LabelsOnward:
    """The labels that go on: those that are no repeats."""
    rows = np.flatnonzero(found.fresh).tolist()
    labels = [found.batch.labels[at] for at in rows]
    records = [found.batch.label_records[at] for at in rows]
    payees = [label.payee.encode() for label in labels]
    keys = [account_key(label.tenant.encode(), payee) for label, payee in zip(labels, payees, strict=True)]
    return LabelsOnward(
        before=np.array([found.batch.payments_before[at] for at in rows], dtype=np.int64),
        offsets=np.array([record.offset for record in records], dtype=np.int64),
        appended_ms=np.array([record.timestamp for record in records], dtype=np.int64),
        event_ms=np.array([label.event_time_ms for label in labels], dtype=np.int64),
        over_cleared=known_or_nan(label.amount_over_cleared for label in labels),
        confirmed=np.array([label.confirmed for label in labels], dtype=np.bool_),
        accounts=digests_of_keys(keys, key),
        to=partitions_of(payees, partitions),
    )


def _spans(texts: Iterable[bytes]) -> Spans:
    return Spans.of(Texts.of(list(texts)))
