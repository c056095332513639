"""Reviews become alerts: one about each subject. It comes late among the tests, when the alerter is through."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from services.contract.codec import decode
from services.contract.types import Alert
from tests.integration.conftest import KilledRun
from tests.support.alerts import assert_alerts_are_folded, complete_alerts, folded

pytestmark = pytest.mark.kafka


def test_each_subject_of_a_killed_run_has_one_alert_with_every_review_in_it_once(killed_run: KilledRun) -> None:
    asyncio.run(assert_alerts_are_folded(killed_run.deployment, killed_run.run.reviews))


def test_an_alert_has_the_key_and_partition_of_its_subject(killed_run: KilledRun) -> None:
    expected = folded(killed_run.run.settings, killed_run.run.reviews)
    homes: dict[str, set[int]] = defaultdict(set)
    for partition, log in enumerate(asyncio.run(complete_alerts(killed_run.deployment, expected))):
        for record in log:
            alert = decode(record.value, Alert)
            assert record.key == alert.subject.account.encode()
            homes[alert.subject.account].add(partition)
    assert all(len(each) == 1 for each in homes.values())
