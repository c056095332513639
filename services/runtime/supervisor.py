"""One rule for every loop of every worker: what passes is waited out, what people must decide is told, a bug ends it.

- **A fault that passes** (the broker is away, slow, or took us for dead): one line in the log, a pause, another
  attempt, for as long as it takes. An attempt takes possession anew and goes on from the last committed position.
- **A fault that people must decide** (``NeedsPeople``): told once, with the command that goes on. The worker lives,
  is not ready, and looks again from time to time, so that it goes on by itself once that was decided.
- **A bug** (anything else) leaves through ``supervise``: the worker ends, loudly; whoever started it starts it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from traceback import walk_tb

from aiokafka.errors import KafkaError

from services.contract.errors import TocsinError
from services.runtime.health import Loop

logger = logging.getLogger(__name__)

PAUSE_S = 0.5
PAUSE_S_MAX = 8.0
LOOK_AGAIN_S = 5.0
"""Between two looks at whether people have decided."""
_CLIENT = "aiokafka"


class NeedsPeople(TocsinError):
    """Going on would lose or double something, or cannot succeed: people decide. The message names the remedy."""


def passes(error: BaseException) -> bool:
    """Whether ``error`` is a fault that may pass: of the network, of the broker, or from within Kafka's client, whose
    state is made anew with the next attempt.

    >>> passes(TimeoutError()), passes(ValueError())
    (True, False)
    """
    if isinstance(error, KafkaError | OSError):
        return True
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    innermost = str(frames[-1].f_globals.get("__name__", "")) if frames else ""
    return innermost.partition(".")[0] == _CLIENT


async def supervise(
    loop: Loop,
    attempt: Callable[[], Awaitable[None]],
    should_stop: Callable[[], bool],
    count: Callable[[str, str], None],
    attempts_max: int = 0,
) -> None:
    """Make ``attempt`` again and again until ``should_stop``; an attempt that returns is followed by another.

    Parameters
    ----------
    loop
        What health knows of it. An attempt that takes a step starts the count of failures anew.
    count
        Told of the loop's name and the class of each fault.
    attempts_max
        Failures in a row after which a fault that passes leaves, for whoever stands above to make more of it anew;
        0: never.
    """
    failures = 0
    while not should_stop():
        stepped_s = loop.stepped_unix_s
        try:
            await attempt()
            continue
        except NeedsPeople as error:
            count(loop.name, type(error).__name__)
            if loop.why != str(error):
                logger.error("%s is stopped: %s", loop.name, error)
            loop.stop(str(error))
            pause_s = LOOK_AGAIN_S
        except (Exception, asyncio.CancelledError) as error:
            if is_own_cancellation(error) or not (passes(error) or isinstance(error, asyncio.CancelledError)):
                raise
            failures = 1 if loop.stepped_unix_s != stepped_s else failures + 1
            if attempts_max and failures >= attempts_max:
                raise
            fault = type(error).__name__
            count(loop.name, fault)
            loop.retries(f"{fault}, {failures} in a row")
            pause_s = min(PAUSE_S_MAX, PAUSE_S * 2.0 ** (failures - 1))
            logger.warning("%s: %s; trying again in %.1f s", loop.name, fault, pause_s)
        await pause(pause_s, should_stop)


def is_own_cancellation(error: BaseException) -> bool:
    """Whether somebody cancels this task. Otherwise a ``CancelledError`` is of something that was waited for: Kafka's
    client cancels futures that others wait on when a connection goes down under it. That passes."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)


async def pause(seconds: float, should_stop: Callable[[], bool]) -> None:
    """Wait, but not beyond ``should_stop``."""
    await unless(asyncio.sleep(seconds), should_stop)


async def unless(work: Awaitable[object], should_stop: Callable[[], bool]) -> bool:
    """Wait for ``work``, but not beyond ``should_stop``, which cancels it; returns whether it was done."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done() and not should_stop():
            await asyncio.wait({task}, timeout=0.2)
        if task.done():
            task.result()
        return task.done()
    finally:
        task.cancel()  # nothing to a task that is done


async def within(seconds: float, work: Awaitable[object], what: str) -> None:
    """Let ``work``, which only lets go of something, end within so many ``seconds``.

    What it raises is logged by its class: letting go must not hide why.
    """
    try:
        await asyncio.wait_for(work, seconds)
    except Exception as error:  # noqa: BLE001 - whatever it is, there is nothing left to do for it
        logger.warning("%s: %s", what, type(error).__name__)


async def patiently(loop: Loop, work: Callable[[], Awaitable[object]], count: Callable[[str, str], None]) -> None:
    """Do ``work`` once, through every fault that passes. Any other leaves: a worker that has not begun ends with it."""
    done = asyncio.Event()

    async def attempt() -> None:
        await work()
        loop.step()
        done.set()

    await supervise(loop, attempt, done.is_set, count)
