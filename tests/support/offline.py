"""What the pure path makes of the logs, and the comparison with what the workers wrote, byte for byte."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from aiokafka import ConsumerRecord
from numpy.typing import NDArray

from services.contract.events import PAYMENT_LABEL, SNOOZE, is_event
from services.contract.handover import PAYMENT
from services.contract.partitioner import partitions_of
from services.contract.topics import Topic
from services.runtime.settings import Settings
from services.scorer.path.asking.hop import SubjectHop
from services.scorer.path.features.parameters import Parameters
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.path.features.state import AccountState, whole
from services.scorer.path.hops import PayeeHop, PayerHop, schema_of
from services.scorer.path.records import HopResult, Outbound
from services.scorer.path.scoring.model import LogisticModel, untrained_model
from services.scorer.path.subjects.partition import PayerState
from services.scorer.rulebook.ruleset_file import intake_of, load_ruleset
from services.scorer.shell.app import make_alerter
from services.scorer.shell.position import POSITION_KEY
from tests.support.deployment import Deployment, Logs, read_logs
from tests.support.evidence import columns_of as evidence_of
from tests.support.evidence import evidence_rows
from tests.support.handed import columns_of, rows_handed
from tests.support.hostile import PLANTED
from tests.support.payments import Expected
from tests.support.served import Row, rows_of, served_in
from tests.support.states import contents, subjects_of
from tests.support.subject_models import LinearSubjects


@dataclass
class Run:
    """Every log of a deployment's payment path, whole."""

    settings: Settings
    payments: Logs
    by_payee: Logs
    evidence: Logs
    decisions: Logs
    features: Logs
    reviews: Logs
    alerts: Logs
    dead_letters: Logs
    payer_state: Logs
    payee_state: Logs
    subject_state: Logs
    alerter_state: Logs
    models: dict[str, LogisticModel]
    """Those that may decide, by hash."""
    subject_model: LinearSubjects | None = None
    """By which packs that hear a model ask."""

    @property
    def records_decided(self) -> list[ConsumerRecord]:
        """Every decision, partition after partition."""
        return [record for log in self.decisions for record in log]

    @property
    def rows_served(self) -> list[Row]:
        """What every decision was made of, partition after partition."""
        return [row for log in self.features for row in rows_of(log)]


async def read_run(
    deployment: Deployment, models: Iterable[LogisticModel] = (), subject_model: LinearSubjects | None = None
) -> Run:
    """Read every log of ``deployment``, the changelogs included."""
    topics = deployment.settings.topics
    wanted: tuple[Topic, ...] = (
        topics.payments, topics.payments_by_payee, topics.evidence, topics.decisions, topics.features, topics.reviews,
        topics.alerts, topics.dead_letters, topics.payer_state, topics.payee_state, topics.subject_state,
        topics.alerter_state,
    )  # fmt: skip
    logs = [
        [[record for record in log if record.key != POSITION_KEY] for log in await read_logs(deployment, topic)]
        for topic in wanted
    ]
    for topic in (topics.decisions, topics.features):
        logs[wanted.index(topic)] = genuine(logs[wanted.index(topic)])
    known = (untrained_model(schema_hash(deployment.settings)), *models)
    return Run(deployment.settings, *logs, {model.hash: model for model in known}, subject_model)  # type: ignore[call-arg, arg-type]


def schema_hash(settings: Settings) -> str:
    """The feature schema under which the deployment decides."""
    return feature_schema_hash(load_ruleset(settings).parameters)


def assert_decided_once(run: Run, expected: Expected) -> None:
    """Each payment has exactly one decision, and every other record its one fate. The learner's labels stand beside."""
    decided: Counter[tuple[str, str]] = Counter()
    for record in run.records_decided:
        decision = orjson.loads(record.value)
        decided[decision["tenant"], decision["payment_id"]] += 1
    sent = [record for log in run.payments for record in log if not is_event(record.headers, PAYMENT_LABEL)]
    assert len(sent) == sum(expected.fates.values()), "the test's own records are not all there"
    lost, more = expected.decided - decided, decided - expected.decided
    assert not lost, f"{sum(lost.values())} payments were not decided, such as {list(lost)[:3]}"
    assert not more, f"{sum(more.values())} decisions too many, such as {list(more)[:3]}"
    topic = run.settings.topics.payments.name
    dead = sum(len(_put_aside_from(run, topic, partition)) for partition in range(run.settings.partitions))
    assert dead == expected.fates["dead"]


