"""A scorer whose state was written long ago: what came since is taken again, or people are told that it is gone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition

from services import kafka
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.scoring.ensemble import model_from
from services.scorer.path.scoring.model import LogisticModel
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.scorer.shell.position import POSITION_KEY, Position, read_position
from tests.faults.conftest import Make
from tests.faults.forms import Form
from tests.faults.stage import Stage
from tests.faults.test_topics_made_anew import accept, decided_so_far, until_told
from tests.faults.undisturbed import announced
from tests.support.deployment import read_logs
from tests.support.offline import assert_same_state, by_model, read_run, restored
from tests.support.proxied import ProxiedBroker

pytestmark = pytest.mark.kafka


@pytest.fixture
def stage(request: pytest.FixtureRequest, broker: ProxiedBroker, make: Make, form: Form) -> Iterator[Stage]:
    """One of the test's own, whose scorer writes its state on a clean release only."""
    name = f"behind-{len(request.node.name)}"
    made = Stage(broker, make(name, checkpoint_s=3_600, checkpoint_payments=10_000_000), form)
    try:
        yield made
    finally:
        for worker in made.workers.values():
            worker.discard()


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
    assert any(each.resume_offset < each.next_offset for each in await positions(stage))
    stage.workers["scorer"].stop()
    assert all(each.resume_offset == each.next_offset > 0 for each in await positions(stage))
    for role, worker in stage.workers.items():
        if role != "scorer":
            worker.stop()
    models = [model_from(each, stage.schema) for each in await announced(stage) if not each.challenger]
    run = await read_run(stage.deployment, [each for each in models if isinstance(each, LogisticModel)])
    ruleset = load_ruleset(stage.settings)
    for partition in range(stage.settings.partitions):
        payer = PayerHop(ruleset, "", partition, stage.settings.partitions)
        payee = PayeeHop(ruleset, "", partition, stage.settings.partitions, stage.settings.partitions)
        payer.take(run.payments[partition])
        for model, stretch in by_model(run, partition):
            payee.process(stretch, model)
        for hop in (payer, payee):
            assert_same_state(restored(run, hop.name, partition), hop.state, ruleset.parameters, hop.name)


async def positions(stage: Stage) -> list[Position]:
    """Where each partition of the payer hop stands in its input."""
    found = []
    for log in await read_logs(stage.deployment, stage.settings.topics.payer_state):
        written = [read_position(record.value) for record in log if record.key == POSITION_KEY]
        found += [each for each in written[-1:] if each is not None]
    assert len(found) == stage.settings.partitions
    return found


def test_a_partition_whose_state_needs_what_was_deleted_stops_until_people_let_it_go_on(stage: Stage) -> None:
    asyncio.run(deleted_since(stage))


async def deleted_since(stage: Stage) -> None:
    """All was decided, so nothing is left out, and nothing is read again. The state lacks what was deleted: a payment
    of then that is sent again passes for a new one."""
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
    decided = await decided_so_far(stage) - before
    assert not expected - decided
    assert set(decided - expected) <= {each.identity for each in stage.sent[:fresh]}
