"""One run that many tests read: small, half a year, with many LSAC payers so that shares can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from services.generator import AccountTruth, Configuration, LabelTruth, PaymentTruth, Stream
from services.generator.measures import Measures
from services.generator.rows import PAYMENT

RICH = Configuration(payers=2_500, months=6, seed=11, base_rate=0.16)


@dataclass
class Run:
    """Everything of one run."""

    stream: Stream
    measures: Measures
    values: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    chunk_sizes: list[int] = field(default_factory=list)
    labels: list[LabelTruth] = field(default_factory=list)

    @property
    def payments(self) -> list[dict[str, Any]]:
        """Each payment once, as JSON objects."""
        return [orjson.loads(value) for value, kind in zip(self.values, self.kinds, strict=True) if kind == PAYMENT]


def run_of(configuration: Configuration) -> Run:
    """Run a configuration to its end."""
    stream = Stream(configuration)
    run = Run(stream, Measures(stream), labels=list(stream.case_labels()))
    for day in stream.days():
        run.measures.add(day)
        run.labels += day.labels
        for chunk in stream.written(day.rows):
            run.values += chunk.values
            run.keys += chunk.keys
            run.kinds += chunk.kinds.tolist()
            run.times_ms += chunk.times_ms.tolist()
            run.chunk_sizes.append(len(chunk.values))
    return run


@pytest.fixture(scope="session")
def rich() -> Run:
    return run_of(RICH)


@pytest.fixture(scope="session")
def bank() -> Run:
    return run_of(Configuration(payers=400, months=2, seed=3, base_rate=0.2, profile="bank"))


@pytest.fixture(scope="session")
def accounts(rich: Run) -> list[AccountTruth]:
    return list(rich.stream.accounts())


@pytest.fixture(scope="session")
def typologies(rich: Run) -> dict[str, PaymentTruth]:
    return {each.payment_id: each for each in rich.stream.payments()}


@pytest.fixture(scope="session")
def payments(rich: Run) -> list[dict[str, Any]]:
    return rich.payments
