"""The stream: a day at a time, in the order in which records are published.

>>> from services.generator.configuration import Configuration
>>> chunk = next(generate(Configuration(payers=60, months=1)))
>>> len(chunk.keys) == len(chunk.values), chunk.values[0][:15]
(True, b'{"payment_id":"')
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.contract.label import Label
from services.contract.units import DAY_MS, HOUR_MS
from services.generator.configuration import Configuration
from services.generator.habits import Habits
from services.generator.household import Household
from services.generator.labels import innocent_labels, label_of
from services.generator.noise import with_noise
from services.generator.people import World, build_world
from services.generator.plan import Plan, account_truth, build_plan, payment_truth, planned_of_day
from services.generator.render import JsonWriter
from services.generator.routine import Payouts, Routine
from services.generator.rows import NONE, Rows, by_arrival, empty, joined
from services.generator.systems import Systems
from services.generator.truth import AccountTruth, LabelTruth, PaymentTruth, TruthRecord

CHUNK_ROWS = 8_192
OVERLAP_MS = 14 * HOUR_MS
"""A local day begins this much before, at most, the same day in UTC."""


class Chunk(NamedTuple):
    """Up to ``CHUNK_ROWS`` records in the order of publication.

    ``keys`` are payer accounts, ``values`` payments as JSON, ``kinds`` codes of ``services.generator.rows.KINDS``
    (0: a payment; 1: the same bytes again; 2: the same payment in another state; 3: a damaged record), ``times_ms``
    when each is published, in event time.
    """

    keys: list[bytes]
    values: list[bytes]
    kinds: NDArray[np.int8]
    times_ms: NDArray[np.int64]


@dataclass(slots=True)
class Day:
    """What is published on one day: rows in order, and the labels that ordinary payments of the day will get."""

    rows: Rows
    labels: list[LabelTruth]


class Stream:
    """One run: its world, its plan, and its days. Iterate ``days`` or ``chunks`` once; an equal run has equal bytes."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.world: World = build_world(configuration)
        self.plan: Plan = build_plan(self.world)
        self.writer = JsonWriter(self.world)
        parameters = configuration.parameters
        # What each starts on a local day: at times up to ``OVERLAP_MS`` before that day, or any later.
        self._processes: list[Callable[[int], Rows]] = (
            [Habits(self.world).rows]
            if parameters.drawn
            else [Routine(self.world, law).rows for law in parameters.routine]
        )
        self._tell = Systems(self.world).tell if parameters.drawn else _all_is_told
        self._processes.append(Payouts(self.world).rows)
        if configuration.profile != "remitter":
            self._processes += [Household(self.world, law).rows for law in parameters.domestic]

    def days(self) -> Iterator[Day]:
        """What is published, a day at a time. Memory: that of the payers, and of a few days' payments."""
        configuration, waiting = self.configuration, empty(0)
        begin_ms = 0  # what accounts did before they fell asleep comes with the first day
        for day in range(configuration.days):
            end_ms = configuration.start_ms + (day + 1) * DAY_MS - OVERLAP_MS
            background = joined(rows_of(day) for rows_of in self._processes)
            planned = planned_of_day(self.plan, begin_ms, end_ms)
            self._tell(background)
            self._tell(planned)
            innocent = joined([background, planned[planned["typology"] == NONE]])
            rows = with_noise(self.world, joined([planned, background]), day)
            waiting = by_arrival(joined([waiting, rows]))
            ready = int(np.searchsorted(waiting["arrival"], end_ms))
            yield Day(self._within(waiting[:ready]), innocent_labels(self.world, innocent, day))
            waiting, begin_ms = waiting[ready:].copy(), end_ms
        planned = planned_of_day(self.plan, begin_ms, configuration.end_ms)
        self._tell(planned)
        last = with_noise(self.world, planned, configuration.days)
        yield Day(self._within(by_arrival(joined([waiting, last]))), [])

    def _within(self, rows: Rows) -> Rows:
        """Without what would happen after the horizon."""
        return rows[rows["time"] < self.configuration.end_ms]

    def chunks(self) -> Iterator[Chunk]:
        """The records as JSON, in bounded chunks."""
        for day in self.days():
            yield from self.written(day.rows)

    def written(self, rows: Rows) -> Iterator[Chunk]:
        """``rows`` as JSON, in bounded chunks."""
        for at in range(0, len(rows), CHUNK_ROWS):
            part = rows[at : at + CHUNK_ROWS]
            yield Chunk(self.writer.keys(part), self.writer.lines(part), part["kind"].copy(), part["arrival"].copy())

    def events(self, days: Iterable[Day]) -> Iterator[Label | bytes]:
        """``days`` as events for Kafka: payments (JSON, damaged ones too) and the labels due within the horizon.

        ``services.ingest.replay.send_payments`` holds every label until the event time of the payments has reached
        it, and keys payments by payer; labels that nobody would have within the horizon are not among the events.
        """
        yield from self._due(self.case_labels())
        for day in days:
            yield from self._due(day.labels)
            for chunk in self.written(day.rows):
                yield from chunk.values

    def _due(self, labels: Iterable[LabelTruth]) -> Iterator[Label]:
        return (label_of(each) for each in labels if each.label_time_ms < self.configuration.end_ms)

    def accounts(self) -> Iterator[AccountTruth]:
        """What is true of every payer and of every special payee."""
        return account_truth(self.world, self.plan)

    def payments(self) -> Iterator[PaymentTruth]:
        """The payments that belong to a typology, by time."""
        return payment_truth(self.plan)

    def case_labels(self) -> list[LabelTruth]:
        """The labels of true cases, by time; those of ordinary payments come with their days."""
        return self.plan.labels


def _all_is_told(rows: Rows) -> None:
    """Without source systems, ``rows`` stay as they are."""


def generate(configuration: Configuration) -> Iterator[Chunk]:
    """The payments of a run, in bounded chunks."""
    return Stream(configuration).chunks()


def truth(configuration: Configuration) -> Iterator[TruthRecord]:
    """The truth of a run: accounts, then payments of typologies, then labels.

    The labels of ordinary payments need the days to be drawn once more, without writing them; who does not want them
    stops at the first ``LabelTruth`` that follows those of the true cases, or uses ``Stream`` itself.
    """
    stream = Stream(configuration)
    yield from stream.accounts()
    yield from stream.payments()
    yield from stream.case_labels()
    for day in stream.days():
        yield from day.labels
