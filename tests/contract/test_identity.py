"""Names of records, digests of texts, and the headers of events."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from services.contract.events import cloud_event
from services.contract.identity import alert_id, decision_id, digest64, example_id, uuid5
from tests.contract.payloads import HASH, SEEDED

NAMESPACE = uuid.UUID("8f0c5d7e-6a3b-5c1e-9d2f-4a7b6c8e0d13")
"""Part of the contract: whoever knows it can compute every id again."""


@SEEDED
@given(parts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_ids_are_pythons_own_uuid5_of_the_joined_parts(parts: list[str]) -> None:
    assert uuid5(*parts) == str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def test_ids_of_different_things_differ() -> None:
    ids = {
        decision_id("t", "a", "p", HASH), decision_id("t2", "a", "p", HASH), decision_id("t", "a2", "p", HASH),
        decision_id("t", "a", "p2", HASH), decision_id("t", "a", "p", "b" * 64),
        alert_id("t", "payer", "p", "q", "d"), alert_id("t", "payee", "p", "q", "d"),
        example_id("t", "p", "l"), uuid5("ab", "c"), uuid5("a", "bc"), uuid5("abc"),
    }  # fmt: skip
    assert len(ids) == 11


@SEEDED
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_digest_is_a_positive_64_bit_number_and_always_the_same(text: str) -> None:
    assert 0 < digest64(text) < 2**64
    assert digest64(text) == digest64(text)


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def test_an_event_carries_the_attributes_that_cloudevents_requires() -> None:
    headers = dict(cloud_event("payment.v1", "id-ä"))
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_type": b"org.tocsin.payment.v1",
        "ce_source": b"/tocsin",
        "ce_id": "id-ä".encode(),
        "content-type": b"application/json",
    }
