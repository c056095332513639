"""The subjects of one partition, and how payments under a pack are added up in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract.units import DAY_MS
from services.scorer.path.features.accounts import ACCOUNT_ROW, Accounts
from services.scorer.path.features.event_time import CLOCK_SIZE, advance
from services.scorer.path.features.tables import Table
from services.scorer.path.subjects.facts import SUBJECT_NAMES
from services.scorer.path.subjects.kernel import Rows, SubjectBatch, add_up_kernel
from services.scorer.path.subjects.rows import OTHERS_ROW, PAYERS_ROW, SUBJECT_ROW

SUBJECTS_MAX = 1_000_000
"""Subjects of one side of one partition at most, unless a deployment chooses."""
IDLE_MS = 730 * DAY_MS
BYTES_PER_PAYER = SUBJECT_ROW.itemsize + OTHERS_ROW.itemsize + ACCOUNT_ROW.itemsize
BYTES_PER_PAYEE = SUBJECT_ROW.itemsize + PAYERS_ROW.itemsize + ACCOUNT_ROW.itemsize
"""Of memory, but for at most 11 bytes of the index and of what a checkpoint needs to know."""
_NONE = np.empty((0, 2), dtype=np.uint64), np.empty(0, dtype=np.int64)


class Side:
    """The subjects of one role: who they are, their rows, and their second rows, by the same slots."""

    def __init__(self, second: np.dtype[Any], limit: int, idle_ms: int) -> None:
        self.accounts = Accounts(limit, idle_ms)
        self.rows, self.second = Table(SUBJECT_ROW), Table(second)

    def find(
        self, digests: NDArray[np.uint64], event_ms: NDArray[np.int64], now_ms: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """int64[n]: the slots of the subjects uint64[n, 2] of the next n payments, each made where it is new."""
        makes = np.ones(len(digests), dtype=np.bool_)
        slots, _ = self.accounts.find(digests, event_ms, now_ms, makes, *_NONE)
        for table in (self.rows, self.second):
            table.extend(self.accounts.table.used)
            table.changed[slots] = True
        return slots

    def let_go(self) -> None:
        """Give back the rows of those who were forgotten."""
        gone = self.accounts.take_gone()
        self.rows.clear(gone)
        self.second.clear(gone)


class SubjectState:
    """What is added up of the payers and the payees of one partition.

    Parameters
    ----------
    subjects_max
        Remembered at most on each side; the longest idle make room (``evicted``).
    idle_ms
        Retention horizon in event time.
    """

    def __init__(self, subjects_max: int = SUBJECTS_MAX, idle_ms: int = IDLE_MS) -> None:
        self.clock: NDArray[np.int64] = np.zeros(CLOCK_SIZE, dtype=np.int64)
        """Of event time (``features.event_time``)."""
        self.payers = Side(OTHERS_ROW, subjects_max, idle_ms)
        self.payees = Side(PAYERS_ROW, subjects_max, idle_ms)

    @property
    def evicted(self) -> int:
        """Subjects that had to make room."""
        return self.payers.accounts.evicted + self.payees.accounts.evicted

    @property
    def nbytes(self) -> int:
        """Bytes of memory, spare rows and indexes included."""
        return sum(side.accounts.nbytes + side.rows.nbytes + side.second.nbytes for side in (self.payers, self.payees))


def add_up(batch: SubjectBatch, state: SubjectState) -> NDArray[np.float64]:
    """float64[n, 2, S]: the features of payer and payee after each payment of ``batch``, in the canonical order
    (``facts.SUBJECT_FEATURES``); ``state`` is updated. The same payments in the same order give the same bits, however
    they are cut into batches."""
    out = np.empty((len(batch.event_ms), 2, len(SUBJECT_NAMES)), dtype=np.float64)
    now_ms = advance(state.clock, batch.event_ms, batch.payers[:, 0])[1:]
    payer_slots = state.payers.find(batch.payers, batch.event_ms, now_ms)
    payee_slots = state.payees.find(batch.payees, batch.event_ms, now_ms)
    rows = Rows(state.payers.rows.rows, state.payers.second.rows, state.payees.rows.rows, state.payees.second.rows)
    add_up_kernel(batch, payer_slots, payee_slots, rows, out)
    state.payers.let_go()
    state.payees.let_go()
    return out
