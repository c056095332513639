"""What operators do with an alert, as they type it, on a real Kafka: read it, silence its subject, compute it again."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from services.contract.alert import Alert
from services.contract.codec import decode, encode
from services.contract.events import SNOOZE, is_event
from services.contract.identity import uuid5
from services.contract.payment import Payment
from tests.support.deployment import Deployment, producer, read_logs, send, settled
from tests.support.lsac import DAY_MS, HOUR_MS, PAYEE, PAYER, further, history
from tests.support.nursery import run_command_text
from tests.support.offline import assert_logs_are_computed, read_run
from tests.support.payments import Entry, payment_log
from tests.support.worker import environment

pytestmark = pytest.mark.kafka

SEED = 5
UNKNOWN = uuid5("alert", "nobody's")


def tocsin(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``tocsin alert`` as people call it."""
    return run_command_text(
        ["alert", *arguments],
        environment(deployment.settings) | {"COLUMNS": "160"},
        deployment.folder,
    )


def answer(deployment: Deployment, *arguments: str) -> Any:
    """What it prints for machines."""
    done = tocsin(deployment, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return orjson.loads(done.stdout)


async def paid(deployment: Deployment, payments: Sequence[Payment]) -> None:
    """Send ``payments`` and wait until every review is in its alert."""
    async with producer(deployment.settings) as sending:
        entries = [Entry(each.payer.account.encode(), encode(each), "decided") for each in payments]
        await send(sending, deployment, entries)
    await settled(deployment)


async def revisions(deployment: Deployment, account: str) -> list[Alert]:
    """Of the alert about ``account``."""
    logs = await read_logs(deployment, deployment.settings.topics.alerts)
    alerts = [decode(record.value, Alert) for log in logs for record in log]
    return [each for each in alerts if each.subject.account == account]


async def operated(deployment: Deployment) -> None:
    """A day in the life of an alert."""
    worker = deployment.worker()
    worker.start()
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, payment_log(SEED, 300, clean=True))
    await paid(deployment, history())
    await paid(deployment, further(2 * HOUR_MS))
    *_, known = await revisions(deployment, PAYEE)

    shown = tocsin(deployment, "show", known.alert_id)
    assert shown.returncode == 0, shown.stderr
    assert known.finding is not None
    words = (known.finding.headline, PAYEE, "queue lsac", "status update", "(prior)", "(model)", "would end without")
    named = [each.payment_id for each in known.payments]
    for word in (*words, *named, *(f"{each.indicator}: " for each in known.finding.evidence)):
        assert word in shown.stdout, word
    assert decode(orjson.dumps(answer(deployment, "show", known.alert_id)), Alert) == known

    computed = answer(deployment, "recompute", known.alert_id)
    assert computed["same"]
    checks = [each["name"].split(" ")[0] for each in computed["checks"]]
    assert checks == ["decision"] * len(named) + ["payments", "evidence", "counter-evidence", "model", "all", "sum"]

    asleep = answer(deployment, "snooze", known.alert_id, "--days", "14", "--reason", "known-seller")
    assert asleep["until_event_time_ms"] == further(2 * HOUR_MS)[0].event_time_ms + 14 * DAY_MS
    await settled(deployment)
    *_, snoozed = await revisions(deployment, PAYEE)
    assert (snoozed.status, snoozed.revision) == ("snoozed", known.revision + 1)
    assert snoozed.snoozed_until_ms == asleep["until_event_time_ms"]

    worker.kill()
    worker.start()
    await paid(deployment, further(26 * HOUR_MS, 27 * HOUR_MS))
    assert (await revisions(deployment, PAYEE))[-1] == snoozed, "something was published during a snooze"
    others = await revisions(deployment, PAYER)
    assert others[-1].status == "update"
    assert others[-1].payments[-1].payment_id.startswith("further-")

    await paid(deployment, further(15 * DAY_MS))
    *_, after = await revisions(deployment, PAYEE)
    assert (after.status, after.revision, after.payments_count) == (
        "update",
        snoozed.revision + 1,
        known.payments_count + 3,
    )

    tocsin(deployment, "snooze", known.alert_id, "--days", "2")
    woken = tocsin(deployment, "snooze", known.alert_id, "--days", "0")
    assert (woken.returncode, woken.stdout) == (0, f"The subject of {known.alert_id} is awake in lsac.\n")
    await settled(deployment)
    assert [each.status for each in await revisions(deployment, PAYEE)][-2:] == ["snoozed", "update"]
    assert answer(deployment, "recompute", known.alert_id)["same"]
    worker.stop()


@pytest.mark.parametrize("deployment", [{"partitions": 2}], indirect=True)
def test_an_alert_is_read_silenced_and_computed_again(deployment: Deployment) -> None:
    asyncio.run(operated(deployment))
    run = asyncio.run(read_run(deployment))
    snoozes = [record for log in run.reviews for record in log if is_event(record.headers, SNOOZE)]
    assert [record.key for record in snoozes] == [PAYEE.encode()] * 3
    homes = {at for at, log in enumerate(run.reviews) for record in log if record.key == PAYEE.encode()}
    assert len(homes) == 1
    assert_logs_are_computed(run, SEED)
    said = "".join(worker.log.read_text(errors="replace") for worker in deployment.workers)
    assert PAYEE not in said
    assert PAYER not in said


@pytest.mark.parametrize("deployment", [{"partitions": 1}], indirect=True)
def test_an_alert_that_does_not_exist_is_named_and_what_cannot_be_is_refused(deployment: Deployment) -> None:
    name = deployment.settings.topics.alerts.name
    for arguments in (["show", UNKNOWN], ["recompute", UNKNOWN], ["snooze", UNKNOWN, "--days", "1"]):
        done = tocsin(deployment, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.strip() == f"{name}: there is no alert {UNKNOWN}"
    for arguments, word in (
        (["--days", "-1"], "--days"),
        (["--days", "401"], "TOCSIN_ACCOUNT_IDLE_DAYS"),
        (["--days", "1", "--queue", ""], "--queue"),
        (["--days", "1", "--reason", "x" * 36], "--reason"),
    ):
        done = tocsin(deployment, "snooze", UNKNOWN, *arguments)
        assert done.returncode == 2, done.stderr
        assert word in done.stderr
        assert "Traceback" not in done.stderr
