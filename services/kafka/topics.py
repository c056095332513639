"""Creating topics, and telling whether a cluster has them as the contract wants them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError, TopicAlreadyExistsError, for_code

from services import kafka
from services.contract.errors import TocsinError
from services.contract.topics import Topic
from services.runtime.settings import Settings

logger = logging.getLogger(__name__)

EXACTLY = ("cleanup.policy", "message.timestamp.type")
"""A changelog that is not compacted grows for ever, and any other topic that is loses records. The broker sets the time
of a payment as it is appended, and the hops pass it on: in every other topic the time is the one that we set."""

AT_LEAST = ("max.message.bytes", "min.insync.replicas")

_LEADER_TRIES, _LEADER_WAIT_S = 100, 0.1


class TopicsError(TocsinError, RuntimeError):
    """The cluster's topics cannot serve this deployment. The message names topic and remedy, one a line."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something about a topic that is not as the contract wants it. A worker does not start if it ``stops_workers``."""

    setting: str
    found: str
    wanted: str
    remedy: str
    stops_workers: bool = True

    def __str__(self) -> str:
        if self.setting in ("partitions", "copies"):
            return f"{self.found} {self.setting}, {self.wanted} wanted"
        return f"{self.setting}={self.found}, {self.wanted} wanted"


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic of the contract beside what the cluster has.

    ``partitions_found`` and ``copies_found`` are 0 where it is absent; ``settings_found`` are the broker's settings of
    it, empty where it does not tell them, for the reason in ``untold``. ``tool_options`` lead Kafka's own tools to it.
    """

    topic: Topic
    partitions_wanted: int
    partitions_found: int = 0
    copies_wanted: int = 1
    copies_found: int = 0
    settings_found: Mapping[str, str] = field(default_factory=dict)
    untold: str = ""
    tool_options: str = ""

    @property
    def fits(self) -> bool:
        """Whether the topic is as the contract and the settings want it, as far as the cluster tells."""
        return not self.flaws

    @property
    def settings_wanted(self) -> dict[str, str]:
        """The broker's settings that are looked at."""
        return {
            name: value
            for name, value in self.topic.configuration(self.copies_wanted).items()
            if name in EXACTLY + AT_LEAST
        }

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """All that is amiss."""
        return tuple(self._flaws())

    def _flaws(self) -> Iterator[Flaw]:
        found, wanted = self.partitions_found, self.partitions_wanted
        if found == 0:
            yield Flaw("partitions", "0", f"{wanted}", "tocsin topics create")
            return
        if found != wanted:
            # More partitions would send an account to another one than that which has its state.
            keep = "another number of partitions means other topics: choose a new TOCSIN_TOPIC_PREFIX"
            remedy = keep if self.topic.partitions else f"TOCSIN_PARTITIONS={found}; {keep}"
            yield Flaw("partitions", f"{found}", f"{wanted}", remedy)
        if self.copies_found < self.copies_wanted:
            remedy = f"kafka-reassign-partitions.sh, or TOCSIN_REPLICATION_FACTOR={self.copies_found}"
            yield Flaw("copies", f"{self.copies_found}", f"{self.copies_wanted}", remedy, stops_workers=False)
        for name, value in self.settings_wanted.items():
            has = self.settings_found.get(name)
            if has is not None and (has != value if name in EXACTLY else int(has) < int(value)):
                yield Flaw(name, has, value if name in EXACTLY else f"at least {value}", self._alter(name, value))

    def _alter(self, name: str, value: str) -> str:
        return (
            f"kafka-configs.sh {self.tool_options} --alter --entity-type topics --entity-name {self.topic.name} "
            f"--add-config {name}={value}"
        )


async def describe_topics(settings: Settings) -> list[TopicState]:
    """Every topic of the deployment beside what the cluster has.

    Asks for all topics there are: aiokafka lets a broker create the topics that are asked for by name, and most do.
    """
    topics = settings.topics.all()
    async with kafka.opened(kafka.admin(settings)) as client:
        found = {each["topic"]: each["partitions"] for each in await client.describe_topics() if not each["error_code"]}
    told = await _settings_of(settings, [each for each in topics if each.name in found])
    tool = f"--bootstrap-server {settings.bootstrap}"
    if settings.security_protocol != "PLAINTEXT":
        tool += " --command-config client.properties"
    return [
        TopicState(
            each,
            each.partitions or settings.partitions,
            len(partitions := found.get(each.name, ())),
            settings.replication_factor,
            min((len(partition["replicas"]) for partition in partitions), default=0),
            *told.get(each.name, ({}, "")),
            tool_options=tool,
        )
        for each in topics
    ]


