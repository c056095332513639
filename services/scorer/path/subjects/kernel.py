"""The subject hop's kernel. Compiled by numba: no fastmath, fixed order of operations, float64 throughout."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from services.scorer.path.subjects.facts import COUNTERPARTY_BITS, EVIDENCE_MAX, HALF_LIFE_MS, PAYERS
from services.scorer.path.subjects.rows import ADDED, OTHERS

_DECAY = 0.6931471805599453 / HALF_LIFE_MS
_EVIDENCE = ADDED - 1
_PAYMENTS, _PAYMENTS_180D, _COUNTERPARTIES, _ADDED_AT = range(4)
_OTHERS_AT = _ADDED_AT + 3 * ADDED
_PAYERS_AT = _OTHERS_AT + 2 * OTHERS


class SubjectBatch(NamedTuple):
    """n payments under a pack, in order."""

    event_ms: Any
    """int64[n]."""
    payers: Any
    """uint64[n, 2]: digests, as of ``payees``."""
    payees: Any
    facts: Any
    """float64[n, len(FACTS)]."""
    evidence: Any
    """float64[n]: what the model of payments says of each beyond its bias, log-odds; NaN without a model."""


class Rows(NamedTuple):
    """What the kernel updates: rows of both sides, by slot."""

    payers: Any
    others: Any
    """``OTHERS_ROW``, by the payers' slots."""
    payees: Any
    payers_of: Any
    """``PAYERS_ROW``, by the payees' slots."""


@njit(cache=True)
def add_up_kernel(batch: SubjectBatch, payer_slots: Any, payee_slots: Any, rows: Rows, out: Any) -> None:
    """Add n payments up; ``out`` is float64[n, 2, S]. For each, in this order:

    1. Both sides' facts are added up, the model's evidence among them.
    2. What other payers left at the payee is read, before this payment and without this payer.
    3. The payer's own evidence, which is its running mean and nothing of others', is left at the payee.
    4. What was read is added up for the payer.
    """
    values, summary = np.empty(ADDED), np.empty(OTHERS)
    for i in range(len(payer_slots)):
        values[:_EVIDENCE] = batch.facts[i]
        values[_EVIDENCE] = bounded(batch.evidence[i])
        payer, payee = rows.payers[payer_slots[i]], rows.payees[payee_slots[i]]
        others, payers_of = rows.others[payer_slots[i]], rows.payers_of[payee_slots[i]]
        factor = _add(payer, values, batch.event_ms[i], batch.payees[i])
        _add(payee, values, batch.event_ms[i], batch.payers[i])
        _read_payers(payers_of, payee.last_ms, batch.payers[i, 0], True, summary)
        weight = payer.weight[_EVIDENCE]
        if weight > 0.0:
            _leave(payers_of, batch.payers[i, 0], payer.total[_EVIDENCE] / weight, payee.last_ms)
        _add_summary(others, summary, factor, payer.payments == 1)
        _write(out[i, 0], payer)
        _write(out[i, 1], payee)
        _write_others(out[i, 0], others)
        out[i, 0, _PAYERS_AT:] = np.nan
        out[i, 1, _OTHERS_AT:_PAYERS_AT] = np.nan
        _read_payers(payers_of, payee.last_ms, np.uint64(0), False, summary)
        out[i, 1, _PAYERS_AT:] = summary


@njit(cache=True)
def bounded(evidence: float) -> float:
    """The evidence of one payment within its bounds; NaN stays NaN."""
    if evidence > EVIDENCE_MAX:
        return EVIDENCE_MAX
    return -EVIDENCE_MAX if evidence < -EVIDENCE_MAX else evidence


