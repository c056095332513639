"""Partitions that catch up go together in event time; what is of now waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

import pytest

from services.contract.codec import encode
from services.contract.payment import Party, Payment
from services.contract.units import DAY_MS, HOUR_MS, MINUTE_MS
from services.scorer.path.records import Record, Records
from services.scorer.shell.convoy import PATIENCE_S, Convoy

NOW_MS = 1_790_000_000_000
LONG_AGO_MS = NOW_MS - 100 * DAY_MS
SHORTLY_S = 0.01


@dataclass
class Clock:
    seconds: float = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def convoy(clock: Clock | None = None, spread_ms: int = HOUR_MS) -> Convoy:
    return Convoy(spread_ms, clock or Clock(), lambda: NOW_MS)


def payments(begin_ms: int, count: int = 1, step_ms: int = MINUTE_MS) -> Records:
    """One every ``step_ms`` from ``begin_ms`` on."""
    return Records.of(
        Record(at, NOW_MS, b"a", encode(Payment(f"p{at}", begin_ms + at * step_ms, 1, "EUR", Party("a"), Party("b"))))
        for at in range(count)
    )


async def waits(turn: Awaitable[bool]) -> bool:
    """Whether a turn has not come yet after a moment in which it could have."""
    task = asyncio.ensure_future(turn)
    done, _ = await asyncio.wait({task}, timeout=SHORTLY_S)
    task.cancel()
    return not done


def test_a_partition_ahead_waits_until_the_one_behind_has_come_up() -> None:
    async def run() -> None:
        together = convoy()
        assert await together.turn(0, payments(LONG_AGO_MS), 1.0)
        assert await waits(together.turn(1, payments(LONG_AGO_MS + 3 * HOUR_MS), 1.0))
        ahead = asyncio.ensure_future(together.turn(1, payments(LONG_AGO_MS + 3 * HOUR_MS), 60.0))
        await asyncio.sleep(0)
        assert await together.turn(0, payments(LONG_AGO_MS + 2 * HOUR_MS), 1.0)
        assert await ahead

    asyncio.run(run())


def test_with_the_one_furthest_behind_go_those_whose_batch_lies_within_the_spread_of_it() -> None:
    async def run() -> None:
        together, minutes = convoy(), HOUR_MS // MINUTE_MS
        assert await together.turn(0, payments(LONG_AGO_MS, 10 * minutes), 1.0), "a batch goes whole, however long"
        assert await together.turn(1, payments(LONG_AGO_MS, minutes + 1), 1.0)
        assert await waits(together.turn(1, payments(LONG_AGO_MS, minutes + 2), 1.0))

    asyncio.run(run())


def test_once_a_batch_is_in_the_logs_those_behind_its_end_go() -> None:
    async def run() -> None:
        together = convoy()
        assert await together.turn(0, payments(LONG_AGO_MS, 600), 1.0), "ten hours"
        between = asyncio.ensure_future(together.turn(1, payments(LONG_AGO_MS + 5 * HOUR_MS, 300), 60.0))
        beyond = asyncio.ensure_future(together.turn(2, payments(LONG_AGO_MS + 20 * HOUR_MS), 60.0))
        await asyncio.sleep(0)
        assert not between.done()
        together.gone(0)
        assert await between
        assert not beyond.done()
        beyond.cancel()

    asyncio.run(run())


def test_one_that_waits_goes_as_soon_as_the_one_behind_leaves() -> None:
    async def run() -> None:
        together = convoy()
        assert await together.turn(0, payments(LONG_AGO_MS), 1.0)
        ahead = asyncio.ensure_future(together.turn(1, payments(LONG_AGO_MS + DAY_MS), 60.0))
        await asyncio.sleep(0)
        together.leave(0)
        assert await asyncio.wait_for(ahead, 1.0)
        together.gone(0)
        assert await together.turn(1, payments(LONG_AGO_MS + 2 * DAY_MS), SHORTLY_S), "who has left is not back"

    asyncio.run(run())


def test_one_that_has_not_begun_is_nowhere_however_often_nothing_of_it_goes() -> None:
    async def run() -> None:
        together = convoy()
        together.join(0)
        together.gone(0)
        assert await waits(together.turn(1, payments(LONG_AGO_MS), 1.0))

    asyncio.run(run())


def test_how_far_a_batch_reaches_is_told_by_its_last_payment() -> None:
    async def run() -> None:
        together = convoy()
        assert await together.turn(0, payments(LONG_AGO_MS), 1.0)
        none = Record(9, NOW_MS, None, b"no payment")
        near, far = (payments(LONG_AGO_MS + each, 1) for each in (MINUTE_MS, DAY_MS))
        assert await waits(together.turn(1, Records.of([*near, *far, none]), 1.0))
        assert await together.turn(1, Records.of([*near, none]), 1.0)

    asyncio.run(run())


def test_of_two_equally_far_behind_always_the_same_goes_first() -> None:
    async def run() -> None:
        for order in ((0, 1), (1, 0)):
            together, long = convoy(), payments(LONG_AGO_MS, 200)
            together.join(0)
            together.join(1)
            turns = {each: asyncio.ensure_future(together.turn(each, long, 60.0)) for each in order}
            await asyncio.wait(turns.values(), timeout=SHORTLY_S)
            assert [turns[each].done() for each in (0, 1)] == [True, False]
            together.rest(0)
            assert await turns[1]

    asyncio.run(run())


def test_a_turn_that_does_not_come_in_time_gives_nothing_yet() -> None:
    async def run() -> None:
        together = Convoy(HOUR_MS, asyncio.get_running_loop().time, lambda: NOW_MS)
        await together.turn(0, payments(LONG_AGO_MS), 1.0)
        assert not await together.turn(1, payments(LONG_AGO_MS + DAY_MS), SHORTLY_S)

    asyncio.run(run())


def test_nobody_waits_for_one_that_has_nothing_to_read_or_has_left() -> None:
    async def run() -> None:
        for ends in (Convoy.rest, Convoy.leave):
            together = convoy()
            await together.turn(0, payments(LONG_AGO_MS), 1.0)
            ends(together, 0)
            assert await together.turn(1, payments(LONG_AGO_MS + DAY_MS, 500), 1.0)

    asyncio.run(run())


def test_one_that_is_about_to_begin_is_waited_for() -> None:
    async def run() -> None:
        together = convoy()
        together.join(0)
        assert await waits(together.turn(1, payments(LONG_AGO_MS), 1.0))
        together.rest(0)
        assert await together.turn(1, payments(LONG_AGO_MS), 1.0)

    asyncio.run(run())


@pytest.mark.parametrize("begun", [True, False])
def test_one_that_stands_still_holds_the_others_for_a_while_only(begun: bool) -> None:
    async def run() -> None:
        clock = Clock()
        together = convoy(clock)
        together.join(0)
        if begun:
            await together.turn(0, payments(LONG_AGO_MS), 1.0)
        clock.seconds += PATIENCE_S - 1
        assert await waits(together.turn(1, payments(LONG_AGO_MS + DAY_MS), 1.0))
        clock.seconds += 1
        assert await together.turn(1, payments(LONG_AGO_MS + DAY_MS), 1.0)

    asyncio.run(run())


def test_a_payment_of_now_waits_for_no_backfill() -> None:
    async def run() -> None:
        together = convoy()
        await together.turn(0, payments(LONG_AGO_MS), 1.0)
        assert await together.turn(1, payments(NOW_MS - HOUR_MS + 1, 3_000, step_ms=1), 1.0)

    asyncio.run(run())


def test_without_a_spread_or_a_time_nothing_waits() -> None:
    async def run() -> None:
        free = convoy(spread_ms=0)
        await free.turn(0, payments(LONG_AGO_MS), 1.0)
        assert await free.turn(1, payments(LONG_AGO_MS + DAY_MS, 700), 1.0)
        together = convoy()
        await together.turn(0, payments(LONG_AGO_MS), 1.0)
        assert await together.turn(1, Records.of([Record(0, NOW_MS, None, b"no payment")] * 9), 1.0)

    asyncio.run(run())


def test_what_is_no_payment_hides_no_time() -> None:
    async def run() -> None:
        together = convoy()
        await together.turn(0, payments(LONG_AGO_MS), 1.0)
        several = Records.of([Record(0, NOW_MS, None, b"no payment"), *payments(LONG_AGO_MS + DAY_MS, 2)])
        assert await waits(together.turn(1, several, 1.0))

    asyncio.run(run())
