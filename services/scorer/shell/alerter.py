"""The alerter: a Faust agent that keeps one open alert per subject. It sees reviews only, so its rate is low.

Faust delivers at least once. So the table remembers, beside each alert, the offset of the last review taken into it: a
review that comes again changes nothing, and its alert is published again as it stands, under the same id and revision.

Faust also takes an event for done when its agent fails or is cut off in the middle of it, and the review would be lost.
So events are acknowledged here, after the table has the alert, and a broker that is away is waited for.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import faust
import msgspec
from aiokafka.errors import KafkaError

from services.contract.codec import Rejection, decode, encode
from services.contract.events import Headers, cloud_event, dead_letter_headers
from services.contract.types import Alert, DeadLetter, Review
from services.faust_app import raw_schema
from services.metrics import Metrics
from services.scorer.path.alert import updated_alert
from services.settings import Settings

logger = logging.getLogger(__name__)

RETRY_S = 1.0


class OpenAlert(msgspec.Struct, frozen=True):
    """An alert as the table keeps it: with the offset of the last review that is in it."""

    offset: int
    alert: Alert


def attach_alerter(app: faust.App, settings: Settings, metrics: Metrics, queue: str) -> None:
    """Add the alerter's agent and table to ``app``."""
    topics = settings.topics
    reviews = app.topic(topics.reviews.name, schema=raw_schema())
    alerts = app.topic(topics.alerts.name, schema=raw_schema())
    dead_letters = app.topic(topics.dead_letters.name, schema=raw_schema())
    table = app.Table("alerts", partitions=settings.partitions, key_type=bytes, value_type=bytes)

    async def alerter(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.noack().events():
            message = event.message
            try:
                review = decode(message.value, Review)
            except msgspec.MsgspecError as error:
                await _put_aside(dead_letters, message, error)
                metrics.dead_letters.labels("alerter", "review_invalid").inc()
                event.ack()
                continue
            key = f"{review.tenant}\x1f{review.subject.role}\x1f{review.subject.account}".encode()
            stored = table.get(key)
            known = decode(stored, OpenAlert) if stored is not None else None
            if known is not None and message.offset <= known.offset:
                alert = known.alert
            else:
                alert = updated_alert(known.alert if known else None, review, queue)
            headers = cloud_event("alert.v1", f"{alert.alert_id}/{alert.revision}")
            await _write(alerts, message, encode(alert), headers)
            if known is None or alert is not known.alert:
                table[key] = encode(OpenAlert(message.offset, alert))
                metrics.alerts.labels(queue, alert.status).inc()
            event.ack()

    app.agent(reviews, name="alerter")(alerter)


async def _put_aside(dead_letters: faust.TopicT, message: Any, error: msgspec.MsgspecError) -> None:
    rejection = Rejection("review_invalid", "", type(error).__name__)
    letter = DeadLetter(
        rejection.reason, rejection.field, rejection.detail, message.topic, message.partition, message.offset
    )
    await _write(dead_letters, message, message.value, dead_letter_headers(letter))


async def _write(topic: faust.TopicT, message: Any, value: bytes, headers: Headers) -> None:
    """Write a record under the key and in the partition of ``message``, until the broker has it."""
    while True:
        try:
            sent = await topic.send(key=message.key, value=value, partition=message.partition, headers=headers)
            await sent
        except KafkaError as error:
            logger.warning("%s: %s; writing it again", topic, type(error).__name__)
            await asyncio.sleep(RETRY_S)
        else:
            return
