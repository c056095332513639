"""The demo's stream: the same bytes from the same seed, cut to size, and labels in their time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice, pairwise

import pytest

from services.contract.codec import Rejection, decode_payment
from services.contract.label import Label
from services.demo.stream import Record, Stream
from services.generator.parameters import shipped_parameters

SEED, COUNT = 7, 30_000
GOLDEN_RECORDS = 3_000
GOLDEN = "17d1a3346221f6b3d93d45ebf2bdde3d19ffbbdc3e210994be95a5bc5f8f322e"
LAWS = shipped_parameters("small_bank")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True)
class Told:
    """A whole stream, taken down."""

    records: list[Record]
    labels: list[Label]
    order: list[Record | Label]
    truth: dict[str, str]

    def of(self, kind: str) -> list[Record]:
        """The records of a kind."""
        return [record for record in self.records if record.kind == kind]


@pytest.fixture(scope="module")
def told() -> Told:
    """The stream of ``SEED``."""
    stream = Stream(SEED, COUNT)
    order = list(stream.events())
    records = [each for each in order if isinstance(each, Record)]
    assert stream.positions == {
        record.payment_id: at for at, record in enumerate((each for each in records if each.kind == "payment"), start=1)
    }
    assert stream.labels_to_come > 0
    return Told(records, [each for each in order if isinstance(each, Label)], order, stream.truth)


def test_the_same_seed_gives_the_same_bytes_on_any_day(told: Told) -> None:
    digest = sha256()
    for record in told.records[:GOLDEN_RECORDS]:
        digest.update(record.key + b"\t" + record.value + b"\n")
    assert digest.hexdigest() == GOLDEN


def test_two_streams_of_a_seed_are_equal_and_of_two_seeds_are_not() -> None:
    assert list(Stream(3, 2_000).events()) == list(Stream(3, 2_000).events())
    assert list(islice(Stream(3, 2_000).events(), 100)) != list(islice(Stream(4, 2_000).events(), 100))


@pytest.mark.parametrize("count", [100, 2_039, COUNT])
def test_it_has_as_many_payments_as_were_asked_for(count: int, told: Told) -> None:
    events = told.order if count == COUNT else list(Stream(SEED, count).events())
    names = [event.payment_id for event in events if isinstance(event, Record) and event.kind == "payment"]
    assert len(names) == len(set(names)) == count


def test_payments_arrive_in_order_over_ten_weeks_after_what_dormant_accounts_did_before(told: Told) -> None:
    arrivals = [record.arrival_ms for record in told.records]
    assert arrivals == sorted(arrivals)
    gap_ms = [after - before for before, after in pairwise(arrivals)]
    at = gap_ms.index(max(gap_ms))
    assert max(gap_ms) > 150 * DAY_MS
    assert 0 < at + 1 < 0.02 * COUNT
    assert 65 * DAY_MS < arrivals[-1] - arrivals[at + 1] < 80 * DAY_MS


def test_every_record_is_a_payment_or_one_of_the_malformed(told: Told) -> None:
    for record in told.records:
        payment = decode_payment(record.value)
        assert isinstance(payment, Rejection) == (record.kind == "malformed")
        if not isinstance(payment, Rejection):
            assert (payment.payment_id, payment.event_time_ms) == (record.payment_id, record.event_time_ms)
            assert payment.payer.account.encode() == record.key


@pytest.mark.parametrize(
    "kind, share",
    [
        ("repeat", LAWS.noise.duplicate),
        ("status_update", LAWS.noise.returned + LAWS.noise.attempted),
        ("malformed", LAWS.noise.malformed),
    ],
)
def test_noise_is_as_frequent_as_stated(told: Told, kind: str, share: float) -> None:
    assert len(told.of(kind)) / COUNT == pytest.approx(share, rel=0.35)


@pytest.mark.parametrize("seed", [SEED, 8])
def test_a_repeat_has_the_same_bytes_and_comes_while_its_payer_is_remembered_for_it(seed: int, told: Told) -> None:
    records = told.records if seed == SEED else [each for each in Stream(seed, COUNT).events() if type(each) is Record]
    first: dict[str, Record] = {}
    for record in records:
        if record.kind == "payment":
            first[record.payment_id] = record
        elif record.kind in ("repeat", "status_update"):
            assert (record.value == first[record.payment_id].value) == (record.kind == "repeat")


def test_an_attempt_is_accepted_within_a_minute(told: Told) -> None:
    attempts = {each.payment_id: each for each in told.of("payment") if b'"status":"attempted"' in each.value}
    accepted = [each for each in told.of("status_update") if each.payment_id in attempts]
    assert len(attempts) > 50
    assert 0 <= len(attempts) - len(accepted) <= 2, "the last ones may be cut off"
    for record in accepted:
        assert record.value == attempts[record.payment_id].value.replace(b',"status":"attempted"', b"")
        assert 500 <= record.arrival_ms - attempts[record.payment_id].arrival_ms < 60_000


def test_labels_come_after_their_payments_and_in_their_time(told: Told) -> None:
    arrived: dict[str, int] = {}
    now_ms = 0
    for event in told.order:
        if isinstance(event, Record):
            now_ms = event.arrival_ms
            arrived.setdefault(event.payment_id, event.arrival_ms)
        else:
            assert event.payment_id in arrived, "a label before its payment"
            assert event.label_time_ms >= now_ms or arrived[event.payment_id] == now_ms
    late = [label.label_time_ms - arrived[label.payment_id] for label in told.labels]
    assert sorted(late)[len(late) // 2] > 4 * DAY_MS
    assert len({label.label_id for label in told.labels}) == len(told.labels)


def test_labels_are_a_weighted_sample_with_gaps_and_errors(told: Told) -> None:
    early = {record.payment_id for record in told.of("payment")[: COUNT // 3]}
    innocent = [each for each in told.labels if each.payment_id in early and each.payment_id not in told.truth]
    assert len(innocent) / len(early) == pytest.approx(LAWS.labels.innocent_share, rel=0.15)
    weight = 1.0 / LAWS.labels.innocent_share
    assert {(label.weight, label.disposition) for label in innocent} == {(weight, "not_suspicious")}
    analysts: Counter[str] = Counter()
    for seed in range(20, 30):
        stream = Stream(seed, 5_000)
        sent = list(stream.events())
        found = {each.payment_id: each for each in sent if isinstance(each, Label) and each.source == "analyst"}
        suspicious = [name for name in stream.positions if name in stream.truth]
        analysts.update(found[name].disposition if name in found else "none" for name in suspicious)
        assert {found[name].weight for name in suspicious if name in found} == {1.0}
    assert analysts["none"] > 0
    assert analysts["suspicious"] > analysts["not_suspicious"] > 0
