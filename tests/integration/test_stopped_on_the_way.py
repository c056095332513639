"""A partition that leaves while its state is still catching up with its position: nothing is lost of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from aiokafka.structs import TopicPartition

from services import kafka as clients
from services.kafka.possession import Possession
from services.runtime.metrics import Metrics
from services.scorer.path.hops import PayerHop
from services.scorer.path.records import HopResult, Inbound
from services.scorer.path.scoring.model import Model, untrained_model
from services.scorer.rulebook.ruleset_file import intake_of, load_ruleset
from services.scorer.shell.delivery import ExactlyOnce
from services.scorer.shell.partition import PartitionLane
from tests.support.deployment import Deployment, producer, send, settled
from tests.support.offline import assert_logs_are_computed, read_run, schema_hash
from tests.support.payments import payment_log

pytestmark = pytest.mark.kafka

SEED = 31
LENGTH = 600


class Hop(PayerHop):
    """The payer hop of the deployment's only partition; tells how many records it has taken up."""

    def __init__(self, deployment: Deployment, told: Callable[[int], None]) -> None:
        settings = deployment.settings
        payments = settings.topics.payments.name
        super().__init__(load_ruleset(settings), payments, 0, 1, settings.accounts_max, intake_of(settings))
        self._taken, self._told = 0, told

    def take(self, records: Sequence[Inbound]) -> None:
        """Take ``records``, and tell of it."""
        super().take(records)
        self._taken += len(records)
        self._told(self._taken)


async def run_lane(deployment: Deployment, until_written: int | None = None, until_taken: int | None = None) -> None:
    """Run the payer hop in this process: until so many records are processed, and then end it as a crash would; or
    until so many are taken up, and then let it go in order."""
    settings, topics = deployment.settings, deployment.settings.topics
    source, group = TopicPartition(topics.payments.name, 0), f"{settings.identity}.payer"
    possession = Possession(f"{group}.0", group, [each.name for each in topics.written_by("payer")])
    model: Model = untrained_model(schema_hash(settings))
    written, done = 0, asyncio.Event()

    def count(result: HopResult) -> None:
        nonlocal written
        written += sum(result.counts.values())
        if written == until_written:
            done.set()

    def taken(records: int) -> None:
        if until_taken is not None and records >= until_taken:
            lane.stop()

    async with clients.opened(clients.consumer(settings, group_id=group, auto_offset_reset="none")) as consumer:
        consumer.assign([source])
        consumer.pause(source)
        lane: PartitionLane[Model] = PartitionLane(
            settings,
            Metrics(),
            consumer,
            source,
            topics.payer_state.name,
            lambda: Hop(deployment, taken),
            lambda: ExactlyOnce(
                clients.producer(settings, possession.transactional_id), consumer, source, topics.payer_state.name,
                group, possession,
            ),
            lambda: model,
            count,
        )  # fmt: skip
        running = asyncio.create_task(lane.run())
        crash = asyncio.create_task(done.wait())
        await asyncio.wait([running, crash], return_when=asyncio.FIRST_COMPLETED)
        crash.cancel()
        if until_written is not None:
            running.cancel()
        await asyncio.wait([running])


async def stopped(deployment: Deployment) -> None:
    """A crash before any checkpoint, then a lane that is let go after a part of what it has to take up."""
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, payment_log(SEED, LENGTH))
    await run_lane(deployment, until_written=LENGTH)
    await run_lane(deployment, until_taken=LENGTH // 3)


@pytest.mark.parametrize(
    "deployment", [{"partitions": 1, "batch_payments_max": 50, "checkpoint_s": 600}], indirect=True
)
def test_a_lane_that_leaves_before_it_has_caught_up_writes_no_state_that_lacks_records(deployment: Deployment) -> None:
    asyncio.run(stopped(deployment))
    deployment.worker().start()
    asyncio.run(settled(deployment))
    assert_logs_are_computed(asyncio.run(read_run(deployment)), SEED)
