"""The life of one input partition on one worker: take possession, restore, look at the input, go on batch by batch."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

import numpy as np
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition
from msgspec import structs

from services import kafka
from services.kafka.fetching import read_columns
from services.runtime.clock import now_ms
from services.runtime.health import Loop
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.supervisor import is_own_cancellation, pause, supervise, within
from services.scorer.path.records import HopResult, Mark, Outputs, Records, no_mark, timestamps_of
from services.scorer.shell.convoy import Convoy
from services.scorer.shell.delivery import ChangelogEntry, Delivery
from services.scorer.shell.position import InputChanged, Position, look_at, position_entry, require_same
from services.scorer.shell.restore import restore_state
from services.scorer.shell.stages import NO_PACE, Pace, StageClock
from services.wire.columns import Columns

logger = logging.getLogger(__name__)

ATTEMPTS_MAX = 5
"""Failures in a row after which a partition asks its lane for another consumer."""
LOOK_S = 5.0
"""Between two looks at whether the input is still the one it was."""
OPEN_S = 60.0
CLOSE_S = 5.0
M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)


class State(Protocol):
    """What a hop remembers of its log: as large as ``nbytes``, and rebuilt from its changelog and the log since.

    ``evicted`` counts accounts that had to make room for others. A state that ``is_written_each_batch`` has a
    ``checkpoint`` with every batch, the others at intervals, and ``beyond_log`` says in between what they took that is
    in no log; ``begin_at`` says from where on the log is to be taken into what was restored.
    """

    is_written_each_batch: bool

    @property
    def nbytes(self) -> int: ...
    @property
    def evicted(self) -> int: ...
    @property
    def latest_event_ms(self) -> int: ...
    def __len__(self) -> int: ...
    def begin_at(self, offset: int, generation: int) -> int: ...
    def checkpoint(self, next_offset: int) -> list[ChangelogEntry]: ...
    def beyond_log(self) -> list[ChangelogEntry]: ...
    def restore(self, entries: Iterable[ChangelogEntry]) -> None: ...


class Hop(Protocol[M_contra]):
    """A pure function of an input log, with the state it keeps (``PayerHop``, ``PayeeHop``, ``Alerter``; ``Shadow``
    keeps none). ``model`` is what the lane's follower has at the time: one for a batch. ``take`` takes records whose
    outputs are written already into the state."""

    name: str

    @property
    def state(self) -> State: ...

    def process(self, records: Records, model: M_contra, mark: Mark) -> HopResult: ...
    def take(self, records: Records) -> None: ...


class PartitionLane(Generic[M]):
    """Runs one hop on one partition.

    The seven steps of its protocol:

    1. Take possession: opening the delivery fences the previous owner, and ends its last transaction wherever the
       broker left it open.
    2. Restore the state and its position from the changelog, up to the last committed transaction; a hop without one
       has no state, and its position is the committed offset.
    3. Look at the input. What was deleted and made again, or has lost its end, is not read before people have decided.
    4. Take the input between the state's latest checkpoint and the position into the state; its outputs are written.
    5. Batch after batch: read, compute, write outputs and position in one transaction, and with some the state; look
       again every few seconds. The position is an entry of the changelog; the group's offset, which the lane sets
       later, is for people who ask how far behind the group is.
    6. When the partition leaves, or its input is no longer what it was: write the state as it is.
    7. On any failure: forget the state and begin again at 1. Nothing uncommitted was visible, so nothing is lost, and
       nothing counts twice.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        consumer: AIOKafkaConsumer,
        source: TopicPartition,
        changelog: str | None,
        make_hop: Callable[[], Hop[M]],
        make_delivery: Callable[[], Delivery],
        current_model: Callable[[], M],
        count_more: Callable[[HopResult], None],
        convoy: Convoy,
        pace: Pace = NO_PACE,
    ) -> None:
        self._convoy, self._pace, self._next_s = convoy, pace, 0.0
        self._settings, self._metrics, self._consumer, self._source = settings, metrics, consumer, source
        self._changelog, self._count_more = changelog, count_more
        self._make_hop, self._make_delivery, self._current_model = make_hop, make_delivery, current_model
        self._position = Position("", 0)
        self.done_offset: int | None = None
        """Behind what is written, where the changelog alone says so yet and the group is still to be told."""
        self._unwritten = 0
        """Records in the state and not in its changelog."""
        self._written_s = 0.0
        self._evicted = 0
        self._answered_ms = 0
        self._looked_s = 0.0
        self._stopping = False
        self._reading: asyncio.Future[Records] | None = None

    def stop(self) -> None:
        """Ask the lane to end after the batch in hand."""
        self._stopping = True
        if self._reading is not None:
            self._reading.cancel()

    async def run(self) -> None:
        """Run until ``stop``, through every fault that may pass. One that keeps coming back is raised: it may be the
        consumer's, which is the lane's."""
        name = f"{self._source.topic}[{self._source.partition}]"
        try:
            with self._metrics.health.loop(name) as loop:
                count = self._metrics.count_fault
                await supervise(loop, lambda: self._attempt(loop), lambda: self._stopping, count, ATTEMPTS_MAX)
        finally:
            self._show_stopped(False)

    async def _attempt(self, loop: Loop) -> None:
        delivery = self._make_delivery()
        self._convoy.join(self._source.partition)
        try:
            await asyncio.wait_for(delivery.open(), OPEN_S)
            hop = await self._restored(loop)
            if hop is None:
                return
            await self._take_up(hop, loop)
            while not self._stopping:
                if time.monotonic() - self._looked_s > LOOK_S:
                    await self._look_again(hop, delivery, loop)
                await self._batch(hop, delivery, loop)
            await self._write_state(hop, delivery)
        except InputChanged:
            self._show_stopped(True)
            raise
        finally:
            self._convoy.leave(self._source.partition)
            await within(CLOSE_S, delivery.close(), "closing a producer")

    async def _restored(self, loop: Loop) -> Hop[M] | None:
        """The hop with its state, unless stopped on the way; sets the position that it stands for."""
        hop = self._make_hop()
        started, entries, position = time.perf_counter(), 0, None
        if self._changelog is not None:
            entries, position = await restore_state(
                hop.state.restore, self._settings, self._changelog, self._source.partition, lambda: self._stopping, loop
            )
        if self._stopping:
            return None
        if position is None:
            position = Position("", await self._consumer.committed(self._source) or 0)
        state_offset = hop.state.begin_at(position.resume_offset, position.generation)
        next_offset = max(position.next_offset, state_offset)  # without transactions state comes before position
        self._position = position = structs.replace(position, next_offset=next_offset, state_offset=state_offset)
        self._unwritten, self._evicted, self._written_s = 0, 0, time.monotonic()
        seconds = time.perf_counter() - started
        self._metrics.restore.observe(seconds, hop.name)
        logger.info(
            "%s: restored %d entries in %.2f s, going on at %d", self._source, entries, seconds, position.next_offset
        )
        return hop

    async def _take_up(self, hop: Hop[M], loop: Loop) -> None:
        await self._look()
        with suppress(NoOffsetForPartitionError, OffsetOutOfRangeError):  # what it held against the position before
            await self._read(wait_ms=0)
        self._consumer.seek(self._source, self._position.resume_offset)
        self._consumer.resume(self._source)
        await self._catch_up(hop, loop)
        self._is_at(self._position)
        self._show_stopped(False)
        self._show_state(hop)

    async def _catch_up(self, hop: Hop[M], loop: Loop) -> None:
        """Take what lies between the latest checkpoint and the position into the state. One that was stopped on the way
        stands for no position, and is not to be written."""
        taken, end = 0, self._position.next_offset
        while not self._stopping and await self._consumer.position(self._source) < end:
            records = [record for record in await self._read(self._settings.batch_wait_ms) if record.offset < end]
            if records:
                hop.take(Records.of(records))
                taken += len(records)
                loop.step()
        if not self._stopping:
            self._unwritten = taken
        self._consumer.seek(self._source, end)

    async def _look(self) -> None:
        """See that the input is the one that the position is of, and note under which leader.

        What was committed before positions were, or where brokers know no topic ids, passes for the same input.
        """
        known = self._position
        now = await look_at(self._settings, self._consumer, self._source, known)
        if not known.topic_id and now.topic_id:
            known = structs.replace(
                known,
                topic_id=now.topic_id,
                next_offset=max(known.next_offset, now.begin),
                state_offset=max(known.state_offset, now.begin),
            )
        require_same(self._source, known, now)
        self._position = structs.replace(known, anchor_offset=known.next_offset, anchor_epoch=now.epoch)
        self._looked_s = time.monotonic()

    async def _look_again(self, hop: Hop[M], delivery: Delivery, loop: Loop) -> None:
        """Look, if the cluster answers: where it does not, reading will tell. What can no longer be read again is kept
        before the partition stands still."""
        self._looked_s = time.monotonic()
        try:
            await self._look()
        except InputChanged:
            await self._write_state(hop, delivery)
            raise
        except KafkaError as error:
            self._metrics.count_fault(loop.name, type(error).__name__)

    async def _batch(self, hop: Hop[M], delivery: Delivery, loop: Loop) -> None:
        records = await self._next()
        if not records or self._stopping:
            answered_ms = kafka.answered_ms(self._consumer, [self._source])
            if answered_ms != self._answered_ms:  # a broker that stands still does not answer
                self._answered_ms = answered_ms
                loop.step()
            if self._is_state_due(hop):
                await self._write_state(hop, delivery)
            return
        began_s, clock = time.monotonic(), StageClock(self._metrics, hop.name)
        result = hop.process(records, self._current_model(), clock.mark)
        is_full = result.counts["decided"] >= self._settings.batch_payments_max
        self._next_s = 0.0 if is_full else began_s + self._pace.after(records)
        self._unwritten += len(records)
        position = structs.replace(self._position, next_offset=int(records.offsets[-1]) + 1)
        await self._turn(records, loop)
        clock.mark("turn")
        await self._write(hop, delivery, self._by_topic(result), position, self._is_state_due(hop), clock.mark)
        clock.mark("commit")
        loop.step()
        self._account(hop, result, len(records))

    def _is_state_due(self, hop: Hop[M]) -> bool:
        settings = self._settings
        return self._unwritten > 0 and (
            hop.state.is_written_each_batch
            or self._unwritten >= settings.checkpoint_payments
            or time.monotonic() - self._written_s >= settings.checkpoint_s
        )

    async def _write_state(self, hop: Hop[M], delivery: Delivery) -> None:
        """Write the state by itself, if any of it is not written."""
        if self._unwritten:
            await self._write(hop, delivery, {}, self._position, True, no_mark)

    async def _write(
        self,
        hop: Hop[M],
        delivery: Delivery,
        outputs: Outputs,
        position: Position,
        with_state: bool,
        mark: Mark,
    ) -> None:
        """Make a batch durable: its outputs, the position after it, and the state if it is to be written."""
        changelog: list[ChangelogEntry] = []
        if self._changelog is not None:
            if with_state:
                changelog = hop.state.checkpoint(position.next_offset)
                position = structs.replace(position, state_offset=position.next_offset)
            else:
                changelog = hop.state.beyond_log()
            changelog.append(position_entry(position))
        mark("state")
        await delivery.write(outputs, changelog, None if changelog else position.next_offset)
        self._is_at(position)
        if with_state:
            self._unwritten, self._written_s = 0, time.monotonic()

    def _is_at(self, position: Position) -> None:
        self._position = position
        self.done_offset = None if self._changelog is None else position.next_offset

    async def _next(self) -> Records:
        """The next records; none where none come."""
        if (early_s := self._next_s - time.monotonic()) > 0.0:
            await pause(early_s, lambda: self._stopping)
        end = self._consumer.highwater(self._source)  # unknown until a first answer has come
        if end is not None and end <= await self._consumer.position(self._source):
            self._convoy.rest(self._source.partition)
        records = await self._read(self._settings.batch_wait_ms)
        if not records and self._consumer.highwater(self._source) is not None:
            self._convoy.rest(self._source.partition)
        return records

    async def _turn(self, records: Records, loop: Loop) -> None:
        """Wait until what ``records`` gave may be written, unless the lane is to stop: then at once."""
        wait_s = self._settings.batch_wait_ms / 1_000
        while not self._stopping and not await self._convoy.turn(self._source.partition, records, wait_s):
            loop.step()

    async def _read(self, wait_ms: int) -> Records:
        """The next records, if any come within ``wait_ms``.

        ``stop`` ends the wait: while a group is dealt out anew, aiokafka's ``getmany`` waits for the outcome, and that
        waits for this lane to let go.
        """
        if self._stopping:
            return Records.of([])
        self._reading = asyncio.ensure_future(self._fetched(wait_ms))
        try:
            return await self._reading
        except asyncio.CancelledError as error:
            if is_own_cancellation(error):
                raise
            return Records.of([])
        finally:
            self._reading = None

    async def _fetched(self, wait_ms: int) -> Records:
        columns = await read_columns(self._consumer, self._source, wait_ms, self._settings.batch_payments_max)
        return Records(*columns) if isinstance(columns, Columns) else Records.of(columns)

    def _by_topic(self, result: HopResult) -> Outputs:
        topics = self._settings.topics
        return {getattr(topics, role).name: records for role, records in result.outputs.items() if records}

    def _account(self, hop: Hop[M], result: HopResult, records: int) -> None:
        """Count a committed batch. What was not committed is never counted."""
        metrics, name = self._metrics, hop.name
        metrics.transactions.labels(name, "committed").inc()
        metrics.batch.observe(float(records), name)
        metrics.last_commit.labels(self._source.topic, str(self._source.partition)).set(now_ms() / 1_000)
        for kind in ("forwarded", "decided", "added", "duplicate", "status_update", "dead_letter"):
            if result.counts[kind]:
                metrics.payments.labels(name, kind).inc(result.counts[kind])
        for kind, label in (("label", "read"), ("label_duplicate", "duplicate")):
            if result.counts[kind]:
                metrics.payment_labels.labels(name, label).inc(result.counts[kind])
        if result.counts["duplicate"]:
            metrics.duplicates.labels(name).inc(result.counts["duplicate"])
        metrics.handover_gaps.inc(result.counts["gap"])
        for reason, count in result.reasons.items():
            metrics.dead_letters.labels(name, reason).inc(count)
        for (rule, outcome), count in result.rules.items():
            metrics.rule_results.labels(rule, outcome).inc(count)
        for (queue, status), count in result.alerts.items():
            metrics.alerts.labels(queue, status).inc(count)
        for queue, threshold in result.thresholds.items():
            metrics.alert_threshold.labels(queue, str(self._source.partition)).set(threshold)
        decided = result.outputs.get("decisions")
        if decided:
            review = result.counts["review"]
            metrics.decisions.labels("review").inc(review)
            metrics.decisions.labels("pass").inc(len(decided) - review)
            appended = timestamps_of(decided)
            metrics.end_to_end.observe_many(np.maximum(now_ms() - appended, 0.0) / 1_000.0)
        self._count_more(result)
        self._show_state(hop)

    def _show_state(self, hop: Hop[M]) -> None:
        partition = str(self._source.partition)
        self._metrics.state_accounts.labels(hop.name, partition).set(len(hop.state))
        self._metrics.state_bytes.labels(hop.name, partition).set(hop.state.nbytes)
        self._metrics.accounts_evicted.labels(hop.name).inc(hop.state.evicted - self._evicted)
        self._evicted = hop.state.evicted
        self._metrics.event_time.labels(f"{self._source.topic}[{partition}]").set(hop.state.latest_event_ms / 1_000)

    def _show_stopped(self, stopped: bool) -> None:
        self._metrics.partition_stopped.labels(self._source.topic, str(self._source.partition)).set(stopped)
