"""What is written fits its JSON Schema and reads back the same; schema and decoder refuse and accept alike."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.alert import Alert, Contribution, Snooze, Subject
from services.contract.announcement import ModelAnnouncement, Promotion
from services.contract.codec import RecordInvalid, decode, decode_payment, encode
from services.contract.codes import COUNTRIES, CURRENCY_EXPONENT
from services.contract.dead_letter import DeadLetter
from services.contract.decision import Decision, Origin, Reason, ReviewDetail, RuleResult
from services.contract.fields import AMOUNT_MINOR_MAX, EVENT_TIME_MS_MAX, EVENT_TIME_MS_MIN
from services.contract.label import Example, Label, PaymentLabel
from services.contract.payment import Party, Payment
from services.contract.schema import RECORDS, json_schema, json_schemas
from tests.contract.payloads import ACCEPTED, GOOD, HASH, REFUSED, SEEDED

IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
CODES = st.none() | st.text("ABC123", min_size=1, max_size=35)
TIMES = st.integers(0, EVENT_TIME_MS_MAX)
PAID_TIMES = st.integers(EVENT_TIME_MS_MIN, EVENT_TIME_MS_MAX)
PARTIES = st.builds(
    Party, IDS, country=st.none() | st.sampled_from(COUNTRIES), agent=CODES, device=st.none() | IDS,
    phone=st.none() | IDS, pickup=st.none() | IDS, opened_ms=st.none() | TIMES,
)  # fmt: skip
AMOUNTS = st.integers(0, AMOUNT_MINOR_MAX)
CURRENCIES = st.sampled_from(sorted(CURRENCY_EXPONENT))


@st.composite
def payments(draw: st.DrawFn) -> Payment:
    received = draw(st.none() | st.tuples(AMOUNTS, CURRENCIES))
    return Payment(
        draw(IDS), draw(PAID_TIMES), draw(AMOUNTS), draw(CURRENCIES), draw(PARTIES), draw(PARTIES),
        tenant=draw(st.just("default") | IDS),
        utc_offset_minutes=draw(st.none() | st.integers(-840, 840)),
        received_amount_minor=received[0] if received else None,
        received_currency=received[1] if received else None,
        rail=draw(CODES),
        status=draw(st.sampled_from(["attempted", "accepted", "rejected", "returned"])),
        purpose=draw(CODES),
        reference=draw(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)),
        merchant_category=draw(CODES),
        device=draw(st.none() | IDS),
    )  # fmt: skip


PAYMENT_VALIDATOR = jsonschema.Draft202012Validator(json_schema("payment.v1"))


@settings(SEEDED, max_examples=300)
@given(payment=payments())
def test_a_payment_written_and_read_is_the_same_and_fits_its_schema(payment: Payment) -> None:
    value = encode(payment)
    assert decode_payment(value) == payment
    assert decode(value, Payment) == payment
    PAYMENT_VALIDATOR.validate(json.loads(value))


RULE = RuleResult("burst", "hit", measured=4.5, threshold=3.0, unit="payments", window="half-life 1d")
REASON = Reason("amount", 12.5, 0.25)
ANNOUNCEMENT = ModelAnnouncement("general", 3, HASH, HASH, "logistic", 0.7, 100, 5, -1.0, (0.5,), (0.0,), (1.0,))
EXAMPLES: dict[str, msgspec.Struct] = {
    "payment.v1": decode(GOOD, Payment),
    "decision.v1": Decision(
        decision_id="d", payment_id="p", tenant="t", event_time_ms=1, outcome="review", score=-1.5, probability=0.2,
        model_version=1, model=HASH[:12], ruleset=HASH[:12], feature_schema=HASH[:12], origin=Origin(0, 7),
        reasons=("amount",), rules=("burst",), unmeasured=("x",),
        review=ReviewDetail(
            subjects=("payer", "payee"), reasons=(REASON,), rules=(RULE, RuleResult("x", "error", missing=("amount",))),
            findings=(), payment=msgspec.Raw(GOOD),
        ),
    ),
    "alert.v1": Alert(
        alert_id="a", tenant="t", subject=Subject("payee", "B"), queue="general", status="update", revision=2,
        published_event_time_ms=2,
        opened_event_time_ms=1, updated_event_time_ms=2, payments_count=2, probability_max=0.9, reasons=(REASON,),
        rules=(RULE,), payments=(Contribution("p", "d", 1, 100, "EUR", 0.9),), model_hash=HASH, ruleset_hash=HASH,
        finding_payment=Contribution("p", "d", 1, 100, "EUR", 0.9), supersedes="b", superseded_by="c",
        snoozed_until_ms=9,
    ),
    "snooze.v1": Snooze("s", Subject("payer", "A"), "lsac", 5, tenant="t", reason="known"),
    "payment-label.v1": PaymentLabel("p", "A", "B", 5, True, 12.5, 2.25, tenant="t"),
    "label.v1": Label("l", "p", "suspicious", 5, tenant="t", source="authority", weight=2.5),
    "example.v1": Example("e", "p", "t", 1, 2, True, 1.0, "analyst", (1.0, None), HASH, -1.0, HASH, "A"),
    "model-announcement.v1": ANNOUNCEMENT,
    "model-promotion.v1": Promotion(ANNOUNCEMENT, ("logistic-0/1",)),
    "dead-letter.v1": DeadLetter("not_json", "", "unexpected end", "payments.v1", 0, 12),
}  # fmt: skip


def test_every_record_has_a_schema_that_is_a_schema() -> None:
    assert set(EXAMPLES) == set(RECORDS) == set(json_schemas())
    for name, schema in json_schemas().items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"urn:tocsin:{name}"


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_record_as_written_fits_its_schema_and_reads_back_the_same(name: str) -> None:
    value = encode(EXAMPLES[name])
    jsonschema.validate(json.loads(value), json_schema(name))
    assert encode(decode(value, RECORDS[name])) == value


@pytest.mark.parametrize(
    ("name", "field"), [(name, field) for name in sorted(RECORDS) for field in RECORDS[name].__struct_fields__]
)
def test_schema_and_decoder_both_refuse_a_field_of_the_wrong_type_or_a_required_one_missing(
    name: str, field: str
) -> None:
    validator = jsonschema.Draft202012Validator(json_schema(name))
    good = json.loads(encode(EXAMPLES[name]))
    without = {key: value for key, value in good.items() if key != field}
    required = field in {each.name for each in msgspec.structs.fields(RECORDS[name]) if each.required}
    assert validator.is_valid(without) != required
    if required:
        with pytest.raises(RecordInvalid, match=field):
            decode(json.dumps(without).encode(), RECORDS[name])
    wrong = {**good, field: {"not": ["this"]}}
    assert not validator.is_valid(wrong)
    with pytest.raises(RecordInvalid, match=field):
        decode(json.dumps(wrong).encode(), RECORDS[name])


BEYOND_A_SCHEMA = {
    "no received_currency", "no received_amount_minor", "received_currency null",  # come together
    "an amount written as a float", "an amount in exponents",  # 2500.0 is an integer to JSON Schema
}  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=why)
        for why, value, (reason, _) in REFUSED
        if value and reason in ("field_missing", "field_invalid", "not_a_payment") and why not in BEYOND_A_SCHEMA
    ],
)
def test_the_schema_refuses_what_the_decoder_refuses(value: bytes) -> None:
    assert not PAYMENT_VALIDATOR.is_valid(json.loads(value))


@pytest.mark.parametrize("value", [pytest.param(value, id=why) for why, value in ACCEPTED])
def test_the_schema_accepts_what_the_decoder_accepts(value: bytes) -> None:
    assert PAYMENT_VALIDATOR.is_valid(json.loads(value))


@pytest.mark.parametrize("value", [b"", b"{", b"\xff", b"null", b'{"label_id": 1}'])
def test_reading_a_low_rate_record_that_is_broken_raises_only_what_is_announced(value: bytes) -> None:
    with pytest.raises(RecordInvalid):
        decode(value, Label)
