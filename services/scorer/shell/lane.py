"""A lane: one hop on all the partitions that the consumer group gives this worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from mode import Service

from services import kafka
from services.contract.errors import TocsinError
from services.contract.units import MINUTE_MS
from services.kafka.identity import client_of, identity_of
from services.kafka.possession import Possession
from services.runtime.health import Loop
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.supervisor import passes, pause, supervise, unless, within
from services.scorer.path.records import HopResult
from services.scorer.shell.convoy import Convoy
from services.scorer.shell.delivery import AtLeastOnce, Delivery, ExactlyOnce
from services.scorer.shell.partition import Hop, PartitionLane
from services.scorer.shell.stages import NO_PACE, Pace

logger = logging.getLogger(__name__)

WATCH_S = 1.0
ASK_S = 5.0
"""Between two questions to the cluster by which a lane knows that it still answers."""
RECORDS_BYTES, COLUMNS_BYTES = 4 * 1024 * 1024, 2 * 1024 * 1024
"""Fetched of a partition at once, compressed. A record of columns holds hundreds of payments, and all that is fetched
of those becomes one batch: some 2,000 payments, which is what a batch of records holds at most by default."""
METADATA_MS = 10_000
"""A group that formed while its topic was away has no partitions: this long until it sees them, not five minutes."""
REFUSED_MAX = 3
"""Questions in a row that may stay without an answer before the lane takes another consumer."""
RELEASE_S = 20.0
"""How long a lane may take to finish its batch when its partition leaves; cut off, it leaves nothing half done."""
STOP_S = 6.0
"""The same when the worker is to end, and for leaving the group."""
TELL_S = 2.0
"""How long telling the group how far its partitions are may take: nothing rests on it."""


M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)


class Follower(Protocol[M_co]):
    """Knows what a lane's next batch is to be computed with (``ModelFollower``)."""

    @property
    def current(self) -> M_co: ...
    @property
    def is_current(self) -> bool: ...


class InputReplaced(TocsinError, KafkaError):
    """The topic is another one than the consumer joined its group for, which a consumer does not notice by itself."""


