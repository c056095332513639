"""The scorer's pure path, called with one record at a time: all that a framework can do which hands out one message at
a time. Features, rules, model and decisions are the scorer's; what a batch shares is paid for every payment."""

from __future__ import annotations

import time
from typing import NamedTuple

from services.bench.champion import champion_of
from services.bench.payments import bank_payments
from services.bench.plan import ChampionKind
from services.contract.codec import encode
from services.runtime.settings import Settings
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import HopResult, Inbound, Record
from services.scorer.rulebook.ruleset_file import load_ruleset

ROLES = ("payments_by_payee", "decisions", "features", "reviews", "dead_letters")
"""Topics that the hops write to, beside their changelogs."""
WARM, MEASURED = 500, 1_000
"""Payments."""


class Step(NamedTuple):
    """What one record gave: the hop's result, and the entries of its changelog."""

    result: HopResult
    changed: list[tuple[bytes, bytes | None]]


class OneByOne:
    """Both hops of every partition, made when a partition's first record comes."""

    def __init__(self, settings: Settings, champion: ChampionKind) -> None:
        self._settings, self._ruleset = settings, load_ruleset(settings)
        self._model = champion_of(champion, settings)
        self._payers: dict[int, PayerHop] = {}
        self._payees: dict[int, PayeeHop] = {}

    def payer(self, partition: int, record: Inbound) -> Step:
        """A record of ``payments.v1``."""
        hop = self._payers.get(partition)
        if hop is None:
            settings = self._settings
            hop = PayerHop(self._ruleset, settings.topics.payments.name, partition, settings.partitions)
            self._payers[partition] = hop
        return self._step(hop, record)

    def payee(self, partition: int, record: Inbound) -> Step:
        """A record of ``payments.by-payee.v1``."""
        hop = self._payees.get(partition)
        if hop is None:
            settings = self._settings
            hop = PayeeHop(
                self._ruleset, settings.topics.payments_by_payee.name, partition, settings.partitions,
                settings.partitions, settings.repeats_possible,
            )  # fmt: skip
            self._payees[partition] = hop
        return self._step(hop, record)

    def _step(self, hop: PayerHop | PayeeHop, record: Inbound) -> Step:
        result = hop.process([record], self._model)
        return Step(result, hop.state.checkpoint(record.offset + 1))


def one_by_one_us(settings: Settings, champion: ChampionKind) -> float:
    """CPU microseconds a payment of both hops' pure path when each record comes alone: what is not the framework's of
    what such a baseline costs."""
    path, handed_over, began_s = OneByOne(settings, champion), 0, 0.0
    for at, payment in enumerate(bank_payments(WARM + MEASURED)):
        if at == WARM:
            began_s = time.process_time()
        record = Record(at, payment.event_time_ms, payment.payer.account.encode(), encode(payment))
        for each in path.payer(0, record).result.outputs["payments_by_payee"]:
            path.payee(0, Record(handed_over, each.timestamp, each.key, each.value, each.headers))
            handed_over += 1
    return 1e6 * (time.process_time() - began_s) / MEASURED
