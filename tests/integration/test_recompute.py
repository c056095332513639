"""A decision can be computed again from the topics, whatever happened while it was made."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence

import orjson
import pytest

from services.contract.alert import Alert
from services.contract.codec import decode
from services.contract.identity import decision_id
from tests.integration.conftest import SEED, KilledRun
from tests.support.nursery import run_command
from tests.support.worker import environment

pytestmark = pytest.mark.kafka


def recompute(
    run: KilledRun, identity: str, commanded: Sequence[str] = ("recompute",)
) -> subprocess.CompletedProcess[bytes]:
    """``tocsin recompute`` as people call it."""
    return run_command(
        [*commanded, identity],
        environment(run.deployment.settings),
        run.deployment.folder,
    )


def test_decisions_of_a_killed_run_are_recomputed_bit_for_bit(killed_run: KilledRun) -> None:
    """One decision drawn from those of the first model and one from those of the last."""
    draw = random.Random(SEED)
    by_model: dict[str, list[bytes]] = {}
    for record in killed_run.run.records_decided:
        by_model.setdefault(orjson.loads(record.value)["model"], []).append(record.value)
    assert len(by_model) >= 3
    first, *_, last = by_model.values()
    for recorded in (draw.choice(first), draw.choice(last)):
        done = recompute(killed_run, orjson.loads(recorded)["decision_id"])
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == recorded + b"\n"


def test_an_alert_over_several_models_is_recomputed_each_decision_under_its_own(killed_run: KilledRun) -> None:
    models = {
        decision["decision_id"]: decision["model"]
        for record in killed_run.run.records_decided
        for decision in (orjson.loads(record.value),)
    }
    alerts = [decode(record.value, Alert) for log in killed_run.run.alerts for record in log]
    alert = max(alerts, key=lambda each: (len({models[one.decision_id] for one in each.payments}), each.revision))
    assert len({models[each.decision_id] for each in alert.payments}) > 1
    done = recompute(killed_run, alert.alert_id, ["alert", "recompute"])
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert done.stdout.count(b"ok  ") == len(done.stdout.splitlines()) > len(alert.payments)


def test_a_decision_that_does_not_exist_is_named_and_ends_with_1(killed_run: KilledRun) -> None:
    unknown = decision_id("default", "payer", "no such payment", "0" * 64)
    done = recompute(killed_run, unknown)
    assert done.returncode == 1
    assert done.stdout == b""
    said = done.stderr.decode().strip().splitlines()
    assert said[-1] == f"{killed_run.deployment.settings.topics.decisions.name}: there is no decision {unknown}"
    assert "Traceback" not in done.stderr.decode()
