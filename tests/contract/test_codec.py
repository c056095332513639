"""The contract's codec: any bytes give a payment or a reason, and nothing of a record leaks into what is said of it."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contract.codec import RECORD_BYTES_MAX, RecordInvalid, Rejection, decode, decode_payment, encode
from services.contract.codes import COUNTRIES, CURRENCY_EXPONENT
from services.contract.events import cloud_event
from services.contract.identity import alert_id, decision_id, digest64, example_id, uuid5
from services.contract.schema import RECORDS, json_schema, json_schemas
from services.contract.types import (
    AMOUNT_MINOR_MAX,
    EVENT_TIME_MS_MAX,
    Alert,
    Contribution,
    DeadLetter,
    Decision,
    Example,
    Label,
    ModelAnnouncement,
    Origin,
    Party,
    Payment,
    PaymentLabel,
    Promotion,
    Reason,
    RuleResult,
    ShadowScores,
    Snooze,
    Subject,
)

SEEDED = settings(
    derandomize=True, deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow], database=None
)
REASONS = {"empty", "oversized", "not_json", "not_a_payment", "field_missing", "field_invalid"}
FIELDS = {
    "",
    *Payment.__struct_fields__,
    *(f"{side}.{name}" for side in ("payer", "payee") for name in Party.__struct_fields__),
}  # fmt: skip

FULL: dict[str, Any] = {
    "payment_id": "pay-SECRET-1",
    "event_time_ms": 1_700_000_000_123,
    "amount_minor": 7_654_321,
    "currency": "EUR",
    "payer": {
        "account": "DE-SECRET-2", "country": "DE", "agent": "SECRET3DEFF", "device": "dev-SECRET-4",
        "phone": "tel-SECRET-5", "pickup": "cash-SECRET-6", "opened_ms": 1_600_000_000_000,
    },
    "payee": {"account": "PH-SECRET-7", "country": "PH"},
    "tenant": "tenant-SECRET-8",
    "utc_offset_minutes": 60,
    "received_amount_minor": 4_444_444,
    "received_currency": "PHP",
    "rail": "wallet",
    "status": "attempted",
    "purpose": "FAMI",
    "reference": "for SECRET-9",
    "merchant_category": "5411",
    "device": "dev-SECRET-10",
}  # fmt: skip
REQUIRED = ("payment_id", "event_time_ms", "amount_minor", "currency", "payer", "payee")


def written(**changes: Any) -> bytes:
    """The full payment with fields changed; a name with ``__`` reaches into a party; ``...`` leaves the field out."""
    record = {**FULL, "payer": {**FULL["payer"]}, "payee": {**FULL["payee"]}}
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        holder, key = (record[outer], inner) if inner else (record, outer)
        if value is ...:
            del holder[key]
        else:
            holder[key] = value
    return json.dumps(record).encode()


GOOD = written()


def raw(old: str, new: str) -> bytes:
    """The full payment with a piece of its text replaced, for what ``json.dumps`` would not write."""
    assert old.encode() in GOOD
    return GOOD.replace(old.encode(), new.encode("utf-8", "surrogatepass"), 1)


# --- arbitrary bytes -------------------------------------------------------------------------------------------------


def assert_sound(value: bytes | None) -> None:
    found = decode_payment(value)
    if isinstance(found, Rejection):
        assert found.reason in REASONS
        assert found.field in FIELDS
        assert found.detail
        assert "SECRET" not in found.detail + found.field
        assert not re.search(r"765432|444444", found.detail)
    else:
        assert isinstance(found, Payment)


@settings(SEEDED, max_examples=1_000)
@given(value=st.none() | st.binary(max_size=400))
def test_arbitrary_bytes_never_raise(value: bytes | None) -> None:
    assert_sound(value)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FULL, "account", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip


@SEEDED
@given(value=JSON_VALUES)
def test_arbitrary_json_never_raises(value: Any) -> None:
    assert_sound(json.dumps(value).encode())


@SEEDED
@given(name=st.sampled_from([*FULL, "payer__account", "payer__country", "payee__opened_ms"]), value=JSON_VALUES)
def test_any_json_in_any_field_never_raises_and_an_error_names_that_field(name: str, value: Any) -> None:
    record = written(**{name: value})
    assert_sound(record)
    found = decode_payment(record)
    if isinstance(found, Rejection) and found.reason == "field_invalid":
        assert found.field.split(".")[0] == name.split("__")[0]


@settings(SEEDED, max_examples=1_500)
@given(at=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_raises(at: int, bit: int) -> None:
    flipped = bytearray(GOOD)
    flipped[at] ^= 1 << bit
    assert_sound(bytes(flipped))


def test_a_payment_cut_off_anywhere_is_not_json() -> None:
    for length in range(1, len(GOOD)):
        found = decode_payment(GOOD[:length])
        assert isinstance(found, Rejection)
        assert (found.reason, found.field) == ("not_json", "")
        assert "SECRET" not in found.detail


@SEEDED
@given(start=st.integers(0, len(GOOD)), stop=st.integers(0, len(GOOD)), piece=st.binary(max_size=30))
def test_a_payment_with_a_piece_cut_out_or_spliced_in_never_raises(start: int, stop: int, piece: bytes) -> None:
    assert_sound(GOOD[:start] + piece + GOOD[stop:])


# --- the table -------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, bytes | None, tuple[str, str]]] = [
    ("no value (a tombstone)", None, ("empty", "")),
    ("no bytes", b"", ("empty", "")),
    ("only white space", b" \n\t ", ("not_json", "")),
    ("one byte too many", written(extra="x" * RECORD_BYTES_MAX), ("oversized", "")),
    ("a giant that is not even JSON", b"\xff" * (RECORD_BYTES_MAX + 1), ("oversized", "")),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD, ("not_json", "")),
    ("UTF-16", GOOD.decode().encode("utf-16"), ("not_json", "")),
    ("two payments", GOOD + GOOD, ("not_json", "")),
    ("something after it", GOOD + b"\x00", ("not_json", "")),
    ("a trailing comma", GOOD[:-1] + b",}", ("not_json", "")),
    ("single quotes", GOOD.replace(b'"', b"'"), ("not_json", "")),
    ("a comment", b"/* hello */" + GOOD, ("not_json", "")),
    ("invalid UTF-8 in an id", GOOD.replace(b"SECRET-1", b"\xc3\x28", 1), ("not_json", "")),
    ("overlong UTF-8", GOOD.replace(b"SECRET-1", b"\xc0\xaf", 1), ("not_json", "")),
    ("a lone surrogate, escaped", raw("pay-SECRET-1", "\\ud800"), ("not_json", "")),
    ("a lone surrogate, encoded", raw("pay-SECRET-1", "\ud800"), ("not_json", "")),
    ("a raw control character in text", raw("pay-SECRET-1", "a\nb"), ("not_json", "")),
    ("NaN", raw("7654321", "NaN"), ("not_json", "")),
    ("Infinity", raw("7654321", "Infinity"), ("not_json", "")),
    ("-Infinity in an unknown field", GOOD[:-1] + b', "x": -Infinity}', ("not_json", "")),
    ("a number beyond float64", raw("7654321", "9" * 400), ("not_json", "")),
    ("a leading zero", raw("7654321", "07654321"), ("not_json", "")),
    ("a plus sign", raw("7654321", "+7654321"), ("not_json", "")),
    ("nesting without end", b"[" * 100_000, ("not_json", "")),
    ("deep nesting in an unknown field", GOOD[:-1] + b', "x": ' + b"[" * 2_000 + b"]" * 2_000 + b"}", ("not_json", "")),
    ("a list", b"[" + GOOD + b"]", ("not_a_payment", "")),
    ("a string", b'"SECRET"', ("not_a_payment", "")),
    ("a number", b"7654321", ("not_a_payment", "")),
    ("null", b"null", ("not_a_payment", "")),
    ("true", b"true", ("not_a_payment", "")),
    ("an empty object", b"{}", ("field_missing", "payment_id")),
    *((f"no {name}", written(**{name: ...}), ("field_missing", name)) for name in REQUIRED),
    *((f"{name} null", written(**{name: None}), ("field_invalid", name)) for name in REQUIRED),
    ("no payer.account", written(payer__account=...), ("field_missing", "payer.account")),
    ("no payee.account", written(payee__account=...), ("field_missing", "payee.account")),
    ("an empty id", written(payment_id=""), ("field_invalid", "payment_id")),
    ("an id of 129 characters", written(payment_id="x" * 129), ("field_invalid", "payment_id")),
    ("an id that is a number", written(payment_id=7_654_321), ("field_invalid", "payment_id")),
    ("a time in words", written(event_time_ms="2026-11-01T00:00:00Z"), ("field_invalid", "event_time_ms")),
    ("a time before 1970", written(event_time_ms=-1), ("field_invalid", "event_time_ms")),
    ("a time in microseconds", written(event_time_ms=1_700_000_000_000_000), ("field_invalid", "event_time_ms")),
    ("a time with a fraction", written(event_time_ms=1.5), ("field_invalid", "event_time_ms")),
    ("a negative amount", written(amount_minor=-1), ("field_invalid", "amount_minor")),
    ("an amount with a fraction", written(amount_minor=76.54), ("field_invalid", "amount_minor")),
    ("an amount written as a float", written(amount_minor=2500.0), ("field_invalid", "amount_minor")),
    ("an amount in exponents", raw("7654321", "1e3"), ("field_invalid", "amount_minor")),
    ("an amount in a string", written(amount_minor="7654321"), ("field_invalid", "amount_minor")),
    ("an amount that is true", written(amount_minor=True), ("field_invalid", "amount_minor")),
    ("an amount above 2**53", written(amount_minor=2**53 + 1), ("field_invalid", "amount_minor")),
    ("an amount beyond 64 bits", written(amount_minor=2**64), ("field_invalid", "amount_minor")),
    ("an amount of 100 digits", written(amount_minor=10**100), ("field_invalid", "amount_minor")),
    ("a currency in lower case", written(currency="eur"), ("field_invalid", "currency")),
    ("no such currency", written(currency="SECRET"), ("field_invalid", "currency")),
    ("a currency by number", written(currency=978), ("field_invalid", "currency")),
    ("gold", written(currency="XAU"), ("field_invalid", "currency")),
    ("a payer that is a string", written(payer="DE-SECRET-2"), ("field_invalid", "payer")),
    ("a payer that is a list", written(payer=["DE-SECRET-2"]), ("field_invalid", "payer")),
    ("an empty account", written(payer__account=""), ("field_invalid", "payer.account")),
    ("an account of 129 characters", written(payee__account="x" * 129), ("field_invalid", "payee.account")),
    ("no such country", written(payer__country="ZZ"), ("field_invalid", "payer.country")),
    ("a country in three letters", written(payee__country="PHL"), ("field_invalid", "payee.country")),
    ("a country that is a number", written(payee__country=608), ("field_invalid", "payee.country")),
    ("an opening before 1970", written(payer__opened_ms=-5), ("field_invalid", "payer.opened_ms")),
    ("an agent of 36 characters", written(payer__agent="x" * 36), ("field_invalid", "payer.agent")),
    ("an empty device", written(device=""), ("field_invalid", "device")),
    ("a tenant that is null", written(tenant=None), ("field_invalid", "tenant")),
    ("an empty tenant", written(tenant=""), ("field_invalid", "tenant")),
    ("a status that is null", written(status=None), ("field_invalid", "status")),
    ("no such status", written(status="SECRET"), ("field_invalid", "status")),
    ("an offset beyond 14 hours", written(utc_offset_minutes=841), ("field_invalid", "utc_offset_minutes")),
    ("an offset in words", written(utc_offset_minutes="+01:00"), ("field_invalid", "utc_offset_minutes")),
    ("a reference of 1001 characters", written(reference="x" * 1001), ("field_invalid", "reference")),
    ("no received_currency", written(received_currency=...), ("field_missing", "received_currency")),
    ("no received_amount_minor", written(received_amount_minor=...), ("field_missing", "received_amount_minor")),
    ("received_currency null", written(received_currency=None), ("field_missing", "received_currency")),
    ("a negative received amount", written(received_amount_minor=-1), ("field_invalid", "received_amount_minor")),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), [pytest.param(*rest, id=why) for why, *rest in REFUSED])
def test_what_is_wrong_with_a_payment_is_said_by_reason_and_field(
    value: bytes | None, expected: tuple[str, str]
) -> None:
    found = decode_payment(value)
    assert isinstance(found, Rejection)
    assert (found.reason, found.field) == expected
    assert_sound(value)


ACCEPTED: list[tuple[str, bytes]] = [
    ("everything told", GOOD),
    ("only what is required", json.dumps({k: FULL[k] for k in REQUIRED} | {"payer": {"account": "A"}}).encode()),
    ("an unknown field", written(x_processor={"risk": [1, 2, {"deep": None}]})),
    ("an unknown field of a party", written(payer__nickname="Bo")),
    ("an amount of 0", written(amount_minor=0)),
    ("the largest amount", written(amount_minor=2**53)),
    ("the earliest and the latest time", written(event_time_ms=0, payer__opened_ms=EVENT_TIME_MS_MAX)),
    ("128 characters of four bytes", written(payment_id="🏦" * 128)),
    ("optional fields null", written(reference=None, device=None, payer__country=None, utc_offset_minutes=None)),
    ("a surrogate pair, escaped", raw("pay-SECRET-1", "\\ud83c\\udfe6")),
    ("white space around", b"\n  " + GOOD + b"  \n"),
    ("escaped names", raw('"payment_id"', '"payment\\u005fid"')),
    ("the largest record", GOOD + b" " * (RECORD_BYTES_MAX - len(GOOD))),
]


@pytest.mark.parametrize("value", [pytest.param(value, id=why) for why, value in ACCEPTED])
def test_a_payment_that_is_unusual_but_right_is_accepted(value: bytes) -> None:
    assert isinstance(decode_payment(value), Payment)


def test_of_a_name_that_stands_twice_the_last_one_counts() -> None:
    found = decode_payment(GOOD[:-1] + b', "amount_minor": 5}')
    assert isinstance(found, Payment)
    assert found.amount_minor == 5
    wrong = decode_payment(GOOD[:-1] + b', "amount_minor": "5"}')
    assert isinstance(wrong, Rejection)
    assert (wrong.reason, wrong.field) == ("field_invalid", "amount_minor")


# --- there and back --------------------------------------------------------------------------------------------------

IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
CODES = st.none() | st.text("ABC123", min_size=1, max_size=35)
TIMES = st.integers(0, EVENT_TIME_MS_MAX)
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
        draw(IDS), draw(TIMES), draw(AMOUNTS), draw(CURRENCIES), draw(PARTIES), draw(PARTIES),
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


HASH = "a" * 64
RULE = RuleResult("burst", "hit", measured=4.5, threshold=3.0, unit="payments", window="half-life 1d")
REASON = Reason("amount", 12.5, 0.25)
ANNOUNCEMENT = ModelAnnouncement("general", 3, HASH, HASH, "logistic", 0.7, 100, 5, -1.0, (0.5,), (0.0,), (1.0,))
EXAMPLES: dict[str, msgspec.Struct] = {
    "payment.v1": decode(GOOD, Payment),
    "decision.v1": Decision(
        decision_id="d", payment_id="p", tenant="t", event_time_ms=1, outcome="review", score=-1.5, probability=0.2,
        reasons=(REASON,), rules=(RULE, RuleResult("x", "error", missing=("amount",))), features=(1.0, None),
        model_version=1, model_hash=HASH, ruleset_hash=HASH, feature_schema_hash=HASH, origin=Origin(0, 7),
        payment=msgspec.Raw(GOOD), contributions=(0.25, 0.0), subjects=("payer", "payee"),
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
    "shadow-scores.v1": ShadowScores("d-1", "p-1", "default", 1, HASH, -1.5, {HASH: 0.25}, None),
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
    if (name, field) == ("decision.v1", "payment"):
        return  # whatever the processor sent
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


# --- identity and headers --------------------------------------------------------------------------------------------

NAMESPACE = uuid.UUID("8f0c5d7e-6a3b-5c1e-9d2f-4a7b6c8e0d13")
"""Part of the contract: whoever knows it can compute every id again."""


@SEEDED
@given(parts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_ids_are_pythons_own_uuid5_of_the_joined_parts(parts: list[str]) -> None:
    assert uuid5(*parts) == str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def test_ids_of_different_things_differ() -> None:
    ids = {
        decision_id("t", "p", HASH), decision_id("t2", "p", HASH), decision_id("t", "p2", HASH),
        decision_id("t", "p", "b" * 64), alert_id("t", "payer", "p", "q", "d"), alert_id("t", "payee", "p", "q", "d"),
        example_id("t", "p", "l"), uuid5("ab", "c"), uuid5("a", "bc"), uuid5("abc"),
    }  # fmt: skip
    assert len(ids) == 10


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
