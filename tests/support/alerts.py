"""What alerts must hold, told without the alerter's own code."""

from __future__ import annotations

from collections import defaultdict

from services.contract.alert import Alert, Review
from services.contract.codec import decode
from services.scorer.path.alerts.alert import CONTRIBUTIONS_MAX
from tests.support.hostile import PLANTED_ACCOUNT
from tests.support.offline import Run, genuine

Subject = tuple[str, str, str, str]
"""Tenant, role, account, queue."""


def assert_each_review_is_in_one_alert(run: Run) -> None:
    """A subject has one alert in a queue, under its own key, in one partition; each review makes one revision of it."""
    reviews: dict[Subject, list[str]] = defaultdict(list)
    for log in genuine(run.reviews):
        for record in log:
            review = decode(record.value, Review)
            reviews[review.tenant, review.subject.role, review.subject.account, review.queue].append(review.decision_id)
    alerts: dict[Subject, list[Alert]] = defaultdict(list)
    homes: dict[Subject, set[int]] = defaultdict(set)
    for partition, log in enumerate(run.alerts):
        for record in log:
            alert = decode(record.value, Alert)
            if alert.subject.account == PLANTED_ACCOUNT:
                continue
            assert record.key == alert.subject.account.encode()
            about: Subject = (alert.tenant, alert.subject.role, alert.subject.account, alert.queue)
            alerts[about].append(alert)
            homes[about].add(partition)
    assert alerts.keys() == reviews.keys(), "not the same subjects"
    for subject, revisions in alerts.items():
        decided = reviews[subject]
        assert len(homes[subject]) == 1, f"{subject} has alerts in several partitions"
        assert len({each.alert_id for each in revisions}) == 1, f"{subject} has several alerts"
        assert [each.revision for each in revisions] == list(range(1, len(decided) + 1)), f"{subject}: revisions"
        assert [each.payments_count for each in revisions] == [each.revision for each in revisions]
        for count, alert in enumerate(revisions, start=1):
            assert [each.decision_id for each in alert.payments] == decided[:count][-CONTRIBUTIONS_MAX:], subject
