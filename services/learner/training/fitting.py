"""A fit beside the worker: in a process of its own, so that neither the join nor another line ever waits for it.

A thread would not do. What reads and compiles an ensemble holds the interpreter for seconds, in which the joiner's
transaction times out. The fit is a function of what it is given (``models.kinds.kind.PackedFit``), so it makes no
difference where it is run, or how often: one whose process was killed is made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable

from models.kinds.kind import Fit, FitInputs, PackedFit
from models.learning.training import Trainer
from services.contract.errors import TocsinError
from services.learner.training.fit_process import written

RETRY_S, RETRY_S_MAX = 1.0, 60.0
"""Before a fit whose process was killed is made again; twice as long after each further time."""
WAITS_S = 0.1
FIT_S_MAX = 1_800.0
"""A process that takes longer stands still. At most 1,000,000 examples take some two minutes of a core's time."""

logger = logging.getLogger(__name__)


class FitError(TocsinError):
    """A fit cannot be made here. The message is the last that its process said, which knows no account and no text."""


async def fit_beside(trainer: Trainer, waits: Callable[[], bool]) -> Fit | None:
    """Make the fit that is due while everything else goes on. The trainer must be given no example meanwhile.

    Parameters
    ----------
    waits
        Called several times a second; once it says false, the fit is left and ``None`` returned.

    Raises
    ------
    FitError
        When the fit cannot be made, as without its library.
    TimeoutError
        After ``FIT_S_MAX``.
    """
    inputs = await asyncio.to_thread(trainer.fit_inputs)
    packed = None
    if inputs is not None:
        making = asyncio.create_task(fitted(trainer.packed_fit, inputs))
        try:
            while waits() and not making.done():
                await asyncio.wait({making}, timeout=WAITS_S)
        finally:
            making.cancel()  # nothing to a task that is done
        if not making.done():
            await asyncio.wait({making})
            return None
        packed = making.result()
    return await asyncio.to_thread(trainer.take_fit, packed)


async def fitted(fit: PackedFit, inputs: FitInputs) -> bytes:
    """``fit`` of ``inputs``, made by another process, and by a fresh one when that is killed. A caller that is
    cancelled leaves none behind.

    Raises
    ------
    FitError, TimeoutError
        As ``fit_beside``.
    """
    pause_s = RETRY_S
    while True:
        process = await _started()
        try:
            async with asyncio.timeout(FIT_S_MAX):
                packed, said = await _asked(process, fit, inputs)
                status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()  # closes the pipes, and waits for its end
        if status == 0:
            return packed
        if status > 0:
            raise FitError(
                said.decode(errors="replace").strip().rpartition("\n")[2] or f"it ended with status {status}"
            )
        logger.warning("a fit was killed by signal %d; making it again in %.0f s", -status, pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2.0 * pause_s, RETRY_S_MAX)


async def _started() -> Process:
    """A session of its own keeps a terminal's signals away from it; it ends with the pipe that it reads."""
    known = os.pathsep.join(each or os.getcwd() for each in sys.path)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "services.learner.training.fit_process",
        stdin=PIPE, stdout=PIPE, stderr=PIPE, env={**os.environ, "PYTHONPATH": known}, start_new_session=True,
    )  # fmt: skip


async def _asked(process: Process, fit: PackedFit, inputs: FitInputs) -> tuple[bytes, bytes]:
    """What the process writes to its two outputs; it is asked while both are read, so that neither side waits."""
    assert process.stdin is not None, "it was started with pipes"
    assert process.stdout is not None, "it was started with pipes"
    assert process.stderr is not None, "it was started with pipes"
    async with asyncio.TaskGroup() as reading:
        packed, said = (reading.create_task(each.read()) for each in (process.stdout, process.stderr))
        with contextlib.suppress(ConnectionError):  # it ended, and its status says how
            for piece in written(fit, inputs):
                process.stdin.write(piece)
                await process.stdin.drain()
    return packed.result(), said.result()
