"""Faults that pass, one after the other, on the same three workers: each goes on by itself, and nothing shows of it.

The tests share a stage, and each begins with all workers up. The last holds all outputs against an undisturbed run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.forms import ROLES, Table
from tests.faults.stage import Stage
from tests.faults.undisturbed import assert_as_undisturbed
from tests.support.proxy import Request

pytestmark = pytest.mark.kafka

AT_THE_START = {
    "scorer": (Request.LIST_OFFSETS, Request.JOIN_GROUP, Request.INIT_PRODUCER_ID),
    "shadow": (Request.LIST_OFFSETS, Request.JOIN_GROUP, Request.INIT_PRODUCER_ID),
    "learner": (Request.INIT_PRODUCER_ID, Request.OFFSET_FETCH, Request.LIST_OFFSETS),
}
"""What a worker asks while it starts: the end of ``models.v1``, a place in its group, possession of its partitions."""


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
    every = {role: asked if stage.form.thorough else asked[::2] for role, asked in AT_THE_START.items()}

    async def stalled(role: str) -> None:
        proxy, worker, asked = stage.proxies[role], stage.workers[role], every[role]
        reached = proxy.stall_at(asked[0])
        worker.start()
        for request, following in zip(asked, (*asked[1:], None), strict=True):
            await stage.comes(reached, f"{role} asks for {request.name}")
            await asyncio.sleep(stage.form.stall_s)
            if following is not None:
                reached = proxy.stall_at(following)
            proxy.flow()

    stage.broker.heal()
    await stage.feed()
    await all_of(stalled)
    names = ", ".join(sorted({each.name for asked in every.values() for each in asked}))
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

    async with stage.under_load():
        await all_of(frozen_again_and_again)
    times = f"learner {form.freezes} times, others {form.freezes_of_others}"
    await stage.recovered(
        table, f"frozen {form.frozen_s:g} s in a transaction of {form.transaction_timeout_ms} ms, {times}"
    )


def test_workers_that_start_while_the_broker_is_away_wait_for_it_and_lose_nothing(stage: Stage, table: Table) -> None:
    asyncio.run(broker_away(stage, table))


async def broker_away(stage: Stage, table: Table) -> None:
    """All are killed at work, the broker too, and the workers are back first. It dies once more, while they take up
    their partitions."""
    broker = stage.broker.broker
    await stage.up()
    for _ in range(stage.form.kills):
        await stage.feed()
        for worker in stage.workers.values():
            worker.kill()
        await asyncio.to_thread(broker.kill)
        stage.start()
        reached = stage.proxies["scorer"].stall_at(Request.INIT_PRODUCER_ID)
        await asyncio.to_thread(broker.start)
        await stage.comes(reached, "the scorer takes up its partitions")
        await asyncio.to_thread(broker.kill)
        stage.broker.heal()
        await asyncio.to_thread(broker.start)
        await stage.recovered(table, "workers and broker killed, workers started first")


def test_after_all_faults_every_output_is_that_of_an_undisturbed_run(stage: Stage, table: Table) -> None:
    asyncio.run(stage.up())
    asyncio.run(stage.feed())
    asyncio.run(stage.recovered(table, "all of them, one after the other"))
    asyncio.run(assert_as_undisturbed(stage))
