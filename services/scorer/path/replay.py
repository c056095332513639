"""Both hops over a whole stream in memory: the features that workers would serve, without the bytes in between.

For evaluation and training. With one partition of each topic workers serve the same numbers, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.contract.types import Payment
from services.scorer.path.encode import moves_money
from services.scorer.path.frame import Frames, outflow_headers
from services.scorer.path.hops import PayeeHop, PayerHop
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
        found = self._payer.measure(records)
        headers, told = found.headers, found.told
        moved = moves_money(told["features"])
        places = np.arange(len(headers)) + np.cumsum(moved) - moved  # of payments, each before its note
        both = np.empty(len(headers) + int(moved.sum()), dtype=headers.dtype)
        both[places] = headers
        both[places[moved] + 1] = outflow_headers(headers[moved])
        payments = [found.batch.payments[at] for at in found.onward.tolist()]
        frames = Frames([], both, told, [])
        for payment, noted in zip(payments, moved.tolist(), strict=True):
            _add(frames, payment, payment.payee.account)
            if noted:
                _add(frames, payment, payment.payer.account)
        return payments, self._payee.measure(frames)[1]


def _add(frames: Frames, payment: Payment, account: str) -> None:
    frames.records.append(Record(0, 0, account.encode(), None))
    frames.tenants.append(payment.tenant.encode())
