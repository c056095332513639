"""Hops as a worker runs them, with a changelog that outlives it; and a log of remittances through all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from services.contract.codec import encode
from services.contract.evidence import Evidence, read_evidence
from services.contract.partitioner import partitions_of
from services.contract.payment import Payment
from services.scorer.path.asking.hop import SubjectHop
from services.scorer.path.features.registry import FEATURES, NAMES, feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop, schema_of
from services.scorer.path.records import Outbound, Record
from services.scorer.path.scoring.model import LogisticModel
from tests.workbench.assessment.folders import RULESET

SCHEMA = schema_of(RULESET)
APPENDED_MS = 1_900_000_000_000
Entries = list[tuple[bytes, bytes | None]]


def model(seed: int) -> LogisticModel:
    rng = np.random.default_rng(seed)
    count = len(FEATURES)
    weights, means, scales = rng.normal(size=count) * 0.2, rng.random(count), rng.random(count) + 0.5
    return LogisticModel(seed, feature_schema_hash(RULESET.parameters), -2.0, weights, means, scales, 0.9)


class Hop(Protocol):
    @property
    def state(self) -> Any: ...
    def process(self, records: Any, model: Any) -> Any: ...
    def take(self, records: Any) -> None: ...


H = TypeVar("H", bound=Hop)


@dataclass
class Partition(Generic[H]):
    """One input partition: its log, and what a worker that may die at any time has written of it."""

    make: Callable[[], H]
    log: list[Record]
    entries: Entries = field(default_factory=list)
    next_offset: int = 0
    outputs: dict[str, list[Outbound]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hop = self.make()

    def go(self, upto: int, by: LogisticModel, checkpoint: bool) -> None:
        """The next batch, up to before ``upto``, in one transaction."""
        batch = self.log[self.next_offset : upto]
        result = self.hop.process(batch, by)
        for role, records in result.outputs.items():
            self.outputs.setdefault(role, []).extend(records)
        self.next_offset = upto
        self.entries += self.hop.state.checkpoint(upto) if checkpoint else self.hop.state.beyond_log()

    def crash(self, compact: bool) -> None:
        """Another worker takes the partition over."""
        if compact:
            self.entries = [(key, value) for key, value in dict(self.entries).items() if value is not None]
        self.hop = self.make()
        self.hop.state.restore(self.entries)
        start = self.hop.state.begin_at(0, 0)
        for at in range(start, self.next_offset, 3):
            self.hop.take(self.log[at : min(at + 3, self.next_offset)])


def payments_log(payments: Sequence[Payment]) -> list[Record]:
    return [Record(at, APPENDED_MS, each.payer.account.encode(), encode(each)) for at, each in enumerate(payments)]


def handed_over(payments: Sequence[Payment], size: int = 7) -> list[Record]:
    """The log of the only payee partition."""
    hop, log = PayerHop(RULESET, "payments.v1", 0, 1), payments_log(payments)
    out: list[Outbound] = []
    for at in range(0, len(log), size):
        found = hop.process(log[at : at + size], model(1)).outputs
        assert not found["dead_letters"]
        out += found["payments_by_payee"]
    return as_log(out)


def as_log(records: Sequence[Outbound], partition: int = 0) -> list[Record]:
    chosen = [each for each in records if each.partition == partition]
    return [Record(at, each.timestamp, each.key, each.value) for at, each in enumerate(chosen)]


def payee_hop(payer_partitions: int = 2) -> PayeeHop:
    return PayeeHop(RULESET, "payments.by-payee.v1", 0, 1, payer_partitions)


def subject_hop(partition: int = 0, repeats_possible: bool = False) -> SubjectHop:
    return SubjectHop(RULESET, SCHEMA, "evidence.by-payer.v1", partition, 1, repeats_possible)


def evidence_in(value: bytes) -> Evidence:
    found = read_evidence(value, SCHEMA, 1, len(NAMES))
    assert isinstance(found, Evidence), found
    return found


def partition_of(payer: str, partitions: int) -> int:
    return int(partitions_of([payer.encode()], partitions)[0])
