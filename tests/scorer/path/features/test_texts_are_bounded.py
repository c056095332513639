"""What texts cost is bounded, whoever writes them: bytes that are remembered, and steps to read one."""

from __future__ import annotations

import sys
import tracemalloc
import unicodedata
from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.contract.payment import Party
from services.contract.remembered import CHARACTERS_MAX, TEXTS_MAX, remembered
from services.scorer.path.features.inputs import _class_of, payer_rows
from services.scorer.path.features.private import KeyedList, PrivateLists, keyed_hash
from services.scorer.path.features.references import (
    _PHRASES,
    Reference,
    Texts,
    _plain_forms,
    digest_of,
    folded,
    is_handle,
    kind_of,
)
from tests.scorer.path.logs import PARAMETERS, payment

MIB = 2**20
ASTRAL = "\U0001d400"
"""A letter of four bytes, before which Python can store none of a text in less."""


def long_texts(count: int) -> Iterable[str]:
    return (f"{number:08d}" + "x" * 992 for number in range(count))


def short_texts(count: int) -> Iterable[str]:
    return (f"{number:08d}" + ASTRAL * (CHARACTERS_MAX - 8) for number in range(count))


def lexicon() -> KeyedList:
    return KeyedList(b"k", [keyed_hash(b"k", "rent")])


ASKED: dict[str, Callable[[], Callable[[str], object]]] = {
    "references": lambda: Texts().reference,
    "rails": lambda: Texts().rail,
    "private lists": lambda: lexicon().__contains__,
    "merchants": lambda: _class_of,
}


def bytes_held(ask: Callable[[str], object], texts: Iterable[str]) -> int:
    """What is held in memory after ``ask`` was asked about all of ``texts``."""
    ask("warmed up")
    tracemalloc.start()
    try:
        for each in texts:
            ask(each)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("made", ASKED.values(), ids=ASKED)
def test_nothing_is_remembered_of_long_texts(made: Callable[[], Callable[[str], object]]) -> None:
    assert bytes_held(made(), long_texts(10_000)) < 0.1 * MIB


def test_what_is_remembered_of_short_texts_takes_less_than_is_said() -> None:
    """The widest texts, with answers that are as large as any."""
    ask = remembered(lambda text: Reference(-1, False, 2**63 + len(text)))
    assert 10 * MIB < bytes_held(ask, short_texts(TEXTS_MAX + 2_000)) < 20 * MIB


def test_an_answer_is_that_of_the_function_whether_it_is_remembered_or_not() -> None:
    asked: list[str] = []

    def answer(text: str) -> int:
        asked.append(text)
        return len(text)

    ask, short, long = remembered(answer), "s" * CHARACTERS_MAX, "l" * (CHARACTERS_MAX + 1)
    assert [ask(each) for each in (short, long, short, long)] == [64, 65, 64, 65]
    assert asked == [short, long, long]


@given(st.text(max_size=90))
@example("Nhà nước ½ ﬁn ①② Straße 東京 ｶﾞ ĳ")
def test_a_reference_tells_what_its_functions_say(text: str) -> None:
    assert Texts().reference(text) == (kind_of(text), is_handle(text), digest_of(text))


def naive(text: str) -> str:
    """The definition: NFKD, in lower case, less combining marks."""
    return "".join(each for each in unicodedata.normalize("NFKD", text).lower() if not unicodedata.combining(each))


@given(st.text(st.characters(exclude_categories=["Cs", "Mc"], exclude_characters="".join(_PHRASES)), max_size=1_000))
@example("ΑΣ Σας ΟΔΟΣ\u0301 ΣΑΣ")
@example("e\u0301\u0323cole \u1ec3 \u0344\u0334\u0f81\u0f73 \uff76\uff9e \u0130STANBUL \ufb01n\u2026")
def test_a_text_is_folded_as_by_its_definition(text: str) -> None:
    assert folded(text) == naive(text)


def test_every_character_is_folded_as_by_its_definition_wherever_it_stands() -> None:
    """Beside a sigma, too, whose small form the characters around it choose. Marks that take a place of their own (Mc)
    are left out: the definition asks them first, and here they are gone by then."""
    for code in range(0x110000):
        character = chr(code)
        if 0xD800 <= code < 0xE000 or unicodedata.category(character) == "Mc" or character in _PHRASES:
            continue
        for text in (character, f"A\u03a3{character}B", f"A{character}\u03a3"):
            assert folded(text) == naive(text), hex(code)


def test_no_character_unfolds_to_much() -> None:
    """So a text of n characters is n lookups, and at most 7 n characters."""
    assert max(map(len, _plain_forms().values())) == 7
    assert all(len(unicodedata.normalize("NFKD", phrase)) > 7 for phrase in _PHRASES)


LIGATURES = "\u33ae", "\u321d", "\ufb01", "\ufdfa", "\u00e9", "e\u0301", "\u0301", "\u6771", "\U00030000"


@pytest.mark.parametrize("repeated", LIGATURES, ids=ascii)
def test_the_longest_reference_takes_few_calls(repeated: str) -> None:
    """A call for each character is what took a millisecond."""
    text = (repeated * 1_000)[:1_000]
    folded(text)
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        folded(text), kind_of(text)
    finally:
        sys.setprofile(None)
    assert calls < 20


def test_a_lexicon_asks_of_each_term_once() -> None:
    asked: list[str] = []

    class Asked(KeyedList):
        def __contains__(self, text: str) -> bool:
            asked.append(text)
            return False

    held = PrivateLists(lexicon=Asked(b"k", [bytes(16)])).hold_terms(["a b a b a b"])
    assert held.tolist() == [0.0]
    assert sorted(asked) == ["a", "a b", "a b a", "b", "b a", "b a b"]


def test_a_payment_with_the_longest_texts_is_read_like_any_other() -> None:
    long = [payment(0, payer=Party("p" * 128), payee=Party("q" * 128), reference=each) for each in long_texts(3)]
    inputs = payer_rows(long, PARAMETERS.eur_per_minor_unit(), PrivateLists(lexicon=lexicon()))
    assert len(set(inputs["text"].tolist())) == 3
    assert inputs["in_lexicon"].tolist() == [0.0] * 3
