"""A network between workers and a broker that can be made bad: it stalls, resets connections, and delays.

It knows so much of Kafka's protocol that it can tell one request from another: a fault can be had at the very moment
at which a client asks for the end of a log, or is about to commit.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import IntEnum
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from services.broker.probe import HOST, free_ports

T = TypeVar("T")

CHUNK_BYTES: Final = 256 * 1024
_ANSWER_S: Final = 30.0
_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""``SO_LINGER``: who closes the connection resets it."""


class Request(IntEnum):
    """What clients ask of a broker, by Kafka's own numbers."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    END_TXN = 26
    WRITE_TXN_MARKERS = 27


class Proxy:
    """Listens on a port of its own and forwards to a broker's port, in a thread of its own.

    Its methods may be called from any thread, and block for a moment. As a context manager it leaves no connection.
    """

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.target = 0
        self.requests: Counter[int] = Counter()
        """How many of each there have been."""
        self._delay_s = 0.0
        self._traps: dict[int, threading.Event] = {}
        self._writers: set[StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)

    @property
    def bootstrap(self) -> str:
        """Where clients connect."""
        return f"{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, HOST, self.port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def stall(self) -> None:
        """From now on accept, and forward nothing."""
        self._call(self._flowing.clear)

    def flow(self) -> None:
        """Forward what waits and what comes."""
        self._call(self._flowing.set)

    def heal(self) -> None:
        """Forward at once, whatever anybody asks."""
        self._delay_s = 0.0
        self._call(self._traps.clear)
        self.flow()

    def stall_at(self, request: Request) -> threading.Event:
        """Stall as soon as anybody sends ``request``, which does not get through; the event tells that it has come.

        May be said while it stalls, of what comes once it flows.
        """
        reached = threading.Event()
        self._call(lambda: self._traps.update({request: reached}))
        return reached

    def delay(self, seconds: float) -> None:
        """Let each request, and each piece of an answer, wait so long; 0: not at all."""
        self._delay_s = seconds

    def reset(self) -> None:
        """Reset every connection. New ones are accepted."""
        self._call(self._reset)

    def _call(self, change: Callable[[], object]) -> None:
        async def changing() -> None:
            change()

        self._run(changing())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWER_S)

    def _reset(self) -> None:
        for writer in list(self._writers):
            with suppress(OSError):  # the other side was faster
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        self._flowing.set()
        self._reset()
        others = asyncio.all_tasks() - {task for task in (asyncio.current_task(),) if task is not None}
        if others:
            await asyncio.wait(others, timeout=_ANSWER_S)

    async def _serve(self, from_client: StreamReader, to_client: StreamWriter) -> None:
        self._writers.add(to_client)
        try:
            from_broker, to_broker = await asyncio.open_connection(HOST, self.target)
        except OSError:  # the broker is down: so is what stands before it
            self._end(to_client)
            return
        self._writers.add(to_broker)
        try:
            ways = self._requests(from_client, to_broker), self._answers(from_broker, to_client)
            _, open_still = await asyncio.wait(
                [asyncio.ensure_future(way) for way in ways], return_when=asyncio.FIRST_COMPLETED
            )
            for way in open_still:
                way.cancel()
        finally:
            self._end(to_client)
            self._end(to_broker)

    def _end(self, writer: StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()

    async def _requests(self, client: StreamReader, broker: StreamWriter) -> None:
        """Whole requests, one at a time: a 32-bit length, and first in the rest the 16-bit number of its kind."""
        try:
            while True:
                length = await client.readexactly(4)
                request = await client.readexactly(int.from_bytes(length, "big"))
                kind = int.from_bytes(request[:2], "big")
                self.requests[kind] += 1
                if (trap := self._traps.pop(kind, None)) is not None:
                    self._flowing.clear()
                    trap.set()
                await self._forward(length + request, broker)
        except (OSError, IncompleteReadError):
            return

    async def _answers(self, broker: StreamReader, client: StreamWriter) -> None:
        try:
            while data := await broker.read(CHUNK_BYTES):
                await self._forward(data, client)
        except OSError:
            return

    async def _forward(self, data: bytes, to: StreamWriter) -> None:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        await self._flowing.wait()
        to.write(data)
        await to.drain()
