"""``tocsin topics accept``: people decide that a topic made anew, or without its end, is read from its beginning.

What is written is what the readers themselves would write: the position in the changelog, with the group's offset, in
one transaction under the partition's own transactional id. Taking that id fences the reader, which stands still anyway
and takes it back when it looks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from services import kafka
from services.contract.errors import TocsinError
from services.contract.topics import Topic, Topics
from services.kafka.identity import accepted_as
from services.kafka.possession import Possession
from services.kafka.reading import read_log
from services.runtime.settings import Settings
from services.scorer.path.handover_reading import GENERATIONS_MAX
from services.scorer.shell.delivery import ExactlyOnce
from services.scorer.shell.position import (
    POSITION_KEY,
    Input,
    Position,
    going_on_at,
    look_at,
    position_entry,
    read_position,
    what_changed,
)

ATTEMPTS = 5


class NothingToAccept(TocsinError):
    """No reader of the topic waits for a decision. The message says so."""

    exit_code = 2


class _Reader(NamedTuple):
    """Who reads a topic: a consumer group's name, and where its state is."""

    name: str
    changelog: Topic | None
    one_transaction_for_all: bool = False


class Accepted(NamedTuple):
    """What was decided for one reader of one partition, and where it goes on."""

    group: str
    partition: int
    why: str
    next_offset: int


def readers_of(topics: Topics) -> dict[str, tuple[_Reader, ...]]:
    """Who reads each topic that can be accepted."""
    learner = _Reader("learner", None, one_transaction_for_all=True)
    return {
        topics.payments.name: (_Reader("payer", topics.payer_state),),
        topics.payments_by_payee.name: (_Reader("payee", topics.payee_state),),
        topics.evidence.name: (_Reader("subject", topics.subject_state),),
        topics.reviews.name: (_Reader("alerter", topics.alerter_state),),
        topics.features.name: (_Reader("shadow", None), learner),
        topics.labels.name: (learner,),
        topics.examples.name: (learner,),
    }


async def accept(settings: Settings, topic: str, partitions: Sequence[int]) -> list[Accepted]:
    """Let the readers of ``partitions`` of ``topic`` go on at its beginning, with the state that they have.

    Raises
    ------
    NothingToAccept
        When the topic is none that is read with a position, or is still what every reader's state was made of.
    KafkaError
        When the cluster does not take it.
    """
    readers = readers_of(settings.topics).get(topic)
    if readers is None:
        known = ", ".join(readers_of(settings.topics))
        raise NothingToAccept(f"{topic}: nobody keeps a position in it; those with one are {known}")
    done: list[Accepted] = []
    async with kafka.opened(kafka.consumer(settings)) as consumer:
        for reader in readers:
            for partition in partitions:
                done += await _accept_patiently(settings, consumer, reader, TopicPartition(topic, partition))
    if not done:
        raise NothingToAccept(f"{topic}: it is what its readers have read so far; there is nothing to accept")
    return done


async def _accept_patiently(
    settings: Settings, consumer: AIOKafkaConsumer, reader: _Reader, source: TopicPartition
) -> list[Accepted]:
    for attempt in range(ATTEMPTS):
        try:
            return await _accept_one(settings, consumer, reader, source)
        except ProducerFenced:  # the reader looked again in between
            await asyncio.sleep(0.2 * (attempt + 1))
    return await _accept_one(settings, consumer, reader, source)


async def _accept_one(
    settings: Settings, consumer: AIOKafkaConsumer, reader: _Reader, source: TopicPartition
) -> list[Accepted]:
    group = _group_of(settings, reader)
    consumer.assign([source])
    known = None if reader.changelog is None else await _position_in(settings, reader.changelog, source.partition)
    now = await look_at(settings, consumer, source, known)
    if reader.changelog is None:
        why = await _what_changed_for(settings, group, source, now)
    else:
        why = None if known is None else what_changed(known, now)
    if why is None:
        return []
    generation = 0 if known is None else min(known.generation + 1, GENERATIONS_MAX)
    next_offset = going_on_at(known, now)
    position = Position(now.topic_id, next_offset, generation, next_offset, now.epoch)
    await _write(settings, consumer, reader, source, position)
    return [Accepted(group, source.partition, why, next_offset)]


def _group_of(settings: Settings, reader: _Reader) -> str:
    return f"{settings.identity}.{reader.name}"


async def _position_in(settings: Settings, changelog: Topic, partition: int) -> Position | None:
    """Where the reader stands; ``None`` where it never began."""
    found: Position | None = None
    async for record in read_log(settings, changelog.name, partition, "looking for the position"):
        if record.key == POSITION_KEY:
            found = read_position(record.value) or found
    return found


async def _what_changed_for(settings: Settings, group: str, source: TopicPartition, now: Input) -> str | None:
    """The same of a reader without a changelog: Kafka drops a group's offsets with the topic that they are of."""
    async with kafka.opened(kafka.admin(settings)) as admin:
        found = await admin.list_consumer_group_offsets(group, partitions=[source])
    offset = found[source].offset if source in found else -1
    if offset < 0:
        return "the group has no place in it"
    return what_changed(Position(now.topic_id, offset), now)


async def _write(
    settings: Settings, consumer: AIOKafkaConsumer, reader: _Reader, source: TopicPartition, position: Position
) -> None:
    """The position and the group's offset, as the reader would write them."""
    group = _group_of(settings, reader)
    offset = OffsetAndMetadata(position.next_offset, accepted_as(position.topic_id))
    log = reader.changelog.name if reader.changelog else ""
    entries = [position_entry(position)] if log else []
    if settings.delivery != "exactly_once":
        async with kafka.opened(kafka.producer(settings)) as producer:
            for key, value in entries:
                await producer.send_and_wait(log, value, key, partition=source.partition)
        await _commit(settings, group, {source: offset})
        return
    transactional_id = group if reader.one_transaction_for_all else f"{group}.{source.partition}"
    topics = [each.name for each in settings.topics.written_by(reader.name)]
    possession = Possession(transactional_id, group, topics)
    delivery = ExactlyOnce(kafka.producer(settings, transactional_id), consumer, source, log, group, possession)
    try:
        await delivery.open()
        await delivery.write({}, entries, offset)
    finally:
        await delivery.close()


async def _commit(settings: Settings, group: str, offset: dict[TopicPartition, OffsetAndMetadata]) -> None:
    """Without transactions a group's offset can be set from outside only while nobody is in the group."""
    async with kafka.opened(kafka.consumer(settings, group_id=group)) as consumer:
        consumer.assign(list(offset))
        try:
            await consumer.commit(offset)
        except KafkaError:
            raise NothingToAccept(f"{group}: its workers are running; stop them, and run the command again") from None
