"""Following ``models.v1``: which model scores the next batch."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from mode import Service

from services import kafka
from services.contract.announced import CHAMPION, model_of, read_announced
from services.contract.reading import Rejection
from services.metrics import Metrics
from services.scorer.path.ensemble import model_from
from services.scorer.path.model import Model, ModelRefused, untrained_model
from services.settings import Settings

logger = logging.getLogger(__name__)


class AnnouncementFollower(Service, ABC):
    """Reads ``models.v1`` from its beginning and goes on with what is written to it."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        super().__init__()
        self._settings, self._metrics = settings, metrics
        self._source = TopicPartition(settings.topics.models.name, 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._caught_up = asyncio.Event()

    async def wait_until_current(self) -> None:
        """Return once every announcement made before the start has been read."""
        await self._caught_up.wait()

    @abstractmethod
    def consider(self, key: bytes | None, value: bytes | None) -> None:
        """Take a record: an announcement, the promotion, or a tombstone."""

    def refuse(self, why: object) -> None:
        """Count and log an announcement that cannot be used."""
        self._metrics.models_refused.inc()
        logger.warning("announced model refused: %s", why)

    async def on_start(self) -> None:
        self._consumer = kafka.consumer(self._settings)
        await self._consumer.start()
        self._consumer.assign([self._source])
        await self._consumer.seek_to_beginning(self._source)

    async def on_stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    @Service.task
    async def _follow(self) -> None:
        assert self._consumer is not None, "on_start has run"
        end = (await self._consumer.end_offsets([self._source]))[self._source]
        while not self.should_stop:
            if await self._consumer.position(self._source) >= end:
                self._caught_up.set()
            found = await self._consumer.getmany(self._source, timeout_ms=200)
            for records in found.values():
                for record in records:
                    self.consider(record.key, record.value)


class ModelFollower(AnnouncementFollower):
    """Keeps ``current`` at the champion, or, while none is promoted, at the model announced last. Lanes read it between
    batches, so a batch has one model.

    With ``settings.pinned_model`` only that model is ever taken. An announcement that cannot be used is counted and
    logged, and the model in use stays. Challengers are passed over unread: they are the shadow worker's.
    """

    def __init__(self, settings: Settings, metrics: Metrics, feature_schema_hash: str) -> None:
        super().__init__(settings, metrics)
        self.current: Model = untrained_model(feature_schema_hash)
        self._champion: Model | None = None
        self._latest: Model = self.current
        self._schema_hash = feature_schema_hash

    async def on_start(self) -> None:
        self._use(self.current)
        await super().on_start()

    def consider(self, key: bytes | None, value: bytes | None) -> None:
        """As ``AnnouncementFollower``."""
        pinned = self._settings.pinned_model
        said = read_announced(key, value)
        if isinstance(said, Rejection):
            self.refuse(said)
            return
        if said is None:
            if key == CHAMPION:
                self._champion = None
        else:
            announcement = model_of(said)
            if key != CHAMPION and announcement.challenger and announcement.model_hash != pinned:
                return
            try:
                model = model_from(announcement, self._schema_hash)
            except ModelRefused as error:
                self.refuse(error)
                return
            if key == CHAMPION:
                self._champion = model
            elif pinned in ("", model.hash):
                self._latest = model
        model = self._champion if self._champion is not None and not pinned else self._latest
        if model.hash != self.current.hash:
            self._use(model)

    def _use(self, model: Model) -> None:
        self.current = model
        self._metrics.use_model(model.version, model.hash)
        logger.info("scoring with model version %d, hash %s", model.version, model.hash[:12])