class Lane(Service, ConsumerRebalanceListener, Generic[M]):
    """Reads ``topic`` in a consumer group and runs a ``PartitionLane`` on each partition assigned to this worker.

    ``make_hop`` builds the hop of a partition; ``changelog`` names the topic of its state, ``None`` where it has none.
    ``pace`` is that of each partition's batches. ``count_more`` is told of every batch once it is committed; without it
    the lane's own counts are all.
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
        pace: Pace = NO_PACE,
        count_more: Callable[[HopResult], None] = lambda result: None,
    ) -> None:
        super().__init__()
        self._pace = pace
        self._name, self._settings, self._metrics, self._models = name, settings, metrics, models
        self._topic, self._changelog, self._make_hop = topic, changelog, make_hop
        self._count_more = count_more
        self._holds_columns = any(each.name == topic and each.columns for each in settings.topics.all())
        self._group = f"{settings.identity}.{name}"
        self._convoy = Convoy(
            settings.event_spread_minutes * MINUTE_MS if topic == settings.topics.payments.name else 0
        )
        self._lanes: dict[TopicPartition, tuple[PartitionLane[M], asyncio.Task[None]]] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._failed: BaseException | None = None
        self._ended = asyncio.Event()
        self._crashing: asyncio.Future[None] | None = None

    @property
    def label(self) -> str:
        """Its name in the worker's log."""
        return f"Lane {self._name}"

    async def on_stop(self) -> None:
        """Let the batches in hand end."""
        await within(2 * STOP_S, self._ended.wait(), f"ending {self.label}")

    @Service.task
    async def _run(self) -> None:
        try:
            with self._metrics.health.loop(f"lane {self._name}") as loop:
                await supervise(loop, lambda: self._attempt(loop), lambda: self.should_stop, self._metrics.count_fault)
        finally:
            self._ended.set()

    async def _attempt(self, loop: Loop) -> None:
        """Join the group, and work on what it gives until the end, or until a partition asks for another consumer."""
        while not self._models.is_current:
            if self.should_stop:
                return
            loop.step()  # it is the follower that stands still, and says so
            await pause(WATCH_S, lambda: self.should_stop or self._models.is_current)
        self._failed = None
        consumer = self._consumer = kafka.consumer(
            self._settings,
            group_id=self._group,
            partition_assignment_strategy=(StickyPartitionAssignor,),
            max_partition_fetch_bytes=COLUMNS_BYTES if self._holds_columns else RECORDS_BYTES,
            fetch_max_wait_ms=max(1, self._settings.batch_wait_ms),
            max_poll_interval_ms=600_000,
            metadata_max_age_ms=METADATA_MS,
            auto_offset_reset="none",
        )
        try:
            consumer.subscribe([self._topic], listener=self)
            if await unless(consumer.start(), lambda: self.should_stop):
                await self._watch(consumer, loop)
        finally:
            self._consumer = None
            await self._let_go(consumer, set(self._lanes))
            await within(STOP_S, consumer.stop(), f"leaving the group of {self.label}")

    async def _watch(self, consumer: AIOKafkaConsumer, loop: Loop) -> None:
        """Show how far behind the partitions are, and see that the cluster answers."""
        clock = asyncio.get_running_loop().time
        asked_s, refused, joined_for = 0.0, 0, await identity_of(client_of(consumer), self._topic)
        while not self.should_stop:
            if self._failed is not None:
                raise self._failed
            kafka.check_group(consumer)
            if clock() - asked_s > min(ASK_S, self._metrics.health.stall_s / 4):
                asked_s = clock()
                try:
                    now = await identity_of(client_of(consumer), self._topic)
                except KafkaError as error:  # the consumer finds its way back by itself, for a while
                    self._metrics.count_fault(loop.name, type(error).__name__)
                    refused += 1
                    if refused == REFUSED_MAX:
                        raise
                else:
                    if now is not None and joined_for is not None and now.topic_id != joined_for.topic_id:
                        raise InputReplaced(self._topic)
                    refused = 0
                    loop.step()
            await self._show_lag(consumer)
            await _tell_group(consumer, self._lanes.items())
            await pause(WATCH_S, lambda: self.should_stop or self._failed is not None)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin to work on what is ``assigned``. It stays paused until its state is restored."""
        if self.should_stop or self._consumer is None:  # assigned as the consumer leaves: nobody would let them go
            return
        self._consumer.pause(*assigned)
        topics = [each.name for each in self._settings.topics.written_by(self._name)]
        for source in assigned:
            possession = Possession(f"{self._group}.{source.partition}", self._group, topics)
            lane: PartitionLane[M] = PartitionLane(
                self._settings,
                self._metrics,
                self._consumer,
                source,
                self._changelog,
                partial(self._make_hop, source.partition),
                partial(self._delivery, source, possession),
                lambda: self._models.current,
                self._count_more,
                self._convoy,
                self._pace,
            )
            self._lanes[source] = (lane, asyncio.create_task(lane.run(), name=f"{self._name}-{source.partition}"))
            self._lanes[source][1].add_done_callback(self._lane_ended)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Finish the batch in hand on each partition that is ``revoked``, then let it go."""
        if self._consumer is not None:
            await self._let_go(self._consumer, revoked)

    async def _let_go(self, consumer: AIOKafkaConsumer, revoked: set[TopicPartition]) -> None:
        leaving = {source: self._lanes.pop(source) for source in revoked if source in self._lanes}
        for lane, _ in leaving.values():
            lane.stop()
        if not leaving:
            return
        allowed_s = STOP_S if self.should_stop else RELEASE_S
        _, late = await asyncio.wait([task for _, task in leaving.values()], timeout=allowed_s)
        for task in late:
            task.cancel()
        await _tell_group(consumer, leaving.items())

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        """A fault that kept coming back may be the consumer's: the lane makes another. Any other error is a bug: stop
        the worker, loudly, rather than leave a partition unread."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if passes(error):
            self._failed = error
        else:
            self._crashing = asyncio.ensure_future(self.crash(error))

    def _delivery(self, source: TopicPartition, possession: Possession) -> Delivery:
        assert self._consumer is not None, "deliveries are made only after the start"
        log, gone = self._changelog or "", partial(self._convoy.gone, source.partition)
        if self._settings.delivery == "exactly_once":
            producer = kafka.producer(self._settings, possession.transactional_id)
            return ExactlyOnce(producer, self._consumer, source, log, self._group, possession, gone)
        return AtLeastOnce(kafka.producer(self._settings), self._consumer, source, log, gone)

    async def _show_lag(self, consumer: AIOKafkaConsumer) -> None:
        for source in consumer.assignment():
            high = consumer.highwater(source)
            if high is not None and source in self._lanes:
                position = await consumer.position(source)
                self._metrics.lag.labels(self._topic, str(source.partition)).set(max(0, high - position))


async def _tell_group(
    consumer: AIOKafkaConsumer, lanes: Iterable[tuple[TopicPartition, tuple[PartitionLane[M], object]]]
) -> None:
    """Set the group's offsets of partitions that went on, all in one request. Where the group is being dealt out anew,
    or nobody answers, the next time will do: partitions go by their changelogs."""
    done = {source: (lane, lane.done_offset) for source, (lane, _) in lanes if lane.done_offset is not None}
    if not done:
        return
    try:
        await asyncio.wait_for(consumer.commit({source: offset for source, (_, offset) in done.items()}), TELL_S)
    except (KafkaError, TimeoutError):
        return
    for lane, offset in done.values():
        if lane.done_offset == offset:
            lane.done_offset = None
