"""The life of one input partition on one worker: take possession, restore, then batch after batch."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

import numpy as np
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from numpy.typing import NDArray

from services.clock import now_ms
from services.metrics import Metrics
from services.scorer.path.records import HopResult, Inbound, Mark, Outbound
from services.scorer.shell.delivery import ChangelogEntry, Delivery
from services.scorer.shell.restore import restore_state
from services.settings import Settings

logger = logging.getLogger(__name__)

RETRY_S = 1.0
M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)


class State(Protocol):
    """What a hop remembers of its log: as large as ``nbytes``, and rebuilt from its changelog."""

    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...
    def changelog(self, touched: NDArray[np.int64]) -> list[ChangelogEntry]: ...
    def restore(self, entries: Iterable[ChangelogEntry]) -> None: ...


class Hop(Protocol[M_contra]):
    """A pure function of an input log, with the state it keeps (``PayerHop``, ``PayeeHop``, ``Alerter``; ``Shadow``
    keeps none). ``model`` is what the lane's follower has at the time: one for a batch."""

    name: str

    @property
    def state(self) -> State: ...

    def process(self, records: list[Inbound], model: M_contra, mark: Mark) -> HopResult: ...


class PartitionLane(Generic[M]):
    """Runs one hop on one partition.

    The five steps of its protocol:

    1. Take possession: opening the delivery fences the previous owner and aborts its open transaction.
    2. Restore the state from the changelog, up to the last committed transaction; a hop without one has no state.
    3. Read the committed position, and seek there.
    4. Batch after batch: read, compute, write outputs, state and position in one transaction.
    5. On any failure to write: forget the state and begin again at 1. Nothing uncommitted was visible, so nothing is
       lost, and nothing counts twice.
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
    ) -> None:
        self._settings, self._metrics, self._consumer, self._source = settings, metrics, consumer, source
        self._changelog, self._count_more = changelog, count_more
        self._make_hop, self._make_delivery, self._current_model = make_hop, make_delivery, current_model
        self._stopping = False

    def stop(self) -> None:
        """Ask the lane to end after the batch in hand."""
        self._stopping = True

    async def run(self) -> None:
        """Run until ``stop``, through every failure that Kafka may recover from."""
        while not self._stopping:
            delivery = self._make_delivery()
            try:
                await delivery.open()
                hop = await self._restored()
                while not self._stopping:
                    await self._batch(hop, delivery)
            except KafkaError as error:
                self._count("transactions", "failed")
                logger.warning("%s: %s; taking the partition up again", self._source, type(error).__name__)
                await asyncio.sleep(RETRY_S)
            finally:
                await _close(delivery)

    async def _restored(self) -> Hop[M]:
        hop = self._make_hop()
        started, entries = time.perf_counter(), 0
        if self._changelog is not None:
            entries = await restore_state(
                hop.state.restore, self._settings, self._changelog, self._source.partition, lambda: self._stopping
            )
        seconds = time.perf_counter() - started
        self._metrics.restore.observe(seconds, hop.name)
        committed = await self._consumer.committed(self._source)
        self._consumer.seek(self._source, committed or 0)
        self._consumer.resume(self._source)
        logger.info("%s: restored %d entries in %.2f s, going on at %d", self._source, entries, seconds, committed or 0)
        self._show_state(hop)
        return hop

    async def _batch(self, hop: Hop[M], delivery: Delivery) -> None:
        found = await self._consumer.getmany(
            self._source, timeout_ms=self._settings.batch_wait_ms, max_records=self._settings.batch_payments_max
        )
        records: list[ConsumerRecord] = found.get(self._source, [])
        if not records or self._stopping:
            return
        clock = StageClock(self._metrics, hop.name)
        result = hop.process(records, self._current_model(), clock.mark)
        changelog = hop.state.changelog(result.touched)
        clock.mark("state")
        await delivery.write(self._by_topic(result), changelog, records[-1].offset + 1)
        clock.mark("commit")
        self._account(hop, result, len(records))

    def _by_topic(self, result: HopResult) -> dict[str, list[Outbound]]:
        topics = self._settings.topics
        return {getattr(topics, role).name: records for role, records in result.outputs.items() if records}

    def _account(self, hop: Hop[M], result: HopResult, records: int) -> None:
        """Count a committed batch. What was not committed is never counted."""
        metrics, name = self._metrics, hop.name
        self._count("transactions", "committed", name)
        metrics.batch.observe(float(records), name)
        for kind in ("forwarded", "decided", "duplicate", "status_update", "dead_letter"):
            if result.counts[kind]:
                metrics.payments.labels(name, kind).inc(result.counts[kind])
        for kind, label in (("label", "read"), ("label_duplicate", "duplicate")):
            if result.counts[kind]:
                metrics.payment_labels.labels(name, label).inc(result.counts[kind])
        if result.counts["duplicate"]:
            metrics.duplicates.labels(name).inc(result.counts["duplicate"])
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
            appended = np.array([record.timestamp for record in decided], dtype=np.float64)
            metrics.end_to_end.observe_many(np.maximum(now_ms() - appended, 0.0) / 1_000.0)
        self._count_more(result)
        self._show_state(hop)

    def _show_state(self, hop: Hop[M]) -> None:
        partition = str(self._source.partition)
        self._metrics.state_accounts.labels(hop.name, partition).set(len(hop.state))
        self._metrics.state_bytes.labels(hop.name, partition).set(hop.state.nbytes)

    def _count(self, metric: str, result: str, hop: str | None = None) -> None:
        getattr(self._metrics, metric).labels(hop or self._source.topic, result).inc()


class StageClock:
    """Measures how long a batch spends in each stage; ``mark`` is what the path calls."""

    def __init__(self, metrics: Metrics, hop: str) -> None:
        self._stage, self._hop = metrics.stage, hop
        self._since = time.perf_counter()

    def mark(self, stage: str) -> None:
        """The batch leaves ``stage``."""
        now = time.perf_counter()
        self._stage.observe(now - self._since, self._hop, stage)
        self._since = now


async def _close(delivery: Delivery) -> None:
    """Close without letting a broken connection hide what broke it."""
    try:
        await asyncio.wait_for(delivery.close(), timeout=10.0)
    except (KafkaError, TimeoutError, AssertionError) as error:
        logger.warning("closing a producer: %s", type(error).__name__)
