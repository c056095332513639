"""Both hops over a whole stream in memory: the features that workers would serve, without the bytes in between.

For evaluation and training. With one partition of each topic workers serve the same numbers, to the bit. Labels stand
in the log as the learner writes them (``label_record``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.contract.codec import encode
from services.contract.events import PAYMENT_LABEL, cloud_event
from services.contract.label import PaymentLabel
from services.contract.payment import Payment
from services.scorer.path.decode import Decoded
from services.scorer.path.features.identities import FORWARD
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Inbound, Record, Records
from services.scorer.path.rules.ruleset import Ruleset


class Replayed(NamedTuple):
    """The next records of a log at the end of the path."""

    batch: Decoded
    """What they are: payments, in columns, and dead letters, without repeats."""
    rows: NDArray[np.int64]
    """[n]: which payments of the batch workers would decide."""
    features: NDArray[np.float64]
    """[n, len(FEATURES)]."""
    duplicates: int
    """Repeats that were dropped."""


class Replay:
    """The payment path of one partition. Feed it the log in order, in batches of any size: it numbers them."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._payer = PayerHop(ruleset, "", 0, 1)
        self._payee = PayeeHop(ruleset, "", 0, 1, 1)
        self._next_offset = 0

    def measure(self, records: Sequence[Inbound]) -> tuple[list[Payment], NDArray[np.float64]]:
        """The n payments among the next ``records`` that workers would decide, and their features, float64[n,
        len(FEATURES)]. Repeats, changes of status, labels and what cannot be read are left out."""
        found = self.follow(records)
        return [found.batch.payments[at] for at in found.rows.tolist()], found.features

    def follow(self, records: Sequence[Inbound]) -> Replayed:
        """As ``measure``, with the payments in columns: reading them typed takes longer than measuring them."""
        batch = Records.of(records)
        offsets = np.arange(self._next_offset, self._next_offset + len(batch))
        self._next_offset += len(batch)
        found, handed_over = self._payer.hand_over(replace(batch, offsets=offsets))
        inbound = [Record(0, each.timestamp, each.key, each.value) for each in handed_over]
        features = self._payee.measure(self._payee.read(inbound))
        return Replayed(found.batch, np.flatnonzero(found.verdicts == FORWARD), features, found.duplicates)


def label_record(label: PaymentLabel, offset: int = 0, timestamp: int = -1) -> Record:
    """A label as a record of ``payments.v1``."""
    headers = cloud_event(PAYMENT_LABEL, f"{label.tenant}/{label.payment_id}")
    return Record(offset, timestamp, label.payer.encode(), encode(label), headers)
