"""The demo's stream: the small bank of ``services.generator``, cut to size, with each label once its time has come.

The same seed and count give the same bytes. Truth never travels with a payment: it is in the labels, late and
incomplete, and for whoever evaluates in ``Stream.truth``.

>>> first = next(Stream(seed=7, count=1_000).events())
>>> first.kind, len(first.key)
('payment', 17)

Results on this stream show that the software works as specified, not that it finds offenders.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from services import generator
from services.contract.label import Label
from services.generator.labels import label_of, payment_id
from services.generator.rows import KINDS, Rows
from services.generator.truth import LabelTruth

PAYMENTS_A_PAYER, PAYERS_MIN, MONTHS = 40, 50, 3
"""A payer makes about 50 payments in so many months, so that the stream is cut off some weeks before their end."""


class Record(NamedTuple):
    """One record of ``payments.v1``.

    ``kind`` is one of ``services.generator.rows.KINDS``: a ``payment`` is the first of its id and the only kind that
    gets a decision; a ``repeat`` has the same bytes, a ``status_update`` the same id in another state, a ``malformed``
    one is to be dead-lettered.
    """

    arrival_ms: int
    event_time_ms: int
    kind: str
    payment_id: str
    key: bytes
    value: bytes


class Stream:
    """``count`` different payments (1 or more) and their labels. Iterate ``events`` once; a second stream of the same
    seed and count is equal. The population grows with ``count``, the time span hardly.
    """

    def __init__(self, seed: int, count: int) -> None:
        payers = max(PAYERS_MIN, count // PAYMENTS_A_PAYER)
        self._bank = generator.Stream(
            generator.Configuration(payers=payers, months=MONTHS, seed=seed, base_rate=0.0, profile="small_bank")
        )
        self._count = count
        self._labels: defaultdict[str, list[LabelTruth]] = defaultdict(list)
        self._due: list[tuple[int, str, LabelTruth]] = []
        self.positions: dict[str, int] = {}
        """Where each payment that has left stands in the stream, from 1, by its id."""
        self.truth = {each.payment_id: each.typology for each in self._bank.payments()}
        """Typology by payment id, of the suspicious payments. For evaluation only."""

    def events(self) -> Iterator[Record | Label]:
        """The records in the order of arrival, ending with the ``count``-th payment and what comes before the next.

        Between them every label that is due, never before its payment. Later labels are not sent.
        """
        self._take(self._bank.case_labels())
        for day in self._bank.days():
            self._take(day.labels)
            for record in self._records(day.rows):
                while self._due and self._due[0][0] <= record.arrival_ms:
                    yield label_of(heappop(self._due)[2])
                if record.kind == "payment":
                    if len(self.positions) == self._count:
                        return
                    self._leave(record.payment_id)
                yield record

    @property
    def labels_to_come(self) -> int:
        """Labels that are known only after the last payment so far."""
        return len(self._due)

    def _take(self, labels: Iterable[LabelTruth]) -> None:
        for label in labels:
            self._labels[label.payment_id].append(label)

    def _leave(self, name: str) -> None:
        """Give a payment its position; from now on its labels may come."""
        self.positions[name] = len(self.positions) + 1
        for label in self._labels.pop(name, ()):
            heappush(self._due, (label.label_time_ms, label.label_id, label))

    def _records(self, rows: Rows) -> Iterator[Record]:
        writer = self._bank.writer
        columns = (rows[name].tolist() for name in ("arrival", "time", "kind", "pid"))
        for arrival_ms, time_ms, kind, pid, key, value in zip(
            *columns, writer.keys(rows), writer.lines(rows), strict=True
        ):
            yield Record(arrival_ms, time_ms, KINDS[kind], payment_id(pid), key, value)
