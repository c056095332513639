"""What the learner reads: everything that is right, and no input raises."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from services.contract.codec import RECORD_BYTES_MAX, Rejection, decode, encode
from services.contract.dead_letter import read_dead_letter
from services.contract.events import PAYMENT_LABEL, is_event
from services.contract.label import Example, Label, PaymentLabel
from services.contract.payment import Party, Payment
from services.contract.topics import Topics
from services.learner.joining.batch import Output, Read, apply
from services.learner.joining.join import Join
from services.learner.joining.records import (
    Served,
    ServedDecision,
    accounts_of,
    decode_decision,
    decode_label,
    example_of,
    payment_label_of,
)
from services.scorer.path.features.registry import INDEX
from tests.learner.streams import START_MS, MemoryStore, decision, features_of, label

TOPICS = Topics("t.")


def test_a_decision_is_read_as_far_as_an_example_needs_it() -> None:
    features = features_of(random.Random(1))
    read = decode_decision(decision("p-1", START_MS, features))
    assert not isinstance(read, Rejection)
    assert (read.payment_id, read.event_time_ms, read.features) == ("p-1", START_MS, features)


@given(st.binary(max_size=200))
def test_no_bytes_raise(value: bytes) -> None:
    assert isinstance(decode_decision(value), Rejection)
    assert isinstance(decode_label(value), Rejection)


@given(st.integers(0, 2_000), st.integers(0, 255))
def test_a_decision_with_one_byte_changed_never_raises(position: int, byte: int) -> None:
    value = bytearray(decision("p-1", START_MS, features_of(random.Random(1))))
    value[position % len(value)] = byte
    decode_decision(bytes(value))


GOOD = encode(label("p", "l"))


@pytest.mark.parametrize(
    "value, field",
    [
        (None, ""),
        (b"", ""),
        (b"[]", ""),
        (b"\xff\xfe", ""),
        (b'{"label_id": "l"}', "payment_id"),
        (GOOD.replace(b'"suspicious"', b'"guilty"'), "disposition"),
        (GOOD.replace(b'"p"', b'""'), "payment_id"),
        (GOOD[:-1] + b',"weight":0}', "weight"),
        (GOOD[:-1] + b',"weight":1e400}', "weight"),
        (GOOD[:-1] + b',"tenant":"\\ud800"}', ""),
        (b" " * RECORD_BYTES_MAX + GOOD, ""),
    ],
)
def test_an_invalid_label_is_rejected_and_its_field_named(value: bytes | None, field: str) -> None:
    rejection = decode_label(value)
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == ("label_invalid", field)


def test_a_rejection_repeats_nothing_of_the_record() -> None:
    rejection = decode_label(GOOD.replace(b'"suspicious"', b'"secret"'))
    assert isinstance(rejection, Rejection)
    assert "secret" not in rejection.detail


def test_unknown_fields_of_a_label_are_allowed() -> None:
    assert isinstance(decode_label(GOOD[:-1] + b',"case":"c-9"}'), Label)


def test_what_cannot_be_read_is_dead_lettered_as_it_came_and_the_rest_goes_on() -> None:
    join, output = Join(MemoryStore()), Output()
    records = [
        Read("t.decisions.v1", 1, 7, START_MS, b"k", b"{broken"),
        Read("t.decisions.v1", 1, 8, START_MS, b"k", decision("p", START_MS, (1.0,))),
        Read("t.labels.v1", 2, 9, START_MS, None, None),
        Read("t.labels.v1", 2, 10, START_MS, b"p", encode(label("p", "l"))),
    ]
    apply(join, records, TOPICS, output)
    broken, empty, example, first = output.records
    assert (broken.topic, broken.key, broken.value) == ("t.payments.dlq.v1", b"k", b"{broken")
    letter = read_dead_letter(broken.headers)
    assert (letter.reason, letter.topic, letter.partition, letter.offset) == (
        "decision_invalid", "t.decisions.v1", 1, 7
    )  # fmt: skip
    assert empty.value is None
    assert read_dead_letter(empty.headers).reason == "label_invalid"
    assert (example.topic, example.partition, example.key) == ("t.examples.v1", 0, b"p")
    assert decode(example.value or b"", Example).payer == "payer-1"
    assert (first.topic, first.partition, first.key) == ("t.payments.v1", None, b"payer-1")
    assert output.rejected == {"decision_invalid": 1, "label_invalid": 1}


def test_the_first_label_of_a_payment_tells_scorers_what_was_served() -> None:
    features, schema = features_of(random.Random(1)), "ab" * 32
    decided = decision("p", START_MS, features, schema)
    said = [encode(label("p", "l")), encode(label("p", "l")), encode(label("p", "m", START_MS + 1, "not_suspicious"))]
    told: dict[str, list[PaymentLabel]] = {}
    for known in (schema, "cd" * 32):
        output = Output()
        records = [
            Read("t.decisions.v1", 0, 0, START_MS, b"k", decided),
            *(Read("t.labels.v1", 0, at, START_MS, b"p", value) for at, value in enumerate(said)),
        ]
        apply(Join(MemoryStore(), schema=known), records, TOPICS, output)
        first = [each for each in output.records if each.topic == "t.payments.v1"]
        assert all(is_event(each.headers, PAYMENT_LABEL) for each in first)
        told[known] = [decode(each.value or b"", PaymentLabel) for each in first]
        assert len(output.records) - len(first) == 2, "examples"
    plain = PaymentLabel("p", "payer-1", "payee-1", START_MS, True)
    amount, over = (features[INDEX[name]] for name in ("amount", "payer_amount_over_cleared"))
    assert told[schema] == [structs.replace(plain, amount_eur=amount, amount_over_cleared=over)]
    assert told["cd" * 32] == [plain], "amounts of another schema may mean something else"


def test_a_decision_that_was_kept_without_accounts_makes_an_example_and_tells_nobody() -> None:
    stored = msgspec.msgpack.encode((START_MS, -3.0, (1.0,), "m", "s"))  # as earlier versions wrote it
    read = msgspec.msgpack.decode(stored, type=Served)
    assert payment_label_of(label("p", "l"), read, "s") is None
    made = example_of(label("p", "l"), read)
    assert made is not None
    assert made.payer == ""


@pytest.mark.parametrize(
    ("payment", "accounts"),
    [
        (b'{"payer":{"account":"a"},"payee":{"account":"b"}}', ("a", "b")),
        (b'{"payer":{"account":1},"payer":{"account":"a"},"payee":{"account":"b"}}', ("", "")),
        (b"", ("", "")),
        (b"[]", ("", "")),
        (b'{"payer":7,' + encode(Payment("p", 0, 1, "EUR", Party("a"), Party("b")))[1:], ("a", "b")),
    ],
)
def test_accounts_are_read_as_the_payer_hop_reads_them(payment: bytes, accounts: tuple[str, str]) -> None:
    assert accounts_of(ServedDecision("p", "default", 0, 0.0, (), "m", "s", msgspec.Raw(payment))) == accounts
