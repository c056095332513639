"""The one place where records are read: every hostile byte string is a value, for every kind of record."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.alert import Review, Snooze
from services.contract.announcement import CHAMPION, ModelAnnouncement, Promotion, read_announced
from services.contract.codec import NESTING_MAX, RecordInvalid, Rejection, decode, nesting, read
from services.contract.decision import Decision
from services.contract.label import Example, Label, PaymentLabel
from tests.contract.payloads import SEEDED

KINDS: tuple[type[msgspec.Struct], ...] = (
    Label, PaymentLabel, Snooze, Review, Example, ModelAnnouncement, Promotion, Decision,
)  # fmt: skip
DEEP = 100_000

HOSTILE: list[tuple[str, bytes | None]] = [
    ("a tombstone", None),
    ("nothing", b""),
    ("white space", b" \n\t "),
    ("a zero byte", b"\0"),
    ("no JSON", b"{"),
    ("a byte order mark", b"\xef\xbb\xbf{}"),
    ("an array", b"[]"),
    ("null", b"null"),
    ("NaN", b"NaN"),
    ("more than one", b"{}{}"),
    ("invalid UTF-8", b'{"x":"\xff"}'),
    ("invalid UTF-8 in a name", b'{"\xff":1}'),
    ("UTF-16", '{"x":1}'.encode("utf-16")),
    ("a surrogate in UTF-8", b'{"x":"\xed\xa0\x80"}'),
    ("a lone high surrogate", b'{"x":"\\ud800"}'),
    ("a lone low surrogate", b'{"x":"\\udc00"}'),
    ("arrays without end", b"[" * DEEP),
    ("objects without end", b'{"x":' * DEEP),
    ("arrays nested deep", b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    ("objects nested deep", b'{"x":' * DEEP + b"1" + b"}" * DEEP),
    ("nested one too deep", b'{"x":' + b"[" * NESTING_MAX + b"]" * NESTING_MAX + b"}"),
    ("quotes without end", b'"' + b'\\"' * DEEP),
    ("larger than any record", b" " * 2**22 + b"{}"),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("value", [pytest.param(value, id=why) for why, value in HOSTILE])
def test_hostile_bytes_are_a_value_for_every_kind_of_record(value: bytes | None, kind: type[msgspec.Struct]) -> None:
    found = read(value, kind, "reason")
    assert isinstance(found, Rejection)
    assert found.reason == "reason"
    assert found.detail
    with pytest.raises(RecordInvalid):
        decode(value, kind)


GOOD = {"label_id": "l", "payment_id": "p", "disposition": "suspicious", "label_time_ms": 5}


def label(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


NOT_A_VALUE: list[tuple[str, bytes, str]] = [
    ("a code that is not one", label(disposition="SECRET"), "disposition"),
    ("an integer of 5,000 digits", label().replace(b"5", b"7" * 5_000), "label_time_ms"),
    ("an integer beyond 64 bits", label(label_time_ms=2**64), "label_time_ms"),
    ("a float beyond 64 bits", label(weight=1).replace(b'"weight": 1', b'"weight": 1e999'), "weight"),
    ("a float of 400 digits", label(weight=10**400), "weight"),
    ("a string with a control character", label(payment_id="SECRET\u001f"), "payment_id"),
    ("a string for a number", label(weight="SECRET"), "weight"),
    ("a string too long", label(source="SECRET" * 10), "source"),
]


@pytest.mark.parametrize(("value", "field"), [pytest.param(*rest, id=why) for why, *rest in NOT_A_VALUE])
def test_the_field_is_named_and_its_value_never_repeated(value: bytes, field: str) -> None:
    found = read(value, Label, "label_invalid")
    assert isinstance(found, Rejection)
    assert (found.reason, found.field) == ("label_invalid", field)
    assert "SECRET" not in str(found)
    assert "777" not in str(found)


MODEL: dict[str, Any] = {
    "name": "general", "version": 1, "model_hash": "a" * 64, "feature_schema_hash": "a" * 64, "kind": "logistic",
    "review_probability": 0.5, "examples_offset": 0, "trained_event_time_ms": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "SECRET"}, "kind"),
        ({"forest": "!SECRET!"}, "forest"),
        ({"feature_schema_hash": "SECRET"}, "feature_schema_hash"),
        ({"model_hash": "SECRET"}, "model_hash"),
        ({"version": -1}, "version"),
        ({"version": 2**60}, "version"),
        ({"weights": ["SECRET"]}, "weights[0]"),
        ({"onnx": {"sha256": "SECRET", "input": "x", "output": "y"}}, "onnx.sha256"),
        ({"onnx": {"sha256": "a" * 64, "input": "SECRET" * 50, "output": "y"}}, "onnx.input"),
        ({"name": "../SECRET"}, "name"),
        ({"name": "SECRET\n"}, "name"),
        ({"model_hash": "a" * 64 + "\n"}, "model_hash"),
        ({"review_probability": -1e-9}, "review_probability"),
        ({"review_probability": 1.1}, "review_probability"),
    ],
)
def test_an_announcement_is_refused_without_repeating_what_it_says(changes: dict[str, Any], field: str) -> None:
    said = json.dumps(MODEL | changes).encode()
    for key, value, path in ((b"general/1", said, field), (CHAMPION, b'{"champion":%b}' % said, f"champion.{field}")):
        found = read_announced(key, value)
        assert isinstance(found, Rejection)
        assert (found.reason, found.field) == ("announcement_invalid", path)
        assert "SECRET" not in str(found)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "null", '"0.5"'])
@pytest.mark.parametrize("field", ["review_probability", "bias"])
def test_an_announcement_has_no_number_that_is_none(field: str, number: str) -> None:
    value = json.dumps(MODEL | {field: "HERE"}).replace('"HERE"', number).encode()
    assert isinstance(read_announced(b"general/1", value), Rejection)
    assert isinstance(read_announced(b"general/1", value.replace(number.encode(), b"0.5")), ModelAnnouncement)


def test_an_announcement_is_read_by_its_key_and_a_tombstone_says_nothing() -> None:
    said = json.dumps(MODEL).encode()
    assert isinstance(read_announced(b"general/1", said), ModelAnnouncement)
    assert isinstance(read_announced(None, said), ModelAnnouncement)
    assert isinstance(read_announced(CHAMPION, b'{"champion":%b}' % said), Promotion)
    assert isinstance(read_announced(CHAMPION, said), Rejection)
    assert read_announced(CHAMPION, None) is read_announced(b"general/1", None) is None


@pytest.mark.parametrize("before", ["general", "general/", "general/-1", "general/" + "9" * 5_000, "/1", ""])
def test_a_promotion_names_champions_that_can_be_gone_back_to(before: str) -> None:
    value = json.dumps({"champion": MODEL, "before": [before]}).encode()
    assert isinstance(read_announced(CHAMPION, value), Rejection)


def naive_nesting(value: bytes) -> int:
    """Byte by byte: how deep the brackets outside strings go."""
    depth = deepest = 0
    in_string = escaped = False
    for byte in value:
        if in_string:
            in_string = escaped or byte != ord('"')
            escaped = not escaped and byte == ord("\\")
        elif byte == ord('"'):
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


JSON = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('[]{}"\\ \n\u20ac'), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@SEEDED
@given(content=JSON, more=st.integers(0, 300))
def test_nesting_is_what_a_walk_byte_by_byte_finds(content: Any, more: int) -> None:
    filled = json.dumps([content, [[]] * 200, "[[{" * 50], ensure_ascii=False).encode()
    value = b"[" * more + filled + b"]" * more
    assert nesting(value) == naive_nesting(value)


@SEEDED
@given(st.binary(max_size=300))
def test_nesting_of_what_is_no_json_raises_nothing(value: bytes) -> None:
    assert nesting(b"[{" * NESTING_MAX + value) >= 0
