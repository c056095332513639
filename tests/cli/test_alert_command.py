"""``tocsin alert`` without a Kafka: what is printed, and which lie about an alert is found out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO

import pytest
from msgspec import structs
from rich.console import Console

from services.cli.alert_view import show_alert
from services.contract.alert import Alert, Review
from services.contract.codec import decode, encode
from services.contract.decision import Decision
from services.runtime.settings import load_settings
from services.scorer.audit.recompute_alert import alert_checks, named_payments
from services.scorer.path.alerts.alert import CONTRIBUTIONS_MAX, superseded, updated_alert
from services.scorer.path.alerts.alert import stub as stub_of
from services.scorer.path.alerts.alerter import Alerter
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Outbound, Record
from services.scorer.path.scoring.model import untrained_model
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.scorer.shell.alerts import as_it_stands
from tests.scorer.path.alerts.test_alert import review
from tests.support.lsac import HOUR_MS, PAYEE, further, history


@dataclass(frozen=True)
class Seen:
    """What one partition made of the pack's history: decisions by id, and the reviews and alert of its last payee."""

    decisions: dict[str, Decision]
    reviews: list[Review] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)


def records(outbound: Sequence[Outbound]) -> list[Record]:
    return [Record(at, each.timestamp, each.key, each.value) for at, each in enumerate(outbound)]


@pytest.fixture(scope="module")
def seen() -> Seen:
    ruleset = load_ruleset(load_settings())
    model = untrained_model(feature_schema_hash(ruleset.parameters))
    payments = [*history(), *further(2 * HOUR_MS, 26 * HOUR_MS, 30 * HOUR_MS)]
    log = [Record(at, 0, each.payer.account.encode(), encode(each)) for at, each in enumerate(payments)]
    log = [each._replace(timestamp=payments[-1].event_time_ms) for each in log]
    frames = PayerHop(ruleset, "", 0, 1).process(log, model).outputs["payments_by_payee"]
    outputs = PayeeHop(ruleset, "", 0, 1, 1).process(records(frames), model).outputs
    alerts = Alerter("", 0).process(records(outputs["reviews"]), model).outputs["alerts"]
    decided = [decode(each.value, Decision) for each in outputs["decisions"]]
    reviews = [decode(each.value, Review) for each in outputs["reviews"]]
    told = [decode(each.value, Alert) for each in alerts]
    return Seen(
        {each.decision_id: each for each in decided},
        [each for each in reviews if each.subject.account == PAYEE],
        [each for each in told if each.subject.account == PAYEE],
    )


def failed(alert: Alert, seen: Seen) -> list[str]:
    return [each.name for each in alert_checks(alert, seen.decisions) if not each.holds]


def test_every_revision_of_an_honest_alert_passes(seen: Seen) -> None:
    assert len(seen.alerts) > 3
    assert not any(failed(each, seen) for each in seen.alerts)


def test_each_lie_about_an_alert_is_found_out_by_its_own_check(seen: Seen) -> None:
    alert = seen.alerts[-1]
    finding = alert.finding
    assert finding is not None
    first, *others = finding.evidence
    heavier = structs.replace(first, weight=first.weight + 1e-9)
    measured = structs.replace(first, measured=first.measured + 1e-9)
    richer = structs.replace(alert.payments[0], amount_minor=alert.payments[0].amount_minor + 1)
    lies = {
        "weight": (
            structs.replace(finding, evidence=(heavier, *others)),
            ["evidence", "all else in the finding", "sum"],
        ),
        "measure": (structs.replace(finding, evidence=(measured, *others)), ["evidence", "all else in the finding"]),
        "innocent": (
            structs.replace(finding, counter_evidence=(structs.replace(first, weight=-1.0),)),
            ["counter-evidence", "all else in the finding", "sum"],
        ),
        "model": (structs.replace(finding, model=0.5), ["model part", "all else in the finding", "sum"]),
        "score": (structs.replace(finding, score=finding.score + 1e-15), ["all else in the finding", "sum"]),
        "headline": (structs.replace(finding, headline="offender"), ["all else in the finding"]),
        "pack": (structs.replace(finding, pack="mule"), ["finding"]),
    }
    for lie, (told, expected) in lies.items():
        assert failed(structs.replace(alert, finding=told), seen) == expected, lie
    assert failed(structs.replace(alert, payments=(richer, *alert.payments[1:])), seen) == ["payments"]