@njit(cache=True)
def _add(row: Any, values: Any, event_ms: int, counterparty: Any) -> float:
    """Take a payment into a subject's row; returns what its time has left of every sum."""
    if row.payments == 0:
        row.last_ms = event_ms
        for j in range(ADDED):
            row.last[j] = np.nan
            row.maximum[j] = np.nan
    effective_ms = max(event_ms, row.last_ms)
    factor = np.exp(-(effective_ms - row.last_ms) * _DECAY)
    row.last_ms = effective_ms
    row.payments += 1
    row.payments_180d = row.payments_180d * factor + 1.0
    bit = counterparty[1] % np.uint64(COUNTERPARTY_BITS)
    row.counterparties[np.int64(bit >> np.uint64(6))] |= np.uint64(1) << (bit & np.uint64(63))
    for j in range(ADDED):
        value = values[j]
        row.total[j] *= factor
        row.weight[j] *= factor
        if not np.isnan(value):
            row.total[j] += value
            row.weight[j] += 1.0
            row.last[j] = value
            if not row.maximum[j] >= value:
                row.maximum[j] = value
    return float(factor)


@njit(cache=True)
def _add_summary(others: Any, summary: Any, factor: float, first: bool) -> None:
    """Take what was read at a payee into a payer's sums."""
    for j in range(OTHERS):
        if first:
            others.maximum[j] = np.nan
        others.total[j] *= factor
        others.weight[j] *= factor
        if not np.isnan(summary[j]):
            others.total[j] += summary[j]
            others.weight[j] += 1.0
            if not others.maximum[j] >= summary[j]:
                others.maximum[j] = summary[j]


@njit(cache=True)
def _read_payers(row: Any, now_ms: int, payer: Any, without: bool, summary: Any) -> None:
    """The highest, the mean and the number of what payers left, each damped by its age; ``without`` this ``payer``."""
    highest, total, number = np.nan, 0.0, 0
    for k in range(row.number):
        each = row.payers[k]
        if without and each.digest == payer:
            continue
        evidence = each.evidence * np.exp(-(now_ms - each.ms) * _DECAY)
        if not highest >= evidence:
            highest = evidence
        total += evidence
        number += 1
    summary[0] = highest
    summary[1] = total / number if number > 0 else np.nan
    summary[2] = float(number)


@njit(cache=True)
def _leave(row: Any, payer: Any, evidence: float, now_ms: int) -> None:
    """Put a payer first among those of a payee; of too many, the one that paid the longest ago goes."""
    at = 0
    while at < row.number and row.payers[at].digest != payer:
        at += 1
    if at == row.number:
        if row.number < PAYERS:
            row.number += 1
        else:
            at = PAYERS - 1
    for k in range(at, 0, -1):
        row.payers[k].digest = row.payers[k - 1].digest
        row.payers[k].evidence = row.payers[k - 1].evidence
        row.payers[k].ms = row.payers[k - 1].ms
    row.payers[0].digest = payer
    row.payers[0].evidence = evidence
    row.payers[0].ms = now_ms


@njit(cache=True)
def _write(x: Any, row: Any) -> None:
    """What both sides have in common."""
    x[_PAYMENTS] = float(row.payments)
    x[_PAYMENTS_180D] = row.payments_180d
    x[_COUNTERPARTIES] = _counted(row.counterparties)
    for j in range(ADDED):
        x[_ADDED_AT + 3 * j] = row.last[j]
        x[_ADDED_AT + 3 * j + 1] = row.total[j] / row.weight[j] if row.weight[j] > 0.0 else np.nan
        x[_ADDED_AT + 3 * j + 2] = row.maximum[j]


@njit(cache=True)
def _write_others(x: Any, others: Any) -> None:
    """What a payer alone has: the evidence of others at its payees."""
    for j in range(OTHERS):
        x[_OTHERS_AT + 2 * j] = others.total[j] / others.weight[j] if others.weight[j] > 0.0 else np.nan
        x[_OTHERS_AT + 2 * j + 1] = others.maximum[j]


@njit(cache=True)
def _counted(words: Any) -> float:
    """Linear counting (Whang et al., 1990); a full set counts as one with a single bit free."""
    ones = 0
    for word in words:
        left = word
        while left != np.uint64(0):
            left &= left - np.uint64(1)
            ones += 1
    free = max(1, COUNTERPARTY_BITS - ones)
    return float(-COUNTERPARTY_BITS * np.log(free / COUNTERPARTY_BITS))
