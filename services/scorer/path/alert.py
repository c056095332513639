"""Alerts are about subjects: what one more review adds to the open alert about its subject."""

from __future__ import annotations

from msgspec import structs

from services.contract.identity import alert_id
from services.contract.types import Alert, Contribution, Finding, Review

GROWTH = 0.5
"""Log-odds by which a score must rise to be news within the quiet hours."""
CONTRIBUTIONS_MAX = 50
"""Contributing payments kept in an alert, the latest; all are counted."""


def updated_alert(alert: Alert | None, review: Review) -> Alert:
    """The alert about the review's subject, with the review in it: a new one, or the next revision of ``alert``.

    It keeps the reasons of its most probable payment, the finding with the highest score, and of each rule the latest
    hit.
    """
    contribution = Contribution(
        review.payment_id,
        review.decision_id,
        review.event_time_ms,
        review.amount_minor,
        review.currency,
        review.probability,
    )
    leads = alert is None or review.probability >= alert.probability_max
    rules = {rule.rule: rule for rule in (*(alert.rules if alert else ()), *review.rules)}
    return Alert(
        alert_id=alert_id(review.tenant, review.subject.role, review.subject.account, review.queue),
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
        finding=_stronger(alert.finding if alert else None, review.finding),
    )


def _stronger(known: Finding | None, found: Finding | None) -> Finding | None:
    if known is None or found is None:
        return known or found
    return found if found.score >= known.score else known


def unpublished(alert: Alert, known: Alert | None) -> Alert:
    """``alert`` as kept without being published: its revision is that of ``known``, or 0, which nobody has seen."""
    return structs.replace(
        alert,
        status=known.status if known else "new",
        revision=known.revision if known else 0,
        published_event_time_ms=known.published_event_time_ms if known else 0,
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