def assert_logs_are_computed(run: Run, seed: int) -> None:
    """Each hop's output logs and state are what the pure path makes of its input logs, in batches of any length.

    And so are the alerter's.
    """
    draw = random.Random(seed)
    partitions = range(run.settings.partitions)
    from_payer = [_payer_side(run, partition, draw) for partition in partitions]
    from_payee = [_payee_side(run, partition, draw) for partition in partitions]
    _assert_handed_over([each.handed_over for each in from_payer], genuine(run.by_payee))
    _assert_evidence_handed([each.evidence for each in from_payee], genuine(run.evidence))
    from_subjects = [_subject_side(run, partition, draw) for partition in partitions]
    homes = {row.decision_id: at for at, log in enumerate(run.features) for row in rows_of(log)}
    _assert_merged(
        [each.reviews for each in from_payee],
        _reviews(run, of_payers=False),
        lambda record: homes[record.headers[3][1].decode().partition("/")[0]],
        "reviews.by-subject.v1",
    )
    _assert_merged(from_subjects, _reviews(run, of_payers=True), _payers_partition(run), "reviews by the subject hop")
    for partition in partitions:
        _assert_alerts_are_computed(run, partition, draw)


def _reviews(run: Run, of_payers: bool) -> Logs:
    """Reviews that the subject hop wrote, ``of_payers``, or those of the payee hop."""
    return [
        [record for record in log if not is_event(record.headers, SNOOZE) and _is_of_payer(record.value) == of_payers]
        for log in genuine(run.reviews)
    ]


def _is_of_payer(value: bytes) -> bool:
    review = orjson.loads(value)
    return review["subject"]["role"] == "payer" and "subject" in review.get("finding", {})


def _payers_partition(run: Run) -> Any:
    return lambda record: int(partitions_of([record.key], run.settings.partitions)[0])


def _assert_alerts_are_computed(run: Run, partition: int, draw: random.Random) -> None:
    topic, ruleset = run.settings.topics.reviews.name, load_ruleset(run.settings)
    model = next(iter(run.models.values()))
    alerter, restored = (make_alerter(run.settings, ruleset, partition) for _ in range(2))
    alerts: list[Outbound] = []
    dead: list[Outbound] = []
    for batch in _chopped(run.reviews[partition], draw):
        result = alerter.process(batch, model)
        alerts += result.outputs["alerts"]
        dead += result.outputs["dead_letters"]
        alerter.state.checkpoint(0)
    _assert_same(alerts, run.alerts[partition], f"alerts.v1[{partition}]")
    _assert_same(dead, _put_aside_from(run, topic, partition), f"dead letters of reviews.by-subject[{partition}]")
    one, other = alerter.state, restored.state
    other.restore((record.key, record.value) for record in run.alerter_state[partition])
    assert one.all() == other.all(), f"alerts in [{partition}]"
    assert (one.next_offset, one.clock_ms) == (other.next_offset, other.clock_ms)
    assert one.budget.entries == other.budget.entries


@dataclass
class _Side:
    """What a hop made of one partition."""

    handed_over: list[Outbound] = field(default_factory=list)
    decisions: list[Outbound] = field(default_factory=list)
    features: list[Outbound] = field(default_factory=list)
    evidence: list[Outbound] = field(default_factory=list)
    reviews: list[Outbound] = field(default_factory=list)
    dead_letters: list[Outbound] = field(default_factory=list)

    def take(self, result: HopResult) -> None:
        """Add the outcome of a batch."""
        self.handed_over += result.outputs.get("payments_by_payee", ())
        self.decisions += result.outputs.get("decisions", ())
        self.features += result.outputs.get("features", ())
        self.evidence += result.outputs.get("evidence", ())
        self.reviews += result.outputs.get("reviews", ())
        self.dead_letters += result.outputs["dead_letters"]


def _payer_side(run: Run, partition: int, draw: random.Random) -> _Side:
    topic, ruleset = run.settings.topics.payments.name, load_ruleset(run.settings)
    count, most = run.settings.partitions, run.settings.accounts_max
    hop = PayerHop(ruleset, topic, partition, count, most, intake_of(run.settings))
    model = next(iter(run.models.values()))
    side = _Side()
    for batch in _chopped(run.payments[partition], draw):
        side.take(hop.process(batch, model))
    _assert_same(side.dead_letters, _put_aside_from(run, topic, partition), f"dead letters of payments.v1[{partition}]")
    assert_same_state(restored(run, "payer", partition), hop.state, ruleset.parameters, f"payer state [{partition}]")
    return side


