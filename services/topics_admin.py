"""Creating topics, and telling whether a cluster has them as the contract wants them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from services import kafka
from services.contract.topics import Topic
from services.settings import Settings

_LEADER_TRIES, _LEADER_WAIT_S = 100, 0.1


class TopicsError(RuntimeError):
    """The cluster's topics cannot serve this deployment. The message names topic and remedy."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic of the contract beside what the cluster has: ``partitions_found`` is 0 where it is absent."""

    topic: Topic
    partitions_wanted: int
    partitions_found: int

    @property
    def fits(self) -> bool:
        """Whether the topic exists with the partitions that the settings ask for."""
        return self.partitions_found == self.partitions_wanted


async def describe_topics(settings: Settings) -> list[TopicState]:
    """Every topic of the deployment beside what the cluster has.

    Asks for all topics there are: aiokafka lets a broker create the topics that are asked for by name, and most do.
    """
    topics = settings.topics.all()
    client = kafka.admin(settings)
    await client.start()
    try:
        found = await client.describe_topics()
    finally:
        await client.close()
    counts = {each["topic"]: len(each["partitions"]) for each in found if each["error_code"] == 0}
    return [TopicState(each, each.partitions or settings.partitions, counts.get(each.name, 0)) for each in topics]


async def create_topics(settings: Settings) -> list[TopicState]:
    """Create the topics that are absent, with the settings of the contract; leave the others alone.

    Raises
    ------
    TopicsError
        When the cluster refuses, or a topic exists with another number of partitions.
    """
    absent = [state for state in await describe_topics(settings) if state.partitions_found == 0]
    client = kafka.admin(settings)
    await client.start()
    try:
        response = await client.create_topics(
            [
                NewTopic(
                    state.topic.name,
                    num_partitions=state.partitions_wanted,
                    replication_factor=settings.replication_factor,
                    topic_configs=state.topic.configuration(),
                )
                for state in absent
            ]
        )
    finally:
        await client.close()
    for name, code, *_ in response.topic_errors if absent else ():
        if code not in (0, TopicAlreadyExistsError.errno):
            raise TopicsError(f"{name}: {for_code(code).__name__}")
    await _wait_for_leaders(settings, [state.topic.name for state in absent])
    return await require_topics(settings)


async def _wait_for_leaders(settings: Settings, names: list[str]) -> None:
    """Return once every partition of the topics has a leader, so that the first record sent finds one."""
    client = kafka.admin(settings)
    await client.start()
    try:
        for _ in range(_LEADER_TRIES):
            found = {each["topic"]: each["partitions"] for each in await client.describe_topics()}
            if all(found.get(name) and all(map(_has_leader, found[name])) for name in names):
                return
            await asyncio.sleep(_LEADER_WAIT_S)
    finally:
        await client.close()
    raise TopicsError(f"no leader for some partitions of {', '.join(names)}")


def _has_leader(partition: dict[str, Any]) -> bool:
    return bool(partition["error_code"] == 0 and partition["leader"] >= 0)


async def require_topics(settings: Settings) -> list[TopicState]:
    """The topics, all as they should be.

    Raises
    ------
    TopicsError
        Naming each topic that is absent or has another number of partitions.
    """
    states = await describe_topics(settings)
    wrong = [
        f"{state.topic.name}: {state.partitions_found} partitions, {state.partitions_wanted} wanted"
        for state in states
        if not state.fits
    ]
    if wrong:
        raise TopicsError("; ".join(wrong) + " (run `tocsin topics create`, or set TOCSIN_PARTITIONS)")
    return states
