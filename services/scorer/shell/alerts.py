"""What operators' commands need of the topics: an alert as it stands, and a snooze in its subject's log."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from msgspec import Struct, structs

from services import kafka
from services.contract.alert import Alert, Snooze
from services.contract.codec import DECISION_BYTES_MAX, Rejection, encode, read
from services.contract.events import SNOOZE, cloud_event
from services.contract.units import DAY_MS
from services.kafka.reading import NotInLogs, read_log
from services.runtime.settings import Settings

_TAIL = 200
"""Offsets read at the end of each partition to tell the latest event time."""


@dataclass(frozen=True, slots=True)
class FoundAlert:
    """An alert as it stands, with the evidence of its last revision that has any, and where it was read."""

    alert: Alert
    partition: int
    key: bytes


class _Timed(Struct, frozen=True, gc=False):
    event_time_ms: int


async def find_alert(settings: Settings, alert_id: str) -> FoundAlert:
    """Look an alert up in ``alerts.v1``.

    Raises
    ------
    NotInLogs
        When there is no such alert.
    """
    topic, prefix = settings.topics.alerts.name, f"{alert_id}/".encode()
    for partition in range(settings.partitions):
        key, newest, telling = b"", None, None
        async for record in read_log(settings, topic, partition, "looking for the alert"):
            if any(name == "ce_id" and (value or b"").startswith(prefix) for name, value in record.headers):
                alert = read(record.value, Alert, "alert_invalid")
                if isinstance(alert, Rejection):
                    continue
                key, newest = record.key or b"", alert
                telling = telling if newest.status == "superseded" else newest
        if newest is not None:
            return FoundAlert(as_it_stands(newest, telling), partition, key)
    raise NotInLogs(f"{topic}: there is no alert {alert_id}")


def as_it_stands(newest: Alert, telling: Alert | None) -> Alert:
    """An alert's ``newest`` revision, with the evidence of the last one that repeats it."""
    if telling is None:
        return newest
    return structs.replace(
        telling,
        status=newest.status,
        revision=newest.revision,
        superseded_by=newest.superseded_by,
        snoozed_until_ms=newest.snoozed_until_ms,
    )


async def latest_event_ms(settings: Settings) -> int:
    """What time it is in the stream: the latest event time among each partition's last decisions; 0 without any."""
    latest = 0
    for partition in range(settings.partitions):
        async for record in read_log(
            settings, settings.topics.decisions.name, partition, "reading the time", tail=_TAIL
        ):
            timed = read(record.value, _Timed, "decision_invalid", DECISION_BYTES_MAX)
            latest = latest if isinstance(timed, Rejection) else max(latest, timed.event_time_ms)
    return latest


async def send_snooze(
    settings: Settings, found: FoundAlert, queue: str, days: float, reason: str | None
) -> tuple[Snooze, int]:
    """Write a snooze of the alert's subject in ``queue`` into the subject's own log, ``days`` of event time from the
    stream's latest; returns it and its offset."""
    now_ms = max(await latest_event_ms(settings), found.alert.updated_event_time_ms)
    snooze = Snooze(
        snooze_id=str(uuid4()),
        subject=found.alert.subject,
        queue=queue,
        until_event_time_ms=now_ms + round(days * DAY_MS),
        tenant=found.alert.tenant,
        reason=reason,
    )
    async with kafka.opened(kafka.producer(settings)) as producer:
        written = await producer.send_and_wait(
            settings.topics.reviews.name,
            encode(snooze),
            found.key,
            partition=found.partition,
            headers=cloud_event(SNOOZE, snooze.snooze_id),
        )
    return snooze, written.offset
