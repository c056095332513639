"""Reviews become alerts: one about each subject, and a killed worker neither forgets nor counts twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from services.contract.codec import decode
from services.contract.types import Alert
from tests.integration.conftest import KilledRun
from tests.support.alerts import assert_alerts_are_folded, complete_alerts, folded
from tests.support.deployment import Deployment, observer, producer, read_logs, send, settled
from tests.support.models import random_model
from tests.support.offline import schema_hash
from tests.support.payments import payment_log

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


@pytest.mark.parametrize("deployment", [{"partitions": 2}], indirect=True)
def test_an_alerter_killed_in_the_middle_of_its_reviews_takes_up_every_alert_where_it_stood(
    deployment: Deployment,
) -> None:
    asyncio.run(kill_the_alerter(deployment))


async def kill_the_alerter(deployment: Deployment) -> None:
    """Three kills while alerts are written, the third with a second worker that takes over at once."""
    topics = deployment.settings.topics
    await deployment.announce(random_model(3, schema_hash(deployment.settings), review_probability=0.5))
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, payment_log(88, 1_500, accounts=300))
    first, second = deployment.worker(name="first"), deployment.worker(name="second")
    first.start()
    await settled(deployment)
    reviews = await read_logs(deployment, topics.reviews)
    expected = sum(map(len, reviews))
    async with observer(deployment) as seen:
        for kill in (1, 2, 3):
            if kill == 3:
                second.start()

            async def further(enough: int = expected * kill // 4) -> bool | None:
                return sum(await seen.ends(topics.alerts)) >= enough or None

            await deployment.wait_for(further, f"alerts up to kill {kill}")
            first.kill()
            if kill < 3:
                first.start()
    await assert_alerts_are_folded(deployment, reviews)
    second.stop()
