"""What workers say of their health under faults, how they end, and what a bad network does to them: nothing.

The tests share a stage, and each begins with all workers up. One holds all outputs against an undisturbed run; the
last ends the workers.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.faults.conftest import REPLAY
from tests.faults.forms import ROLES, Table
from tests.faults.stage import Stage
from tests.faults.undisturbed import assert_as_undisturbed
from tests.support.debugger import stopped_thread
from tests.support.health import live, ready, seconds_until
from tests.support.nursery import run_command
from tests.support.payments import payment_log
from tests.support.proxied import frozen
from tests.support.proxy import Request
from tests.support.worker import Worker, environment

pytestmark = pytest.mark.kafka

MARGIN_S = 10.0
"""For a machine that does ten other things."""
REPLAY_SEED, REPLAYS_MAX = 12, 3
REPLAYED = 200
"""So few that payers remember what was sent before them, and what of it comes again after them."""


def test_health_turns_red_while_one_thread_stands_still_and_green_again(stage: Stage, table: Table) -> None:
    asyncio.run(stage.up())

    def threads() -> AbstractContextManager[object]:
        with ExitStack() as stack:
            for role in ROLES:
                try:
                    stack.enter_context(stopped_thread(stage.workers[role].pid))
                except PermissionError as refused:
                    pytest.skip(f"this system lets nobody debug a process: {refused}")
            return stack.pop_all()

    red_and_green(stage, table, threads, "event loop's thread stopped by ptrace")
    asyncio.run(still_at_work(stage, table, "the same"))


def test_health_turns_red_under_a_frozen_broker_and_green_again(stage: Stage, table: Table) -> None:
    asyncio.run(stage.up())
    red_and_green(stage, table, lambda: frozen(stage.broker.broker), "broker frozen")
    asyncio.run(still_at_work(stage, table, "the same"))


async def still_at_work(stage: Stage, table: Table, fault: str) -> None:
    await stage.feed()
    await stage.recovered(table, fault)


def red_and_green(stage: Stage, table: Table, fault: Callable[[], AbstractContextManager[object]], what: str) -> None:
    """Liveness and readiness of every worker turn red within the fault, and green again after it."""
    until(stage, True, "before the fault")
    with fault():
        red_s = until(stage, False, "within the fault")
    green_s = until(stage, True, "after the fault")
    for role in ROLES:
        table.add(what, role, f"red {red_s[role]:.1f}, green {green_s[role]:.1f}")


def until(stage: Stage, green: bool, when: str) -> dict[str, float]:
    """Seconds until liveness and readiness of each worker are both ``green``, or both not."""

    def measured(role: str) -> float:
        port = stage.ports[role]
        what = f"{role} {'green' if green else 'red'} {when}"
        return seconds_until(lambda: live(port) is ready(port) is green, what, stage.form.deadline_s)

    with ThreadPoolExecutor(len(ROLES)) as pool:
        return dict(zip(ROLES, pool.map(measured, ROLES), strict=True))


def test_connections_that_are_reset_every_second_under_load_lose_nothing(stage: Stage, table: Table) -> None:
    asyncio.run(resets(stage, table))


async def resets(stage: Stage, table: Table) -> None:
    await stage.up()
    async with stage.under_load():
        for _ in range(stage.form.resets):
            await asyncio.sleep(1.0)
            for proxy in stage.proxies.values():
                proxy.reset()
    await stage.recovered(table, f"connections reset every second, {stage.form.resets} times, under load")


def test_a_replay_through_a_stall_loses_nothing(stage: Stage, table: Table) -> None:
    asyncio.run(replayed(stage, table))


async def replayed(stage: Stage, table: Table) -> None:
    """Ids make it harmless to say the command again, which is what people do when it ends with an error."""
    await stage.up()
    log = [each for each in payment_log(REPLAY_SEED, REPLAYED, days=2, clean=True) if each.fate == "decided"]
    file = stage.deployment.folder / "payments.ndjson"
    file.write_bytes(b"".join(b"%s\n" % (each.value or b"").strip() for each in log))
    proxy = stage.broker.proxies[REPLAY]
    reached = proxy.stall_at(Request.PRODUCE)
    first = asyncio.create_task(asyncio.to_thread(replay, stage, file))
    assert await asyncio.to_thread(reached.wait, stage.form.deadline_s), "the replay sends nothing"
    await asyncio.sleep(stage.form.stall_s)
    proxy.flow()
    ended = await first
    again = 0
    while ended.returncode != 0:
        again += 1
        assert again <= REPLAYS_MAX, ended.stderr.decode()
        ended = await asyncio.to_thread(replay, stage, file)
    await stage.took_in(log)
    times = f", {again} more times" if again else ""
    await stage.recovered(table, f"replay, its broker stalled {stage.form.stall_s:g} s{times}", "replay")


def replay(stage: Stage, file: Path) -> subprocess.CompletedProcess[bytes]:
    """``tocsin replay`` as people call it, behind a network of its own."""
    settings = stage.settings.model_copy(update={"bootstrap": stage.broker.proxies[REPLAY].bootstrap})
    return run_command(
        ["replay", str(file), "--mapping", "tocsin", "--json"],
        environment(settings),
        stage.deployment.folder,
    )


def test_after_all_faults_every_output_is_that_of_an_undisturbed_run(stage: Stage, table: Table) -> None:
    asyncio.run(stage.up())
    asyncio.run(stage.feed())
    asyncio.run(stage.recovered(table, "all of them, one after the other"))
    asyncio.run(assert_as_undisturbed(stage))


def test_sigterm_under_a_frozen_broker_ends_each_worker_within_its_grace(stage: Stage, table: Table) -> None:
    asyncio.run(stage.up())
    asyncio.run(stage.feed())
    with frozen(stage.broker.broker), ThreadPoolExecutor(len(ROLES)) as pool:
        ended_s = list(pool.map(lambda role: seconds_to_end(stage.workers[role]), ROLES))
    for role, seconds in zip(ROLES, ended_s, strict=True):
        table.add("SIGTERM under a frozen broker", role, f"ended in {seconds:.1f}")
    assert max(ended_s) <= stage.form.stop_grace_s + MARGIN_S


def seconds_to_end(worker: Worker) -> float:
    """How long it takes to end once it is told to."""
    began = time.monotonic()
    worker.end()
    return time.monotonic() - began
