"""Services of one worker that live together."""

from __future__ import annotations

import asyncio

from mode import Service


class Together(Service):
    """Services that begin one after the other and are told to end at the same time: under a broker that stands still
    each takes its whole time to end, and the worker has to be gone within its grace."""

    def __init__(self, *services: Service) -> None:
        super().__init__()
        self._services = services

    async def on_start(self) -> None:
        """Begin, in order."""
        for service in self._services:
            await self.add_runtime_dependency(service)

    async def on_stop(self) -> None:
        """End, all at once."""
        await asyncio.gather(*(service.stop() for service in self._services))
