"""A lane: one hop on all the partitions that the consumer group gives this worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition
from mode import Service

from services import kafka
from services.metrics import Metrics
from services.scorer.path.records import HopResult
from services.scorer.shell.delivery import AtLeastOnce, Delivery, ExactlyOnce
from services.scorer.shell.partition import Hop, PartitionLane
from services.settings import Settings

logger = logging.getLogger(__name__)

LAG_EVERY_S = 1.0
RELEASE_S = 20.0
"""How long a lane may take to finish its batch when its partition leaves; cut off, it leaves nothing half done."""


M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)


class Follower(Protocol[M_co]):
    """Knows what a lane's next batch is to be computed with (``ModelFollower``)."""

    @property
    def current(self) -> M_co: ...
    async def wait_until_current(self) -> None: ...


def count_nothing_more(result: HopResult) -> None:
    """The lane's own counts are all."""


class Lane(Service, Generic[M]):
    """Reads ``topic`` in a consumer group and runs a ``PartitionLane`` on each partition assigned to this worker.

    ``make_hop`` builds the hop of a partition; ``changelog`` names the topic of its state, ``None`` where it has none.
    ``count_more`` is told of every batch once it is committed.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        metrics: Metrics,
        models: Follower[M],
        topic: str,
        changelog: str | None,
        make_hop: Callable[[int], Hop[M]],
        count_more: Callable[[HopResult], None] = count_nothing_more,
    ) -> None:
        super().__init__()
        self._name, self._settings, self._metrics, self._models = name, settings, metrics, models
        self._topic, self._changelog, self._make_hop = topic, changelog, make_hop
        self._count_more = count_more
        self._group = f"{settings.identity}.{name}"
        self._lanes: dict[TopicPartition, tuple[PartitionLane[M], asyncio.Task[None]]] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._crashing: asyncio.Future[None] | None = None

    @property
    def label(self) -> str:
        """Its name in the worker's log."""
        return f"Lane {self._name}"

    async def on_start(self) -> None:
        await self._models.wait_until_current()
        self._consumer = kafka.consumer(
            self._settings,
            group_id=self._group,
            partition_assignment_strategy=(StickyPartitionAssignor,),
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=max(1, self._settings.batch_wait_ms),
            max_poll_interval_ms=600_000,
        )
        self._consumer.subscribe([self._topic], listener=_Handover(self))
        await self._consumer.start()

    async def on_stop(self) -> None:
        await self.release(set(self._lanes))
        if self._consumer is not None:
            await self._consumer.stop()

    def take(self, partitions: set[TopicPartition]) -> None:
        """Begin to work on ``partitions``. They stay paused until their state is restored."""
        assert self._consumer is not None, "partitions are assigned only after the start"
        if self.should_stop:  # assigned while the consumer leaves: nobody would let them go again
            return
        self._consumer.pause(*partitions)
        for source in partitions:
            lane: PartitionLane[M] = PartitionLane(
                self._settings,
                self._metrics,
                self._consumer,
                source,
                self._changelog,
                partial(self._make_hop, source.partition),
                partial(self._delivery, source),
                lambda: self._models.current,
                self._count_more,
            )
            self._lanes[source] = (lane, asyncio.create_task(lane.run(), name=f"{self._name}-{source.partition}"))
            self._lanes[source][1].add_done_callback(self._lane_ended)

    async def release(self, partitions: set[TopicPartition]) -> None:
        """Finish the batch in hand on each of ``partitions``, then let them go."""
        leaving = [self._lanes.pop(source) for source in partitions if source in self._lanes]
        for lane, _ in leaving:
            lane.stop()
        if not leaving:
            return
        _, late = await asyncio.wait([task for _, task in leaving], timeout=RELEASE_S)
        for task in late:
            task.cancel()

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        """A lane that ends with an error is a bug: stop the worker, loudly, rather than leave a partition unread."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._crashing = asyncio.ensure_future(self.crash(error))

    def _delivery(self, source: TopicPartition) -> Delivery:
        if self._settings.delivery == "exactly_once":
            transactional_id = f"{self._group}.{source.partition}"
            return ExactlyOnce(self._settings, transactional_id, source, self._group, self._changelog or "")
        assert self._consumer is not None, "deliveries are made only after the start"
        return AtLeastOnce(self._settings, self._consumer, source, self._changelog or "")

    @Service.timer(LAG_EVERY_S)
    async def _show_lag(self) -> None:
        if self._consumer is None:
            return
        for source in self._consumer.assignment():
            high = self._consumer.highwater(source)
            if high is not None and source in self._lanes:
                position = await self._consumer.position(source)
                self._metrics.lag.labels(self._topic, str(source.partition)).set(max(0, high - position))


class _Handover(ConsumerRebalanceListener):
    """Tells the lane which partitions come and go."""

    def __init__(self, lane: Lane[M]) -> None:
        self._lane = lane

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._lane.release(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._lane.take(assigned)
