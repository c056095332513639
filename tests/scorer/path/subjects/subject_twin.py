"""The naive twin of subjects: plain Python over whole histories, no kernel, no running sums."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.scorer.path.subjects.facts import COUNTERPARTY_BITS, EVIDENCE_MAX, HALF_LIFE_MS, PAYERS

NAN = math.nan


@dataclass
class Payment:
    """One payment under a pack."""

    event_ms: int
    payer: tuple[int, int]
    payee: tuple[int, int]
    facts: list[float]
    evidence: float


@dataclass
class Subject:
    """All that was ever known of a subject."""

    times: list[int] = field(default_factory=list)
    """Effective times."""
    values: list[list[float]] = field(default_factory=list)
    counterparties: set[int] = field(default_factory=set)
    summaries: list[list[float]] = field(default_factory=list)
    """Of a payer: what others' words were at its payees, one a payment."""
    words: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    """Of a payee: evidence and time of each payment, by the digests of its latest payers, the latest last."""

    def take(self, payment: Payment, counterparty: tuple[int, int]) -> None:
        self.times.append(max(payment.event_ms, *self.times) if self.times else payment.event_ms)
        evidence = payment.evidence
        if not math.isnan(evidence):
            evidence = max(-EVIDENCE_MAX, min(EVIDENCE_MAX, evidence))
        self.values.append([float(np.float32(value)) for value in (*payment.facts, evidence)])
        self.counterparties.add(counterparty[1] % COUNTERPARTY_BITS)

    def weights(self) -> list[float]:
        return [2.0 ** (-(self.times[-1] - at) / HALF_LIFE_MS) for at in self.times]

    def mean(self, values: list[float]) -> float:
        known = [(w, v) for w, v in zip(self.weights(), values, strict=True) if not math.isnan(v)]
        return math.fsum(w * v for w, v in known) / math.fsum(w for w, _ in known) if known else NAN

    def common(self) -> list[float]:
        free = max(1, COUNTERPARTY_BITS - len(self.counterparties))
        numbers = [
            float(len(self.times)),
            math.fsum(self.weights()),
            -COUNTERPARTY_BITS * math.log(free / COUNTERPARTY_BITS),
        ]
        for column in map(list, zip(*self.values, strict=True)):
            known = [value for value in column if not math.isnan(value)]
            numbers += [known[-1] if known else NAN, self.mean(column), max(known, default=NAN)]
        return numbers

    def leave(self, payer: int, evidence: float) -> None:
        """Of a payee: take evidence into a payer's word."""
        word = self.words.pop(payer, [])
        if len(self.words) == PAYERS:
            del self.words[next(iter(self.words))]
        self.words[payer] = [*word, (max(-EVIDENCE_MAX, min(EVIDENCE_MAX, evidence)), self.times[-1])]

    def payers(self, without: int | None) -> list[float]:
        """The highest, the mean and the number of the payers' words at the payee."""
        damped = []
        for payer, word in self.words.items():
            given_ms = word[-1][1]
            weights = [2.0 ** (-(given_ms - at) / HALF_LIFE_MS) for _, at in word]
            said = math.fsum(w * e for w, (e, _) in zip(weights, word, strict=True)) / math.fsum(weights)
            if payer != without:
                damped.append(said * 2.0 ** (-(self.times[-1] - given_ms) / HALF_LIFE_MS))
        return [max(damped, default=NAN), math.fsum(damped) / len(damped) if damped else NAN, float(len(damped))]


class Twin:
    """The subjects of a partition, the longest idle forgotten when there are more than ``limit``."""

    def __init__(self, limit: int = 10**9) -> None:
        self.limit = limit
        self.sides: tuple[dict[tuple[int, int], Subject], dict[tuple[int, int], Subject]] = ({}, {})
        self.evicted = 0

    def _subject(self, side: int, digest: tuple[int, int]) -> Subject:
        known = self.sides[side]
        subject = known.pop(digest, None)
        if subject is None:
            subject = Subject()
            if len(known) >= self.limit:
                del known[next(iter(known))]
                self.evicted += 1
        known[digest] = subject
        return subject

    def take(self, payment: Payment) -> tuple[list[float], list[float]]:
        """The features of payer and payee after this payment."""
        payer, payee = self._subject(0, payment.payer), self._subject(1, payment.payee)
        payer.take(payment, payment.payee)
        payee.take(payment, payment.payer)
        payer.summaries.append(payee.payers(without=payment.payer[0]))
        if not math.isnan(payment.evidence):
            payee.leave(payment.payer[0], payment.evidence)
        others: list[Any] = []
        for column in map(list, zip(*payer.summaries, strict=True)):
            others += [payer.mean(column), max((each for each in column if not math.isnan(each)), default=NAN)]
        return [*payer.common(), *others], [*payee.common(), *payee.payers(without=None)]
