"""A soak of the learner's join: many decisions and labels over years of event time, through a real store and no Kafka.

What it shows is whether anything grows that should not: memory, disk, rows and waiting labels, at every tenth of the
way. Decisions hold as many numbers as real ones, noise that no compression makes much of, so bytes are an upper bound.
Of the labels some are for payments half a year old, for payments that are forgotten, for payments that nobody decided;
some come before their decision, some twice, and some contradict an earlier one.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from services.contract.columns import Texts
from services.contract.label import Label
from services.contract.served import PASS, Served, ServedBy
from services.contract.units import DAY_MS
from services.learner.joining.join import Join, Limits
from services.learner.joining.records import Decisions
from services.learner.joining.store import Store
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.model import probability

SOAK_DAYS = 1_500.0
"""Of event time: more than three times what is remembered."""
START_MS = 1_700_000_000_000
BATCH = 2_000
VECTORS = 512
"""Different feature vectors; each decision has one of them."""
TENTHS = 10
_SOURCES = ("analyst", "chargeback", "report", "authority", "correction")
ROWS = 100
"""Decisions in a record of the log."""
_SERVED_BY = ServedBy(0, "30" * 32, "44" * 32, "5c" * 32, NAMES, (), ())


class SyntheticLog:
    """Decisions in the order of their event time, spread over ``days``, in batches, and before each the labels that
    become known while it is decided, one for about ``every`` decisions. Each payment is a function of its number, so
    nothing has to be remembered to label it later."""

    def __init__(self, decisions: int, days: float, seed: int = 1, every: int = 40) -> None:
        self._count, self._step_ms, self._every = decisions, days * DAY_MS / decisions, every
        self._draw = random.Random(seed)
        draw = self._draw
        self._vectors = np.array([[draw.lognormvariate(0.0, 2.0) for _ in NAMES] for _ in range(VECTORS)])

    def event_ms(self, number: int) -> int:
        """Event time of a payment."""
        return START_MS + int(number * self._step_ms)

    def __iter__(self) -> Iterator[Served | Label]:
        draw = self._draw
        for start in range(0, self._count, ROWS):
            numbers = range(start, min(start + ROWS, self._count))
            for number in numbers:
                if draw.random() * self._every < 1.0:
                    yield from self._labels(number)
            yield self._decided(numbers, [min(4.0, draw.gauss(-7.0, 1.5)) for _ in numbers])

    def _decided(self, numbers: Sequence[int], scores: Sequence[float]) -> Served:
        count = len(numbers)
        at_ms = np.array([self.event_ms(number) for number in numbers], dtype=np.int64)
        payments, payers, payees = (
            Texts.of([form % (number % every) for number in numbers])
            for form, every in ((b"payment-%012d", self._count), (b"acc-%010d", 99_991), (b"acc-%010d", 88_883))
        )
        return Served(
            _SERVED_BY,
            np.zeros((count, 16), dtype=np.uint8),
            Texts.of([b"default"] * count),
            payments,
            payers,
            payees,
            event_time_ms=at_ms,
            appended_ms=at_ms,
            partition=np.zeros(count, dtype=np.int32),
            offset=np.array(numbers, dtype=np.int64),
            outcome=np.full(count, PASS, dtype=np.uint8),
            score=np.array(scores),
            probability=np.array([probability(score) for score in scores]),
            rules=np.empty((count, 0), dtype=np.uint8),
            packs=np.empty((count, 0)),
            features=self._vectors[np.array(numbers) % VECTORS],
        )

    def _labels(self, now: int) -> Iterator[Label]:
        """Labels that become known when payment ``now`` is decided."""
        draw, kind = self._draw, self._draw.random()
        if kind < 0.70:  # days or weeks late
            number = now - int(draw.expovariate(1 / 10) * DAY_MS / self._step_ms)
        elif kind < 0.85:  # half a year late
            number = now - int(draw.uniform(170, 190) * DAY_MS / self._step_ms)
        elif kind < 0.90:  # later than anything is remembered
            number = now - int(draw.uniform(450, 900) * DAY_MS / self._step_ms)
        elif kind < 0.95:  # before its decision
            number = now + draw.randrange(1, 500)
        else:  # of a payment that nobody decides
            number = self._count + now
        if number < 0:
            return
        label_id, source = f"label-{now}", draw.choice(_SOURCES)
        said = Label(label_id, f"payment-{number:012d}", "not_suspicious", self.event_ms(now), source=source)
        yield said
        if draw.random() < 0.1:  # again
            yield said
        if draw.random() < 0.1:  # contradicted
            yield msgspec.structs.replace(said, label_id=label_id + "-b", disposition="suspicious", source="correction")


def soak(
    folder: Path, decisions: int, days: float, limits: Limits, at: Callable[[int], None], seed: int = 1
) -> list[dict[str, Any]]:
    """Work through ``decisions`` of ``days`` of event time with a store in ``folder``; ``at`` is told how far it is.

    Returns
    -------
    One row for every tenth of the way: decisions so far, days so far, rows kept, labels waiting, examples so far, bytes
    of the store, peak of memory, seconds so far, and what became of records so far.
    """
    store, counts = Store(folder), Counter[str]()
    join, rows = Join(store, limits), list[dict[str, Any]]()
    began_s, done, taken, examples = time.perf_counter(), 0, 0, 0
    for record in SyntheticLog(decisions, days, seed):
        if isinstance(record, Label):
            examples += join.take_label(record) is not None
            taken += 1
        else:
            examples += len(join.take_decisions(Decisions.of(record, 0)).joined)
            done += len(record)
            taken += len(record)
        if taken < BATCH and done < decisions:
            continue
        taken = 0
        changes = join.seal()
        counts += join.counts
        store.write(changes)
        join.written()
        at(done)
        if done * TENTHS >= decisions * (len(rows) + 1):
            rows.append(
                {
                    "decisions": done,
                    "days": round((done - 1) * days / decisions),
                    "kept": join.decisions,
                    "labels_waiting": join.waiting_labels,
                    "examples": examples,
                    "store_bytes": sum(each.stat().st_size for each in folder.iterdir()),
                    "peak_memory_bytes": _peak_memory_bytes(),
                    "seconds": round(time.perf_counter() - began_s, 1),
                    "results": dict(sorted(counts.items())),
                }
            )
        examples += len(join.sweep(2 * BATCH)[1])
    store.close()
    return rows


def _peak_memory_bytes() -> int:
    """The most that this process has had in memory so far."""
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
