"""The scorer's pure path, called with one record at a time: all that a framework can do which hands out one message at
a time. Features, rules, model and decisions are the scorer's; what a batch shares is paid for every payment."""

from __future__ import annotations

from typing import NamedTuple

from services.bench.champion import ChampionKind, champion_of
from services.runtime.settings import Settings
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import HopResult, Inbound
from services.scorer.rulebook.ruleset_file import load_ruleset


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
        return Step(result, hop.state.changelog(result.touched))
