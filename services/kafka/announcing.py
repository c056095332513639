"""Announcing models and the champion: the one place that writes to ``models.v1``, and signs."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer

from services import kafka
from services.contract.announcement import CHAMPION, ModelAnnouncement, Promotion, read_announced
from services.contract.codec import Rejection, encode
from services.contract.events import Headers, cloud_event
from services.contract.signing import is_signed, signed
from services.kafka.reading import read_log
from services.runtime.settings import Settings


def name_of(announcement: ModelAnnouncement) -> str:
    """How people name a model: ``name/version``."""
    return f"{announcement.name}/{announcement.version}"


async def read_champion(settings: Settings) -> Promotion | None:
    """The promotion in force; ``None`` while workers follow the learner."""
    found: Promotion | None = None
    models_key = settings.models_key.get_secret_value().encode()
    async for record in read_log(settings, settings.topics.models.name, 0, "looking for the champion"):
        if record.key != CHAMPION or not is_signed(models_key, record.key, record.value, record.headers):
            continue
        said = read_announced(record.key, record.value)
        if not isinstance(said, Rejection):  # workers pass over what they cannot read, as over what is not signed
            found = said if isinstance(said, Promotion) else None
    return found


async def announce(settings: Settings, announcement: ModelAnnouncement) -> None:
    """Announce a model under its own name; a challenger scores in shadow from then on. Durable on return."""
    async with kafka.opened(kafka.producer(settings)) as producer:
        await send_announcement(producer, settings, announcement)


async def send_announcement(producer: AIOKafkaProducer, settings: Settings, announcement: ModelAnnouncement) -> None:
    """Write an announcement to ``models.v1`` under its own name. Durable on return."""
    key = name_of(announcement)
    headers = cloud_event("model-announcement.v1", f"{key}/{announcement.model_hash}")
    await _send(producer, settings, key.encode(), encode(announcement), headers)


async def write_champion(settings: Settings, promotion: Promotion | None) -> None:
    """Make ``promotion`` the one in force; ``None`` hands the choice back to the learner. Durable on return.

    The model also stands under its own name, which later promotions do not replace: decisions name its hash for ever.
    """
    value = None if promotion is None else encode(promotion)
    said = "none" if promotion is None else f"{name_of(promotion.champion)}/{promotion.champion.model_hash}"
    async with kafka.opened(kafka.producer(settings)) as producer:
        if promotion is not None and promotion.champion.challenger:
            await send_announcement(producer, settings, promotion.champion)
        await _send(producer, settings, CHAMPION, value, cloud_event("model-promotion.v1", f"champion/{said}"))


async def _send(
    producer: AIOKafkaProducer, settings: Settings, key: bytes, value: bytes | None, headers: Headers
) -> None:
    """The one place that writes to ``models.v1``, and signs."""
    headers = headers + signed(settings.models_key.get_secret_value().encode(), key, value)
    await producer.send_and_wait(settings.topics.models.name, value, key, partition=0, headers=headers)
