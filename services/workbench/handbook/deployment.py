"""A deployment in event time, without Kafka: what is evaluated is what ships.

Payments come a day at a time. A day goes through five steps:

1. The labels that became known go through the joiner's procedure (``services.learner.joining``): examples for the
   trainers come out, and what features are to know of each payment.
2. Both stand in the log of payments in the order of their times, and the path measures its features.
3. The scorers' own choice (``services.scorer.path.scoring.choice``) says which of the announced models scores the day.
4. The decisions go through the joiner's procedure. Rules and packs have no say: it is the models that are evaluated.
5. The trainers of all lines (``models.learning.training``) learn the day's examples. The versions that come of it are
   announced before the next day.

Nothing that is said of a payment rests on a label that was not known before it, nor on a version that was not made by
the end of the day before. Step 5 of a day runs beside steps 1 and 2 of the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from heapq import heappop, heappush
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from models.drift import Alarm
from models.learning.training import Plan, Snapshot, Trainer
from models.measures import Floats
from services.contract.announcement import CHAMPION, Promotion
from services.contract.codec import Rejection, decode_payment_label, encode
from services.contract.columns import Texts, parts
from services.contract.errors import TocsinError
from services.contract.label import Label
from services.contract.payment import Payment
from services.contract.served import Served, ServedBy, write_served
from services.ingest.rows import Ready
from services.kafka.announcing import name_of
from services.learner.app import challenger_plans_of, drift_plan_of, limits_of, plan_of
from services.learner.champion import promoted
from services.learner.joining.batch import Outbound, Output, Read
from services.learner.joining.join import Join
from services.learner.joining.joiner import SWEPT_MIN
from services.learner.joining.procedure import Batch, Offsets, Procedure
from services.learner.joining.records import read_example
from services.learner.joining.served import ServedDrift
from services.learner.joining.store import Store
from services.runtime.settings import Settings
from services.scorer.path.features.registry import NAMES
from services.scorer.path.records import Record
from services.scorer.path.replay import Replay
from services.scorer.path.scoring.choice import Choice
from services.scorer.path.scoring.ensemble import scoring_from
from services.scorer.path.scoring.model import Model, Scoring, probability
from services.scorer.rulebook.ruleset_file import load_ruleset

UNTRAINED = "untrained"
"""What served while no version was announced."""


class UnfitError(TocsinError, ValueError):
    """What the deployment was given is not what it can be evaluated on."""


class Line:
    """A line of models: its trainer, which learns in a process of its own, and the versions that it has made.

    Raises
    ------
    ImportError
        When it needs an extra that is not installed.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.name = plan, plan.name
        self.snapshots: list[Snapshot] = []
        self.model: Scoring | None = None
        """The latest version, compiled as scorers compile it."""
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])  # what lines need is read once
        self._process = ProcessPoolExecutor(1, context, _begin, (plan,))

    async def learn(self, examples: Sequence[bytes]) -> None:
        """Learn the next ``examples`` of the log, fits included.

        Raises
        ------
        UnfitError
            When one cannot be read.
        """
        made = await asyncio.get_running_loop().run_in_executor(self._process, _learn, list(examples))
        if made:
            self.snapshots += made
            self.model = scoring_from(made[-1].announcement, self.plan.feature_schema_hash)

    def close(self) -> None:
        """End the process."""
        self._process.shutdown(cancel_futures=True)


_trainers: list[Trainer] = []
"""Of a line's process: its own."""


def _begin(plan: Plan) -> None:
    _trainers.append(Trainer(plan))


def _learn(examples: Sequence[bytes]) -> list[Snapshot]:
    """The versions that the next ``examples`` of the log complete."""
    (trainer,) = _trainers
    made = []
    for value in examples:
        example = read_example(value)
        if isinstance(example, Rejection):
            raise UnfitError(f"{trainer.plan.name}: an example cannot be read: {example}")
        made.append(trainer.learn(example, trainer.next_offset).snapshot)
    return [each for each in made if each is not None]


