"""A killed alerter neither forgets a review nor counts one twice."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.alerts import assert_alerts_are_folded
from tests.support.deployment import Deployment, observer, producer, read_logs, send, settled
from tests.support.models import random_model
from tests.support.offline import schema_hash
from tests.support.payments import payment_log

pytestmark = pytest.mark.kafka


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
