"""Both hops over a whole stream in memory: the features that workers would serve, without the bytes in between.

For evaluation and training. With one partition of each topic workers serve the same numbers, to the bit. Labels stand
in the log as the learner writes them (``label_record``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract.codec import encode
from services.contract.events import PAYMENT_LABEL, cloud_event
from services.contract.label import PaymentLabel
from services.contract.payment import Payment
from services.scorer.path.encode import frames_before, moves_money
from services.scorer.path.features.inputs import known_or_nan, label_rows
from services.scorer.path.features.state import account_key
from services.scorer.path.frame import Frames, outflow_headers
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Inbound, Record
from services.scorer.path.rules.ruleset import Ruleset


class Replay:
    """The payment path of one partition. Feed it the log in order, in batches of any size."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._payer = PayerHop(ruleset, "", 0, 1)
        self._payee = PayeeHop(ruleset, "", 0, 1, 1)

    def measure(self, records: Sequence[Inbound]) -> tuple[list[Payment], NDArray[np.float64]]:
        """The n payments among the next ``records`` that workers would decide, and their features, float64[n,
        len(FEATURES)]. Repeats, changes of status, labels and what cannot be read are left out."""
        found = self._payer.measure(records)
        headers, told = found.headers, found.told
        moved = moves_money(told["features"])
        places = np.arange(len(headers)) + np.cumsum(moved) - moved  # of payments, each before its note
        both = np.empty(len(headers) + int(moved.sum()), dtype=headers.dtype)
        both[places] = headers
        both[places[moved] + 1] = outflow_headers(headers[moved])
        payments = [found.batch.payments[at] for at in found.onward.tolist()]
        labels, _, before = found.labels_onward()
        frames = Frames(
            [], both, told, [],
            labels=on_payee_side(labels, frames_before(before, found.onward, moved)),
            labelled=[account_key(label.tenant.encode(), label.payee.encode()) for label in labels],
        )  # fmt: skip
        for payment, noted in zip(payments, moved.tolist(), strict=True):
            _add(frames, payment, payment.payee.account)
            if noted:
                _add(frames, payment, payment.payer.account)
        return payments, self._payee.measure(frames)


def label_record(label: PaymentLabel, offset: int = 0, timestamp: int = -1) -> Record:
    """A label as a record of ``payments.v1``."""
    headers = cloud_event(PAYMENT_LABEL, f"{label.tenant}/{label.payment_id}")
    return Record(offset, timestamp, label.payer.encode(), encode(label), headers)


def on_payee_side(labels: Sequence[PaymentLabel], before: NDArray[np.int64]) -> NDArray[Any]:
    """``LABEL_INPUT[k]`` of labels at the payee hop; ``before`` (int64[k]) is how many frames stand before each."""
    rows = label_rows(labels, before, lambda _: 0)
    rows["value"] = known_or_nan(label.amount_over_cleared for label in labels)
    return rows


def _add(frames: Frames, payment: Payment, account: str) -> None:
    frames.records.append(Record(0, 0, account.encode(), None))
    frames.tenants.append(payment.tenant.encode())
