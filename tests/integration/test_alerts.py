"""Reviews become alerts: one about each subject, and a killed worker neither forgets nor counts twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import orjson
import pytest

from services.contract.codec import decode
from services.contract.types import Alert, Review
from services.scorer.path.alert import updated_alert
from services.scorer.ruleset_file import load_ruleset
from tests.integration.conftest import KilledRun
from tests.support.deployment import Logs, read_logs

pytestmark = pytest.mark.kafka

Subject = tuple[str, str, str]


def folded(run: KilledRun) -> dict[str, list[Alert]]:
    """Every revision of every alert, as the pure step makes them of each subject's reviews, by alert id."""
    queue = load_ruleset(run.run.settings).review.queue
    latest: dict[Subject, Alert] = {}
    revisions: dict[str, list[Alert]] = defaultdict(list)
    for log in run.run.reviews:
        for record in log:
            review = decode(record.value, Review)
            subject = (review.tenant, review.subject.role, review.subject.account)
            alert = latest[subject] = updated_alert(latest.get(subject), review, queue)
            revisions[alert.alert_id].append(alert)
    return dict(revisions)


async def alerts_once(run: KilledRun, expected: dict[str, list[Alert]]) -> Logs:
    """The alerts, once the last revision of each has been written."""
    wanted = {(alert_id, len(revisions)) for alert_id, revisions in expected.items()}

    async def complete() -> Logs | None:
        logs = await read_logs(run.deployment, run.deployment.settings.topics.alerts)
        found = {(each["alert_id"], each["revision"]) for log in logs for each in map(_content, log)}
        return logs if wanted <= found else None

    return await run.deployment.wait_for(complete, f"{len(wanted)} alerts are at their last revision")


def _content(record: object) -> dict[str, object]:
    content: dict[str, object] = orjson.loads(record.value)  # type: ignore[attr-defined]
    return content


def test_each_subject_of_a_killed_run_has_one_alert_with_every_review_in_it_once(killed_run: KilledRun) -> None:
    expected = folded(killed_run)
    logs = asyncio.run(alerts_once(killed_run, expected))
    found: dict[str, list[Alert]] = defaultdict(list)
    for log in logs:
        for record in log:
            alert = decode(record.value, Alert)
            found[alert.alert_id].append(alert)
    assert found.keys() == expected.keys()
    for alert_id, revisions in found.items():
        distinct: dict[int, Alert] = {}
        for alert in revisions:
            assert distinct.setdefault(alert.revision, alert) == alert, f"{alert_id} has two revisions {alert.revision}"
        assert list(distinct) == list(range(1, len(distinct) + 1)), f"{alert_id}: {list(distinct)}"
        assert list(distinct.values()) == expected[alert_id]


def test_an_alert_has_the_key_and_partition_of_its_subject(killed_run: KilledRun) -> None:
    logs = asyncio.run(alerts_once(killed_run, folded(killed_run)))
    homes: dict[str, set[int]] = defaultdict(set)
    for partition, log in enumerate(logs):
        for record in log:
            alert = decode(record.value, Alert)
            assert record.key == alert.subject.account.encode()
            homes[alert.subject.account].add(partition)
    assert all(len(each) == 1 for each in homes.values())
