"""Following ``models.v1``: which model scores the next batch."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod

from aiokafka.structs import TopicPartition
from mode import Service

from services import kafka
from services.contract.announced import CHAMPION, model_of, read_announced
from services.contract.reading import Rejection
from services.contract.signing import is_signed
from services.metrics import Metrics
from services.runtime.health import Loop
from services.runtime.supervisor import supervise, within
from services.scorer.path.ensemble import model_from
from services.scorer.path.model import Model, ModelRefused, untrained_model
from services.settings import Settings

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
        self._written_ms: dict[str, int] = {}
        """When the model in use, and the one announced last, were announced or promoted."""
        self._schema_hash = feature_schema_hash

    async def on_start(self) -> None:
        self._use(self.current)
        await super().on_start()

    def consider(self, key: bytes | None, value: bytes | None, written_ms: int) -> None:
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
            self._written_ms[model.hash] = written_ms
        model = self._champion if self._champion is not None and not pinned else self._latest
        self._written_ms = {name: self._written_ms.get(name, 0) for name in (model.hash, self._latest.hash)}
        if model.hash != self.current.hash:
            self._use(model)

    def _use(self, model: Model) -> None:
        self.current = model
        self._metrics.champion_announced.set(self._written_ms.get(model.hash, 0) / 1_000)
        self._metrics.use_model(model.version, model.hash)
        logger.info("scoring with model version %d, hash %s", model.version, model.hash[:12])
