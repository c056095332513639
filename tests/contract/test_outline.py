"""What is left of large JSON before objects are made of it: it is read as the whole is, or refused for the same."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.contract.codec import NESTING_MAX, PLAIN_BYTES_MAX, RECORD_BYTES_MAX, decode_payment, rejection_of
from services.contract.outline import DEPTH_MAX, outline_of
from services.contract.payment import Payment
from tests.contract.payloads import GOOD, SEEDED
from tests.fuzz.mutate import mutated

INFINITE = 2**1024 - 2**970
"""The least whole number that rounds to infinity."""
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=9,
)
NAMES = st.sampled_from([*Payment.__struct_fields__, "account", "country", "minor", "x", "", "payer "])
MEMBERS = st.lists(st.tuples(NAMES, ANY_JSON | st.dictionaries(NAMES, ANY_JSON, max_size=4)), max_size=9)


def is_json(value: bytes) -> bool:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def read_as(content: Any) -> object:
    """What a payment's decoder makes of it."""
    try:
        return msgspec.convert(content, Payment)
    except msgspec.ValidationError as error:
        return rejection_of(error)


def assert_outlined(value: bytes) -> None:
    """The outline is JSON where ``value`` is, and read as the same."""
    outline = outline_of(value)
    assert (outline.fault < 0) == is_json(value), value
    if outline.fault < 0:
        assert read_as(orjson.loads(outline.value)) == read_as(orjson.loads(value)), value


def written(members: list[tuple[str, Any]], escaped: bool, blanks: str) -> bytes:
    """An object as JSON, names as often as they come, and some of them written with an escape."""

    def named(name: str) -> str:
        return f'"\\u{ord(name[0]):04x}{name[1:]}"' if escaped and name else json.dumps(name)

    values = (json.dumps(content, ensure_ascii=escaped) for _, content in members)
    inside = ("," + blanks).join(
        f"{named(name)}{blanks}:{value}" for (name, _), value in zip(members, values, strict=True)
    )
    return f"{blanks}{{{inside}{blanks}}}{blanks}".encode("utf-8", "surrogatepass")


@SEEDED
@given(MEMBERS, st.booleans(), st.sampled_from(["", " ", "\r\n\t"]))
@example([("payer", {"account": "a", "country": {"account": []}}), ("payer", {"account": "b"})], False, "")
@example([("payer", {"payer": {"account": "a"}}), ("payee", [{"account": "a"}])], True, " ")
def test_a_record_is_read_as_its_outline_is(members: list[tuple[str, Any]], escaped: bool, blanks: str) -> None:
    assert_outlined(written(members, escaped, blanks))


@SEEDED
@given(ANY_JSON)
def test_what_is_no_object_is_refused_as_its_outline_is(content: Any) -> None:
    assert_outlined(json.dumps(content).encode("utf-8", "surrogatepass"))


@SEEDED
@given(st.integers())
def test_a_mutated_payment_is_read_as_its_outline_is(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(20):
        assert_outlined(mutated(GOOD, [GOOD], draw))


def test_one_byte_of_a_payment_may_be_another() -> None:
    for place in range(len(GOOD)):
        for byte in b'"\\/{}[],: \n01eE-+.utfn\x00\x1f\x7f\x80\xc3\xed\xff':
            assert_outlined(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :])


@SEEDED
@given(st.binary(max_size=12) | st.text(max_size=6).map(str.encode))
@example(b"\xed\xa0\x80")
@example(b"\xf4\x90\x80\x80")
@example(b"\\ud83c\\udfe6")
@example(b"\\udfe6\\ud83c")
@example(b"\\ud83c\\ud83c")
def test_a_text_is_what_utf_8_and_escapes_allow(inside: bytes) -> None:
    assert_outlined(b'"' + inside + b'"')
    assert_outlined(b'{"' + inside + b'":0}')


DIGITS = st.text("0123456789", max_size=5)


