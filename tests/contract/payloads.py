"""Payments as bytes: one that is full, those that are refused and why, and those that are unusual but right."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, settings

from services.contract.codec import RECORD_BYTES_MAX
from services.contract.fields import EVENT_TIME_MS_MAX, EVENT_TIME_MS_MIN

SEEDED = settings(
    derandomize=True, deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow], database=None
)
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
    ("a time in seconds", written(event_time_ms=1_700_000_000), ("event_time_unit", "event_time_ms")),
    ("a time in microseconds", written(event_time_ms=1_700_000_000_000_000), ("event_time_unit", "event_time_ms")),
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
ACCEPTED: list[tuple[str, bytes]] = [
    ("everything told", GOOD),
    ("only what is required", json.dumps({k: FULL[k] for k in REQUIRED} | {"payer": {"account": "A"}}).encode()),
    ("an unknown field", written(x_processor={"risk": [1, 2, {"deep": None}]})),
    ("an unknown field of a party", written(payer__nickname="Bo")),
    ("an amount of 0", written(amount_minor=0)),
    ("the largest amount", written(amount_minor=2**53)),
    ("the earliest and the latest time", written(event_time_ms=EVENT_TIME_MS_MIN, payer__opened_ms=EVENT_TIME_MS_MAX)),
    ("128 characters of four bytes", written(payment_id="🏦" * 128)),
    ("optional fields null", written(reference=None, device=None, payer__country=None, utc_offset_minutes=None)),
    ("a surrogate pair, escaped", raw("pay-SECRET-1", "\\ud83c\\udfe6")),
    ("white space around", b"\n  " + GOOD + b"  \n"),
    ("escaped names", raw('"payment_id"', '"payment\\u005fid"')),
    ("the largest record", GOOD + b" " * (RECORD_BYTES_MAX - len(GOOD))),
]
HASH = "a" * 64
