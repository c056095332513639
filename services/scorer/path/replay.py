"""Both hops over a whole stream in memory: the features that workers would serve, without the bytes in between.

For evaluation and training. With one partition of each topic workers serve the same numbers, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.contract.types import Origin, Payment
from services.scorer.path.encode import moves_money
from services.scorer.path.frame import Frames
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.payer import FORWARD
from services.scorer.path.records import Inbound, Record
from services.scorer.path.ruleset import Ruleset


class Replay:
    """The payment path of one partition. Feed it the log in order, in batches of any size."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._payer = PayerHop(ruleset, "", 0, 1)
        self._payee = PayeeHop(ruleset, "", 0, 1, 1)

    def measure(self, records: Sequence[Inbound]) -> tuple[list[Payment], NDArray[np.float64]]:
        """The payments among the next ``records`` that workers would decide, and their features.

        Returns
        -------
        payments
            n payments; repeats, changes of status and what cannot be read are left out.
        features
            float64[n, len(FEATURES)].
        """
        batch, _, features, verdicts, recent = self._payer.measure(records)
        chosen = np.flatnonzero(verdicts == FORWARD)
        found, recent = features[chosen], recent[chosen]
        frames = Frames()
        for at, row, payees, moved in zip(chosen.tolist(), found, recent, moves_money(found).tolist(), strict=True):
            payment, record = batch.payments[at], batch.records[at]
            _add_payment(frames, payment, record, row, payees)
            if moved:
                _add_outflow(frames, payment, record, float(row[0]))
        payments = [payment for payment in frames.payments if payment is not None]
        return payments, self._payee.measure(frames)[1]


def _add_payment(
    frames: Frames, payment: Payment, record: Inbound, features: NDArray[np.float64], recent_payees: NDArray[np.uint16]
) -> None:
    frames.records.append(Record(record.offset, record.timestamp, payment.payee.account.encode(), None))
    frames.payments.append(payment)
    frames.tenants.append(payment.tenant)
    frames.origins.append(Origin(0, record.offset))
    frames.feature_bytes.append(features.tobytes())
    frames.recent_payee_bytes.append(recent_payees.tobytes())


def _add_outflow(frames: Frames, payment: Payment, record: Inbound, amount: float) -> None:
    frames.records.append(Record(record.offset, record.timestamp, payment.payer.account.encode(), None))
    frames.payments.append(None)
    frames.tenants.append(payment.tenant)
    frames.origins.append(Origin(0, record.offset))
    frames.outflows.append((payment.event_time_ms, amount))
