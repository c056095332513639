"""What reads decisions, labels, examples and announcements, and the headers of dead letters."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import orjson
from msgspec import structs

from models.learning.training import Plan, Trainer
from services.contract.alert import Alert
from services.contract.announcement import ModelAnnouncement, read_announced
from services.contract.codec import RecordInvalid, Rejection, encode, read
from services.contract.dead_letter import dead_letter, read_dead_letter
from services.contract.decision import Decision
from services.contract.events import Headers
from services.contract.topics import Topics
from services.contract.units import DAY_MS
from services.learner.health.prequential import Prequential
from services.learner.joining.batch import Output, Read, apply, sweep
from services.learner.joining.join import Join, Limits
from services.learner.joining.records import read_example
from services.learner.joining.served import ServedDrift, ServedPlan
from services.scorer.path.features.registry import FEATURES
from services.scorer.path.scoring.ensemble import FORMS, model_from, scoring_from
from services.scorer.path.scoring.model import ModelRefused
from services.shadow.roster import Roster
from tests.fuzz import seeds
from tests.fuzz.batches import mutated_batch
from tests.fuzz.checks import check_headers, check_letter, check_message, check_rejection
from tests.fuzz.hops import mutated_seed
from tests.fuzz.mutate import flipped, mutated
from tests.fuzz.seeds import APPENDED_MS, Seed
from tests.learner.streams import MemoryStore

TOPICS = Topics()
LIFE_BATCHES = 40


def same_key(value: bytes, seed: Seed) -> bytes | None:
    """The seed's own."""
    return seed.key


class JoinTarget:
    """Decisions in batches, and labels, through the learner's join: its sweep, its limits, what it knows of drift."""

    name = "decisions and labels, in the learner"

    def __init__(self) -> None:
        self._store = MemoryStore()
        self._limits = Limits(1.0, label_maturity_ms=10 * DAY_MS, waiting_labels_max=100)
        self._plan = ServedPlan(seeds.schema(), 1, 7, 20, 0.2, "")
        self._offset = self._batches = 0
        self._open()

    def _open(self) -> None:
        self._join = Join(self._store, self._limits, seeds.schema())
        self._served = ServedDrift(self._store, self._plan)

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` records of both topics."""
        self._batches += 1
        if self._batches % LIFE_BATCHES == 0:
            self._open()
        records = [self._record(draw) for _ in range(count)]
        output = Output()
        sweep(self._join, 10, TOPICS, output)
        apply(self._join, records, TOPICS, output, self._served)
        self._check(output)
        fates = Counter({f"dead letter: {reason}": each for reason, each in output.rejected.items()})
        fates["used"] = count - output.rejected.total()
        self._store.write({**self._join.seal(), **self._served.seal()})
        self._join.written()
        self._served.written()
        return +fates

    def _record(self, draw: random.Random) -> Read:
        self._offset += 1
        if draw.random() < 0.6:
            return Read(TOPICS.features.name, 0, self._offset, APPENDED_MS, None, mutated_batch(seeds.served(), draw))
        made = mutated_seed(seeds.labels(), draw, same_key)
        return Read(TOPICS.labels.name, 0, self._offset, APPENDED_MS, made.key, made.value, made.headers)

    def _check(self, output: Output) -> None:
        for record in output.records:
            check_headers(record.headers)
            if record.topic == TOPICS.dead_letters.name:
                check_letter(record.key, record.value, record.headers)
            else:
                orjson.loads(record.value or b"")
                if record.topic == TOPICS.examples.name:
                    assert not isinstance(read_example(record.value), Rejection), "trainers could not read it"


class TrainerTarget:
    """Examples, as a line of models learns them and as they are judged."""

    def __init__(self, kind: Any) -> None:
        self.name = f"examples, learned by {kind}"
        self._trainer = Trainer(Plan(seeds.schema(), 500, 0.01, kind))
        self._judge = Prequential()
        self._offset = 0

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` examples."""
        fates: Counter[str] = Counter()
        for _ in range(count):
            made = mutated_seed(seeds.examples(), draw, same_key)
            self._offset += 1
            example = read_example(made.value)
            if isinstance(example, Rejection):
                fates[f"counted: {check_rejection(example)}"] += 1
                continue
            example = structs.replace(example, example_id=example.example_id + str(draw.randrange(10**6)))
            self._judge.take(example, self._offset)
            lesson = self._trainer.learn(example, self._offset)
            fates["used" if lesson.result == "learned" else f"counted: {lesson.result}"] += 1
            if lesson.snapshot is not None:
                said = lesson.snapshot.announcement
                assert not isinstance(read_announced(b"x/1", encode(said)), Rejection)
                scoring_from(said, seeds.schema())
        return fates


class AnnouncementTarget:
    """Announcements and promotions, as scorers and shadow follow them, and scores of those that can be used."""

    name = "announcements"

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        values = [0.0, 1.0, -2.5, 1e6, 1e300, np.inf, -np.inf, np.nan]
        self._features = rng.choice(values, (24, len(FEATURES)))
        self._refused: list[object] = []
        self._roster = Roster(8, lambda said: scoring_from(said, seeds.schema()), self._refused.append)

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` records of ``models.v1``."""
        fates: Counter[str] = Counter()
        for _ in range(count):
            key, value = self._record(draw)
            self._roster.take(key, value)
            for challenger in self._roster.challengers():
                challenger.model.scores(self._features)
            for why in self._refused:
                check_message(ValueError(str(why)))
            self._refused.clear()
            fates[self._followed(key, value)] += 1
        return fates

    def _followed(self, key: bytes | None, value: bytes | None) -> str:
        said = read_announced(key, value)
        if said is None:
            return "tombstone"
        if isinstance(said, Rejection):
            return f"counted: {check_rejection(said)}"
        try:
            model = model_from(said if isinstance(said, ModelAnnouncement) else said.champion, seeds.schema())
        except ModelRefused as error:
            check_message(error)
            return "counted: refused"
        model.scores(self._features)
        model.contributions(self._features)
        return "used"

    def _record(self, draw: random.Random) -> tuple[bytes | None, bytes | None]:
        if draw.random() < 0.5:
            made = mutated_seed(seeds.announced(), draw, same_key)
            return made.key, made.value
        said = draw.choice(seeds.announcements())
        field = draw.choice(
            [each for each in ("forest", "correction", "votes", "halfspace") if getattr(said, each)] or [""]
        )
        if field:
            packed = getattr(said, field)
            others = [getattr(each, field) for each in seeds.announcements() if getattr(each, field)]
            changed = _packed_with_a_number(packed, draw) if draw.random() < 0.6 else mutated(packed, others, draw)
            said = structs.replace(said, **{field: changed})
        else:
            weights = list(said.weights)
            weights[draw.randrange(len(weights))] = draw.choice((1e308, -1e308, 5e-324, 1e-300, 0.0))
            said = structs.replace(said, weights=tuple(weights))
        try:  # a forger's announcement has the hash of what it carries
            said = structs.replace(said, model_hash=FORMS[said.kind].read(said, seeds.schema()).hash)
        except ModelRefused as error:
            check_message(error)
        return f"{said.name}/{said.version}".encode(), encode(said)