class Deployment:
    """All lines of ``settings``, and one partition of each topic.

    Parameters
    ----------
    folder
        Of the join's store: about 0.7 KB a payment.
    leader
        The kind of model whose latest version is promoted at the end of each day, as people would by ``tocsin
        promote``. While it has none, the scorers' own choice is the version that another line announced last.

    Raises
    ------
    ImportError
        When a line needs an extra that is not installed.
    """

    def __init__(self, settings: Settings, folder: Path, leader: str) -> None:
        plan = plan_of(settings)
        self.lines = [Line(each) for each in (plan, *challenger_plans_of(settings))]
        self.served: list[str] = []
        """By day, ``name/version`` of what scored it."""
        self.examples: list[bytes] = []
        """Of the latest day."""
        self._schema, self._topics, self._leader = plan.feature_schema_hash, settings.topics, leader
        self._replay, self._store = Replay(load_ruleset(settings)), Store(folder)
        join = Join(self._store, limits_of(settings), self._schema)
        drift = ServedDrift(self._store, drift_plan_of(settings))
        self._procedure = Procedure(self._store, join, drift, self._topics, _unheard)
        self._choice = Choice(self._schema, settings.pinned_model)
        self._promotion: Promotion | None = None
        self._announced: dict[str, str] = {}
        """Name and version of all that was announced, by hash."""
        self._held: list[tuple[int, int, Label]] = []
        """Heap of labels that are not known yet: by time, then in the order of their payments."""
        self._labels = 0
        self._learning: asyncio.Future[list[None]] | None = None

    def close(self) -> None:
        """Let go of the store, and end the lines' processes."""
        if self._learning is not None:
            self._learning.cancel()  # nothing to what is done
        self._store.close()
        for line in self.lines:
            line.close()

    async def day(self, payments: Sequence[Ready]) -> dict[str, Floats]:
        """Decide the next day's ``payments``, which stand in the order of their event time, and learn what the labels
        teach that are known by the last of them. Their own labels count from the next day on, if not later.

        Returns
        -------
        Log-odds float64[n] as ``served``, and of each line by its name; NaN while it has no version.

        Raises
        ------
        UnfitError
            When a record is refused, or a payment is not decided.
        """
        log = await self._told(payments[-1].event_time_ms)
        log += [Record(0, each.event_time_ms, each.account.encode(), each.value) for each in payments]
        log.sort(key=lambda record: record.timestamp)  # stable: labels stand before the payments of their time
        decided, features = await asyncio.to_thread(self._replay.measure, log)
        if len(decided) != len(payments):
            raise UnfitError(f"{len(decided)} of {len(payments)} payments are decided")
        await self.learned()
        self._announce(payments[0].event_time_ms)
        model = self._choice.current.model
        self.served.append(self._announced.get(model.hash, UNTRAINED))
        scores = model.scores(features)
        await self._joined(self._topics.features.name, self._served(decided, features, scores, model))
        for label in (each.label for each in payments if each.label is not None):
            self._labels += 1
            heappush(self._held, (label.label_time_ms, self._labels, label))
        self._learning = asyncio.gather(*(line.learn(self.examples) for line in self.lines))
        unsaid = np.full(len(payments), np.nan)
        said = {line.name: unsaid if line.model is None else line.model.scores(features) for line in self.lines}
        return {"served": scores, **said}

    async def learned(self) -> None:
        """Wait until the latest day's examples are learned."""
        if self._learning is not None:
            await self._learning

    async def _told(self, until_ms: int) -> list[Record]:
        """What features are to know of the labels known by ``until_ms``; ``examples`` becomes what those teach."""
        labels: list[Label] = []
        while self._held and self._held[0][0] <= until_ms:
            labels.append(heappop(self._held)[2])
        known_ms = {label.payment_id: label.label_time_ms for label in labels}
        records = [(label.label_time_ms, label.payment_id, encode(label)) for label in labels]
        written = await self._joined(self._topics.labels.name, records)
        self.examples = [each.value or b"" for each in written if each.topic == self._topics.examples.name]
        log = []
        for each in (each for each in written if each.topic == self._topics.payments.name):
            label = decode_payment_label(each.value or b"")
            if isinstance(label, Rejection):
                raise UnfitError(f"a label for features cannot be read: {label}")
            log.append(Record(0, known_ms[label.payment_id], each.key, each.value, each.headers))
        return log

    async def _joined(self, topic: str, records: Sequence[tuple[int, str, bytes]]) -> list[Outbound]:
        """What the joiner writes of ``records``: time in ms, key and value of each."""
        at = self._store.offset((topic, 0))
        cluster = _Memory(
            [Read(topic, 0, at + n, ms, key.encode(), value) for n, (ms, key, value) in enumerate(records)],
            {(topic, 0): at + len(records)},
        )
        done = await self._procedure.batch(cluster, max(SWEPT_MIN, 2 * len(records)))
        if done is not None and done.rejected:
            raise UnfitError(f"the joiner refused records: {dict(done.rejected)}")
        return cluster.written

    def _served(
        self, decided: Sequence[Payment], features: Floats, scores: Floats, model: Model
    ) -> list[tuple[int, str, bytes]]:
        """The day's decisions, as the learner reads them."""
        at_ms = np.array([each.event_time_ms for each in decided], dtype=np.int64)
        probabilities = np.array([probability(score) for score in scores.tolist()])
        count = len(decided)
        of_all = Served(
            ServedBy(0, model.hash, "", self._schema, NAMES, (), ()),
            np.zeros((count, 16), dtype=np.uint8),
            tenant=Texts.of([each.tenant.encode() for each in decided]),
            payment_id=Texts.of([each.payment_id.encode() for each in decided]),
            payer=Texts.of([each.payer.account.encode() for each in decided]),
            payee=Texts.of([each.payee.account.encode() for each in decided]),
            event_time_ms=at_ms,
            appended_ms=at_ms,
            partition=np.zeros(count, dtype=np.int32),
            offset=np.arange(count),
            outcome=(probabilities >= model.review_probability).astype(np.uint8),
            score=scores,
            probability=probabilities,
            rules=np.empty((count, 0), dtype=np.uint8),
            packs=np.empty((count, 0)),
            features=features,
        )
        batches = [of_all.part(rows) for rows in parts(np.full(count, features.itemsize * features.shape[1]))]
        return [(int(each.appended_ms.max()), "", write_served(each)) for each in batches]

    def _announce(self, now_ms: int) -> None:
        """All that was not announced yet, and the leader's latest version as the champion."""
        for line in self.lines:
            for said in (snapshot.announcement for snapshot in line.snapshots):
                if said.model_hash in self._announced:
                    continue
                self._announced[said.model_hash] = name_of(said)
                self._take(name_of(said).encode(), encode(said), now_ms)
                if line.plan.kind == self._leader:
                    self._promotion = promoted(said, self._promotion)
                    self._take(CHAMPION, encode(self._promotion), now_ms)

    def _take(self, key: bytes, value: bytes, now_ms: int) -> None:
        refused = self._choice.take(key, value, now_ms)
        if refused is not None:
            raise UnfitError(f"{key.decode()}: {refused}")


class _Memory:
    """One batch of records for the joiner's procedure, and what it writes of them: a ``Cluster`` without Kafka."""

    def __init__(self, records: list[Read], offsets: Offsets) -> None:
        self._batch = Batch(records, offsets)
        self.written: list[Outbound] = []

    async def read(self, wait: bool) -> Batch:
        """As ``Cluster``."""
        return self._batch

    async def between(self, start: Offsets, stop: Offsets) -> AsyncIterator[Batch]:
        """As ``Cluster``: the store is never behind."""
        none: tuple[Batch, ...] = ()
        for batch in none:
            yield batch

    async def commit(self, output: Output, offsets: Offsets, place: bytes) -> None:
        """As ``Cluster``."""
        self.written += output.records

    async def breathe(self) -> None:
        """As ``Cluster``."""
        await asyncio.sleep(0)


def _unheard(alarm: Alarm) -> None:
    """Nobody is there to hear an alarm."""
