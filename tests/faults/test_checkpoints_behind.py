"""A scorer whose state was written long ago: what came since is taken again, or people are told that it is gone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition

from services import kafka
from services.scorer.shell.position import POSITION_KEY, read_position
from tests.faults.conftest import Make
from tests.faults.forms import Form
from tests.faults.stage import Stage
from tests.faults.test_topics_made_anew import accept, decided_so_far, until_told
from tests.support.deployment import read_logs
from tests.support.offline import assert_logs_are_computed, read_run
from tests.support.proxied import ProxiedBroker


@pytest.fixture
def stage(broker: ProxiedBroker, make: Make, form: Form) -> Iterator[Stage]:
    """One whose scorer writes its state on a clean release only."""
    made = Stage(broker, make("behind", checkpoint_s=3_600, checkpoint_payments=10_000_000), form)
    try:
        yield made
    finally:
        for worker in made.workers.values():
            worker.kill()


def test_what_came_since_the_latest_checkpoint_is_taken_again(stage: Stage) -> None:
    asyncio.run(taken_again(stage))


async def taken_again(stage: Stage) -> None:
    """Two deaths and no checkpoint at all, then a clean release."""
    await stage.up()
    for _ in range(2):
        stage.workers["scorer"].kill()
        await stage.feed()
        stage.start()
        await stage.decided()
    assert await state_offsets(stage) == [0] * stage.settings.partitions
    stage.workers["scorer"].stop()
    assert min(await state_offsets(stage)) > 0
    for worker in stage.workers.values():
        worker.stop()
    run = await read_run(stage.deployment, stage.models)
    assert_logs_are_computed(run, seed=1)


async def state_offsets(stage: Stage) -> list[int]:
    """Up to where the changelog of each partition of the payer hop stands for the input."""
    found = []
    for log in await read_logs(stage.deployment, stage.settings.topics.payer_state):
        positions = [read_position(record.value) for record in log if record.key == POSITION_KEY]
        assert positions
        assert positions[-1] is not None
        found.append(positions[-1].resume_offset)
    return found


def test_a_partition_whose_state_needs_what_was_deleted_stops_until_people_let_it_go_on(stage: Stage) -> None:
    asyncio.run(deleted_since(stage))


async def deleted_since(stage: Stage) -> None:
    """All was decided, so nothing is decided again or left out; only the state lacks what was deleted."""
    await stage.up()
    topic = stage.settings.topics.payments
    stage.workers["scorer"].kill()
    admin = kafka.admin(stage.settings)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic.name, 0): RecordsToDelete(-1)})
    finally:
        await admin.close()
    fresh, before = len(stage.sent), await decided_so_far(stage)
    stage.start()
    await until_told(stage, "scorer", topic, 0)
    done = await asyncio.to_thread(accept, stage, topic, "--partition", "0")
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    await stage.feed()
    await stage.decided()
    expected = Counter(each.identity for each in stage.sent[fresh:] if each.fate == "decided")
    assert await decided_so_far(stage) - before == expected
