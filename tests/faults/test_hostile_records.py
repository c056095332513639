"""Records written to harm, in every topic that workers read: none stops a worker, none is repeated in a log.

The tests share a stage. The last holds all outputs against what the pure path makes of the logs.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import orjson
import pytest
from aiokafka import ConsumerRecord

from services.contract.alert import Snooze, Subject
from services.contract.codec import Rejection, encode
from services.contract.columns import Columns, Some, Texts
from services.contract.events import SNOOZE, Headers, cloud_event
from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.handover import HANDOVER
from services.contract.served import read_served, write_served
from services.contract.topics import Topic
from tests.faults.forms import Table
from tests.faults.secrecy import assert_nobody_is_named
from tests.faults.stage import Stage
from tests.faults.undisturbed import assert_as_undisturbed
from tests.fuzz.batches import mutated_batch
from tests.fuzz.seeds import Seed
from tests.support.deployment import producer, read_logs
from tests.support.handed import columns_of
from tests.support.hostile import (
    BOMB_BYTES,
    CANARY,
    PLANTED,
    PLANTED_ACCOUNT,
    PLANTED_PAYMENTS,
    SMALL_BOMB_BYTES,
    bomb,
    canary_label,
    canary_payment,
    hostile_values,
    not_finite,
    send_packed,
    typed_wrongly,
)  # fmt: skip
from tests.support.models import announcement_of, random_model
from tests.support.offline import genuine
from tests.support.payments import START_MS, Entry
from tests.support.served_batches import Row, served_batch

pytestmark = pytest.mark.kafka

Planted = tuple[bytes | None, bytes | None]
"""Key and value."""
KEY = f"{CANARY}-payer".encode()
CHAMPION = b"champion"
"""Key of the promotion in ``models.v1``."""
RECORD_BYTES_MAX = 1_048_576
"""A dead letter, headers and all, fits where a payment did."""


async def plant(
    stage: Stage, topic: Topic, records: Iterable[Planted], headers: Sequence[tuple[str, bytes]] = ()
) -> int:
    """Write ``records`` to both partitions of ``topic``, or to its only one; returns how many were written."""
    partitions = stage.deployment.topic_partitions(topic)
    sent = 0
    async with producer(stage.settings) as sending:
        for at, (key, value) in enumerate(records):
            partition = partitions[at % len(partitions)].partition
            await sending.send(topic.name, value, key, partition=partition, headers=[*headers, PLANTED])
            sent += 1
        await sending.flush()
    return sent


async def goes_on(stage: Stage, table: Table, what: str, workers: str) -> None:
    """All workers take in more, as if nothing had been: told in the table."""
    await stage.feed()
    await stage.recovered(table, what, workers)


def test_hostile_announcements_stop_no_worker_at_its_start(stage: Stage, table: Table) -> None:
    asyncio.run(announcements(stage, table))


async def announcements(stage: Stage, table: Table) -> None:
    """They are there before the workers start, and more come while they run."""
    model = random_model(1, stage.schema)
    stage.models.append(model)  # where what stands beside it is no reason to refuse it
    good = encode(announcement_of(model, name="planted"))
    limitless = replace(model, weights=model.weights * 1e308)
    values = [
        *hostile_values(good),
        *(each for each in typed_wrongly(good) if b'"name":"planted"' in each),
        encode(announcement_of(limitless, name="planted")),
        encode(announcement_of(replace(model, review_probability=7.0), name="planted")),
        encode(announcement_of(model, name=CANARY * 100_000)),
        *(
            each
            for name in ("weights", "means", "scales", "bias", "review_probability")
            for each in not_finite(good, name)
        ),
        good.replace(b'"kind":"logistic"', b'"kind":"boosting","forest":"AAAA"'),
        good.replace(b'"kind":"logistic"', b'"kind":"halfspace","halfspace":"////"'),
    ]
    records: list[Planted] = [(f"{CANARY}/{at}".encode(), value) for at, value in enumerate(values)]
    promotions: list[Planted] = [(CHAMPION, value) for value in (*hostile_values(b'{"champion":%s}' % good), b"{}")]
    models = stage.settings.topics.models
    count = await plant(stage, models, [*records, *promotions])
    await send_packed(stage.settings, models.name, [(f"{CANARY}/bomb".encode(), bomb(good, SMALL_BOMB_BYTES))])
    await stage.up()
    await plant(stage, models, [(f"{CANARY}/again-{at}".encode(), value) for at, (_, value) in enumerate(records[:6])])
    await goes_on(stage, table, f"{count} hostile announcements, before the start and after", "scorer, learner, shadow")


def test_hostile_reviews_and_snoozes_stop_no_lane(stage: Stage, table: Table) -> None:
    asyncio.run(reviews(stage, table))


async def reviews(stage: Stage, table: Table) -> None:
    """Some are of the right form and speak of a time that no payment has."""
    await stage.up()
    topic = stage.settings.topics.reviews
    logs = await read_logs(stage.deployment, topic)
    genuine = next(record for log in logs for record in log)
    fields = orjson.loads(genuine.value)
    account = fields["subject"]["account"] = PLANTED_ACCOUNT
    later = [orjson.dumps({**fields, "event_time_ms": at}) for at in (2**62, -(2**62), EVENT_TIME_MS_MAX + 1)]
    review = orjson.dumps(fields)
    snooze = encode(Snooze(f"{CANARY}-id", Subject("payee", account), "lsac", EVENT_TIME_MS_MAX, f"{CANARY}-tenant"))
    silenced: Headers = cloud_event(SNOOZE, f"{CANARY}-id")
    bad = [*hostile_values(review), *typed_wrongly(review), *not_finite(review, "score"), *later]
    count = await plant(stage, topic, [(account.encode(), value) for value in bad])
    bad = [*hostile_values(snooze), *typed_wrongly(snooze)]
    count += await plant(stage, topic, [(account.encode(), value) for value in bad], silenced)
    count += await plant(
        stage, topic, [(b"somebody", snooze), (None, snooze), (b"\xff", snooze), (KEY, None)], silenced
    )
    await goes_on(stage, table, f"{count} hostile reviews and snoozes", "alerter")


def test_forged_handovers_hide_no_payment(stage: Stage, table: Table) -> None:
    asyncio.run(handovers(stage, table))


async def handovers(stage: Stage, table: Table) -> None:
    """Some say that they are of an offset far ahead: were they believed, all payments after them would be repeats."""
    await stage.up()
    topic = stage.settings.topics.payments_by_payee
    found, row = await reviewed_handover(stage)
    value = found.value
    forged = [
        None, b"", b"TOC2", value[:4], value[: len(value) // 2], value[:-200], CANARY.encode() * 40,
        hashlib.sha512(value).digest() * 9, value[8:],
        *(with_another(value, row, name, wrong) for name, wrong in (
            ("offset", 2**62), ("offset", -1), ("kind", 7), ("event_ms", 2**62), ("event_ms", -(2**62)),
            ("appended_ms", 2**62), ("value", math.inf), ("status", 2**31 - 1), ("tenant", b""),
            ("payment_id", CANARY.encode() * 60_000), ("payee", CANARY.encode() + b"\x1f"), ("partition", "9999"),
            ("generation", "9" * 12), ("upto_offset", CANARY), ("follows_offset", "9" * 5_000), ("schema", "0" * 16),
        )),
        far_ahead(value, 2**62), far_ahead(value, 2**47),
    ]  # fmt: skip
    count = await plant(stage, topic, [(KEY if each is None else None, each) for each in forged])
    for name, wrong in (("payment", CANARY.encode() + b"\xff\xfe"), ("value", math.inf), ("event_ms", 2**62)):
        origin, offset = await unused_offset(stage)
        alone = with_another(moved_to(value, row, origin, offset), 0, name, wrong)
        await plant_at(stage, topic, found.partition, found.key, alone)
        count += 1
    await goes_on(stage, table, f"{count} forged handovers, some with an offset far ahead", "scorer")


async def reviewed_handover(stage: Stage) -> tuple[ConsumerRecord, int]:
    """A genuine record with a payment that went to review, and its row: a copy of it would be read as a whole."""
    reviewed = set()
    for log in genuine(await read_logs(stage.deployment, stage.settings.topics.reviews)):
        reviewed |= {orjson.loads(record.value)["payment_id"] for record in log}
    for log in genuine(await read_logs(stage.deployment, stage.settings.topics.payments_by_payee)):
        for record in log:
            for row, payment_id in enumerate(columns_of(record).texts("payment_id")):
                if payment_id in reviewed:
                    return record, row
    raise AssertionError("nothing was reviewed: the run is not worth forging")


def with_another(value: bytes, row: int, name: str, wrong: Any) -> bytes:
    """A handover whose entry ``name``, of the metadata or of ``row``, is another."""
    found = HANDOVER.read(value, "")
    assert isinstance(found, Columns)
    arrays, said = dict(found.arrays), dict(found.said)
    if name in said:
        said[name] = wrong
    elif isinstance(arrays[name], Texts):
        texts = [arrays[name].at(each) for each in range(found.rows)]
        arrays[name] = Texts.of([*texts[:row], wrong, *texts[row + 1 :]])
    else:
        arrays[name] = arrays[name].copy()
        arrays[name][row] = wrong
    return HANDOVER.write(found.rows, arrays, said)


def far_ahead(value: bytes, offset: int) -> bytes:
    """All of it is of ``offset`` and those behind, and says so."""
    found = HANDOVER.read(value, "")
    assert isinstance(found, Columns)
    arrays = {**found.arrays, "offset": offset + np.arange(found.rows)}
    ends = {"from_offset": str(offset), "upto_offset": str(offset + found.rows)}
    return HANDOVER.write(found.rows, arrays, {**found.said, **ends})


def moved_to(value: bytes, row: int, partition: int, offset: int) -> bytes:
    """Its payment in ``row`` alone, which says that it is of that offset."""
    found = HANDOVER.read(value, "")
    assert isinstance(found, Columns)
    arrays: dict[str, Any] = {}
    for name, values in found.arrays.items():
        if isinstance(values, Texts):
            arrays[name] = values.part(slice(row, row + 1))
        elif isinstance(values, Some):
            arrays[name] = Some(values.present[row : row + 1], values.values[[values.present[:row].sum()]])
        else:
            arrays[name] = values[row : row + 1]
    ends = {"from_offset": str(offset), "upto_offset": str(offset + 1)}
    said = {**found.said, **ends, "partition": str(partition)}
    return HANDOVER.write(1, {**arrays, "offset": np.array([offset])}, said)


async def unused_offset(stage: Stage) -> tuple[int, int]:
    """Where in ``payments.v1`` a record lies, after all others, that no frame can be of: it cannot be read."""
    dead = Entry(KEY, b"no payment: " + CANARY.encode(), "dead")
    async with producer(stage.settings) as sending:
        written = await sending.send_and_wait(stage.settings.topics.payments.name, dead.value, dead.key, partition=0)
    stage.sent.append(dead)
    await stage.decided()
    return written.partition, written.offset


async def plant_at(stage: Stage, topic: Topic, partition: int, key: bytes | None, value: bytes) -> None:
    async with producer(stage.settings) as sending:
        await sending.send_and_wait(topic.name, value, key, partition=partition, headers=[PLANTED])


def test_hostile_labels_decisions_and_examples_stop_neither_learner_nor_shadow(stage: Stage, table: Table) -> None:
    asyncio.run(learned(stage, table))


async def learned(stage: Stage, table: Table) -> None:
    """Wherever a field has a type, something else stands in it once; batches are mutated."""
    await stage.up()
    topics, count = stage.settings.topics, 0
    first = next(record.value for log in await read_logs(stage.deployment, topics.examples) for record in log)
    good = orjson.dumps(orjson.loads(first) | {"feature_schema_hash": "0" * 64, "payment_id": PLANTED_PAYMENTS[0]})
    bad = [
        *hostile_values(good),
        *typed_wrongly(good),
        *not_finite(good, "features"),
        *not_finite(good, "score"),
        b"",
    ]
    count += await plant(stage, topics.examples, [(KEY, value) for value in bad])
    count += await plant(stage, topics.features, [(None, value) for value in [*hostile_values(b'{"a":1}'), b""]])
    count += await plant(stage, topics.features, [(None, value) for value in hostile_batches(Random(1), 60)])
    good = canary_label(99)
    bad = [
        *hostile_values(good),
        *typed_wrongly(good),
        *not_finite(good.replace(b"}", b',"weight":1.0}'), "weight"),
        b"",
    ]
    count += await plant(stage, topics.labels, [*((KEY, value) for value in bad), (None, b"{}"), (b"\xff", None)])
    await goes_on(stage, table, f"{count} hostile labels, decisions and examples", "learner, shadow")


def hostile_batches(draw: Random, count: int) -> list[bytes]:
    """Mutated batches of decisions that nobody made. What can be read of them names ``PLANTED_PAYMENTS`` only, and is no
    later than the others: the learner forgets what is long before the latest decision."""
    of: dict[str, Any] = {
        "features": (1.0, None),
        "tenant": CANARY,
        "payer": CANARY,
        "payee": CANARY,
        "event_time_ms": START_MS,
    }
    rows = [Row(name, **of) for name in PLANTED_PAYMENTS]
    seeds = [Seed(None, write_served(served_batch(rows, "0" * 64)), [])]
    made: list[bytes] = []
    while len(made) < count:
        value = mutated_batch(seeds, draw)
        found = read_served(value)
        if isinstance(found, Rejection) or (
            {*found.texts("payment_id")} <= {*PLANTED_PAYMENTS} and (found.event_time_ms <= START_MS).all()
        ):
            made.append(value)
    return made


def test_a_bomb_is_put_aside_bounded_and_everything_else_is_decided(stage: Stage, table: Table) -> None:
    asyncio.run(bombs(stage, table))


async def bombs(stage: Stage, table: Table) -> None:
    """What packs to a thousandth: 80 MB of a payment, 5 MB elsewhere."""
    await stage.up()
    topics = stage.settings.topics
    large, small = (bomb(encode(canary_payment(99)), size) for size in (BOMB_BYTES, SMALL_BOMB_BYTES))
    label, review = bomb(canary_label(99), SMALL_BOMB_BYTES), bomb(b'{"subject":{}}', SMALL_BOMB_BYTES)
    placed: list[tuple[Topic, int, bytes]] = []
    for topic, values in (
        (topics.payments, (large, small)), (topics.labels, (label,)), (topics.reviews, (review,)),
        (topics.features, (small,)), (topics.payments_by_payee, (small,)), (topics.examples, (small,)),
    ):  # fmt: skip
        offsets = await send_packed(stage.settings, topic.name, [(KEY, value) for value in values])
        placed += [(topic, offset, value) for offset, value in zip(offsets, values, strict=True)]
    stage.sent += [Entry(KEY, large, "dead"), Entry(KEY, small, "dead")]
    await goes_on(stage, table, f"bombs of {BOMB_BYTES // 10**6} MB and {SMALL_BOMB_BYTES // 10**6} MB", "all")
    letters = await dead_letters(stage)
    for topic, offset, value in placed:
        if topic.name == topics.examples.name:
            continue  # counted only: it is the learner's own log
        letter = letters.pop((topic.name.encode(), b"0", b"%d" % offset))
        told = dict(letter.headers)
        size = sum(len(name) + len(each) for name, each in letter.headers) + len(letter.key or b"") + len(letter.value)
        assert size < RECORD_BYTES_MAX
        assert (told["tocsin_size"], told["tocsin_sha256"]) == (
            b"%d" % len(value),
            hashlib.sha256(value).hexdigest().encode(),
        )
        assert "tocsin_truncated" in told
        assert letter.value == value[: len(letter.value)], "the beginning of the original"
        assert len(letter.value) >= 1_000
        assert (f"original_{PLANTED[0]}", PLANTED[1]) in letter.headers, "the original's own headers are kept"


async def dead_letters(stage: Stage) -> dict[tuple[bytes, bytes, bytes], ConsumerRecord]:
    """By topic, partition and offset of the original. None comes twice."""
    found: dict[tuple[bytes, bytes, bytes], ConsumerRecord] = {}
    for log in await read_logs(stage.deployment, stage.settings.topics.dead_letters):
        for record in log:
            told = dict(record.headers)
            origin = told["tocsin_topic"], told["tocsin_partition"], told["tocsin_offset"]
            assert origin not in found, f"{origin} was put aside twice"
            found[origin] = record
    return found


def test_a_restart_among_hostile_records_is_like_any_other(stage: Stage, table: Table) -> None:
    if not stage.form.thorough:
        pytest.skip("of the long form: the first test starts among hostile records, too")
    asyncio.run(restarted(stage, table))


async def restarted(stage: Stage, table: Table) -> None:
    """The announcements are read again, and what was written since."""
    await stage.up()
    for worker in stage.workers.values():
        worker.kill()
    assert stage.start()
    await goes_on(stage, table, "all killed, and started again among hostile records", "all")


def test_of_all_that_was_planted_nothing_shows_and_every_output_is_that_of_the_pure_path(stage: Stage) -> None:
    asyncio.run(stage.up())
    assert_nobody_is_named(stage.deployment)
    asyncio.run(assert_as_undisturbed(stage))
