"""The payment path and the alerter, fed with mutated records; what each makes goes on to the next."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
from msgspec import structs

from services.contract.codec import encode
from services.contract.payment import Party
from services.contract.shadow_scores import ShadowScores, read_shadow_scores
from services.contract.units import DAY_MS
from services.scorer.path.alerts.alert_state import Horizon
from services.scorer.path.alerts.alerter import Alerter
from services.scorer.path.asking.hop import SubjectHop
from services.scorer.path.features.state_format import StateFormatError
from services.scorer.path.hops import PayeeHop, PayerHop, schema_of
from services.scorer.path.records import HopResult, Outbound, Record, no_mark
from services.shadow.roster import Challenger
from services.shadow.scoring import Shadow
from tests.fuzz import seeds
from tests.fuzz.batches import mutated_batch
from tests.fuzz.checks import check_message, check_result
from tests.fuzz.evidence import evidence_record
from tests.fuzz.handovers import handover_record, later_each_time
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import APPENDED_MS, Seed
from tests.support.subject_models import LinearSubjects

BATCH = 100
LIFE_BATCHES = 40
"""After so many a hop dies, and another goes on from its changelog."""
NUMBERS = (0, -1, 1, 2, 3, 4, 255, 65_535, 2**31 - 1, 2**47 - 1, 2**47, 2**63 - 1, -(2**63), 4_102_444_800_000)

Hop = PayerHop | PayeeHop | SubjectHop | Alerter
ASKS = LinearSubjects({"amount_mean": 1.0, "remit_payments_180d_mean": 1.0, "remit_new_payees_180d_mean": 1.0}, 0.0)
"""A model of subjects by which packs often ask."""


def mutated_seed(of: Sequence[Seed], draw: random.Random, keys: Callable[[bytes, Seed], bytes | None]) -> Record:
    """A seed's mutation. Mostly its key is what the mutated value asks for, so that it comes further."""
    seed = draw.choice(of)
    value: bytes | None = mutated(seed.value, [each.value for each in draw.sample(of, min(3, len(of)))], draw)
    key = keys(value or b"", seed) if draw.random() < 0.9 else draw.choice((None, b"", b"\xff", b"x" * 300, seed.key))
    if draw.random() < 0.005:
        value = None
    timestamp = draw.choice((APPENDED_MS,) * 8 + (-1, 0))
    headers = seed.headers if draw.random() < 0.95 else draw.choice(([], [("ce_type", b"\xff")], [("x", b"")] * 50))
    return Record(0, timestamp, key, value, headers)


def account_in(*path: str) -> Callable[[bytes, Seed], bytes | None]:
    """The account that a mutated value names at ``path``; the seed's key where it names none."""

    def key(value: bytes, seed: Seed) -> bytes | None:
        try:
            found: Any = orjson.loads(value)
            for name in path:
                found = found[name]
            return found.encode() if isinstance(found, str) else seed.key
        except (ValueError, KeyError, TypeError):
            return seed.key

    return key


