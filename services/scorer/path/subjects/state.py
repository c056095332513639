"""The subjects of one side of one partition, and how payments under a pack are added up in them.

A payee's side knows who paid it, and reads what a payer is to hear of others; a payer's side takes that as it comes. So
neither needs anything of the other's state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.units import DAY_MS
from services.scorer.path.features.accounts import ACCOUNT_ROW, Accounts
from services.scorer.path.features.event_time import CLOCK_SIZE, advance
from services.scorer.path.features.partition_state import Clocks
from services.scorer.path.features.state_format import refused
from services.scorer.path.features.tables import NOWHERE, Table
from services.scorer.path.subjects.facts import PAYEE_SUBJECT_NAMES, PAYER_SUBJECT_NAMES, PAYERS, subject_schema_hash
from services.scorer.path.subjects.kernel import SubjectBatch, payee_kernel, payer_kernel
from services.scorer.path.subjects.rows import OTHERS, OTHERS_ROW, PAYERS_ROW, SUBJECT_ROW

SUBJECTS_MAX = 1_000_000
"""Subjects of one side of one partition at most, unless a deployment chooses."""
IDLE_MS = 730 * DAY_MS
BYTES_PER_PAYER = SUBJECT_ROW.itemsize + OTHERS_ROW.itemsize + ACCOUNT_ROW.itemsize
BYTES_PER_PAYEE = SUBJECT_ROW.itemsize + PAYERS_ROW.itemsize + ACCOUNT_ROW.itemsize
"""Of memory, but for at most 11 bytes of the index and of what a checkpoint needs to know."""
_NONE = np.empty((0, 2), dtype=np.uint64), np.empty(0, dtype=np.int64)


class _Subjects:
    """Who the subjects of one side are, their rows, and their second rows, by the same slots.

    Parameters
    ----------
    second
        Layout of the second rows.
    subjects_max
        Remembered at most; the longest idle make room (``evicted``).
    idle_ms
        Retention horizon in event time.
    """

    def __init__(self, second: np.dtype[Any], subjects_max: int, idle_ms: int) -> None:
        self.clock: NDArray[np.int64] = np.zeros(CLOCK_SIZE, dtype=np.int64)
        """Of event time (``features.event_time``)."""
        self.accounts = Accounts(subjects_max, idle_ms)
        self.rows, self.second = Table(SUBJECT_ROW), Table(second)

    def __len__(self) -> int:
        return len(self.accounts)

    @property
    def clocks(self) -> Clocks:
        """As of ``features.state.Beside``, like the next three."""
        return Clocks(self.clock, self.accounts)

    @property
    def tables(self) -> tuple[Table, ...]:
        """In an order that is part of the changelog's format."""
        return self.accounts.table, self.rows, self.second

    @property
    def layout(self) -> object:
        """All that the tables' meaning depends on."""
        rows = [each.rows.dtype.descr for each in self.tables]
        return rows, subject_schema_hash()

    @property
    def evicted(self) -> int:
        """Subjects that had to make room."""
        return self.accounts.evicted

    @property
    def nbytes(self) -> int:
        """Bytes of memory, spare rows and the index included."""
        return self.accounts.nbytes + self.rows.nbytes + self.second.nbytes

    def _find(self, batch: SubjectBatch, subjects: NDArray[np.uint64]) -> NDArray[np.int64]:
        """int64[n]: the slots of the ``subjects`` (uint64[n, 2]) of the next n payments, each made where it is new."""
        now_ms = advance(self.clock, batch.event_ms, np.ascontiguousarray(batch.payers[:, 0]))[1:]
        makes = np.ones(len(subjects), dtype=np.bool_)
        slots, _ = self.accounts.find(subjects, batch.event_ms, now_ms, makes, *_NONE)
        for table in (self.rows, self.second):
            table.extend(self.accounts.table.used)
            table.changed[slots] = True
        return slots

    def _let_go(self) -> None:
        """Give back the rows of those who were forgotten."""
        gone = self.accounts.take_gone()
        self.rows.clear(gone)
        self.second.clear(gone)

    def settle(self) -> None:
        """After the tables were put back: find the rows again.

        Raises
        ------
        StateFormatError
            When they are not whole, or nothing that a kernel wrote.
        """
        in_use = self.accounts.settle()
        for table in (self.rows, self.second):
            table.extend(len(in_use))
            if table.used > len(in_use) or (table.homes[: len(in_use)][in_use] == NOWHERE).any():
                raise refused("the changelog does not hold a subject's rows")
            table.clear(np.flatnonzero(~in_use))
        rows, second = self.rows.rows[: len(in_use)][in_use], self.second.rows[: len(in_use)][in_use]
        sound = (rows["payments"] > 0) & (rows["last_ms"] >= 0) & (rows["last_ms"] <= EVENT_TIME_MS_MAX)
        if not (sound.all() and self._can_be(second)):
            raise refused("the changelog holds a subject's row that no kernel of this code has written")

    def _can_be(self, second: NDArray[Any]) -> bool:
        """Whether a kernel can read these second rows."""
        return True


class PayeeSubjects(_Subjects):
    """What is added up of the payees of one partition; parameters as of ``PayerSubjects``."""

    def __init__(self, subjects_max: int = SUBJECTS_MAX, idle_ms: int = IDLE_MS) -> None:
        super().__init__(PAYERS_ROW, subjects_max, idle_ms)

    def _can_be(self, second: NDArray[Any]) -> bool:
        number, words = second["number"], second["words"]
        given = np.arange(PAYERS) < number[:, None]
        sound = (words["weight"] > 0.0) & (words["ms"] >= 0) & (words["ms"] <= EVENT_TIME_MS_MAX)
        return bool(((number >= 0) & (number <= PAYERS)).all() and sound[given].all())

    def add_up(self, batch: SubjectBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The features of the payee after each payment of ``batch``, float64[n, S] in the canonical order
        (``facts.PAYEE_SUBJECT_FEATURES``); and what its payer is to hear of others, float64[n, 3]: the highest, the
        mean and the number of other payers' words at the payee before it. The same payments in the same order give the
        same bits, however they are cut into batches."""
        out = np.empty((len(batch.event_ms), len(PAYEE_SUBJECT_NAMES)), dtype=np.float64)
        others = np.empty((len(batch.event_ms), OTHERS), dtype=np.float64)
        slots = self._find(batch, batch.payees)
        payee_kernel(batch, slots, self.rows.rows, self.second.rows, out, others)
        self._let_go()
        return out, others


class PayerSubjects(_Subjects):
    """What is added up of the payers of one partition.

    Parameters
    ----------
    subjects_max
        Remembered at most; the longest idle make room (``evicted``).
    idle_ms
        Retention horizon in event time.
    """

    def __init__(self, subjects_max: int = SUBJECTS_MAX, idle_ms: int = IDLE_MS) -> None:
        super().__init__(OTHERS_ROW, subjects_max, idle_ms)

    def add_up(self, batch: SubjectBatch, others: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n, S]: the features of the payer after each payment of ``batch``, in the canonical order
        (``facts.PAYER_SUBJECT_FEATURES``). ``others`` (float64[n, 3]) is what ``PayeeSubjects`` read for each. The same
        payments in the same order give the same bits, however they are cut into batches."""
        out = np.empty((len(batch.event_ms), len(PAYER_SUBJECT_NAMES)), dtype=np.float64)
        slots = self._find(batch, batch.payers)
        payer_kernel(batch, others, slots, self.rows.rows, self.second.rows, out)
        self._let_go()
        return out
