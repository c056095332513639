"""A partition that leaves while its state is restored, or catches up with its position: nothing of it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import pytest
from aiokafka.structs import TopicPartition

from services import kafka as clients
from services.kafka.possession import Possession
from services.runtime.metrics import Metrics
from services.scorer.path.hops import PayerHop
from services.scorer.path.records import HopResult, Inbound
from services.scorer.path.scoring.model import Model, untrained_model
from services.scorer.rulebook.ruleset_file import intake_of, load_ruleset
from services.scorer.shell.convoy import Convoy
from services.scorer.shell.delivery import ChangelogEntry, ExactlyOnce
from services.scorer.shell.partition import PartitionLane
from tests.support.deployment import Deployment, producer, send, settled
from tests.support.offline import assert_logs_are_computed, read_run, schema_hash
from tests.support.payments import payment_log

pytestmark = pytest.mark.kafka

SEED = 31
LENGTH = 600
BATCH = 50


Moment = Literal["restored", "taken up", "processed"]
Tell = Callable[[Moment, int], bool]


class Hop(PayerHop):
    """The payer hop of the deployment's only partition; tells how many entries of its state it has restored, and how
    many records it has taken up."""

    def __init__(self, deployment: Deployment, tell: Tell) -> None:
        settings = deployment.settings
        payments = settings.topics.payments.name
        super().__init__(load_ruleset(settings), payments, 0, 1, settings.accounts_max, intake_of(settings))
        self._tell, self._restored, self._taken = tell, 0, 0
        self._restore = self.state.restore
        self.state.restore = self._restore_some  # type: ignore[method-assign]

    def _restore_some(self, entries: Iterable[ChangelogEntry]) -> None:
        """Restore ``entries`` up to where the lane is let go: a state that is larger comes in several parts."""
        for each in entries:
            self._restore([each])
            self._restored += 1
            if self._tell("restored", self._restored):
                return

    def take(self, records: Sequence[Inbound]) -> None:
        """Take ``records``, and tell of it."""
        super().take(records)
        self._taken += len(records)
        self._tell("taken up", self._taken)


async def run_lane(deployment: Deployment, until: Moment, count: int, crash: bool = False) -> None:
    """Run the payer hop in this process until so much of its work is done; then let it go in order, or end it as a
    ``crash`` would."""
    settings, topics = deployment.settings, deployment.settings.topics
    source, group = TopicPartition(topics.payments.name, 0), f"{settings.identity}.payer"
    possession = Possession(f"{group}.0", group, [each.name for each in topics.written_by("payer")])
    model: Model = untrained_model(schema_hash(settings))
    processed, done = 0, asyncio.Event()

    def tell(moment: Moment, so_many: int) -> bool:
        if moment != until or so_many < count:
            return False
        done.set()
        if not crash:
            lane.stop()
        return True

    def count_more(result: HopResult) -> None:
        nonlocal processed
        processed += sum(result.counts.values())
        tell("processed", processed)

    async with clients.opened(clients.consumer(settings, group_id=group, auto_offset_reset="none")) as consumer:
        consumer.assign([source])
        consumer.pause(source)
        lane: PartitionLane[Model] = PartitionLane(
            settings,
            Metrics(),
            consumer,
            source,
            topics.payer_state.name,
            lambda: Hop(deployment, tell),
            lambda: ExactlyOnce(
                clients.producer(settings, possession.transactional_id), consumer, source, topics.payer_state.name,
                group, possession,
            ),
            lambda: model,
            count_more,
            Convoy(0),
        )  # fmt: skip
        running = asyncio.create_task(lane.run())
        await asyncio.wait_for(done.wait(), deployment.deadline_s)
        if crash:
            running.cancel()
            await asyncio.wait([running])
        else:
            await running


async def leave(deployment: Deployment) -> None:
    """A crash before any checkpoint; a lane that is let go after a part of what it has to take up; one that writes its
    state; and one that is let go after a part of that."""
    log = payment_log(SEED, LENGTH)
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, log[:-BATCH])
        await run_lane(deployment, "processed", LENGTH - BATCH, crash=True)
        await run_lane(deployment, "taken up", LENGTH // 3)
        await send(sending, deployment, log[-BATCH:])
    await run_lane(deployment, "processed", BATCH)
    await run_lane(deployment, "restored", 1)


@pytest.mark.parametrize(
    "deployment", [{"partitions": 1, "batch_payments_max": BATCH, "checkpoint_s": 600}], indirect=True
)
def test_a_lane_that_leaves_before_it_has_its_state_writes_none_and_ends_in_order(deployment: Deployment) -> None:
    asyncio.run(leave(deployment))
    deployment.worker().start()
    asyncio.run(settled(deployment))
    run = asyncio.run(read_run(deployment))
    assert sum(map(len, run.payer_state)) > 1, "a state was written"
    assert_logs_are_computed(run, SEED)
