"""Alerts are about subjects: what one more review adds to the open alert about its subject."""

from __future__ import annotations

from msgspec import convert, structs

from services.contract.alert import Alert, Contribution, Review
from services.contract.identity import alert_id

GROWTH = 0.5
"""Log-odds by which a score must rise to be news within the quiet hours."""
CONTRIBUTIONS_MAX = 50
"""Contributing payments kept in an alert, the latest; all are counted."""


def updated_alert(alert: Alert | None, review: Review, supersedes: str | None = None) -> Alert:
    """The alert about the review's subject, with the review in it: the next revision of ``alert``, or a new one, in
    place of the one called ``supersedes``.

    It keeps the reasons of its most probable payment, the finding with the highest score, and of each rule the latest
    hit.
    """
    contribution = convert(review, Contribution, from_attributes=True)
    leads = alert is None or review.probability >= alert.probability_max
    finding, finding_payment = (alert.finding, alert.finding_payment) if alert else (None, None)
    if review.finding is not None and (finding is None or review.finding.score >= finding.score):
        finding, finding_payment = review.finding, contribution
    rules = {rule.rule: rule for rule in (*(alert.rules if alert else ()), *review.rules)}
    return Alert(
        alert_id=alert.alert_id if alert else opened_by(review),
        tenant=review.tenant,
        subject=review.subject,
        queue=review.queue,
        status="update" if alert and alert.revision else "new",
        revision=alert.revision + 1 if alert else 1,
        published_event_time_ms=max(review.event_time_ms, alert.published_event_time_ms if alert else 0),
        opened_event_time_ms=alert.opened_event_time_ms if alert else review.event_time_ms,
        updated_event_time_ms=max(review.event_time_ms, alert.updated_event_time_ms if alert else 0),
        payments_count=alert.payments_count + 1 if alert else 1,
        probability_max=max(review.probability, alert.probability_max if alert else 0.0),
        reasons=review.reasons if leads or alert is None else alert.reasons,
        rules=tuple(rules[name] for name in sorted(rules)),
        payments=((*(alert.payments if alert else ()), contribution))[-CONTRIBUTIONS_MAX:],
        model_hash=review.model_hash,
        ruleset_hash=review.ruleset_hash,
        finding=finding,
        finding_payment=finding_payment,
        supersedes=alert.supersedes if alert else supersedes,
    )


def opened_by(review: Review) -> str:
    """The id of the alert that ``review`` opens when there is none to add it to."""
    return alert_id(review.tenant, review.subject.role, review.subject.account, review.queue, review.decision_id)


def stub(alert: Alert) -> Alert:
    """What is kept of a lapsed alert: its names, numbers and times."""
    return structs.replace(
        alert, reasons=(), rules=(), payments=(), finding=None, finding_payment=None, snoozed_until_ms=None
    )


def superseded(lapsed: Alert, by: str) -> Alert:
    """The last revision of an alert, a stub, in whose place people now have the alert called ``by``."""
    return structs.replace(lapsed, status="superseded", revision=lapsed.revision + 1, superseded_by=by)


def snoozed(alert: Alert, until_ms: int | None) -> Alert:
    """The revision that a snooze until ``until_ms`` makes, or the end of one."""
    return structs.replace(
        alert,
        status="update" if until_ms is None else "snoozed",
        revision=alert.revision + 1,
        snoozed_until_ms=until_ms,
    )


def unpublished(alert: Alert, known: Alert | None) -> Alert:
    """``alert`` as kept without being published: its revision is that of ``known``, or 0, which nobody has seen."""
    return structs.replace(
        alert,
        status=known.status if known else "new",
        revision=known.revision if known else 0,
        published_event_time_ms=known.published_event_time_ms if known else 0,
        snoozed_until_ms=known.snoozed_until_ms if known else None,
    )


def has_grown(alert: Alert, known: Alert) -> bool:
    """Whether ``alert`` says more than ``known``: a further rule or indicator, or a score higher by ``GROWTH``."""
    if {each.rule for each in alert.rules} > {each.rule for each in known.rules}:
        return True
    if alert.finding is None or known.finding is None:
        return alert.finding is not known.finding
    named = [{each.indicator for each in finding.evidence} for finding in (alert.finding, known.finding)]
    return bool(named[0] - named[1]) or alert.finding.score >= known.finding.score + GROWTH


def holds(alert: Alert, review: Review) -> bool:
    """Whether ``review`` is among the contributions that ``alert`` keeps."""
    return any(each.decision_id == review.decision_id for each in alert.payments)
