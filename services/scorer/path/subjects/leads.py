"""The second round: what payers are worth as leads to their payees, and payees to their payers.

The first round says of each subject what its own payments are worth (its *risk*, ``scoring.subject_model``). Somebody
who is paid by several payers at risk is a lead, and whoever pays such a payee is one. For each payment, in this order:

1. What other payers' risks are at the payee is read, before this payment and without this payer.
2. The payer leaves its risk as it is after this payment. A payee remembers that of its last ``PAYERS`` payers.
3. What was read, and the payee's risk, are added up for the payer.

A risk that is left is of the first round alone, so nothing goes around: from payer to payee to payer, and no further.
It fades towards 0 chance with its age, half-life ``HALF_LIFE_MS``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.scorer.path.features.accounts import Accounts
from services.scorer.path.features.event_time import CLOCK_SIZE, advance
from services.scorer.path.features.tables import Table
from services.scorer.path.subjects.facts import HALF_LIFE_MS, PAYERS, SubjectFeature
from services.scorer.path.subjects.state import IDLE_MS, SUBJECTS_MAX

RISK_LEAST = -12.0
"""Log-odds at which a risk says nothing; risks are told as what they are above it, at most ``RISK_SPAN``."""
RISK_SPAN = 24.0
_DECAY = 0.6931471805599453 / HALF_LIFE_MS
_ADDED = 4
"""Of a payer: the highest, the mean and the number of others' risks at its payees, and its payees' own risk."""

PAYER_LEADS: tuple[SubjectFeature, ...] = (
    SubjectFeature("risk", "log-odds", "of the payer, by its own payments"),
    *(
        SubjectFeature(f"{name}_{how}", unit, f"{text}: {how} over the payer's payments")
        for name, unit, text in (
            ("others_risk_highest", "log-odds", "highest risk of other payers at the payee that is paid"),
            ("others_risk_average", "log-odds", "mean risk of other payers at the payee that is paid"),
            ("others_risk_number", "payers", "number of other payers with a risk at the payee that is paid"),
            ("payee_risk", "log-odds", "risk of the payee that is paid, by the payments to it"),
        )
        for how in ("mean", "maximum")
    ),
)
PAYEE_LEADS: tuple[SubjectFeature, ...] = (
    SubjectFeature("risk", "log-odds", "of the payee, by the payments to it"),
    SubjectFeature("payers_risk_highest", "log-odds", "highest risk of the payers that are remembered"),
    SubjectFeature("payers_risk_average", "log-odds", "mean risk of the payers that are remembered"),
    SubjectFeature("payers_risk_expected", "payers", "expected number of payers of the kind among them"),
    SubjectFeature("payers_risk_number", "payers", "payers that are remembered"),
    SubjectFeature("payer_risk", "log-odds", "risk of the payer that pays"),
)
PAYER_LEAD_NAMES: tuple[str, ...] = tuple(feature.name for feature in PAYER_LEADS)
PAYEE_LEAD_NAMES: tuple[str, ...] = tuple(feature.name for feature in PAYEE_LEADS)

_LEFT = np.dtype([("digest", "u8"), ("risk", "f8"), ("ms", "i8")])
LEFT_ROW = np.dtype([("last_ms", "i8"), ("number", "i8"), ("left", _LEFT, (PAYERS,))])
"""Of a payee: what its payers left, the one that paid last first."""
HEARD_ROW = np.dtype(
    [("last_ms", "i8"), ("payments", "i8"), ("total", "f8", (_ADDED,)), ("weight", "f8", (_ADDED,)),
     ("maximum", "f8", (_ADDED,))]
)  # fmt: skip
"""Of a payer: what it was told at its payees."""
_NONE = np.empty((0, 2), dtype=np.uint64), np.empty(0, dtype=np.int64)


class Risks(NamedTuple):
    """n payments under a pack, in order, and what the first round says after each."""

    event_ms: Any
    """int64[n]."""
    payers: Any
    """uint64[n, 2]: digests, as of ``payees``."""
    payees: Any
    payer: Any
    """float64[n]: the payer's risk, log-odds, as of ``payee``."""
    payee: Any


class _Side:
    """Who the subjects of one side are, and a row of each."""

    def __init__(self, row: np.dtype[Any], subjects_max: int, idle_ms: int) -> None:
        self.accounts, self.rows = Accounts(subjects_max, idle_ms), Table(row)

    def find(self, digests: Any, event_ms: Any, now_ms: Any) -> NDArray[np.int64]:
        """int64[n]: the slots of the next n payments' subjects, each made where it is new."""
        slots, _ = self.accounts.find(digests, event_ms, now_ms, np.ones(len(digests), dtype=np.bool_), *_NONE)
        self.rows.extend(self.accounts.table.used)
        self.rows.changed[slots] = True
        return slots

    def let_go(self) -> None:
        """Give back the rows of those who were forgotten."""
        self.rows.clear(self.accounts.take_gone())


