"""What the learner reads: everything that is right, and no input raises."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from services.contract.codec import RECORD_BYTES_MAX, Rejection, decode, encode
from services.contract.dead_letter import read_dead_letter
from services.contract.events import PAYMENT_LABEL, is_event
from services.contract.label import Example, Label, PaymentLabel
from services.contract.topics import Topics
from services.learner.joining.batch import Output, Read, apply
from services.learner.joining.join import Join
from services.learner.joining.records import Decisions, Kept, decode_label, kept_rows
from services.scorer.path.features.registry import INDEX
from tests.learner.streams import MemoryStore, decision, features_of, label
from tests.support.served_batches import MODEL, SCHEMA, START_MS, Row, served_batch

TOPICS = Topics("t.")


@given(st.binary(max_size=200))
def test_no_bytes_raise(value: bytes) -> None:
    assert isinstance(decode_label(value), Rejection)


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
        Read("t.features.v1", 1, 7, START_MS, b"k", b"{broken"),
        Read("t.features.v1", 1, 8, START_MS, b"k", decision("p", START_MS, (1.0,))),
        Read("t.labels.v1", 2, 9, START_MS, None, None),
        Read("t.labels.v1", 2, 10, START_MS, b"p", encode(label("p", "l"))),
    ]
    apply(join, records, TOPICS, output)
    broken, empty, example, first = output.records
    assert (broken.topic, broken.key, broken.value) == ("t.payments.dlq.v1", b"k", b"{broken")
    letter = read_dead_letter(broken.headers)
    assert (letter.reason, letter.topic, letter.partition, letter.offset) == (
        "features_invalid", "t.features.v1", 1, 7
    )  # fmt: skip
    assert empty.value is None
    assert read_dead_letter(empty.headers).reason == "label_invalid"
    assert (example.topic, example.partition, example.key) == ("t.examples.v1", 0, b"p")
    assert decode(example.value or b"", Example).payer == "payer-1"
    assert (first.topic, first.partition, first.key) == ("t.payments.v1", None, b"payer-1")
    assert output.rejected == {"features_invalid": 1, "label_invalid": 1}


def test_the_first_label_of_a_payment_tells_scorers_what_was_served() -> None:
    features, schema = features_of(random.Random(1)), "ab" * 32
    decided = decision("p", START_MS, features, schema)
    said = [encode(label("p", "l")), encode(label("p", "l")), encode(label("p", "m", START_MS + 1, "not_suspicious"))]
    told: dict[str, list[PaymentLabel]] = {}
    for known in (schema, "cd" * 32):
        output = Output()
        records = [
            Read("t.features.v1", 0, 0, START_MS, b"k", decided),
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


def test_what_is_kept_of_a_decision_is_what_was_served() -> None:
    features = features_of(random.Random(1))
    batch = served_batch([Row("p-1", START_MS, features, -1.5, payer="a"), Row("p-2", START_MS + 5, features[::-1])])
    pi, pi_cleared = np.array([0.5, 1.0]), np.array([0.25, 1.0])
    first, second = kept_rows(batch, [0, 1], pi, pi_cleared)
    assert first.numbers() == features
    assert first == Kept(
        START_MS, -1.5, np.array(features, dtype="<f8").tobytes(), MODEL, SCHEMA, "a", "payee-1", "p-1", "default",
        0.5, 0.25,
    )  # fmt: skip
    assert (second.payment_id, second.event_time_ms, second.numbers()) == ("p-2", START_MS + 5, features[::-1])
    assert kept_rows(batch, [], pi, pi_cleared) == []


def test_a_batch_without_append_times_has_the_time_at_which_it_was_written() -> None:
    rows = [Row("p", appended_ms=-1), Row("q", appended_ms=7)]
    assert Decisions.of(served_batch(rows), 9).appended_ms.tolist() == [9, 7]
