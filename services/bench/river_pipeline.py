"""The plain River pipeline, called once a payment in aiokafka: what the libraries' own pages would lead one to write.

Each side of a payment keeps eight quantities under eight half-lives in plain Python objects, 128 features in all, as
the Kafka Streams application has them; then ``StandardScaler | LogisticRegression`` says a probability. It has neither
rules nor packs nor reasons, drops no repeats, and its state is gone with the process. Run by ``tocsin bench`` as a
process of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import orjson
from river.compose import Pipeline
from river.linear_model import LogisticRegression
from river.preprocessing import StandardScaler

from services.bench.plain import run_hops

HOUR_MS = 3_600_000
HALF_LIVES_H = (1, 6, 24, 72, 168, 720, 2_160, 4_320)
RATES_PER_MS = tuple(math.log(2) / (hours * HOUR_MS) for hours in HALF_LIVES_H)
QUANTITIES = ("count", "amount", "amount_squared", "log_amount", "abroad", "night", "round", "new_counterparty")
LEARNED_FIRST = 200
"""Payments that the pipeline learns before it only scores: an untrained one would cost less."""
ROUND_MINOR = 1_000
NIGHT_ENDS_H = 6


@dataclass(slots=True)
class Side:
    """One account's decayed sums, ``[half-life][quantity]``, and its last payment."""

    sums: list[list[float]] = field(default_factory=lambda: [[0.0] * len(QUANTITIES) for _ in HALF_LIVES_H])
    last_ms: int = 0
    last_counterparty: str = ""

    def measure(self, payment: dict[str, Any], side: str, counterparty: str) -> dict[str, float]:
        """The features of ``side`` (``payer`` or ``payee``) before ``payment``, which is then counted in."""
        event_ms, amount = payment["event_time_ms"], float(payment["amount_minor"])
        elapsed_ms = max(0, event_ms - self.last_ms)
        quantities = (
            1.0,
            amount,
            amount * amount,
            math.log1p(amount),
            float(payment["payer"].get("country") != payment["payee"].get("country")),
            float(event_ms // HOUR_MS % 24 < NIGHT_ENDS_H),
            float(payment["amount_minor"] % ROUND_MINOR == 0),
            float(counterparty != self.last_counterparty),
        )
        features = {}
        for at, (hours, rate) in enumerate(zip(HALF_LIVES_H, RATES_PER_MS, strict=True)):
            factor = math.exp(-elapsed_ms * rate)
            before = [each * factor for each in self.sums[at]]
            for name, value in zip(QUANTITIES, before, strict=True):
                features[f"{side}_{name}_{hours}h"] = value
            self.sums[at] = [value + more for value, more in zip(before, quantities, strict=True)]
        self.last_ms, self.last_counterparty = max(self.last_ms, event_ms), counterparty
        return features


class Hops:
    """Both hops' work, with the state of each."""

    def __init__(self) -> None:
        self._payers: dict[str, Side] = {}
        self._payees: dict[str, Side] = {}
        self._pipeline: Pipeline = StandardScaler() | LogisticRegression()
        self._learned = 0

    def payer(self, value: bytes) -> tuple[bytes, bytes]:
        """A payment with its payer's features, to its payee."""
        payment = orjson.loads(value)
        payer, payee = payment["payer"]["account"], payment["payee"]["account"]
        payment["features"] = self._payers.setdefault(payer, Side()).measure(payment, "payer", payee)
        return payee.encode(), orjson.dumps(payment)

    def payee(self, value: bytes) -> tuple[bytes, bytes]:
        """A lean decision on it."""
        payment = orjson.loads(value)
        payer, payee = payment["payer"]["account"], payment["payee"]["account"]
        on_payee_side = self._payees.setdefault(payee, Side()).measure(payment, "payee", payer)
        features = payment["features"] | on_payee_side
        if self._learned < LEARNED_FIRST:
            self._pipeline.learn_one(features, self._learned % 2 == 0)
            self._learned += 1
        probability = self._pipeline.predict_proba_one(features).get(True, 0.0)
        decision = {
            "payment_id": payment["payment_id"],
            "event_time_ms": payment["event_time_ms"],
            "outcome": "review" if probability > 0.5 else "pass",
            "probability": probability,
        }
        return payee.encode(), orjson.dumps(decision)


if __name__ == "__main__":
    hops = Hops()
    run_hops(hops.payer, hops.payee)
