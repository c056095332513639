"""Payments that keep coming while workers are killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.support.deployment import Deployment, producer, send
from tests.support.payments import Entry

SLICE = 100
PAUSE_S = 0.02


class Load:
    """Sends a log in small slices, phase by phase: a phase's share goes out once the phase has begun.

    So there are payments in flight in every phase, however long one takes.
    """

    def __init__(self, deployment: Deployment, log: Sequence[Entry], phases: int) -> None:
        self._deployment, self._log, self._phases = deployment, log, phases
        self._allowed = 0
        self._changed = asyncio.Event()

    def next_phase(self) -> None:
        """Begin the next phase."""
        self._allowed += -(-len(self._log) // self._phases)
        self._changed.set()

    def all_phases(self) -> None:
        """Hold nothing back any more."""
        self._allowed = len(self._log)
        self._changed.set()

    async def run(self) -> None:
        """Send until the log is out."""
        at = 0
        async with producer(self._deployment.settings) as sending:
            while at < len(self._log):
                if at >= self._allowed:
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                await send(sending, self._deployment, self._log[at : at + SLICE])
                at += SLICE
                await asyncio.sleep(PAUSE_S)