def _payee_side(run: Run, partition: int, draw: random.Random) -> _Side:
    topic, ruleset, count = (
        run.settings.topics.payments_by_payee.name,
        load_ruleset(run.settings),
        run.settings.partitions,
    )
    hop = PayeeHop(
        ruleset, topic, partition, count, count, run.settings.repeats_possible, subject_model=run.subject_model
    )  # fmt: skip
    side = _Side()
    for model, stretch in by_model(run, partition):
        for batch in _chopped(stretch, draw):
            result = hop.process(batch, model)
            assert not result.counts["gap"], f"by-payee[{partition}]: something is missing before {batch[0].offset}"
            side.take(result)
    _assert_same(side.decisions, run.decisions[partition], f"decisions.v1[{partition}]")
    _assert_same_rows(side.features, run.features[partition], f"features.v1[{partition}]")
    _assert_same(side.dead_letters, _put_aside_from(run, topic, partition), f"dead letters of by-payee[{partition}]")
    assert_same_state(restored(run, "payee", partition), hop.state, ruleset.parameters, f"payee state [{partition}]")
    return side


def _subject_side(run: Run, partition: int, draw: random.Random) -> list[Outbound]:
    """What the subject hop made of one partition: its reviews."""
    hop, model = _subject_hop(run, partition), next(iter(run.models.values()))
    dead: list[Outbound] = []
    reviews: list[Outbound] = []
    for batch in _chopped(run.evidence[partition], draw):
        outputs = hop.process(batch, model).outputs
        dead += outputs["dead_letters"]
        reviews += outputs["reviews"]
    topic = run.settings.topics.evidence.name
    _assert_same(dead, _put_aside_from(run, topic, partition), f"dead letters of evidence.by-payer[{partition}]")
    one, other = (subjects_of(state.subjects) for state in (restored_subjects(run, partition), hop.state))
    assert one == other, f"subject state [{partition}]"
    return reviews


def _subject_hop(run: Run, partition: int) -> SubjectHop:
    ruleset, topic = load_ruleset(run.settings), run.settings.topics.evidence.name
    count, repeats = run.settings.partitions, run.settings.repeats_possible
    return SubjectHop(
        ruleset, schema_of(ruleset), topic, partition, count, repeats, subject_model=run.subject_model
    )  # fmt: skip


def restored_subjects(run: Run, partition: int) -> PayerState:
    """The state of a subject hop at the end of its log, as a worker would have it."""
    hop = _subject_hop(run, partition)
    hop.state.restore(whole({record.key: record.value for record in run.subject_state[partition]}))
    offset = hop.state.begin_at(0, 0)
    hop.take([record for record in run.evidence[partition] if record.offset >= offset])
    return hop.state


def _assert_evidence_handed(by_source: list[list[Outbound]], logs: Logs) -> None:
    """Each log is a merge of what its sources handed over, row by row; and of every record key, headers, timestamp."""
    for target, log in enumerate(logs):
        for record in log:
            _assert_plain(record, evidence_of(record).arrays["appended_ms"], f"evidence.by-payer.v1[{target}]")
    for source, written in enumerate(by_source):
        for target, log in enumerate(logs):
            found = [each for each in log if evidence_of(each).said["partition"] == str(source)]
            expected = evidence_rows([each for each in written if each.partition == target])
            assert evidence_rows(found) == expected, f"evidence.by-payer.v1[{target}], from {source}"


def by_model(run: Run, partition: int) -> Iterator[tuple[LogisticModel, list[ConsumerRecord]]]:
    """What was handed over to a partition, in stretches whose decisions name one model."""
    named = [row.by.model_hash for row in rows_of(run.features[partition])]
    log = run.by_payee[partition]
    payments = sum(map(_payments_in, log))
    assert payments == len(named), (
        f"partition {partition}: {payments} payments went in, {len(named)} decisions came out"
    )
    stretch: list[ConsumerRecord] = []
    current, at = named[0] if named else next(iter(run.models)), 0
    for record in log:
        count = _payments_in(record)
        if count:
            (model,) = set(named[at : at + count])
            if model != current:
                yield run.models[current], stretch
                stretch, current = [], model
            at += count
        stretch.append(record)
    yield run.models[current], stretch


def _chopped(records: Sequence[ConsumerRecord], draw: random.Random) -> Iterator[list[ConsumerRecord]]:
    at = 0
    while at < len(records):
        length = draw.choice((1, 2, 10, 300, 2_000, 5_000))
        yield list(records[at : at + length])
        at += length


