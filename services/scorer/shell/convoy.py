"""A convoy: the partitions of one topic, held together in event time while they catch up.

What payments have in common, a payee or a token, is learned of in the order in which the lanes come to it. Where one
runs ahead of the others by days of event time, payments are judged by what came long after them. So a partition waits
while another that has something to read is behind it, as Kafka Streams does among the partitions of a task (KIP-353,
KIP-695), with two differences: a payment dated within the spread of now waits for nobody, whatever others catch up on,
and nobody waits for long for one that stands still.
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
LEAST = 4_000
"""Records that may always go at a time: to cut a batch smaller costs more than the order among so few is worth."""
_TIMES_TRIED = 8
"""Records among which the first that tells its event time is looked for: others are labels, or cannot be read."""
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

    async def turn(self, partition: int, records: Sequence[Inbound], wait_s: float) -> int:
        """How many of the next ``records`` of a partition may go now; 0: none yet, after ``wait_s``."""
        first_ms = next(filter(None, map(_event_ms, records[:_TIMES_TRIED])), None)
        if not self._spread_ms or first_ms is None:
            return len(records)
        self._move(partition, first_ms)
        ends_s = self._clock_s() + wait_s
        while first_ms > (reach_ms := self._reach_ms(partition, first_ms)):
            left_s = ends_s - self._clock_s()
            if left_s <= 0:
                return 0
            await self._wait(left_s)
        return max(min(LEAST, len(records)), _within(records, reach_ms))

    def _reach_ms(self, partition: int, first_ms: int) -> float:
        """How far in event time a partition may go now whose next payment is dated ``first_ms``."""
        if first_ms > self._wall_ms() - self._spread_ms:
            return _NOT_AWAITED
        patient_since_s = self._clock_s() - PATIENCE_S
        others = (
            at_ms for each, (at_ms, since_s) in self._places.items() if each != partition and since_s > patient_since_s
        )
        return min(others, default=_NOT_AWAITED) + self._spread_ms

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


def _within(records: Sequence[Inbound], reach_ms: float) -> int:
    """How many of ``records``, whose event times mostly ascend, are not later than ``reach_ms``."""
    below, above = 0, len(records)
    if reach_ms == _NOT_AWAITED or (_event_ms(records[-1]) or 0) <= reach_ms:
        return above
    while below < above:
        middle = (below + above) // 2
        if (_event_ms(records[middle]) or 0) <= reach_ms:
            below = middle + 1
        else:
            above = middle
    return below


def _event_ms(record: Inbound) -> int | None:
    """The event time of a record (ms), if it holds a payment."""
    payment = decode_payment(record.value)
    return payment.event_time_ms if isinstance(payment, Payment) else None
