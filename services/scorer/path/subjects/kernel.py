"""The kernels of subjects, one a side. Compiled by numba: no fastmath, and a fixed order of operations."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from services.scorer.path.subjects.facts import COUNTERPARTY_BITS, EVIDENCE_MAX, HALF_LIFE_MS, PAYERS
from services.scorer.path.subjects.rows import ADDED, OTHERS

_DECAY = 0.6931471805599453 / HALF_LIFE_MS
_EVIDENCE = ADDED - 1
_PAYMENTS, _PAYMENTS_180D, _COUNTERPARTIES, _ADDED_AT = range(4)
_SIDE_AT = _ADDED_AT + 3 * ADDED
_WEIGHT_MIN = 1e-30
"""Below, what was known is too long ago to be told from noise, and counts as never told."""


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


@njit(cache=True)
def payee_kernel(batch: SubjectBatch, slots: Any, rows: Any, payers_of: Any, out: Any, others: Any) -> None:
    """Add n payments up for their payees: ``rows`` and ``payers_of`` by ``slots`` (int64[n]), ``out`` float64[n, S],
    ``others`` float64[n, OTHERS]. For each, in this order:

    1. Its facts are added up, the model's evidence among them.
    2. What other payers' words are at the payee is read, before this payment and without this payer.
    3. The payer's own word takes in this payment's evidence.
    """
    values = np.empty(ADDED, dtype=np.float32)
    for i in range(len(slots)):
        row, words = rows[slots[i]], payers_of[slots[i]]
        evidence = bounded(batch.evidence[i])
        _take_values(values, batch.facts[i], evidence)
        _add(row, values, batch.event_ms[i], batch.payers[i])
        _read_words(words, row.last_ms, batch.payers[i, 0], True, others[i])
        if not np.isnan(evidence):
            _leave(words, batch.payers[i, 0], evidence, row.last_ms)
        _write(out[i], row)
        _read_words(words, row.last_ms, np.uint64(0), False, out[i, _SIDE_AT:])


@njit(cache=True)
def payer_kernel(batch: SubjectBatch, others: Any, slots: Any, rows: Any, others_at: Any, out: Any) -> None:
    """Add n payments up for their payers: ``rows`` and ``others_at`` by ``slots`` (int64[n]), ``out`` float64[n, S].
    ``others`` is float64[n, OTHERS], as the payees' side read it."""
    values = np.empty(ADDED, dtype=np.float32)
    for i in range(len(slots)):
        row, second = rows[slots[i]], others_at[slots[i]]
        _take_values(values, batch.facts[i], bounded(batch.evidence[i]))
        factor = _add(row, values, batch.event_ms[i], batch.payees[i])
        _add_others(second, others[i], factor, row.payments == 1)
        _write(out[i], row)
        _write_others(out[i], second)


@njit(cache=True)
def bounded(evidence: float) -> float:
    """The evidence of one payment within its bounds; NaN stays NaN."""
    if evidence > EVIDENCE_MAX:
        return EVIDENCE_MAX
    return -EVIDENCE_MAX if evidence < -EVIDENCE_MAX else evidence


@njit(cache=True)
def _take_values(values: Any, facts: Any, evidence: float) -> None:
    """What is added up of a payment, rounded to float32."""
    for j in range(_EVIDENCE):
        values[j] = np.float32(facts[j])
    values[_EVIDENCE] = np.float32(evidence)


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
        total, weight = row.total[j] * factor, np.float64(row.weight[j]) * factor
        if weight < _WEIGHT_MIN:
            total, weight = 0.0, 0.0
        if not np.isnan(value):
            total += np.float64(value)
            weight += 1.0
            row.last[j] = value
            if not row.maximum[j] >= value:
                row.maximum[j] = value
        row.total[j] = total
        row.weight[j] = np.float32(weight)
    return float(factor)


@njit(cache=True)
def _add_others(second: Any, others: Any, factor: float, first: bool) -> None:
    """Take what was read at a payee into a payer's sums."""
    for j in range(OTHERS):
        if first:
            second.maximum[j] = np.nan
        second.total[j] *= factor
        second.weight[j] *= factor
        if not np.isnan(others[j]):
            second.total[j] += others[j]
            second.weight[j] += 1.0
            if not second.maximum[j] >= others[j]:
                second.maximum[j] = others[j]


@njit(cache=True)
def _read_words(row: Any, now_ms: int, payer: Any, without: bool, summary: Any) -> None:
    """The highest, the mean and the number of payers' words, each damped by its age; ``without`` this ``payer``."""
    highest, total, number = np.nan, 0.0, 0
    for k in range(row.number):
        word = row.words[k]
        if without and word.digest == payer:
            continue
        evidence = word.total / word.weight * np.exp(-(now_ms - word.ms) * _DECAY)
        if not highest >= evidence:
            highest = evidence
        total += evidence
        number += 1
    summary[0] = highest
    summary[1] = total / number if number > 0 else np.nan
    summary[2] = float(number)


@njit(cache=True)
def _leave(row: Any, payer: Any, evidence: float, now_ms: int) -> None:
    """Take evidence into a payer's word, and put that first; of too many, the one given the longest ago goes."""
    at = 0
    while at < row.number and row.words[at].digest != payer:
        at += 1
    total, weight = 0.0, 0.0
    if at < row.number:
        factor = np.exp(-(now_ms - row.words[at].ms) * _DECAY)
        total, weight = row.words[at].total * factor, row.words[at].weight * factor
    elif row.number < PAYERS:
        row.number += 1
    else:
        at = PAYERS - 1
    for k in range(at, 0, -1):
        row.words[k].digest = row.words[k - 1].digest
        row.words[k].total = row.words[k - 1].total
        row.words[k].weight = row.words[k - 1].weight
        row.words[k].ms = row.words[k - 1].ms
    row.words[0].digest = payer
    row.words[0].total = total + evidence
    row.words[0].weight = weight + 1.0
    row.words[0].ms = now_ms


@njit(cache=True)
def _write(x: Any, row: Any) -> None:
    """What both sides have in common."""
    x[_PAYMENTS] = float(row.payments)
    x[_PAYMENTS_180D] = row.payments_180d
    x[_COUNTERPARTIES] = _counted(row.counterparties)
    for j in range(ADDED):
        x[_ADDED_AT + 3 * j] = row.last[j]
        x[_ADDED_AT + 3 * j + 1] = row.total[j] / np.float64(row.weight[j]) if row.weight[j] > 0.0 else np.nan
        x[_ADDED_AT + 3 * j + 2] = row.maximum[j]


@njit(cache=True)
def _write_others(x: Any, second: Any) -> None:
    """What a payer alone has: the words of others at its payees."""
    for j in range(OTHERS):
        x[_SIDE_AT + 2 * j] = second.total[j] / second.weight[j] if second.weight[j] > 0.0 else np.nan
        x[_SIDE_AT + 2 * j + 1] = second.maximum[j]


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