def _packed_with_a_number(packed: bytes, draw: random.Random) -> bytes:
    """A packed model of which one number is another: lengths and first line still fit."""
    start = packed.index(b"\n") + 1
    size = draw.choice((1, 4, 8))
    if len(packed) - start < size:
        return packed
    at = start + draw.randrange((len(packed) - start) // size) * size
    number = draw.choice((
        draw.randbytes(size), np.float64(draw.choice((np.inf, np.nan, 1e308, -1e308, 0.0))).tobytes()[:size],
        np.int64(draw.choice((-1, 0, 1, 2, 2**31 - 1, len(packed)))).tobytes()[:size],
    ))  # fmt: skip
    return packed[:at] + number + packed[at + size :]


class LetterTarget:
    """Headers of dead letters, read back; and dead letters of records that are anything."""

    name = "headers of dead letters"

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` dead letters."""
        fates: Counter[str] = Counter()
        for _ in range(count):
            letter = dead_letter(
                Rejection("reason", mutated(b"a.b", [], draw).decode(errors="ignore")[:5_000], "detail"),
                ("topic", draw.randrange(2**31), draw.randrange(2**53)),
                draw.choice((None, b"", b"k", b"k" * 2_000_000)) if draw.random() < 0.01 else b"k",
                flipped(b"value" * 10, [], draw),
                [(draw.choice(("ce_id", "", "\u20ac" * 50)), draw.choice((b"", None, b"\xff" * 9_000)))]
                * draw.randrange(50),
            )  # fmt: skip
            check_letter(letter.key, letter.value, letter.headers)
            check_headers(letter.headers)
            try:
                read_dead_letter(_mutated_headers(letter.headers, draw))
                fates["used"] += 1
            except RecordInvalid as error:
                check_message(error)
                fates["refused"] += 1
        return fates


def _mutated_headers(headers: Headers, draw: random.Random) -> list[tuple[str, bytes | None]]:
    changed: list[tuple[str, bytes | None]] = list(headers)
    at = draw.randrange(len(changed))
    name, value = changed[at]
    changed[at] = draw.choice((
        (name, mutated(value or b"", [], draw)), (name, None), (name + "x", value), (name, b"9" * 5_000),
    ))  # fmt: skip
    return changed


class KindTarget:
    """Records that only commands read: each is read, or rejected."""

    def __init__(self, kind: type[msgspec.Struct], seeds_of: Callable[[], list[Seed]]) -> None:
        self.name = f"{kind.__name__}, in commands"
        self._kind, self._seeds = kind, seeds_of

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` records."""
        fates: Counter[str] = Counter()
        for _ in range(count):
            found = read(mutated_seed(self._seeds(), draw, same_key).value, self._kind, "invalid")
            if isinstance(found, Rejection):
                fates[f"counted: {check_rejection(found)}"] += 1
            else:
                encode(found)
                fates["used"] += 1
        return fates


def alerts() -> list[Seed]:
    """What the alerter makes of the reviews."""
    from services.scorer.path.records import Record
    from tests.fuzz.hops import make_alerter

    log = [Record(at, APPENDED_MS, each.key, each.value, each.headers) for at, each in enumerate(seeds.reviews())]
    return seeds.seeded(make_alerter().process(log, seeds.scorer()).outputs["alerts"])


def targets() -> list[Any]:
    """Everything that is fed with records of the learner's topics."""
    return [
        JoinTarget(), TrainerTarget("logistic"), TrainerTarget("halfspace"), AnnouncementTarget(), LetterTarget(),
        KindTarget(Decision, lambda: seeds.decided()[0]), KindTarget(Alert, alerts),
    ]  # fmt: skip