def test_a_finding_older_than_the_payments_named_is_checked_against_its_own_payment(seen: Seen) -> None:
    strongest = max(seen.reviews, key=lambda each: each.finding.score if each.finding else 0.0)
    weak = next(each for each in seen.reviews if each is not strongest)
    alert = updated_alert(None, strongest)
    for number in range(CONTRIBUTIONS_MAX + 1):
        later = structs.replace(weak, decision_id=f"d-{number}", finding=None)
        alert = updated_alert(alert, later)
    decisions = seen.decisions | {
        f"d-{number}": structs.replace(seen.decisions[weak.decision_id], decision_id=f"d-{number}")
        for number in range(CONTRIBUTIONS_MAX + 1)
    }
    named = named_payments(alert)
    assert len(named) == CONTRIBUTIONS_MAX + 1
    assert named[0].decision_id == strongest.decision_id
    assert [each.name for each in alert_checks(alert, decisions) if not each.holds] == []


def test_reasons_of_an_alert_by_rules_are_those_of_its_most_probable_payment(seen: Seen) -> None:
    given = seen.reviews[0]
    decision = seen.decisions[given.decision_id]
    assert decision.review is not None
    made = structs.replace(
        review(1), decision_id=decision.decision_id, payment_id=decision.payment_id, reasons=decision.review.reasons,
        event_time_ms=decision.event_time_ms, probability=decision.probability,
        amount_minor=given.amount_minor, currency=given.currency,
    )  # fmt: skip
    alert = updated_alert(None, made)
    assert failed(alert, seen) == []
    assert failed(structs.replace(alert, reasons=review(1).reasons), seen) == ["reasons"]
    passed = Seen({**seen.decisions, decision.decision_id: structs.replace(decision, outcome="pass", review=None)})
    assert failed(alert, passed) == ["payments", "reasons"]


def shown(alert: Alert) -> str:
    text = StringIO()
    show_alert(alert, Console(file=text, width=200))
    return text.getvalue()


def test_an_alert_is_printed_with_all_that_people_need(seen: Seen) -> None:
    alert = seen.alerts[-1]
    finding = alert.finding
    assert finding is not None
    text = shown(alert)
    for each in (*finding.evidence, *finding.counter_evidence):
        (line,) = [line for line in text.splitlines() if line.startswith(f" {each.indicator}: ")]
        weight = f"{each.weight:+g}" if each.weight else "said, not counted"
        for part in (f"{each.measured:g}", f"{each.threshold:g}", each.window, weight, each.source[:20]):
            assert part in line, each.indicator
        assert (f"{each.weight:+g} ({each.indicator})" in text) == bool(each.weight)
    assert any(each.weight for each in finding.evidence)
    assert not all(each.weight for each in finding.evidence), "the pack has evidence that weighs nothing"
    assert f"would end without: {', '.join(finding.would_end)}" in text
    assert f"{finding.prior:+g} (prior)" in text
    for payment in alert.payments:
        assert payment.payment_id in text
        assert payment.decision_id in text
    assert finding.headline in text
    assert PAYEE in text


def test_what_a_status_means_is_printed_beside_it(seen: Seen) -> None:
    alert = seen.alerts[-1]
    silent = structs.replace(alert, status="snoozed", snoozed_until_ms=1_767_225_600_000)
    assert "status snoozed (silent until 2026-01-01 00:00 UTC), revision" in shown(silent)
    assert "(in place of b)" in shown(structs.replace(alert, supersedes="b"))
    many = structs.replace(alert, payments_count=len(alert.payments) + 7)
    assert "and 7 earlier ones" in shown(many)


def test_a_superseded_alert_stands_with_the_evidence_of_its_last_telling_revision(seen: Seen) -> None:
    telling = seen.alerts[-1]
    last = superseded(stub_of(telling), "the-next")
    stands = as_it_stands(last, telling)
    assert (stands.status, stands.revision, stands.superseded_by) == ("superseded", telling.revision + 1, "the-next")
    assert (stands.finding, stands.payments) == (telling.finding, telling.payments)
    assert "status superseded by the-next" in shown(stands)


def test_text_of_packs_and_payments_is_printed_as_it_is(seen: Seen) -> None:
    """Square brackets are markup to the printer."""
    alert = seen.alerts[-1]
    odd = structs.replace(alert.payments[0], payment_id="[bold]p[/bold]")
    assert "[bold]p[/bold]" in shown(structs.replace(alert, payments=(odd, *alert.payments[1:])))
