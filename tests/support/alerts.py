"""What the alerter must have written of the reviews in the topics."""

from __future__ import annotations

from collections import defaultdict

from services.contract.codec import decode
from services.contract.types import Alert, Review
from services.scorer.path.alert import updated_alert
from services.scorer.ruleset_file import load_ruleset
from services.settings import Settings
from tests.support.deployment import Deployment, Logs, read_logs

Subject = tuple[str, str, str]
Revisions = dict[str, list[Alert]]
"""Every revision of every alert, oldest first, by alert id."""


def folded(settings: Settings, reviews: Logs) -> Revisions:
    """What the pure step makes of each subject's reviews."""
    queue = load_ruleset(settings).review.queue
    latest: dict[Subject, Alert] = {}
    revisions: Revisions = defaultdict(list)
    for log in reviews:
        for record in log:
            review = decode(record.value, Review)
            subject = (review.tenant, review.subject.role, review.subject.account)
            alert = latest[subject] = updated_alert(latest.get(subject), review, queue)
            revisions[alert.alert_id].append(alert)
    return dict(revisions)


async def complete_alerts(deployment: Deployment, expected: Revisions) -> Logs:
    """The alerts' logs, once the last revision of each of ``expected`` is there."""
    wanted = {(alert_id, len(revisions)) for alert_id, revisions in expected.items()}

    async def complete() -> Logs | None:
        logs = await read_logs(deployment, deployment.settings.topics.alerts)
        found = {(each.alert_id, each.revision) for log in logs for each in (decode(r.value, Alert) for r in log)}
        return logs if wanted <= found else None

    return await deployment.wait_for(complete, f"{len(wanted)} alerts are at their last revision")


async def assert_alerts_are_folded(deployment: Deployment, reviews: Logs) -> None:
    """Each subject has one alert, whose revisions come without gaps and hold every review once.

    Faust delivers at least once: a revision may be there several times, and is then the same each time.
    """
    expected = folded(deployment.settings, reviews)
    found: dict[str, dict[int, Alert]] = defaultdict(dict)
    for log in await complete_alerts(deployment, expected):
        for record in log:
            alert = decode(record.value, Alert)
            first = found[alert.alert_id].setdefault(alert.revision, alert)
            assert first == alert, f"{alert.alert_id} has two different revisions {alert.revision}"
    assert found.keys() == expected.keys()
    for alert_id, revisions in found.items():
        assert list(revisions) == list(range(1, len(revisions) + 1)), f"{alert_id}: {list(revisions)}"
        assert list(revisions.values()) == expected[alert_id]
