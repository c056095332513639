"""Faults that pass, one after the other, on the same three workers: each goes on by itself, and nothing shows of it.

The tests share a stage, and each begins with all workers up. The last holds all outputs against an undisturbed run.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
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
from tests.support.payments import payment_log
from tests.support.proxied import frozen
from tests.support.proxy import Request
from tests.support.worker import Worker, command, environment

pytestmark = pytest.mark.kafka

AT_THE_START = {
    "scorer": (Request.LIST_OFFSETS, Request.JOIN_GROUP, Request.INIT_PRODUCER_ID),
    "shadow": (Request.LIST_OFFSETS, Request.JOIN_GROUP, Request.INIT_PRODUCER_ID),
    "learner": (Request.INIT_PRODUCER_ID, Request.OFFSET_FETCH, Request.LIST_OFFSETS),
}
"""What a worker asks while it starts: the end of ``models.v1``, a place in its group, possession of its partitions."""
ALL = ", ".join(ROLES)
PAUSE_S = 0.4
MARGIN_S = 3.0
"""For a machine that does ten other things."""
REPLAY_SEED, REPLAYS_MAX = 12, 3


async def all_of(work: Callable[[str], Awaitable[None]]) -> None:
    """``work`` for each role at the same time; if it fails for one, the others end."""
    async with asyncio.TaskGroup() as group:
        for role in ROLES:
            group.create_task(_awaited(work(role)))


async def _awaited(work: Awaitable[None]) -> None:
    await work


def test_a_broker_that_stalls_while_workers_start_holds_none_of_them_up_for_good(stage: Stage, table: Table) -> None:
    asyncio.run(stalled_starts(stage, table))


async def stalled_starts(stage: Stage, table: Table) -> None:
    """Each worker meets a stall at each thing that it asks for at its start, longer than a request may take."""

    async def stalled(role: str) -> None:
        proxy, worker = stage.proxies[role], stage.workers[role]
        reached = proxy.stall_at(AT_THE_START[role][0])
        worker.start()
        for request, following in zip(AT_THE_START[role], (*AT_THE_START[role][1:], None), strict=True):
            await stage.comes(reached, f"{role} asks for {request.name}")
            await asyncio.sleep(stage.form.stall_s)
            if following is not None:
                reached = proxy.stall_at(following)
            proxy.flow()

    stage.broker.heal()
    await stage.feed()
    await all_of(stalled)
    names = ", ".join(sorted({each.name for asked in AT_THE_START.values() for each in asked}))
    await stage.recovered(table, f"broker stalls {stage.form.stall_s:g} s at the start, at each of {names}")


def test_workers_frozen_beyond_their_transactions_go_on_from_the_last_committed_position(
    stage: Stage, table: Table
) -> None:
    asyncio.run(freezes(stage, table))


async def freezes(stage: Stage, table: Table) -> None:
    """Each is stopped with a transaction open, which the broker ends before it goes on."""
    form = stage.form
    await stage.up()

    async def frozen_again_and_again(role: str) -> None:
        proxy, worker = stage.proxies[role], stage.workers[role]
        for number in range(form.freezes if role == "learner" else form.freezes_of_others):
            opening = proxy.stall_at(Request.ADD_PARTITIONS_TO_TXN)
            await stage.comes(opening, f"{role} opens a transaction after {number} freezes")
            committed = proxy.requests[Request.END_TXN]
            worker.freeze()
            proxy.flow()
            await asyncio.sleep(form.frozen_s)
            worker.thaw()

            async def goes_on(committed: int = committed) -> bool | None:
                return proxy.requests[Request.END_TXN] > committed or None

            await stage.deployment.wait_for(goes_on, f"{role} commits after {number + 1} freezes")

    feeding = asyncio.create_task(feed_on(stage))
    try:
        await all_of(frozen_again_and_again)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    times = f"learner {form.freezes} times, others {form.freezes_of_others}"
    await stage.recovered(
        table, f"frozen {form.frozen_s:g} s in a transaction of {form.transaction_timeout_ms} ms, {times}"
    )


async def feed_on(stage: Stage) -> None:
    """A small load, until cancelled between two of its slices."""
    while True:
        await asyncio.shield(stage.feed(payments=10))
        await asyncio.sleep(PAUSE_S)


def test_health_turns_red_while_one_thread_stands_still_and_green_again(stage: Stage, table: Table) -> None:
    asyncio.run(stage.up())

    def threads() -> AbstractContextManager[object]:
        stack = ExitStack()
        for role in ROLES:
            stack.enter_context(stopped_thread(stage.workers[role].pid))
        return stack

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
    feeding = asyncio.create_task(feed_on(stage))
    try:
        for _ in range(stage.form.resets):
            await asyncio.sleep(1.0)
            for proxy in stage.proxies.values():
                proxy.reset()
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    await stage.recovered(table, f"connections reset every second, {stage.form.resets} times, under load")


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


def test_workers_that_start_while_the_broker_is_away_wait_for_it_and_lose_nothing(stage: Stage, table: Table) -> None:
    asyncio.run(broker_away(stage, table))


async def broker_away(stage: Stage, table: Table) -> None:
    """All are killed, the broker too; the workers are back first, and while they take up their work it dies again."""
    broker = stage.broker.broker
    for _ in range(stage.form.kills):
        for worker in stage.workers.values():
            if worker.alive:
                worker.kill()
        await stage.feed()
        await asyncio.to_thread(broker.kill)
        stage.start()
        reached = stage.proxies["scorer"].stall_at(Request.INIT_PRODUCER_ID)
        await asyncio.to_thread(broker.start)
        await stage.comes(reached, "the scorer takes up its partitions")
        await asyncio.to_thread(broker.kill)
        stage.broker.heal()
        await asyncio.to_thread(broker.start)
        await stage.recovered(table, "workers and broker killed; the broker killed again while they start")


def test_a_replay_through_a_stall_loses_nothing(stage: Stage, table: Table) -> None:
    asyncio.run(replayed(stage, table))


async def replayed(stage: Stage, table: Table) -> None:
    """Ids make it harmless to say the command again, which is what people do when it ends with an error."""
    await stage.up()
    log = [each for each in payment_log(REPLAY_SEED, stage.form.payments, days=2, clean=True) if each.fate == "decided"]
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
    return subprocess.run(
        [command(), "replay", str(file), "--mapping", "tocsin", "--json"],
        cwd=stage.deployment.folder,
        env=environment(settings),
        capture_output=True,
        check=False,
    )


def test_after_all_faults_every_output_is_that_of_an_undisturbed_run(stage: Stage, table: Table) -> None:
    asyncio.run(stage.up())
    asyncio.run(stage.feed())
    asyncio.run(stage.recovered(table, "all of them, one after the other"))
    asyncio.run(assert_as_undisturbed(stage))
