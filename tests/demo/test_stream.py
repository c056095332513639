"""The demo's stream: the same bytes from the same seed, the shares it states, and no truth among the payments."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

import msgspec
import pytest

from services.contract.codec import Rejection, decode_payment
from services.contract.types import Label, Party, Payment
from services.demo import stream as demo_stream
from services.demo.labelling import FOUND_SHARE, SAMPLED_SHARE
from services.demo.population import DAY_MS, DAYS, START_MS
from services.demo.stream import Record, Stream, payments
from services.demo.typologies import CASES
from services.scorer.path.features.rows import PAYMENT_IDS

SEED, COUNT = 7, 30_000
GOLDEN_BYTES = 200_000
GOLDEN = "bf9b8bc7a705c14cf3d9d86b24a5c4ac568c36e3a7cee31493b322a47ad11945"


@dataclass(frozen=True)
class Told:
    """A whole stream, taken down."""

    records: list[Record]
    labels: dict[str, Label]
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
    labels = {each.payment_id: each for each in order if isinstance(each, Label)}
    return Told(records, labels, order, stream.truth)


def first_bytes(seed: int, count: int) -> bytes:
    out = bytearray()
    for record in payments(seed, count):
        out += record.key + b"\t" + record.value + b"\n"
        if len(out) >= GOLDEN_BYTES:
            break
    return bytes(out[:GOLDEN_BYTES])


def test_the_same_seed_gives_the_same_bytes_on_any_day() -> None:
    assert sha256(first_bytes(SEED, COUNT)).hexdigest() == GOLDEN


def test_two_streams_of_a_seed_are_equal_and_of_two_seeds_are_not() -> None:
    assert list(payments(3, 2_000)) == list(payments(3, 2_000))
    assert first_bytes(3, 2_000) != first_bytes(4, 2_000)


def test_labels_do_not_change_the_payments(told: Told) -> None:
    assert list(islice(payments(SEED, COUNT), 5_000)) == told.records[:5_000]


def test_it_ends_with_the_payment_that_was_asked_for(told: Told) -> None:
    assert len(told.of("payment")) == COUNT
    assert told.records[-1].kind in ("payment", "malformed")
    assert len({record.payment_id for record in told.of("payment")}) == COUNT


def test_payments_arrive_in_order_over_the_stated_days_after_a_short_prologue(told: Told) -> None:
    arrivals = [record.arrival_ms for record in told.records]
    assert arrivals == sorted(arrivals)
    before = sum(record.arrival_ms < START_MS - DAY_MS for record in told.records)
    assert 0 < before < 0.02 * COUNT
    assert DAYS * 0.85 <= (arrivals[-1] - START_MS) / DAY_MS <= DAYS * 1.15


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
        ("repeat", demo_stream.REPEAT_SHARE),
        ("status_update", demo_stream.RETURNED_SHARE + demo_stream.ATTEMPTED_SHARE),
        ("malformed", demo_stream.MALFORMED_SHARE),
    ],
)
def test_noise_is_as_frequent_as_stated(told: Told, kind: str, share: float) -> None:
    assert len(told.of(kind)) / COUNT == pytest.approx(share, rel=0.35)


def test_late_payments_are_as_frequent_and_as_late_as_stated(told: Told) -> None:
    delays = [record.arrival_ms - record.event_time_ms for record in told.of("payment")]
    late = [delay for delay in delays if delay > 0]
    assert len(late) / COUNT == pytest.approx(demo_stream.LATE_SHARE, rel=0.2)
    assert 3_600_000 <= min(late) <= max(late) <= 24 * 3_600_000


def test_suspicious_payments_are_rare_and_of_every_kind() -> None:
    shares, kinds = [], Counter[str]()
    for seed in (7, 8, 9):
        stream = Stream(seed, COUNT)
        for _ in stream.records():
            pass
        shares.append(len(stream.truth) / COUNT)
        kinds.update(stream.truth.values())
    assert 0.003 <= sum(shares) / len(shares) <= 0.005
    assert set(kinds) == {case.name for case in CASES if case.suspicious}


def test_innocent_cases_outnumber_the_suspicious() -> None:
    shares = {True: 0.0, False: 0.0}
    for case in CASES:
        shares[case.suspicious] += case.share
    assert shares[False] > 2 * shares[True]


def test_a_repeat_has_the_same_bytes_and_comes_while_its_payer_is_remembered_for_it(told: Told) -> None:
    since: dict[bytes, list[str]] = defaultdict(list)
    first: dict[str, Record] = {}
    for record in told.records:
        if record.kind == "payment":
            since[record.key].append(record.payment_id)
            first[record.payment_id] = record
        elif record.kind in ("repeat", "status_update"):
            ids = since[record.key]
            assert len(ids) - ids.index(record.payment_id) <= PAYMENT_IDS
            assert (record.value == first[record.payment_id].value) == (record.kind == "repeat")


def test_labels_come_after_their_payments_and_in_their_time(told: Told) -> None:
    arrived: dict[str, int] = {}
    for event in told.order:
        if isinstance(event, Record):
            now_ms = event.arrival_ms
            arrived.setdefault(event.payment_id, event.arrival_ms)
        else:
            assert event.payment_id in arrived, "a label before its payment"
            assert event.label_time_ms >= arrived[event.payment_id] + 3_600_000
            assert event.label_time_ms >= now_ms
    assert len(told.labels) == sum(isinstance(event, Label) for event in told.order)


def test_labels_are_a_weighted_sample_with_gaps_and_errors(told: Told) -> None:
    early = {record.payment_id for record in told.of("payment")[: COUNT // 3]}
    labelled = {name: label for name, label in told.labels.items() if name in early}
    innocent = [label for name, label in labelled.items() if name not in told.truth]
    assert len(innocent) / len(early) == pytest.approx(SAMPLED_SHARE, rel=0.15)
    assert {(label.weight, label.disposition) for label in innocent} == {(1 / SAMPLED_SHARE, "not_suspicious")}
    suspicious = [name for name in early if name in told.truth]
    found = [labelled[name] for name in suspicious if name in labelled]
    assert FOUND_SHARE - 0.25 <= len(found) / len(suspicious) <= 1.0
    assert {label.weight for label in found} == {1.0}
    assert {label.source for label in found} <= {"analyst", "chargeback"}


def test_no_field_of_a_payment_tells_the_truth(told: Told) -> None:
    """Every name and word that a suspicious payment carries, innocent ones carry too, and ids have one form."""
    words: dict[bool, dict[str, set[str]]] = {True: defaultdict(set), False: defaultdict(set)}
    for record in told.of("payment"):
        payment = decode_payment(record.value)
        assert isinstance(payment, Payment)
        assert b"typology" not in record.value
        assert payment.payment_id == f"p{SEED}-{int(payment.payment_id[-8:]):08d}"
        assert len(payment.payer.account) == len(payment.payee.account) == 16
        seen = words[record.payment_id in told.truth]
        for name in ("rail", "purpose", "merchant_category", "status", "tenant", "currency"):
            seen[name].add(str(getattr(payment, name)))
        seen["reference"].add(str(payment.reference).rstrip("0123456789"))
    for name, suspicious in words[True].items():
        assert suspicious <= words[False][name], name


def test_every_field_of_the_contract_is_used_and_every_optional_one_is_sometimes_absent(told: Told) -> None:
    used: Counter[str] = Counter()
    for record in told.of("payment"):
        payment = decode_payment(record.value)
        assert isinstance(payment, Payment)
        used.update(name for name in payment.__struct_fields__ if getattr(payment, name) is not None)
        for role, party in (("payer", payment.payer), ("payee", payment.payee)):
            used.update(f"{role}.{name}" for name in party.__struct_fields__ if getattr(party, name) is not None)
        used["tenant elsewhere"] += payment.tenant != "default"
    required = {field.name for field in msgspec.structs.fields(Payment) if field.required} | {"tenant", "status"}
    for field in msgspec.structs.fields(Payment):
        assert used[field.name] == COUNT if field.name in required | {"rail"} else 0 < used[field.name] < COUNT
    for field in msgspec.structs.fields(Party):
        name = field.name
        if name != "account":
            assert 0 < used[f"payer.{name}"] + used[f"payee.{name}"] < 2 * COUNT, name
    assert 0 < used["tenant elsewhere"] < COUNT / 2
