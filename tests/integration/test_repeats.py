"""A file that is sent twice, whole, is decided once, whatever becomes of workers in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import structs

from services.contract.codec import decode_payment
from services.contract.dead_letter import DeadLetter, read_dead_letter
from services.contract.payment import Payment
from tests.support.deployment import Deployment, Logs, producer, read_logs, send, settled
from tests.support.offline import assert_decided_once, assert_logs_are_computed, read_run
from tests.support.payments import Entry, expected_of, payment_ids, payment_log, routed

pytestmark = pytest.mark.kafka

SEED = 77
PARTITIONS = 2


def once_more(log: Sequence[Entry]) -> list[Entry]:
    """``log`` as it is to be taken after it was taken."""
    return [each._replace(fate="repeat") for each in log]


def conflicting(log: Sequence[Entry]) -> list[Entry]:
    """Payments of ``log`` under their own ids, of other amounts."""
    decided = [each for each in log if each.fate == "decided" and each.value is not None][::100]
    return [
        Entry(each.key, (each.value or b"").replace(b'"amount_minor":', b'"amount_minor":1', 1), "dead")
        for each in decided
    ]


def strays() -> list[Entry]:
    """Payments of one payer that are to go to another partition than its own."""
    return [each._replace(fate="dead") for each in payment_ids(SEED, 10, "stray")]


def payment_of(value: bytes) -> Payment:
    """The payment in a record that has one."""
    payment = decode_payment(value)
    assert isinstance(payment, Payment), payment
    return payment


async def sent_twice(deployment: Deployment, log: list[Entry], odd: list[Entry], astray: list[Entry]) -> Logs:
    """Send ``log``, kill the worker once all is decided, send ``log`` again with ``odd`` and ``astray`` behind it while
    another takes up its work, and is killed; returns the decisions as they were before."""
    topics, worker = deployment.settings.topics, deployment.worker()
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, log)
        worker.start()
        await settled(deployment)
        before = await read_logs(deployment, topics.decisions)
        worker.kill()
        worker.start()
        await send(sending, deployment, once_more(log))
        await send(sending, deployment, odd)
        for each, partition in zip(astray, routed(astray, PARTITIONS), strict=True):
            elsewhere = (partition + 1) % PARTITIONS
            await sending.send(topics.payments.name, each.value, each.key, partition=elsewhere)
        await sending.flush()
        worker.kill()
        worker.start()
    await settled(deployment)
    worker.stop()
    return before


@pytest.mark.parametrize("deployment", [{"partitions": PARTITIONS, "batch_payments_max": 200}], indirect=True)
def test_a_file_that_is_sent_again_changes_nothing_and_what_conflicts_or_strays_is_put_aside(
    deployment: Deployment,
) -> None:
    log = payment_log(SEED, 3_000, accounts=300, clean=True)
    odd, astray = conflicting(log), strays()
    before = asyncio.run(sent_twice(deployment, log, odd, astray))
    run = asyncio.run(read_run(deployment))
    assert_decided_once(run, expected_of([*log, *once_more(log), *odd, *astray]))
    assert_logs_are_computed(run, SEED)
    assert run.decisions == before

    letters: dict[str, list[tuple[DeadLetter, bytes]]] = {}
    for record in (each for part in run.dead_letters for each in part):
        letter = read_dead_letter(list(record.headers))
        letters.setdefault(letter.reason, []).append((letter, record.value))
    assert {reason: len(found) for reason, found in letters.items()} == {
        "conflicting_repeat": len(odd),
        "wrong_partition": len(astray),
    }
    for letter, value in letters["conflicting_repeat"]:
        assert letter.first_offset is not None
        first = payment_of(run.payments[letter.partition][letter.first_offset].value)
        second = payment_of(value)
        assert structs.replace(first, amount_minor=second.amount_minor) == second != first
