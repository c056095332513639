"""Following ``models.v1``: which model scores the next batch."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod

from aiokafka.structs import TopicPartition
from mode import Service

from services import kafka
from services.contract.signing import is_signed
from services.runtime.health import Loop
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.supervisor import supervise, within
from services.scorer.path.scoring.choice import Choice
from services.scorer.path.scoring.model import Model

logger = logging.getLogger(__name__)

CLOSE_S = 5.0
UNSIGNED = "not signed with TOCSIN_MODELS_KEY: a learner that starts announces its lines anew, people promote again"


class AnnouncementFollower(Service, ABC):
    """Reads ``models.v1`` from its beginning and goes on with what is written to it, through every fault that passes:
    a further attempt goes on where the one before had come."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        super().__init__()
        self._settings, self._metrics = settings, metrics
        self._source = TopicPartition(settings.topics.models.name, 0)
        self._next_offset = 0
        self.is_current = False
        """Whether every announcement made before the start has been read."""

    @property
    def label(self) -> str:
        """Its name in the worker's log."""
        return "Model follower"

    @abstractmethod
    def consider(self, key: bytes | None, value: bytes | None, written_ms: int) -> None:
        """Take a record that is signed where it must be: an announcement, the promotion, or a tombstone.

        ``written_ms`` is the record's own timestamp."""

    def refuse(self, why: object) -> None:
        """Count and log an announcement that cannot be used."""
        self._metrics.models_refused.inc()
        logger.warning("announced model refused: %s", why)

    @Service.task
    async def _run(self) -> None:
        with self._metrics.health.loop("models") as loop:
            await supervise(loop, lambda: self._follow(loop), lambda: self.should_stop, self._metrics.count_fault)

    async def _follow(self, loop: Loop) -> None:
        consumer, source = kafka.consumer(self._settings), self._source
        models_key = self._settings.models_key.get_secret_value().encode()
        try:
            await consumer.start()
            consumer.assign([source])
            end = (await consumer.end_offsets([source]))[source]
            if self._next_offset > end:  # the topic was made anew: what it holds now is what counts
                self._next_offset = 0
            consumer.seek(source, self._next_offset)
            answered_ms = 0
            while not self.should_stop:
                found = await consumer.getmany(source, timeout_ms=200)
                for record in found.get(source, ()):
                    if is_signed(models_key, record.key, record.value, record.headers):
                        self.consider(record.key, record.value, record.timestamp)
                    else:
                        self.refuse(UNSIGNED)
                self._next_offset = await consumer.position(source)
                self.is_current = self.is_current or self._next_offset >= end
                if found or answered_ms != (answered_ms := kafka.answered_ms(consumer, [source])):
                    loop.step()
        finally:
            await within(CLOSE_S, consumer.stop(), "closing the reader of models")


class ModelFollower(AnnouncementFollower):
    """Keeps ``current`` at the model that scores (``services.scorer.path.scoring.choice``). Lanes read it between
    batches, so a batch has one model. An announcement that cannot be used is counted and logged, and the model in use
    stays.
    """

    def __init__(self, settings: Settings, metrics: Metrics, feature_schema_hash: str) -> None:
        super().__init__(settings, metrics)
        self._choice = Choice(feature_schema_hash, settings.pinned_model)

    @property
    def current(self) -> Model:
        """What the next batch is scored with."""
        return self._choice.current.model

    async def on_start(self) -> None:
        self._show()
        await super().on_start()

    def consider(self, key: bytes | None, value: bytes | None, written_ms: int) -> None:
        """As ``AnnouncementFollower``."""
        before = self._choice.current
        why = self._choice.take(key, value, written_ms)
        if why is not None:
            self.refuse(why)
        elif self._choice.current is not before:
            self._show()

    def _show(self) -> None:
        model, written_ms = self._choice.current
        self._metrics.champion_announced.set(written_ms / 1_000)
        self._metrics.use_model(model.version, model.hash)
        logger.info("scoring with model version %d, hash %s", model.version, model.hash[:12])
