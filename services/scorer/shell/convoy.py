"""A convoy: the partitions of one topic, held together in event time while they catch up.

What payments have in common, a payee or a token, is learned of in the order in which the lanes come to it. Where one
runs ahead of the others by days of event time, payments are judged by what came long after them, and by others in each
run. So the partition that is furthest behind goes, a batch at a time, and with it go those whose batch lies within the
spread of it; the others wait, as in Kafka Streams among the partitions of a task (KIP-353, KIP-695), with two
differences: a batch dated within the spread of now waits for nobody, whatever others catch up on, and nobody waits for
long for a partition that stands still.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from services.contract.codec import decode_payment
from services.contract.payment import Payment
from services.runtime.clock import now_ms
from services.scorer.path.records import Inbound

PATIENCE_S = 30.0
"""How long a partition may stand still, or take to begin, before the others go on without it."""
_TIMES_TRIED = 8
"""Records of a batch among which the first, and the last, that tells its event time is looked for: others are labels,
or cannot be read."""
_NOT_BEGUN, _NOT_AWAITED = -math.inf, math.inf


class Convoy:
    """The partitions of a lane on this worker, and how far each has come.

    Parameters
    ----------
    spread_ms
        How far in event time a partition may be ahead of the slowest; 0: as far as it likes.
    clock_s, wall_ms
        What patience is measured by, and what time it is.
    """

    def __init__(
        self, spread_ms: int, clock_s: Callable[[], float] = time.monotonic, wall_ms: Callable[[], int] = now_ms
    ) -> None:
        self._spread_ms, self._clock_s, self._wall_ms = spread_ms, clock_s, wall_ms
        self._places: dict[int, tuple[float, float]] = {}
        """By partition: the event time (ms) that it has come to, and since when (s)."""
        self._going: dict[int, int] = {}
        """By partition: up to which event time (ms) the batch reaches that goes now."""
        self._moved = asyncio.Event()

    def join(self, partition: int) -> None:
        """A partition is about to begin: the others wait until it tells where."""
        self._move(partition, _NOT_BEGUN)

    def leave(self, partition: int) -> None:
        """A partition is not read any more, or not for now."""
        self._places.pop(partition, None)
        self._wake()

    def rest(self, partition: int) -> None:
        """A partition has nothing to read: nobody waits for it."""
        self._move(partition, _NOT_AWAITED)

    async def turn(self, partition: int, batch: Sequence[Inbound], wait_s: float) -> bool:
        """Wait until the next ``batch`` of a partition may go, ``wait_s`` at most; whether it may."""
        if not self._spread_ms:
            return True
        first_ms, last_ms = _event_ms(batch), _event_ms(batch, backwards=True)
        if first_ms is None or last_ms is None:
            return True
        self._move(partition, first_ms)
        ends_s = self._clock_s() + wait_s
        while not self._may_go(partition, first_ms, last_ms):
            left_s = ends_s - self._clock_s()
            if left_s <= 0:
                return False
            await self._wait(left_s)
        self._going[partition] = max(first_ms, last_ms)
        return True

    def gone(self, partition: int) -> None:
        """What the batch of a partition gave is in the logs: those behind its end may go."""
        if (end_ms := self._going.pop(partition, None)) is not None and partition in self._places:
            self._move(partition, end_ms)

    def _may_go(self, partition: int, first_ms: int, last_ms: int) -> bool:
        if first_ms > self._wall_ms() - self._spread_ms:
            return True
        patient_since_s = self._clock_s() - PATIENCE_S
        others = (
            (at_ms, each)
            for each, (at_ms, since_s) in self._places.items()
            if each != partition and since_s > patient_since_s
        )
        behind = min(others, default=(_NOT_AWAITED, partition))
        return (first_ms, partition) < behind or last_ms <= behind[0] + self._spread_ms

    def _move(self, partition: int, at_ms: float) -> None:
        known_ms, _ = self._places.get(partition, (None, 0.0))
        if at_ms != known_ms:
            self._places[partition] = at_ms, self._clock_s()
            self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._moved.wait(), seconds)
        except TimeoutError:
            return


def _event_ms(records: Sequence[Inbound], backwards: bool = False) -> int | None:
    """The event time (ms) of the first payment among the first records, or of the last among the last, if any is."""
    places = range(min(_TIMES_TRIED, len(records)))
    found = (decode_payment(records[-1 - at if backwards else at].value) for at in places)
    return next((each.event_time_ms for each in found if isinstance(each, Payment)), None)