def genuine(logs: Logs) -> Logs:
    """``logs`` without what a test has planted."""
    return [[record for record in log if PLANTED not in record.headers] for log in logs]


def _payments_in(record: ConsumerRecord) -> int:
    """How many decisions a record that was handed over gives."""
    if PLANTED in record.headers:
        return 0
    return int(np.count_nonzero(columns_of(record).arrays["kind"] == PAYMENT))


def _assert_handed_over(by_source: list[list[Outbound]], logs: Logs) -> None:
    """Each log is a merge of what its sources handed over: the rows of each are all there, in their order, however they
    are cut into records; and of every record key, headers and timestamp."""
    for target, log in enumerate(logs):
        for record in log:
            _assert_plain(record, columns_of(record).arrays["appended_ms"], f"payments.by-payee.v1[{target}]")
    for source, written in enumerate(by_source):
        for target, log in enumerate(logs):
            found = [each for each in log if columns_of(each).said["partition"] == str(source)]
            expected = rows_handed([each for each in written if each.partition == target])
            assert rows_handed(found) == expected, f"payments.by-payee.v1[{target}], from {source}"


def _put_aside_from(run: Run, topic: str, partition: int) -> list[ConsumerRecord]:
    return [each for each in run.dead_letters[partition] if dict(each.headers)["tocsin_topic"] == topic.encode()]


def _assert_merged(by_source: list[list[Outbound]], logs: Logs, source_of: Any, what: str) -> None:
    """Each log is a merge of what its sources wrote: the records of each source are all there, in their order."""
    for source, written in enumerate(by_source):
        for target, log in enumerate(logs):
            expected = [each for each in written if each.partition == target]
            found = [each for each in log if source_of(each) == source]
            _assert_same(expected, found, f"{what}[{target}], from {source}")


def _assert_same(expected: Sequence[Outbound], found: Sequence[ConsumerRecord], what: str) -> None:
    """Key, value, headers and timestamp of every record."""
    for at, (mine, theirs) in enumerate(zip(expected, found, strict=False)):
        computed = (mine.timestamp, mine.key, mine.value, tuple(mine.headers))
        written = (theirs.timestamp, theirs.key, theirs.value, tuple(theirs.headers))
        assert written == computed, f"{what}: record {at} (offset {theirs.offset}) is not what the path computes"
    assert len(found) == len(expected), f"{what}: {len(found)} records, the path computes {len(expected)}"


def restored(run: Run, name: str, partition: int) -> AccountState:
    """The state of a hop (``payer`` or ``payee``) at the end of its log, as a worker would have it: the latest
    checkpoint, then the records since."""
    ruleset, count = load_ruleset(run.settings), run.settings.partitions
    hop: PayerHop | PayeeHop = PayerHop(ruleset, "", partition, count, intake=intake_of(run.settings))
    changelog, log = run.payer_state[partition], run.payments[partition]
    if name == "payee":
        hop = PayeeHop(ruleset, "", partition, count, count, run.settings.repeats_possible)
        changelog, log = run.payee_state[partition], run.by_payee[partition]
    hop.state.restore(whole({record.key: record.value for record in changelog}))
    offset = hop.state.begin_at(0, 0)
    hop.take([record for record in log if record.offset >= offset])
    return hop.state


def _assert_same_rows(expected: Sequence[Outbound], found: Sequence[ConsumerRecord], what: str) -> None:
    """Every row to the bit, however they are cut into records; and of every record key, headers and timestamp."""
    for record in found:
        _assert_plain(record, served_in(record.value).appended_ms, what)
    for at, (mine, theirs) in enumerate(zip(rows_of(expected), rows_of(found), strict=True)):
        assert theirs == mine, f"{what}: row {at} is not what the path computes"


def _assert_plain(record: ConsumerRecord, appended_ms: NDArray[np.int64], what: str) -> None:
    """Key, headers and timestamp of a record that holds a batch."""
    found = (record.key, record.headers, record.timestamp)
    assert found == (None, (), int(appended_ms.max())), f"{what}@{record.offset}"


def assert_same_state(known: AccountState, computed: AccountState, parameters: Parameters, what: str) -> None:
    """Everything that is remembered of accounts, corridors, tokens and time, to the bit."""
    one, other = contents(known, parameters), contents(computed, parameters)
    assert one.keys() == other.keys(), f"{what}: not the same accounts"
    assert len(one) > 3, f"{what}: nothing to compare"
    for name, content in one.items():
        assert content == other[name], f"{what}: {name.decode() if name.isalpha() else 'an account'} differs"