class Leads:
    """What payers left at payees, and what payers heard there.

    Parameters
    ----------
    subjects_max, idle_ms
        Of each side, as of ``PayerSubjects``.
    """

    def __init__(self, subjects_max: int = SUBJECTS_MAX, idle_ms: int = IDLE_MS) -> None:
        self.clock: NDArray[np.int64] = np.zeros(CLOCK_SIZE, dtype=np.int64)
        self._payees, self._payers = (_Side(row, subjects_max, idle_ms) for row in (LEFT_ROW, HEARD_ROW))

    @property
    def evicted(self) -> int:
        """Subjects that had to make room."""
        return self._payees.accounts.evicted + self._payers.accounts.evicted

    def add_up(self, risks: Risks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What is known of payer (float64[n, len(PAYER_LEADS)]) and payee (float64[n, len(PAYEE_LEADS)]) after each
        payment. The same payments in the same order give the same bits, however they are cut into batches."""
        n = len(risks.event_ms)
        of_payers, of_payees = np.empty((n, len(PAYER_LEADS))), np.empty((n, len(PAYEE_LEADS)))
        now_ms = advance(self.clock, risks.event_ms, risks.payers[:, 0])[1:]
        payees = self._payees.find(risks.payees, risks.event_ms, now_ms)
        payers = self._payers.find(risks.payers, risks.event_ms, now_ms)
        _leads_kernel(risks, payers, payees, self._payers.rows.rows, self._payees.rows.rows, of_payers, of_payees)
        self._payees.let_go()
        self._payers.let_go()
        return of_payers, of_payees


@njit(cache=True)
def _leads_kernel(
    risks: Risks, payers: Any, payees: Any, heard: Any, left: Any, of_payers: Any, of_payees: Any
) -> None:
    told = np.empty(_ADDED)
    for i in range(len(payers)):
        at_payee, at_payer = left[payees[i]], heard[payers[i]]
        now_ms = max(risks.event_ms[i], at_payee.last_ms)
        at_payee.last_ms = now_ms
        told[0], told[1], _, told[2] = _read(at_payee, now_ms, risks.payers[i, 0], True)
        told[3] = risks.payee[i]
        _leave(at_payee, risks.payers[i, 0], risks.payer[i], now_ms)
        _hear(at_payer, told, risks.event_ms[i])
        of_payers[i, 0] = risks.payer[i]
        for j in range(_ADDED):
            known = at_payer.weight[j] > 0.0
            of_payers[i, 1 + 2 * j] = at_payer.total[j] / at_payer.weight[j] if known else np.nan
            of_payers[i, 2 + 2 * j] = at_payer.maximum[j] if known else np.nan
        of_payees[i, 0] = risks.payee[i]
        of_payees[i, 1], of_payees[i, 2], of_payees[i, 3], of_payees[i, 4] = _read(
            at_payee, now_ms, np.uint64(0), False
        )
        of_payees[i, 5] = risks.payer[i]


@njit(cache=True)
def _read(row: Any, now_ms: int, payer: Any, without: bool) -> tuple[float, float, float, float]:
    """The highest and the mean risk, the expected number of the kind, and the number of those who left one; each fades
    with its age, towards ``RISK_LEAST``; ``without`` this ``payer``."""
    highest, total, expected, number = np.nan, 0.0, 0.0, 0
    for k in range(row.number):
        each = row.left[k]
        if without and each.digest == payer:
            continue
        above = min(max(each.risk - RISK_LEAST, 0.0), RISK_SPAN)
        risk = RISK_LEAST + above * np.exp(-(now_ms - each.ms) * _DECAY)
        if not highest >= risk:
            highest = risk
        total += risk
        expected += 1.0 / (1.0 + np.exp(-risk))
        number += 1
    mean = total / number if number > 0 else np.nan
    return highest, mean, expected, float(number)


@njit(cache=True)
def _leave(row: Any, payer: Any, risk: float, now_ms: int) -> None:
    """Put a payer's risk first; of too many, that of the one who paid the longest ago goes."""
    at = 0
    while at < row.number and row.left[at].digest != payer:
        at += 1
    if at == row.number:
        if row.number < PAYERS:
            row.number += 1
        else:
            at = PAYERS - 1
    for k in range(at, 0, -1):
        row.left[k].digest = row.left[k - 1].digest
        row.left[k].risk = row.left[k - 1].risk
        row.left[k].ms = row.left[k - 1].ms
    row.left[0].digest = payer
    row.left[0].risk = risk
    row.left[0].ms = now_ms


@njit(cache=True)
def _hear(row: Any, told: Any, event_ms: int) -> None:
    """Take what a payer is told at a payee into its decayed sums and maxima."""
    effective_ms = max(event_ms, row.last_ms)
    factor = np.exp(-(effective_ms - row.last_ms) * _DECAY) if row.payments > 0 else 1.0
    row.last_ms = effective_ms
    row.payments += 1
    for j in range(_ADDED):
        row.total[j] *= factor
        row.weight[j] *= factor
        if not np.isnan(told[j]):
            if row.weight[j] == 0.0 or not row.maximum[j] >= told[j]:
                row.maximum[j] = told[j]
            row.total[j] += told[j]
            row.weight[j] += 1.0