@SEEDED
@given(st.sampled_from(["", "-", "+"]), DIGITS, st.sampled_from(["", "."]), DIGITS,
       st.sampled_from(["", "e", "E-", "e+"]), st.integers(0, 700).map(str) | DIGITS)  # fmt: skip
def test_a_number_is_what_json_allows_and_64_bits_hold(
    sign: str, whole: str, point: str, part: str, power: str, exponent: str
) -> None:
    assert_outlined(f"{sign}{whole}{point}{part}{power}{exponent}".encode())


@pytest.mark.parametrize(
    ("number", "finite"),
    [
        (str(INFINITE), False), (str(INFINITE - 1), True), (f"-{INFINITE}", False), (f"{INFINITE - 1}.99", True),
        ("1.7976931348623157e308", True), ("1.7976931348623159e308", False), ("0." + "0" * 400 + "1e709", True),
        ("0." + "0" * 400 + "1e710", False), ("0e99999999999999999999", True), ("1e-99999999999999999999", True),
        ("1e99999999999999999999", False), ("0" + "." + "0" * 500, True),
    ],
)  # fmt: skip
def test_a_number_rounds_to_infinity_or_not(number: str, finite: bool) -> None:
    for value in (number, f"[{number}]", f"[{number},0]", f'{{"x":{number}}}', f" {number} "):
        assert (outline_of(value.encode()).fault < 0) == finite == is_json(value.encode()), value


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("depth", [1, NESTING_MAX, DEPTH_MAX, DEPTH_MAX + 1, 5_000])
def test_the_deepest_json_is_what_the_library_reads(opening: str, closing: str, depth: int) -> None:
    value = f"{opening * depth}0{closing * depth}".encode()
    outline = outline_of(value)
    assert (outline.fault < 0) == is_json(value) == (depth <= DEPTH_MAX)
    assert outline.nesting == min(depth, DEPTH_MAX)


def test_brackets_close_what_they_opened() -> None:
    for value in (b"[}", b"{]", b"]", b"}", b"[1}", b'{"a":1]', b"[[1]", b"[1,]", b"[,1]", b'{"a":1,}', b"{,}", b"1,2",
                  b"1 2"):  # fmt: skip
        assert_outlined(value)
        assert outline_of(value).fault >= 0


HOSTILE = {
    "arrays": b"[" + b"[]," * 80_000 + b"0]",
    "objects": b"[" + b'{"a":{}},' * 27_000 + b"0]",
    "an object": b"{" + b",".join(b'"k%d":0' % number for number in range(20_000)) + b"}",
    "numbers": b"[" + b"1.5," * 60_000 + b"0]",
    "texts": b"[" + b'"\xc3\xa9",' * 48_000 + b"0]",
    "a text": b'"' + b"\\u00e9" * 40_000 + b'"',
    "depth": b"[" * 247 + b"[]," * 80_000 + b"0" + b"]" * 247,
}


@pytest.mark.parametrize("nested", HOSTILE.values(), ids=HOSTILE)
def test_nothing_is_made_of_what_no_payment_has(nested: bytes) -> None:
    """Memory stands for time here: each object that the decoder makes takes both, and bytes copied take little."""
    for value in (
        GOOD[:-1] + b',"x":' + nested + b"}",
        GOOD.replace(b'{"account"', b'{"x":' + nested + b',"account"', 1),
    ):
        assert 200_000 < len(value) <= RECORD_BYTES_MAX
        decode_payment(value)
        tracemalloc.start()
        try:
            found = decode_payment(value)
            held = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert found == decode_payment(GOOD)
        assert held < len(value) + 20_000


def test_a_large_payment_says_where_it_ceases_to_be_json() -> None:
    padding = b',"x":"' + b"a" * PLAIN_BYTES_MAX + b'"'
    found = decode_payment(GOOD[:-1] + padding + b",}")
    assert str(found) == f"not_json: Not valid JSON from byte {len(GOOD) + len(padding)} on"
    assert decode_payment(GOOD[:-1] + padding + b"}") == decode_payment(GOOD)
