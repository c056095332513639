"""Topics that were deleted and made again, or have lost their end: noticed, told, and gone on with when people say so.

The tests share a stage; there is no undisturbed run to compare with, since logs were lost. What counts is that each
payment that can still be read is decided once, and that nobody takes it for one that came before.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition

from services import kafka
from services.contract.topics import Topic
from services.kafka.topics import create_topics
from tests.faults.forms import Table
from tests.faults.stage import Stage, identities
from tests.support.deployment import read_logs
from tests.support.health import ask, live, ready
from tests.support.nursery import run_command
from tests.support.shadow import scored_in
from tests.support.worker import environment

pytestmark = pytest.mark.kafka

PAUSE_S = 0.5
READERS = {
    "payments": "scorer",
    "payments_by_payee": "scorer",
    "evidence": "scorer",
    "reviews": "scorer",
    "features": "learner",
    "labels": "learner",
}
"""Who reads a topic with state of its own. A shadow has none: it goes on at the beginning of what it finds."""


def accept_command(topic: Topic) -> str:
    """What a worker says people are to run."""
    return f"tocsin topics accept {topic.name}"


def accept(stage: Stage, topic: Topic, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run it."""
    return run_command(
        ["topics", "accept", topic.name, *options],
        environment(stage.settings),
        stage.deployment.folder,
    )


async def made_anew(stage: Stage, topic: Topic) -> None:
    """Delete ``topic``, and make it again with as many partitions."""
    admin = kafka.admin(stage.settings)
    await admin.start()
    try:
        await admin.delete_topics([topic.name])

        async def gone() -> bool | None:
            return topic.name not in await admin.list_topics() or None

        await stage.deployment.wait_for(gone, f"{topic.name} is deleted")
    finally:
        await admin.close()

    async def made() -> bool | None:
        return bool(await create_topics(stage.settings))

    await stage.deployment.wait_for(made, f"{topic.name} is made again")


async def until_told(stage: Stage, role: str, topic: Topic, partition: int | None = None) -> float:
    """Seconds until the worker is not ready and its report names the command; it stays alive all the while."""
    began = time.monotonic()
    wanted = accept_command(topic) + ("" if partition is None else f" --partition {partition}")

    async def told() -> bool | None:
        answer = await asyncio.to_thread(ask, stage.ports[role], "/ready")
        return (not answer.green and wanted in answer.whys) or None

    await stage.deployment.wait_for(told, f"{role} says: {wanted}")
    seconds = time.monotonic() - began

    async def lives() -> bool | None:
        return await asyncio.to_thread(live, stage.ports[role]) or None

    await stage.deployment.wait_for(lives, f"{role} waits for people, and is not taken for hung")
    return seconds


async def until_ready(stage: Stage, role: str) -> None:
    async def is_ready() -> bool | None:
        return await asyncio.to_thread(ready, stage.ports[role]) or None

    await stage.deployment.wait_for(is_ready, f"{role} is ready")


def test_topics_made_anew_stop_their_readers_until_people_accept_them(stage: Stage, table: Table) -> None:
    """Each by itself in the long form, all at once in the short one."""
    rounds = [(name,) for name in READERS] if stage.form.thorough else [tuple(READERS)]
    for names in rounds:
        asyncio.run(deleted(stage, table, names))


async def deleted(stage: Stage, table: Table, names: Sequence[str]) -> None:
    """Everything was through before. Afterwards each payment is decided, scored in shadow, and each label joined."""
    await stage.up()
    topics: dict[str, Topic] = {name: getattr(stage.settings.topics, name) for name in names}
    stopped = {READERS[name]: topics[name] for name in reversed(names)}
    for role in stage.workers:
        await until_ready(stage, role)
    before = await decided_so_far(stage)
    for topic in topics.values():
        await made_anew(stage, topic)
    told_s = {role: await until_told(stage, role, topic) for role, topic in stopped.items()}
    for role in stage.workers.keys() - stopped.keys():
        await until_ready(stage, role)
    fresh = len(stage.sent)
    await stage.feed()
    for topic in topics.values():
        done = await asyncio.to_thread(accept, stage, topic)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    began = time.monotonic()
    await stage.decided()
    for role in stage.workers:
        await until_ready(stage, role)
    recovery_s = time.monotonic() - began
    expected = Counter(each.identity for each in stage.sent[fresh:] if each.fate == "decided")
    decided = await decided_so_far(stage) - before
    lost, doubled = sum((expected - decided).values()), sum((decided - expected).values())
    plain = ", ".join(topic.name.removeprefix(stage.settings.topic_prefix) for topic in topics.values())
    noticed = ", ".join(f"{role} (told in {after:.1f} s)" for role, after in told_s.items())
    table.add(f"{plain} deleted and made again", noticed, recovery_s, lost, doubled)
    assert (lost, doubled) == (0, 0)
    await assert_shadow_scored(stage)


async def decided_so_far(stage: Stage) -> Counter[tuple[str, str]]:
    """The decisions that ``decisions.v1`` holds now, by payment."""
    logs = await read_logs(stage.deployment, stage.settings.topics.decisions)
    return Counter(identities(record.value for log in logs for record in log))


