"""Two runs of the same payments, compared: on the pure path, and on a real Kafka."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from services.bench.agreement import RATE, Dated, Verdict, compared, measure_agreement, verdicts
from services.bench.champion import champion_of
from services.bench.payments import bank_payments, generated_payments
from services.bench.schedule import routed
from services.bench.worker import MeasuringError
from services.contract.codec import decode
from services.contract.payment import Payment
from services.runtime.clock import now_ms
from services.runtime.settings import load_settings
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Outbound, Record
from services.scorer.rulebook.ruleset_file import load_ruleset
from tests.support.deployment import Deployment

COUNT = 600
PAYMENTS = list(generated_payments(COUNT, 100, "remitter"))
IDS = {each.payment_id for each in PAYMENTS}


def _decisions(turns: Sequence[int]) -> list[bytes]:
    """Decisions where two partitions of payers, whose payees share one, had their ``turns``: each a third of a log."""
    ruleset = load_ruleset(load_settings())
    model = champion_of("boosting", load_settings())
    logs: list[list[Record]] = [[], []]
    for payment, (partition, key, value) in zip(PAYMENTS, routed(PAYMENTS, 2), strict=True):
        logs[partition].append(Record(len(logs[partition]), payment.event_time_ms, key, value))
    thirds = [len(log) // 3 + 1 for log in logs]
    payers = [PayerHop(ruleset, "payments", partition, 1) for partition in range(2)]
    forwarded: list[Outbound] = []
    for partition in turns:
        records, logs[partition] = logs[partition][: thirds[partition]], logs[partition][thirds[partition] :]
        forwarded += payers[partition].process(records, model).outputs["payments_by_payee"]
    handed = [Record(at, each.timestamp, each.key, each.value, each.headers) for at, each in enumerate(forwarded)]
    payee = PayeeHop(ruleset, "payees", 0, 2, 1)
    return [each.value or b"" for each in payee.process(handed, model).outputs["decisions"]]


def test_the_same_order_gives_the_same_decisions_to_the_bit() -> None:
    runs = [verdicts(_decisions([0, 1, 0, 1, 0, 1]), IDS) for _ in range(2)]
    assert compared(*runs) == {
        "payments": COUNT,
        "reviews": sum(each.outcome == "review" for each in runs[0].values()),
        "outcomes_differ": 0,
        "outcomes_differ_share": 0.0,
        "scores_differ": 0,
        "scores_differ_share": 0.0,
        "scores_apart": 0,
    }


def test_another_order_among_partitions_shows() -> None:
    found = compared(*(verdicts(_decisions(turns), IDS) for turns in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])))
    assert found["payments"] == COUNT
    assert 0 < found["outcomes_differ"] < found["scores_differ"]
    assert 0 < found["scores_apart"] <= found["scores_differ"] < COUNT
    assert found["scores_differ_share"] == pytest.approx(found["scores_differ"] / COUNT, abs=1e-6)


def test_outcomes_and_bits_of_scores_are_counted_each() -> None:
    first = {name: Verdict("pass", 0.3) for name in "abcd"} | {"e": Verdict("review", 0.0)}
    second = first | {"a": Verdict("review", 0.3), "b": Verdict("pass", 0.1 + 0.2), "c": Verdict("review", 0.4)}
    found = compared(first, second | {"e": Verdict("review", -0.0)})
    assert (found["reviews"], found["outcomes_differ"], found["scores_differ"], found["scores_apart"]) == (1, 2, 3, 1)
    assert (found["outcomes_differ_share"], found["scores_differ_share"]) == (0.4, 0.6)


@pytest.mark.parametrize("other", [{}, {"b": Verdict("pass", 0.0)}])
def test_other_payments_are_not_compared(other: dict[str, Verdict]) -> None:
    for one in ({}, {"a": Verdict("pass", 0.0)}):
        with pytest.raises(MeasuringError, match="not the same ones, or none"):
            compared(one, other)


def test_a_payment_without_a_decision_or_with_two_is_no_figure() -> None:
    decisions = _decisions([0, 1, 0, 1, 0, 1])
    with pytest.raises(MeasuringError, match=r"1 of 600 payments were not decided"):
        verdicts(decisions[1:], IDS)
    with pytest.raises(MeasuringError, match=r"was decided twice"):
        verdicts([*decisions, decisions[7]], IDS)


def test_payments_of_now_keep_their_dates_when_they_are_sent_again() -> None:
    dated = Dated(list(bank_payments(100)), 4)
    began_ms = now_ms()
    first = dated.begin(time.monotonic() + 5.0)
    times_ms = [decode(each.value, Payment).event_time_ms for each in first]
    assert began_ms + 5_000 <= times_ms[0] <= now_ms() + 5_001
    assert times_ms[-1] - times_ms[0] == pytest.approx(1e3 * 99 / RATE, abs=1)
    assert times_ms == sorted(times_ms)
    assert dated.begin(time.monotonic() + 60.0) == first


def test_each_case_is_of_every_payment_of_two_runs(deployment: Deployment) -> None:
    told: list[str] = []
    found = measure_agreement(deployment.settings, "untrained", 400, None, told.append)
    assert {name: each["payments"] for name, each in found.items()} == {
        "replay_unheld": 400,
        "replay": 400,
        "real_pace": 120,
    }
    assert [each["event_spread_minutes"] for each in found.values()] == [0, 60, 60]
    assert found["replay"]["scores_differ"] == 0, "partitions that are held together take their turns in one order"
    assert len(told) == 6
