"""A decision can be computed again from the topics, whatever happened while it was made."""

from __future__ import annotations

import random
import subprocess

import orjson
import pytest

from services.contract.identity import decision_id
from tests.integration.conftest import SEED, KilledRun
from tests.support.worker import command, environment

pytestmark = pytest.mark.kafka


def recompute(run: KilledRun, identity: str) -> subprocess.CompletedProcess[bytes]:
    """``tocsin recompute`` as people call it."""
    return subprocess.run(
        [command(), "recompute", identity],
        cwd=run.deployment.folder,
        env=environment(run.deployment.settings),
        capture_output=True,
        check=False,
    )


def test_decisions_of_a_killed_run_are_recomputed_bit_for_bit(killed_run: KilledRun) -> None:
    """One decision drawn from those of the first model and one from those of the last."""
    draw = random.Random(SEED)
    by_model: dict[str, list[bytes]] = {}
    for record in killed_run.run.records_decided:
        by_model.setdefault(orjson.loads(record.value)["model_hash"], []).append(record.value)
    assert len(by_model) >= 3
    first, *_, last = by_model.values()
    for recorded in (draw.choice(first), draw.choice(last)):
        done = recompute(killed_run, orjson.loads(recorded)["decision_id"])
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == recorded + b"\n"


def test_a_decision_that_does_not_exist_is_named_and_ends_with_1(killed_run: KilledRun) -> None:
    unknown = decision_id("default", "no such payment", "0" * 64)
    done = recompute(killed_run, unknown)
    assert done.returncode == 1
    assert done.stdout == b""
    said = done.stderr.decode().strip().splitlines()
    assert said[-1] == f"{killed_run.deployment.settings.topics.decisions.name}: there is no decision {unknown}"
    assert "Traceback" not in done.stderr.decode()
