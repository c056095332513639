"""What of a batch goes on from the payer hop, and with what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.contract.partitioner import partitions_of, partitions_of_spans
from services.contract.siphash import Key
from services.scorer.path.decode import Decoded
from services.scorer.path.decoding.fields import AT
from services.scorer.path.features.accounts import digests_of_keys
from services.scorer.path.features.identities import FORWARD
from services.scorer.path.features.inputs import known_or_nan
from services.scorer.path.features.state import account_key
from services.scorer.path.handover import LabelsOnward, Onward


@dataclass(frozen=True, slots=True)
class Measured:
    """A batch at the payer hop: n payments that are no repeats, and k labels."""

    batch: Decoded
    features: NDArray[np.float64]
    """[n, len(PAYER_HOP)]."""
    recent_payees: NDArray[np.uint16]
    fresh: NDArray[np.bool_]
    """[k]: which labels are no repeats."""
    duplicates: int
    """Repeats that were dropped."""

    @property
    def verdicts(self) -> NDArray[np.uint8]:
        """[n]: ``FORWARD`` or ``STATUS_UPDATE``."""
        verdicts: NDArray[np.uint8] = self.batch.rows["verdict"]
        return verdicts


def payments_onward(found: Measured, partitions: int) -> Onward:
    """The payments that go on; ``partitions`` are those of payees."""
    batch, rows = found.batch, np.flatnonzero(found.verdicts == FORWARD)
    payers, payees = batch.texts(AT.payer_account, rows), batch.texts(AT.payee_account, rows)
    return Onward(
        places=rows,
        offsets=batch.records.offsets[batch.at[rows]],
        appended_ms=batch.records.timestamps[batch.at[rows]],
        rows=batch.rows[rows],
        features=found.features[rows],
        recent_payees=found.recent_payees[rows],
        payer_accounts=batch.payers[rows],
        payee_accounts=batch.payees[rows],
        tenants=batch.texts(AT.tenant, rows),
        payment_ids=batch.texts(AT.payment_id, rows),
        payers=payers,
        payees=payees,
        payments=batch.values(rows),
        to_payee=partitions_of_spans(*payees, partitions),
        to_payer=partitions_of_spans(*payers, partitions),
    )


def labels_onward(found: Measured, key: Key, partitions: int) -> LabelsOnward:
    """The labels that go on: those that are no repeats."""
    rows = np.flatnonzero(found.fresh)
    labels = [found.batch.labels[each] for each in rows.tolist()]
    at = np.array(found.batch.label_at, dtype=np.int64)[rows]
    payees = [label.payee.encode() for label in labels]
    keys = [account_key(label.tenant.encode(), payee) for label, payee in zip(labels, payees, strict=True)]
    return LabelsOnward(
        before=found.batch.payments_before()[rows],
        offsets=found.batch.records.offsets[at],
        appended_ms=found.batch.records.timestamps[at],
        event_ms=np.array([label.event_time_ms for label in labels], dtype=np.int64),
        over_cleared=known_or_nan(label.amount_over_cleared for label in labels),
        confirmed=np.array([label.confirmed for label in labels], dtype=np.bool_),
        accounts=digests_of_keys(keys, key),
        to=partitions_of(payees, partitions),
    )
