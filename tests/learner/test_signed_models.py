"""A learner with a key signs what it announces, and announces again what was not signed."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.broker import KafkaBroker
from services.contract.codec import encode
from services.contract.signing import is_signed
from services.kafka.reading import read_log
from services.kafka.topics import create_topics
from services.learner.app import plan_of
from services.runtime.settings import Settings
from tests.learner.cluster import write
from tests.learner.streams import example
from tests.learner.test_learner_on_kafka import announced, announced_versions, settings_for, train

pytestmark = pytest.mark.kafka
KEY = "of this deployment"
VERSIONS = 3


async def are_signed(settings: Settings) -> list[bool]:
    log = read_log(settings, settings.topics.models.name, 0, "reading")
    return [is_signed(KEY.encode(), each.key, each.value, each.headers) async for each in log]


def test_a_learner_that_is_given_a_key_announces_its_versions_again_signed(kafka: KafkaBroker, tmp_path: Path) -> None:
    settings = settings_for(kafka, tmp_path, "signed.")
    plan, draw = plan_of(settings), random.Random(9)
    log = [example(number, draw, plan.feature_schema_hash) for number in range(100 * VERSIONS)]
    asyncio.run(create_topics(settings))
    asyncio.run(write(settings, settings.topics.examples.name, [(each.payment_id, encode(each)) for each in log]))
    asyncio.run(train(settings, announced_versions(settings, VERSIONS)))
    unsigned = announced(settings)
    with_key = settings.model_copy(update={"models_key": SecretStr(KEY)})
    for _ in range(2):  # and once only
        asyncio.run(train(with_key, announced_versions(settings, 2 * VERSIONS)))
    assert asyncio.run(are_signed(settings)) == [False] * VERSIONS + [True] * VERSIONS
    assert announced(settings) == unsigned
