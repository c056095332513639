"""Topics that are not as the contract wants them are named with the remedy, and no worker starts on them."""

from __future__ import annotations

import asyncio
import re
import subprocess
from dataclasses import dataclass

import orjson
import pytest
from aiokafka.admin import NewTopic

from services import kafka as clients
from services.broker import KafkaBroker
from services.broker.memory import MemoryBroker
from services.kafka.topics import TopicsError, create_topics, describe_topics, require_topics
from services.runtime.settings import Settings
from tests.support.nursery import run_command_text
from tests.support.worker import environment

pytestmark = pytest.mark.kafka

PARTITIONS = 2


@dataclass(frozen=True)
class Wrong:
    """A topic made otherwise than the contract wants it, and what is to be said of that."""

    topic: str
    configuration: dict[str, str]
    said: str
    partitions: int = PARTITIONS
    copies: int = 1


WRONG = {
    "time": Wrong("payments.v1", {"message.timestamp.type": "CreateTime"}, "LogAppendTime wanted"),
    "forgets": Wrong("models.v1", {"cleanup.policy": "delete"}, "cleanup.policy=delete, compact wanted", partitions=1),
    "both": Wrong(
        "scorer.payer-state.v1", {"cleanup.policy": "compact,delete"}, "cleanup.policy=compact,delete, compact wanted"
    ),
    "compacts": Wrong("decisions.v1", {"cleanup.policy": "compact"}, "cleanup.policy=compact, delete wanted"),
    "small": Wrong("alerts.v1", {"max.message.bytes": "1000"}, "max.message.bytes=1000, at least 2097152 wanted"),
    "alone": Wrong("labels.v1", {}, "min.insync.replicas=1, at least 2 wanted", copies=3),
    "parts": Wrong("reviews.by-subject.v1", {}, "3 partitions, 2 wanted", partitions=3),
}


def settings_of(broker: KafkaBroker | MemoryBroker, name: str, **chosen: int) -> Settings:
    """Settings under which the topics of ``name`` are nobody else's."""
    prefix = f"topics-{name}."
    return Settings.model_validate(
        {"bootstrap": broker.bootstrap, "topic_prefix": prefix, "partitions": PARTITIONS, "delivery": broker.delivery}
        | chosen
    )


async def make(settings: Settings, wrong: Wrong) -> None:
    """One topic that is wrong; ``topics create`` makes the others."""
    topic = next(each for each in settings.topics.all() if each.name == settings.topic_prefix + wrong.topic)
    client = clients.admin(settings)
    await client.start()
    try:
        configuration = topic.configuration() | wrong.configuration
        await client.create_topics([NewTopic(topic.name, wrong.partitions, 1, topic_configs=configuration)])
    finally:
        await client.close()


def tocsin(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command under ``settings``."""
    return run_command_text([*arguments], environment(settings) | {"COLUMNS": "160"})


@pytest.mark.parametrize("name", [each for each in WRONG if each != "alone"])
def test_a_topic_that_was_made_wrong_is_named_with_the_remedy_and_no_worker_starts(
    name: str, kafka: KafkaBroker
) -> None:
    wrong, settings = WRONG[name], settings_of(kafka, name)
    asyncio.run(make(settings, wrong))
    for ask in (create_topics, require_topics):
        with pytest.raises(TopicsError) as raised:
            asyncio.run(ask(settings))
        (line,) = str(raised.value).split("\n")
        assert line.startswith(f"topics-{name}.{wrong.topic}: ")
        assert wrong.said in line
    for setting in wrong.configuration:
        assert f"kafka-configs.sh --bootstrap-server {kafka.bootstrap} --alter --entity-type topics" in line
        assert f"--entity-name topics-{name}.{wrong.topic} --add-config {setting}=" in line


def test_with_three_copies_two_must_have_a_write(kafka: KafkaBroker) -> None:
    settings = settings_of(kafka, "alone")
    asyncio.run(create_topics(settings))
    wished = settings.model_copy(update={"replication_factor": 3})
    with pytest.raises(TopicsError) as raised:
        asyncio.run(require_topics(wished))
    lines = str(raised.value).split("\n")
    assert len(lines) == len(settings.topics.all())
    assert all("min.insync.replicas=1, at least 2 wanted" in line for line in lines)
    assert all("copies" not in line for line in lines), "a worker can do with one; people are told"
    states = asyncio.run(describe_topics(wished))
    assert {str(state.flaws[0]) for state in states} == {"1 copies, 3 wanted"}
    assert settings.topics.payments.configuration(3)["min.insync.replicas"] == "2"


def test_a_worker_ends_with_one_and_tells_which_topic(kafka: KafkaBroker) -> None:
    settings = settings_of(kafka, "worker")
    asyncio.run(make(settings, WRONG["time"]))
    with pytest.raises(TopicsError):
        asyncio.run(create_topics(settings))
    for role in ("scorer", "learner", "shadow"):
        done = tocsin(settings, "worker", role)
        assert done.returncode == 1
        assert "the worker ends: topics-worker.payments.v1: message.timestamp.type=CreateTime" in done.stderr
        assert "Traceback" not in done.stderr


def test_describe_shows_what_is_amiss_and_exits_with_one(kafka: KafkaBroker) -> None:
    settings = settings_of(kafka, "described")
    asyncio.run(make(settings, WRONG["small"]))
    with pytest.raises(TopicsError):
        asyncio.run(create_topics(settings))
    done = tocsin(settings, "topics", "describe")
    assert done.returncode == 1
    assert "max.message.bytes" in done.stdout
    assert re.search(r"^topics-described\.alerts\.v1: max\.message\.bytes=1000.*kafka-configs\.sh", done.stderr, re.M)
    facts = {each["topic"]: each for each in orjson.loads(tocsin(settings, "topics", "describe", "--json").stdout)}
    (flaw,) = facts["topics-described.alerts.v1"]["amiss"]
    assert (flaw["setting"], flaw["found"], flaw["wanted"]) == ("max.message.bytes", "1000", "at least 2097152")
    assert facts["topics-described.payments.v1"]["amiss"] == []
    assert facts["topics-described.payments.v1"]["settings"]["message.timestamp.type"] == "LogAppendTime"


def test_topics_as_create_makes_them_are_in_order(kafka: KafkaBroker) -> None:
    settings = settings_of(kafka, "good")
    assert tocsin(settings, "topics", "create").returncode == 0
    states = asyncio.run(require_topics(settings))
    assert all(state.fits and not state.untold and state.settings_found == state.settings_wanted for state in states)
    assert tocsin(settings, "topics", "describe").returncode == 0


def test_topics_that_are_absent_share_one_line(kafka: KafkaBroker) -> None:
    with pytest.raises(TopicsError) as raised:
        asyncio.run(require_topics(settings_of(kafka, "none")))
    assert str(raised.value).startswith("absent: topics-none.payments.v1, ")
    assert str(raised.value).endswith(": tocsin topics create")


def test_of_a_broker_that_does_not_tell_settings_they_are_taken_on_trust_and_that_is_said() -> None:
    with MemoryBroker() as broker:
        settings = settings_of(broker, "memory")
        done = tocsin(settings, "topics", "create")
        assert done.returncode == 0, done.stderr
        assert "settings taken on trust of topics-memory.payments.v1, " in done.stderr
        (reason,) = {state.untold for state in asyncio.run(describe_topics(settings))}
        assert "does not tell them" in reason
        wished = settings.model_copy(update={"partitions": 3})
        with pytest.raises(TopicsError, match="2 partitions, 3 wanted"):
            asyncio.run(require_topics(wished))
