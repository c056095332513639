"""How far a partition's state has come in its input, and whether that input is still the one it was made of.

The position is an entry of the changelog, written with the state that stands for it. So a topic that was deleted and
made again (its group's offsets go with it), or whose end was lost, is noticed whatever became of the group.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from msgspec import Struct, structs

from services.contract.codec import Rejection, encode, read
from services.kafka.identity import UNKNOWN_EPOCH, client_of, end_of_epoch, identity_of
from services.kafka.reading import is_there
from services.runtime.settings import Settings
from services.runtime.supervisor import NeedsPeople

POSITION_KEY = b"\x00position"
"""Changelog key of a partition's position. It is the shell's: no hop sees it."""


class InputChanged(NeedsPeople):
    """The input is not what the state was made of, and going on would lose payments or take them for repeats."""


class Position(Struct, frozen=True, omit_defaults=True):
    """Up to where the state of a partition holds its input."""

    topic_id: str
    """Of the input topic; empty where brokers know no ids."""
    next_offset: int
    """The first record that is not in the state."""
    generation: int = 0
    """How often people have accepted another input in the place of the one before."""
    anchor_offset: int = 0
    anchor_epoch: int = UNKNOWN_EPOCH
    """Every record before ``anchor_offset`` was written under a leader of this epoch or an earlier one."""
    state_offset: int = -1
    """The first record that is not in the state as the changelog has it; -1: that is ``next_offset``. The records from
    here to ``next_offset`` are taken into the state again after a crash, and give nothing."""

    @property
    def resume_offset(self) -> int:
        """Where the input is needed from."""
        return self.next_offset if self.state_offset < 0 else min(self.state_offset, self.next_offset)


@dataclass(frozen=True, slots=True)
class Input:
    """An input partition as the cluster has it. Without a ``topic_id`` nothing more can be told of it."""

    topic_id: str
    begin: int
    end: int
    epoch: int = UNKNOWN_EPOCH
    anchor_end: int | None = None
    """Where the records of the anchor's epoch end, if another leader came since."""


def what_changed(known: Position, now: Input) -> str | None:
    """What keeps the state at ``known`` from going on with the input ``now``, or ``None``.

    >>> what_changed(Position("a1", 7), Input("a1", 0, 9))
    >>> what_changed(Position("a1", 7), Input("b2", 0, 9))
    'it was deleted and made again: 7 records of the former were taken'
    >>> what_changed(Position("a1", 7), Input("a1", 0, 5))
    'it ends at 5 and 7 was taken: its end was lost'
    >>> what_changed(Position("a1", 7), Input("a1", 9, 12))
    'it begins at 9 and 7 was not taken yet: records were deleted unread'
    """
    if not (now.topic_id and known.topic_id):
        return None
    if now.topic_id != known.topic_id:
        return f"it was deleted and made again: {known.next_offset} records of the former were taken"
    if now.end < known.next_offset:
        return f"it ends at {now.end} and {known.next_offset} was taken: its end was lost"
    if now.anchor_end is not None and now.anchor_end < known.anchor_offset:
        return f"its leader has other records from {now.anchor_end} on than were taken: its end was lost"
    if now.begin > known.next_offset:
        return f"it begins at {now.begin} and {known.next_offset} was not taken yet: records were deleted unread"
    if now.begin > known.resume_offset:
        return (
            f"it begins at {now.begin} and the latest checkpoint stands for {known.resume_offset}: records were "
            "deleted that the state needs again"
        )
    return None


def going_on_at(known: Position | None, now: Input) -> int:
    """Where reading goes on once people have accepted what changed: at the beginning, unless it is only the state that
    lacks what was deleted, and payments would be decided again.

    >>> going_on_at(Position("a1", 90, state_offset=7), Input("a1", 9, 120))
    90
    >>> going_on_at(Position("a1", 7), Input("b2", 0, 9))
    0
    """
    if known is not None and what_changed(structs.replace(known, state_offset=-1), now) is None:
        return max(known.next_offset, now.begin)
    return now.begin


async def look_at(
    settings: Settings, consumer: AIOKafkaConsumer, source: TopicPartition, known: Position | None
) -> Input:
    """The input partition as it is now.

    An end before ``known`` is asked for twice: the memory broker tells of one that lies within the last batch.

    Raises
    ------
    KafkaError
        When the cluster does not say.
    """
    client = client_of(consumer)
    identity = await identity_of(client, source.topic)
    begin = (await consumer.beginning_offsets([source]))[source]
    end = (await consumer.end_offsets([source]))[source]
    if identity is None:
        return Input("", begin, end)
    if known is not None and end < known.next_offset and await is_there(settings, source, known.next_offset - 1):
        end = known.next_offset
    epoch = identity.epochs.get(source.partition, UNKNOWN_EPOCH)
    anchor_end = None
    if known is not None and known.topic_id == identity.topic_id and UNKNOWN_EPOCH < known.anchor_epoch < epoch:
        anchor_end = await end_of_epoch(client, source, known.anchor_epoch)
    return Input(identity.topic_id, begin, end, epoch, anchor_end)


def require_same(source: TopicPartition, known: Position, now: Input) -> None:
    """Let pass an input that the state can go on with.

    Raises
    ------
    InputChanged
        Naming what changed, the command that goes on all the same, and its price.
    """
    changed = what_changed(known, now)
    if changed is not None:
        raise InputChanged(
            f"{source.topic}[{source.partition}]: {changed}. Nothing of it is read until you decide. "
            f"`tocsin topics accept {source.topic} --partition {source.partition}` goes on at "
            f"{going_on_at(known, now)} with the state as its latest checkpoint has it: what was lost with the "
            "old records and not yet decided stays undecided, what is sent again counts as a repeat only while it is "
            "remembered, and decisions from here on cannot be recomputed from the logs"
        )


def read_position(value: bytes | None) -> Position | None:
    """The position that a changelog entry holds; ``None`` where there is none that can be read."""
    found = read(value, Position, "position_invalid")
    return None if isinstance(found, Rejection) else found


def position_entry(position: Position) -> tuple[bytes, bytes]:
    """A position as a changelog entry."""
    return POSITION_KEY, encode(position)
