"""The demo's stream: seeded payments in the order of their arrival, and the labels that follow days later.

The same seed and count give the same bytes. Memory is that of the population and of about a day. Truth never travels
with a payment: it is in the labels, late and incomplete, and for whoever evaluates in ``Stream.truth``.

>>> first = next(payments(seed=7, count=1_000))
>>> first.kind, len(first.key)
('payment', 16)

Results on this stream show that the software works as specified, not that it finds offenders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from services.contract.types import Label, Payment
from services.demo.background import habits, orders, prologue
from services.demo.drafts import Draft
from services.demo.labelling import Labeller
from services.demo.population import DAY_MS, DAYS, START_MS, Population
from services.demo.typologies import Casebook
from services.demo.wire import Writer, with_status
from services.generator.damage import DAMAGES, damaged

PAYMENTS_PER_PERSON = 40
PEOPLE_MIN = 150
LATE_SHARE, REPEAT_SHARE, RETURNED_SHARE, ATTEMPTED_SHARE, MALFORMED_SHARE = 0.02, 0.005, 0.003, 0.005, 0.001
OVERLAP_MS = 15 * 3_600_000
"""A local day begins this much before, at most, the same day in UTC."""
HOUR_MS = 3_600_000

Kind = Literal["payment", "repeat", "status_update", "malformed"]


class Record(NamedTuple):
    """One record of ``payments.v1``.

    ``payment`` is the first of its id and the only kind that gets a decision; a ``repeat`` has the same bytes, a
    ``status_update`` the same id in another state, a ``malformed`` one is to be dead-lettered.
    """

    arrival_ms: int
    event_time_ms: int
    kind: Kind
    payment_id: str
    key: bytes
    value: bytes


class _Noise(NamedTuple):
    """What happens to a draft on its way, drawn when it is made."""

    bits: int
    follow_up: float
    broken: bool


_Waiting: TypeAlias = tuple[int, int, Record | tuple[Draft, _Noise]]
"""Arrival, a number that keeps the order of what arrives together, and what arrives."""


class Stream:
    """Payments and labels of one seed. Iterate one of its methods once; a second stream of the same seed is equal.

    Parameters
    ----------
    seed
        Decides everything, with ``count``.
    count
        How many different payments, at least 1. The population grows with it, the time span hardly.
    """

    def __init__(self, seed: int, count: int) -> None:
        drawn = [np.random.Generator(np.random.PCG64(each)) for each in np.random.SeedSequence(seed).spawn(3)]
        self._rng, self._noise, for_labels = drawn[1], drawn[2], np.random.SeedSequence([seed, 1])
        self._seed, self.count = seed, count
        self._population = Population(drawn[0], max(PEOPLE_MIN, count // PAYMENTS_PER_PERSON))
        self._writer = Writer(self._population.accounts)
        self._labeller = Labeller(np.random.Generator(np.random.PCG64(for_labels)))
        self._waiting: list[_Waiting] = []
        self._sequence = 0
        self._tenant = ""
        self._made = 0
        self.truth: dict[str, str] = {}
        """Typology by payment id, of the suspicious payments that have left. For evaluation only."""

    def records(self) -> Iterator[Record]:
        """Every record of ``payments.v1``, in the order of arrival; ends with the ``count``-th payment."""
        self._push(prologue(self._population, self._rng))
        yield from self._pop(START_MS - OVERLAP_MS)
        casebook, day = Casebook(self._rng, self.count / DAYS), 0
        while self._made < self.count:
            start_ms = START_MS + day * DAY_MS
            day_of_month = datetime.fromtimestamp(start_ms / 1_000, UTC).day
            self._push(
                chain(
                    habits(self._population, self._rng, day),
                    orders(self._population, self._rng, day, day_of_month),
                    casebook.cases(self._population, start_ms),
                )
            )
            yield from self._pop(start_ms + DAY_MS - OVERLAP_MS)
            day += 1

    def events(self) -> Iterator[Record | Label]:
        """The same records, and between them every label once its time has come. Later labels are not sent."""
        for record in self.records():
            yield from self._labeller.due(record.arrival_ms)
            yield record
            if record.kind == "payment":
                typology = self.truth.get(record.payment_id)
                self._labeller.consider(record.arrival_ms, record.payment_id, self._tenant, typology)

    @property
    def labels_to_come(self) -> int:
        """Labels that are known only after the last payment so far."""
        return len(self._labeller)

    def _push(self, drafts: Iterable[Draft]) -> None:
        """Let ``drafts`` wait for their arrival, each with the noise that befalls it."""
        chosen = list(drafts)
        n, rng = len(chosen), self._noise
        late = np.where(rng.random(n) < LATE_SHARE, rng.uniform(1.0, 24.0, n) * HOUR_MS, 0.0).astype(np.int64)
        bits, follow_up, broken = rng.integers(0, 1 << 62, n), rng.random(n), rng.random(n) < MALFORMED_SHARE
        for draft, delay_ms, *noise in zip(
            chosen, late.tolist(), bits.tolist(), follow_up.tolist(), broken.tolist(), strict=True
        ):
            self._sequence += 1
            heappush(self._waiting, (draft.time_ms + delay_ms, self._sequence, (draft, _Noise(*noise))))

    def _pop(self, until_ms: int) -> Iterator[Record]:
        """What arrives before ``until_ms``."""
        waiting = self._waiting
        while waiting and waiting[0][0] < until_ms and self._made < self.count:
            arrival_ms, _, item = heappop(waiting)
            if isinstance(item, Record):
                yield item
            else:
                yield from self._publish(arrival_ms, *item)

    def _publish(self, arrival_ms: int, draft: Draft, noise: _Noise) -> list[Record]:
        """The records that a draft becomes now; what follows later waits."""
        self._made += 1
        payment_id = f"p{self._seed}-{self._made:08d}"
        payment = self._writer.payment(draft, payment_id, noise.bits)
        self._tenant = payment.tenant
        follow_up = noise.follow_up if draft.steady else 1.0
        attempted = REPEAT_SHARE + RETURNED_SHARE <= follow_up < REPEAT_SHARE + RETURNED_SHARE + ATTEMPTED_SHARE
        first = with_status(payment, "attempted") if attempted and payment.status == "accepted" else payment
        value = self._writer.written(first, noise.bits)
        record = Record(arrival_ms, draft.time_ms, "payment", payment_id, payment.payer.account.encode(), value)
        if draft.typology:
            self.truth[payment_id] = draft.typology
        self._follow(record, payment, first, follow_up, noise.bits)
        if noise.broken:
            bad = damaged(value, noise.bits % len(DAMAGES))
            return [record, record._replace(kind="malformed", payment_id="", value=bad)]
        return [record]

    def _follow(self, record: Record, payment: Payment, first: Payment, follow_up: float, bits: int) -> None:
        """A repeat within minutes, a return within days, or an attempt that is accepted within a minute."""
        if follow_up < REPEAT_SHARE:
            self._later(record._replace(kind="repeat"), 2_000 + bits % 1_200_000)
        elif follow_up < REPEAT_SHARE + RETURNED_SHARE:
            if payment.status == "accepted":
                value = self._writer.written(with_status(payment, "returned"), bits)
                self._later(record._replace(kind="status_update", value=value), DAY_MS // 2 + bits % (2 * DAY_MS))
        elif first is not payment:
            value = self._writer.written(payment, bits)
            self._later(record._replace(kind="status_update", value=value), 500 + bits % 60_000)

    def _later(self, record: Record, delay_ms: int) -> None:
        self._sequence += 1
        arrival_ms = record.arrival_ms + delay_ms
        heappush(self._waiting, (arrival_ms, self._sequence, record._replace(arrival_ms=arrival_ms)))


def payments(seed: int, count: int) -> Iterator[Record]:
    """The records of ``Stream(seed, count)`` alone: what a processor sends, with its repeats and mistakes.

    Parameters
    ----------
    seed
        The same seed and count give the same bytes.
    count
        How many different payments; repeats, changes of status and malformed records come on top.
    """
    return Stream(seed, count).records()
