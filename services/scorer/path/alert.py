"""Alerts are about subjects: what one more review adds to the open alert about its subject."""

from __future__ import annotations

from services.contract.identity import alert_id
from services.contract.types import Alert, Contribution, Finding, Review

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
        status="update" if alert else "new",
        revision=alert.revision + 1 if alert else 1,
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


def holds(alert: Alert, review: Review) -> bool:
    """Whether ``review`` is among the contributions that ``alert`` keeps."""
    return any(each.decision_id == review.decision_id for each in alert.payments)
