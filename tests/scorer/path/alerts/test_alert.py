"""What one more review does to the alert about its subject."""

from __future__ import annotations

from services.contract.alert import Review, Subject
from services.contract.decision import Reason, RuleResult
from services.scorer.path.alerts.alert import CONTRIBUTIONS_MAX, updated_alert


def review(number: int, probability: float = 0.5, rule: str = "r", account: str = "a") -> Review:
    return Review(
        subject=Subject("payer", account),
        queue="general",
        decision_id=f"d-{number}",
        payment_id=f"p-{number}",
        tenant="t",
        event_time_ms=1_000 + number,
        amount_minor=100,
        currency="EUR",
        score=0.0,
        probability=probability,
        reasons=(Reason("amount", float(number), probability),),
        rules=(RuleResult(rule, "hit", measured=float(number), threshold=1.0),),
        model_hash="m",
        ruleset_hash="s",
    )


def test_the_first_review_opens_an_alert() -> None:
    alert = updated_alert(None, review(1))
    assert (alert.status, alert.revision, alert.payments_count, alert.queue) == ("new", 1, 1, "general")


def test_a_further_review_revises_it_under_the_same_id() -> None:
    first = updated_alert(None, review(1, 0.9))
    second = updated_alert(first, review(2, 0.3))
    assert (second.alert_id, second.status, second.revision) == (first.alert_id, "update", 2)
    assert [each.payment_id for each in second.payments] == ["p-1", "p-2"]
    assert second.opened_event_time_ms == first.opened_event_time_ms


def test_its_reasons_are_those_of_its_most_probable_payment() -> None:
    alert = updated_alert(updated_alert(None, review(1, 0.9)), review(2, 0.3))
    assert (alert.probability_max, alert.reasons) == (0.9, review(1, 0.9).reasons)


def test_each_rule_keeps_its_latest_hit() -> None:
    alert = updated_alert(None, review(1, rule="x"))
    alert = updated_alert(alert, review(2, rule="y"))
    alert = updated_alert(alert, review(3, rule="x"))
    assert [(each.rule, each.measured) for each in alert.rules] == [("x", 3.0), ("y", 2.0)]


def test_the_payments_it_keeps_are_bounded_and_all_are_counted() -> None:
    alert = updated_alert(None, review(0))
    for number in range(1, 3 * CONTRIBUTIONS_MAX):
        alert = updated_alert(alert, review(number))
    assert (len(alert.payments), alert.payments_count) == (CONTRIBUTIONS_MAX, 3 * CONTRIBUTIONS_MAX)
    assert alert.payments[-1].payment_id == f"p-{3 * CONTRIBUTIONS_MAX - 1}"


def test_two_subjects_have_two_alerts() -> None:
    first, second = updated_alert(None, review(1)), updated_alert(None, review(1, account="b"))
    assert first.alert_id != second.alert_id
