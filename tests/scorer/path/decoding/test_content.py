"""The content of a payment: the same however it is written, another when it says something else."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from services.contract.codec import encode
from services.contract.identity import Digests
from services.contract.payment import Party, Payment
from services.scorer.path.decoding.content import CONTENT_BYTES_MAX, content_digest, content_of, digest_content
from services.scorer.path.decoding.fields import COUNT
from services.scorer.path.decoding.walk import walk

SEEDED = settings(derandomize=True, deadline=None, max_examples=150, database=None)
KEY = Digests(b"secret").key
PLAIN = Payment("p-1", 1_700_000_000_000, 1_250, "EUR", Party("a"), Party("b"))
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'), min_size=1, max_size=30)
WIDE = "\U0001f514" * 1_000


def optional(values: Any) -> Any:
    return st.none() | values


PARTIES = st.builds(
    Party,
    account=TEXT,
    country=st.sampled_from([None, "DE", "PH"]),
    agent=optional(TEXT),
    device=optional(TEXT),
    phone=optional(TEXT),
    pickup=optional(TEXT),
    opened_ms=optional(st.integers(0, 2**40)),
    minor=st.sampled_from([None, True, False]),
)
PAYMENTS = st.builds(
    Payment,
    payment_id=TEXT,
    event_time_ms=st.integers(10**12, 2 * 10**12),
    amount_minor=st.integers(0, 2**53),
    currency=st.sampled_from(["EUR", "PHP"]),
    payer=PARTIES,
    payee=PARTIES,
    tenant=TEXT,
    utc_offset_minutes=optional(st.integers(-840, 840)),
    received_amount_minor=optional(st.integers(0, 2**53)),
    received_currency=st.sampled_from([None, "EUR", "PHP"]),
    rail=optional(TEXT),
    purpose=optional(TEXT),
    reference=optional(TEXT | st.just("") | st.just(WIDE)),
    merchant_category=optional(TEXT),
    device=optional(TEXT),
    relationship=optional(TEXT),
)


def walked(value: bytes) -> int:
    data = np.frombuffer(value, dtype=np.uint8)
    spans, numbers = np.empty((COUNT, 2), dtype=np.int32), np.zeros(COUNT, dtype=np.int64)
    assert walk(data, 0, len(data), spans, numbers)
    return int(digest_content(data, spans, numbers, np.empty(CONTENT_BYTES_MAX, dtype=np.uint8), KEY))


@SEEDED
@given(payment=PAYMENTS)
def test_what_is_walked_has_the_content_of_what_is_typed(payment: Payment) -> None:
    assert walked(encode(payment)) == content_digest(payment, KEY)


@SEEDED
@given(one=PAYMENTS, other=PAYMENTS)
def test_contents_differ_where_a_field_does(one: Payment, other: Payment) -> None:
    named = {"payment_id": one.payment_id, "tenant": one.tenant, "status": one.status}
    payer = structs.replace(other.payer, account=one.payer.account)
    same = structs.replace(other, payer=payer, **named) == one
    assert (content_of(one) == content_of(other)) == same


def spelled(**changed: Any) -> bytes:
    fields = json.loads(encode(PLAIN)) | changed
    return json.dumps(dict(reversed(fields.items())), indent=1).encode()


SAME = [
    spelled(),
    spelled(note="of nobody's", more=1),
    spelled(tenant="default"),
    spelled(tenant="another"),
    spelled(status="returned"),
    spelled(reference=None),
    spelled(payment_id="another"),
]
OTHERS = [
    spelled(amount_minor=1_251),
    spelled(event_time_ms=1_700_000_000_001),
    spelled(reference=""),
    spelled(payee={"account": "c"}),
    spelled(payee={"account": "b", "minor": False}),
    spelled(payer={"account": "a", "device": "x"}),
    spelled(device="x"),
]


@pytest.mark.parametrize("value", SAME)
def test_spelling_names_and_status_are_no_content(value: bytes) -> None:
    assert walked(value) == content_digest(PLAIN, KEY)


def test_every_other_field_is() -> None:
    assert len({content_digest(PLAIN, KEY), *map(walked, OTHERS)}) == 1 + len(OTHERS)
