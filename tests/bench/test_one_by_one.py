"""What baselines call: the scorer's path, one record at a time."""

from __future__ import annotations

from collections.abc import Sequence

from services.bench.champion import champion_of
from services.bench.one_by_one import OneByOne
from services.bench.payments import bank_payments
from services.contract.codec import encode
from services.runtime.settings import load_settings
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Outbound, Record
from services.scorer.rulebook.ruleset_file import load_ruleset
from tests.support.handed import rows_handed


def _handed(forwarded: Sequence[Outbound]) -> list[Record]:
    return [Record(at, each.timestamp, each.key, each.value, each.headers) for at, each in enumerate(forwarded)]


def test_it_decides_as_the_scorer_does_with_batches() -> None:
    settings = load_settings(partitions=1)
    ruleset, model, topics = load_ruleset(settings), champion_of("boosting", settings), settings.topics
    records = [
        Record(at, payment.event_time_ms, payment.payer.account.encode(), encode(payment))
        for at, payment in enumerate(bank_payments(400))
    ]
    payer = PayerHop(ruleset, topics.payments.name, 0, 1)
    payee = PayeeHop(ruleset, topics.payments_by_payee.name, 0, 1, 1)
    forwarded = payer.process(records, model).outputs["payments_by_payee"]
    decided = payee.process(_handed(forwarded), model).outputs["decisions"]

    path = OneByOne(settings, "boosting")
    singly = [each for r in records for each in path.payer(0, r).result.outputs["payments_by_payee"]]
    assert rows_handed(singly) == rows_handed(list(forwarded))
    one_by_one = [each for r in _handed(singly) for each in path.payee(0, r).result.outputs["decisions"]]
    assert one_by_one == list(decided)
    assert len(decided) == 400


def test_it_tells_of_the_rows_that_changed() -> None:
    settings = load_settings(partitions=1)
    path = OneByOne(settings, "untrained")
    (payment,) = bank_payments(1)
    step = path.payer(0, Record(0, payment.event_time_ms, payment.payer.account.encode(), encode(payment)))
    assert any(row is not None for _, row in step.changed)


def test_a_champion_is_the_same_in_every_process() -> None:
    settings = load_settings()
    assert champion_of("boosting", settings).hash == champion_of("boosting", settings).hash
    assert champion_of("boosting", settings, seed=2).hash != champion_of("boosting", settings).hash