async def _settings_of(settings: Settings, topics: Sequence[Topic]) -> dict[str, tuple[dict[str, str], str]]:
    """The broker's settings of each topic by its name, and why they are not told where they are not."""
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, dict.fromkeys(EXACTLY + AT_LEAST)) for topic in topics
    ]
    try:
        async with kafka.opened(kafka.admin(settings)) as client:
            answers = await client.describe_configs(asked) if asked else []
    except (IncompatibleBrokerVersion, KafkaConnectionError) as error:
        if settings.delivery == "exactly_once":
            raise
        # The demo's broker, and others without transactions, hang up at questions that they do not know.
        return {topic.name: ({}, f"the broker does not tell them ({type(error).__name__})") for topic in topics}
    return {
        name: ({entry[0]: entry[1] for entry in entries}, for_code(code).__name__ if code else "")
        for answer in answers
        for code, _, _, name, entries in answer.resources
    }


async def create_topics(settings: Settings) -> list[TopicState]:
    """Create the topics that are absent, with the settings of the contract; leave the others alone.

    Raises
    ------
    TopicsError
        When the cluster refuses, or a topic exists and is not as the contract wants it.
    """
    absent = [state for state in await describe_topics(settings) if state.partitions_found == 0]
    async with kafka.opened(kafka.admin(settings)) as client:
        response = await client.create_topics(
            [
                NewTopic(
                    state.topic.name,
                    num_partitions=state.partitions_wanted,
                    replication_factor=settings.replication_factor,
                    topic_configs=state.topic.configuration(settings.replication_factor),
                )
                for state in absent
            ]
        )
    for name, code, *_ in response.topic_errors if absent else ():
        if code not in (0, TopicAlreadyExistsError.errno):
            raise TopicsError(f"{name}: {for_code(code).__name__}")
    await _wait_for_leaders(settings, [state.topic.name for state in absent])
    states = await describe_topics(settings)
    if lines := amiss(states):
        raise TopicsError("\n".join(lines))
    return states


async def _wait_for_leaders(settings: Settings, names: list[str]) -> None:
    """Return once every partition of the topics has a leader, so that the first record sent finds one."""
    async with kafka.opened(kafka.admin(settings)) as client:
        for _ in range(_LEADER_TRIES):
            found = {each["topic"]: each["partitions"] for each in await client.describe_topics()}
            if all(found.get(name) and all(map(_has_leader, found[name])) for name in names):
                return
            await asyncio.sleep(_LEADER_WAIT_S)
    raise TopicsError(f"no leader for some partitions of {', '.join(names)}")


def _has_leader(partition: dict[str, Any]) -> bool:
    return bool(partition["error_code"] == 0 and partition["leader"] >= 0)


async def require_topics(settings: Settings) -> list[TopicState]:
    """The topics, all as a worker needs them. What it can do without, or cannot be told of, is logged.

    Raises
    ------
    TopicsError
        Naming each topic and setting that is not so, with what was found, what is wanted, and the remedy.
    """
    states = await describe_topics(settings)
    if lines := amiss(states, only_what_stops_workers=True):
        raise TopicsError("\n".join(lines))
    for line in (*amiss(states), *untold(states)):
        logger.warning("%s", line)
    return states


def amiss(states: Sequence[TopicState], only_what_stops_workers: bool = False) -> list[str]:
    """A line for each flaw: topic, what was found, what is wanted, the remedy. Topics that are absent share one."""
    absent = [state.topic.name for state in states if state.partitions_found == 0]
    lines = [f"absent: {', '.join(absent)}: tocsin topics create"] if absent else []
    return lines + [
        f"{state.topic.name}: {flaw}: {flaw.remedy}"
        for state in states
        if state.partitions_found
        for flaw in state.flaws
        if flaw.stops_workers or not only_what_stops_workers
    ]


def untold(states: Sequence[TopicState]) -> list[str]:
    """A line for each reason for which the cluster does not tell topics' settings: those are then taken on trust."""
    reasons = dict.fromkeys(state.untold for state in states if state.untold)
    return [
        f"settings taken on trust of {', '.join(each.topic.name for each in states if each.untold == why)}: {why}"
        for why in reasons
    ]