async def assert_shadow_scored(stage: Stage) -> None:
    """Every decision that there is has its scores in shadow."""
    logs = await read_logs(stage.deployment, stage.settings.topics.shadow_scores)
    said = scored_in(record.value for log in logs for record in log)
    scored = Counter((each.tenant, each.payment_id) for each in said)
    missing = await decided_so_far(stage) - scored
    assert not missing, f"{sum(missing.values())} decisions are not in shadow-scores.v1"


def test_a_partition_whose_records_were_deleted_unread_stops_alone(stage: Stage, table: Table) -> None:
    asyncio.run(deleted_unread(stage, table))


async def deleted_unread(stage: Stage, table: Table) -> None:
    """Somebody deletes what one partition of ``payments.v1`` holds before it is read: that one waits for people, the
    other is decided meanwhile."""
    await stage.up()
    topic = stage.settings.topics.payments
    stage.workers["scorer"].kill()
    fresh, before = len(stage.sent), await decided_so_far(stage)
    await stage.feed()
    admin = kafka.admin(stage.settings)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic.name, 0): RecordsToDelete(-1)})  # to its end
    finally:
        await admin.close()
    left = {record.key for record in (await read_logs(stage.deployment, topic))[1]}
    stage.start()
    told_s = await until_told(stage, "scorer", topic, 0)
    expected = Counter(each.identity for each in stage.sent[fresh:] if each.fate == "decided" and each.key in left)

    async def others_are_decided() -> bool | None:
        return not expected - await decided_so_far(stage) or None

    await stage.deployment.wait_for(others_are_decided, "the other partition goes on")
    done = await asyncio.to_thread(accept, stage, topic, "--partition", "0")
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    began = time.monotonic()
    await stage.decided()
    await until_ready(stage, "scorer")
    decided = await decided_so_far(stage) - before
    table.add(
        f"records of one partition deleted unread (told in {told_s:.1f} s)",
        "scorer",
        time.monotonic() - began,
        sum((expected - decided).values()),
        sum((decided - expected).values()),
    )
    assert decided == expected


def test_a_group_that_claims_to_be_beyond_the_end_hides_no_payment(stage: Stage, table: Table) -> None:
    if not stage.form.thorough:
        pytest.skip("of the long form: scorers go by their changelogs, not by their groups' offsets")
    asyncio.run(forged_offsets(stage, table))


async def forged_offsets(stage: Stage, table: Table) -> None:
    """As if a partition had lost its end: the offsets of one partition of each group say more than there is.

    The other partition goes on. Where a worker cannot know better it stops and says what to do; no payment is lost.
    """
    await stage.up()
    for worker in stage.workers.values():
        worker.kill()
    topics, identity = stage.settings.topics, stage.settings.identity
    groups = {
        "payer": topics.payments, "payee": topics.payments_by_payee, "subject": topics.evidence,
        "alerter": topics.reviews, "shadow": topics.features, "learner": topics.features,
    }  # fmt: skip
    for group, topic in groups.items():
        await commit(stage, f"{identity}.{group}", TopicPartition(topic.name, 0), 1_000_000)
    fresh = len(stage.sent)
    before = await decided_so_far(stage)
    stage.start()
    await stage.feed()
    expected = Counter(each.identity for each in stage.sent[fresh:] if each.fate == "decided")
    accepted: set[str] = set()
    accepting = asyncio.create_task(accept_what_is_asked(stage, list(groups.values()), accepted))
    began = time.monotonic()
    try:
        await stage.decided()
    finally:
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
    decided = await decided_so_far(stage) - before
    lost, doubled = sum((expected - decided).values()), sum((decided - expected).values())
    how = f"{len(accepted)} accepted" if accepted else "no decision was needed"
    table.add(
        f"groups' offsets forged beyond the end of partition 0 ({how})", "all", time.monotonic() - began, lost, doubled
    )
    assert (lost, doubled) == (0, 0)
    await assert_shadow_scored(stage)


async def accept_what_is_asked(stage: Stage, topics: Sequence[Topic], accepted: set[str]) -> None:
    """Run the command for partition 0 of each topic that a worker stops at, until cancelled."""
    while True:
        for role in stage.workers:
            whys = (await asyncio.to_thread(ask, stage.ports[role], "/ready")).whys
            for topic in topics:
                if accept_command(topic) in whys:
                    await asyncio.to_thread(accept, stage, topic, "--partition", "0")
                    accepted.add(topic.name)
        await asyncio.sleep(PAUSE_S)


async def commit(stage: Stage, group: str, source: TopicPartition, offset: int) -> None:
    """Set the offset of ``group``, once nobody is in it any more."""
    consumer = kafka.consumer(stage.settings, group_id=group)
    await consumer.start()
    try:
        consumer.assign([source])

        async def committed() -> bool:
            await consumer.commit({source: offset})
            return True

        await stage.deployment.wait_for(committed, f"the offset of {group} is forged")
    finally:
        await consumer.stop()