class HopTarget:
    """Feeds mutated records to one hop, over many batches and deaths, and its outputs to whoever reads them."""

    def __init__(self, name: str, make: Callable[[], Hop], record: Callable[[random.Random], Record]) -> None:
        self.name = name
        self._make, self._record = make, record
        self._hop = make()
        self._changelog: dict[bytes, bytes | None] = {}
        self._offset = self._batches = 0
        self._readers: dict[str, HopTarget] = {}

    def then(self, role: str, reader: HopTarget) -> HopTarget:
        """Give what this hop writes as ``role`` to ``reader``, too."""
        self._readers[role] = reader
        return self

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` records through the hop; what became of them."""
        return self.take([self._record(draw) for _ in range(count)])

    def take(self, records: Sequence[Record]) -> Counter[str]:
        """``records`` through the hop, numbered on."""
        log = [record._replace(offset=self._offset + at) for at, record in enumerate(records)]
        self._offset += len(log)
        self._batches += 1
        if self._batches % LIFE_BATCHES == 0:
            self._hop = self._make()
            self._hop.state.restore(self._changelog.items())
            self._hop.state.begin_at(self._offset, 0)
        result = self._hop.process(log, seeds.scorer(), no_mark)
        check_result(result)
        self._changelog.update(self._hop.state.checkpoint(self._offset))
        for role, reader in self._readers.items():
            outputs = result.outputs.get(role, [])
            for start in range(0, len(outputs), BATCH):
                reader.take([as_read(each) for each in outputs[start : start + BATCH]])
        return fates(result, len(log))


def as_read(record: Outbound) -> Record:
    """What was written, as the next reads it."""
    return Record(0, record.timestamp, record.key, record.value, record.headers)


def fates(result: HopResult, count: int) -> Counter[str]:
    """What became of ``count`` records: by reason, and the rest used. Of batches nothing is said of single payments."""
    found: Counter[str] = Counter({f"dead letter: {reason}": each for reason, each in result.reasons.items()})
    used = count - result.reasons.total()
    assert len(result.outputs["dead_letters"]) == result.reasons.total()
    for kind in () if "decided" in result.counts else ("duplicate", "label_duplicate", "status_update"):
        found[kind] += result.counts[kind]
        used -= result.counts[kind]
    assert used >= 0, "a record has two fates"
    found["used"] += used
    return +found


def payment_record(draw: random.Random) -> Record:
    """A mutated payment; sometimes one whose numbers are extreme and allowed, which reaches the kernels."""
    if draw.random() < 0.8:
        return mutated_seed(seeds.payments(), draw, account_in("payer", "account"))
    made = seeds.payment(draw.randrange(10**6))
    changes: dict[str, Any] = {
        "event_time_ms": draw.choice((0, seeds.START_MS, APPENDED_MS + 86_400_000, made.event_time_ms)),
        "amount_minor": draw.choice((0, 1, 2**53, made.amount_minor)),
        "payee": Party(draw.choice(("SECRET-0", "\U0001f3e6" * 128)), country=draw.choice(("PH", "ZW", "AD", None))),
    }
    value = encode(structs.replace(made, **changes))
    return Record(0, draw.choice((APPENDED_MS, -1)), made.payer.account.encode(), value)


def subject_record(draw: random.Random) -> Record:
    """A mutated review or snooze."""
    of = seeds.reviews() if draw.random() < 0.7 else seeds.snoozes()
    return mutated_seed(of, draw, account_in("subject", "account"))


def make_alerter() -> Alerter:
    """With limits that are reached."""
    return Alerter("reviews", 0, 3.0, DAY_MS, Horizon(20 * DAY_MS, 30 * DAY_MS), seeds.ruleset().queues)


def targets() -> list[Any]:
    """Everything that is fed with records of the payment path."""

    def payee(repeats: bool) -> Callable[[], PayeeHop]:
        return lambda: PayeeHop(seeds.ruleset(), "by-payee", 0, 1, 1, repeats, subject_model=ASKS)

    def subject() -> SubjectHop:
        return SubjectHop(seeds.ruleset(), schema_of(seeds.ruleset()), "evidence", 0, 1, subject_model=ASKS)

    def payer() -> PayerHop:
        return PayerHop(seeds.ruleset(), "payments.v1", 0, 1)

    alerter = HopTarget("alerter after the hops", make_alerter, subject_record)
    subjects = HopTarget("evidence after the payee hop", subject, evidence_record).then("reviews", alerter)
    handovers = HopTarget("handovers after the payer hop", payee(False), handover_record)
    handovers.then("reviews", alerter).then("evidence", subjects)
    return [
        HopTarget("payments", payer, payment_record).then("payments_by_payee", handovers),
        HopTarget(
            "payment labels", payer, lambda draw: mutated_seed(seeds.payment_labels(), draw, account_in("payer"))
        ).then("payments_by_payee", handovers),
        HopTarget("handovers", payee(False), handover_record).then("reviews", alerter),
        HopTarget("handovers, at least once", payee(True), later_each_time()),
        HopTarget("evidence", subject, evidence_record).then("reviews", alerter),
        HopTarget("reviews and snoozes", make_alerter, subject_record),
        ShadowTarget(),
        *(ChangelogTarget(name, make, record) for name, make, record in (
            ("changelog of the payer hop", payer, payment_record),
            ("changelog of the payee hop", payee(False), handover_record),
            ("changelog of the subject hop", subject, evidence_record),
            ("changelog of the alerter", make_alerter, subject_record),
        )),
    ]  # fmt: skip


class ShadowTarget:
    """Batches of decisions, as challengers read them."""

    name = "decisions, in shadow"

    def __init__(self) -> None:
        self._shadow = Shadow(seeds.schema(), 0)
        self._challengers = (Challenger(seeds.scorer().hash, "logistic", seeds.scorer()),)

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` batches."""
        log = [Record(at, APPENDED_MS, None, mutated_batch(seeds.served(), draw)) for at in range(count)]
        result = self._shadow.process(log, self._challengers, no_mark)
        said = [read_shadow_scores(each.value) for each in result.outputs["shadow_scores"]]
        assert all(isinstance(each, ShadowScores) for each in said)
        assert len(said) + result.counts["invalid"] == count
        return +Counter({"used": len(said), "counted: invalid": result.counts["invalid"]})


class ChangelogTarget:
    """Entries of a changelog, of which a few are mutated: taken back, and a batch upon them."""

    def __init__(self, name: str, make: Callable[[], Hop], record: Callable[[random.Random], Record]) -> None:
        self.name = name
        self._make, self._record = make, record
        draw = random.Random(3)
        hop = make()
        log = [record(draw)._replace(offset=at) for at in range(400)]
        hop.process(log, seeds.scorer(), no_mark)
        self._entries = hop.state.checkpoint(len(log))
        self._log = [record(draw)._replace(offset=400 + at) for at in range(8)]

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` mutated entries, each taken back with some that are right."""
        fates: Counter[str] = Counter()
        for _ in range(count):
            key, value = draw.choice(self._entries)
            entry = self._mutated(key, value, draw)
            hop = self._make()
            try:
                hop.state.restore([*draw.sample(self._entries, min(3, len(self._entries))), entry])
                hop.state.begin_at(400, 0)
                if draw.random() < 0.3:
                    result = hop.process(self._log, seeds.scorer(), no_mark)
                    check_result(result)
                    hop.state.checkpoint(408)
                fates["used"] += 1
            except StateFormatError as error:
                check_message(error)
                fates["refused"] += 1
        return fates

    def _mutated(self, key: bytes, value: bytes | None, draw: random.Random) -> tuple[bytes, bytes | None]:
        if draw.random() < 0.2:
            key = mutated(key, [each for each, _ in self._entries[:5]], draw)
        if value is None or draw.random() < 0.05:
            return key, None
        head = value[:8]
        if draw.random() < 0.5 and len(value) > 16:  # a whole word, where indices and times stand
            at = draw.randrange(8, len(value) - 7) & ~7
            word = np.int64(draw.choice(NUMBERS)).tobytes()
            return key, value[:at] + word + value[at + 8 :]
        changed = mutated(value, [], draw)
        return key, head + changed[8:] if draw.random() < 0.8 else changed
