"""Lives of a learner without Kafka: the joiner's own procedure, on a cluster in memory and on the store it really has.

A life can be killed before and after everything that is made durable.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.labels import SILENCE
from services.contract.codec import decode
from services.contract.label import Example
from services.contract.topics import Topics
from services.learner.joining.batch import Output, Read
from services.learner.joining.join import Join, Limits
from services.learner.joining.procedure import Batch, Offsets, Position, Procedure
from services.learner.joining.served import ServedDrift, ServedPlan
from services.learner.joining.store import Store
from tests.support.served_batches import SCHEMA

TOPICS = Topics()
PLAN = ServedPlan(SCHEMA, sample_one_in=1, window_days=2, window_decisions=20, psi_limit=0.25, reference="1")
SWEPT_MAX = 5


class Killed(Exception):
    """The process ends here."""


@dataclass
class Durable:
    """Two topics to read, and what transactions have made durable: records, offsets and the place of the sweep
    together, or nothing."""

    logs: dict[Position, list[Read]]
    limits: Limits
    records: list[bytes] = field(default_factory=list)
    offsets: Offsets = field(default_factory=dict)
    place: bytes = b""

    def silent(self) -> list[str]:
        """The payments of which silence made an example, in order."""
        return [
            each.payment_id for each in map(example_in, self.records) if each is not None and each.source == SILENCE
        ]

    def of_labels(self) -> list[bytes]:
        """The records that labels made, sorted."""
        return sorted(each for each in self.records if b'"source":"matured"' not in each)


def example_in(value: bytes) -> Example | None:
    """The example that a record holds, if it holds one."""
    return decode(value, Example) if b'"example_id"' in value else None


class Life:
    """One life on ``durable``: what the procedure needs of the world. ``step`` is how many it has had."""

    def __init__(self, durable: Durable, draw: random.Random, kill_at: int) -> None:
        self._durable, self._draw, self._kill_at = durable, draw, kill_at
        self._stand = dict(durable.offsets)
        self.step = 0

    def tick(self) -> None:
        """Here a life may end."""
        self.step += 1
        if self.step == self._kill_at:
            raise Killed

    async def read(self, wait: bool) -> Batch:
        """As ``Cluster``: some records of one partition, drawn at random; nothing at the end."""
        ends = {each: len(log) for each, log in self._durable.logs.items()}
        return self._some(self._stand, ends) or Batch([], {})

    async def between(self, start: Offsets, stop: Offsets) -> AsyncIterator[Batch]:
        """As ``Cluster``."""
        stand = dict(start)
        while batch := self._some(stand, stop):
            yield batch

    def _some(self, stand: Offsets, ends: Offsets) -> Batch | None:
        left = [each for each in sorted(ends) if stand.get(each, 0) < ends[each]]
        if not left:
            return None
        chosen = self._draw.choice(left)
        start = stand.get(chosen, 0)
        stop = stand[chosen] = min(ends[chosen], start + self._draw.randint(1, 12))
        return Batch(self._durable.logs[chosen][start:stop], {chosen: stop})

    async def commit(self, output: Output, offsets: Offsets, place: bytes) -> None:
        """As ``Cluster``."""
        self.tick()
        self._durable.records += [record.value or b"" for record in output.records]
        self._durable.offsets |= offsets
        self._durable.place = place
        self.tick()

    async def breathe(self) -> None:
        """As ``Cluster``."""


class MortalStore(Store):
    """A store whose writes are moments at which a life may end."""

    def __init__(self, folder: Path, life: Life) -> None:
        super().__init__(folder)
        self._life = life

    def write(
        self,
        changes: Mapping[bytes, bytes | None],
        offsets: Mapping[Position, int] | None = None,
        topic_ids: Mapping[str, str] | None = None,
    ) -> None:
        """As ``Store``."""
        self._life.tick()
        super().write(changes, offsets, topic_ids)
        self._life.tick()


def live(durable: Durable, folder: Path, draw: random.Random, kill_at: int = -1) -> int:
    """One life of a learner over ``durable``; ends at the end of the topics, or killed. Returns its steps."""

    async def lived(store: MortalStore) -> None:
        served = ServedDrift(store, PLAN)
        procedure = Procedure(store, Join(store, durable.limits), served, TOPICS, lambda alarm: None)
        committed = {each: max(store.offset(each), durable.offsets.get(each, 0)) for each in durable.logs}
        await procedure.recover(life, committed, durable.place)
        while await procedure.batch(life, SWEPT_MAX) is not None:
            pass

    life = Life(durable, draw, kill_at)
    store = MortalStore(folder, life)
    try:
        asyncio.run(lived(store))
    finally:
        store.close()
    return life.step
