"""A pack that could not do what it says is refused; a hash covers content and override."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.scorer.path.rules.condition import Condition
from services.scorer.path.rules.pack_format import PackError
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import pack_text

LSAC = pack_text("lsac")
A1, LAST = (
    next(part for part in LSAC.split("[[") if part.startswith(f'indicator]]\nid = "{each}"')) for each in ("A1", "B1-")
)
"""The first indicator, which is evidence, and the last, which speaks for an innocent reading."""
PRIOR = next(line for line in LSAC.splitlines() if line.startswith("prior = "))


def weighing(part: str, weight: str, *more: str) -> str:
    """An indicator's part of the file, with another weight."""
    plain = re.sub(r"^(interval|innocent) = .*\n", "", part, flags=re.MULTILINE)
    return re.sub(r"^weight = .*$", "\n".join([f"weight = {weight}", *more]), plain, flags=re.MULTILINE)


BROKEN = [
    ("unknown key", "version = 1\n", 'version = 1\ncolour = "red"\n', "colour"),
    ("no such feature", '"remit_small_share_180d"', '"remit_smal_share"', "indicator A1: there is no feature"),
    ("infinite", PRIOR, "prior = -inf", "prior"),
    ("both bounds", "below = -0.5 }", "below = -0.5, at_least = 1.0 }", "indicator A1b"),
    ("no number", A1, weighing(A1, "nan"), "indicator A1: weight"),
    ("too heavy", A1, weighing(A1, "10.5"), "indicator A1: weight: at most 10"),
    ("innocent evidence", A1, weighing(A1, "1.0", "innocent = true"), "indicator A1: innocent"),
    ("an interval that ends before it begins", A1, weighing(A1, "1.0", "interval = [2.0, 1.0]"), "A1: interval"),
    ("an interval without end", A1, weighing(A1, "1.0", "interval = [1.0, inf]"), "A1: interval"),
    ("an interval of one", A1, weighing(A1, "1.0", "interval = [1.0]"), "indicator A1"),
    ("evidence of no weight behind counter-evidence", LAST, weighing(LAST, "0.0"), "counter-evidence"),
    ("a twin id", 'id = "A1b"', 'id = "A1"', "two have the same id"),
    ("too little", "indicators_min = 3", "indicators_min = 2", "indicators_min"),
    ("counter-evidence first", A1, weighing(A1, "-0.4"), "counter-evidence"),
    ("counter-evidence of no weight first", A1, weighing(A1, "0.0", "innocent = true"), "counter-evidence"),
    ("never met", "indicators_min = 3", "indicators_min = 99", "never be met"),
    ("not TOML", "version = 1", "version =", "not TOML"),
    ("a score out of reach", "score_min = 0.0", "score_min = 500.0", "its score reaches"),
    ("a verdict", "Pattern consistent with published indicators of", "Proof of", "headline: must say"),
    ("an accusation", "Most remittances are small", "Offenders pay little", "indicator A1: statement: the word"),
    ("a protected trait", "A payment monitor sees", "Migrants are seen, and", "limits: the word 'migrants'"),
    ("an unknown place", "{measured} of the", "{value} of the", "indicator A1: reason: braces"),
    ("a place that is not closed", "{measured} of the", "{measured of the", "indicator A1: reason: braces"),
    ("an attribute", "{measured} of the", "{measured.real} of the", "indicator A1: reason: braces"),
    ("no numbers", "{measured} of the remittances are small (from {threshold})", "small", "must say {measured} and"),
    ("a subject twice", 'subjects = ["payer"]', 'subjects = ["payer", "payer"]', "subjects: one occurs twice"),
    ("used and left out", 'id = "A5"', 'id = "A4"', "omitted A4"),
    ("no web page", 'url = "https:', 'url = "file:', "source.url: must begin"),
    ("a page that was read and is not named", 'tag = "D" }', 'tag = "V2" }', "source.url: what was read"),
    (
        "no number between", 'conditions = [{ feature = "remit_payments_180d", at_least = 1.5 }]',
        'conditions = [{ feature = "remit_small_share_180d", below = 0.8 }]', "leave no number between them",
    ),
    ("a silence of nothing", LSAC.partition("# A burst of")[2].partition("# Extortion moves")[0], "\n",
     "silent_of_payee_when: narrows"),
    ("silent of what is not measured", '"remit_new_payees_180d", below = 4.0', '"remit_newness", below = 4.0',
     "silent_of_payee_when: there is no feature"),
    ("beyond floats", "at_least = 0.8", "at_least = 1" + "0" * 400, "indicator A1: Number out of range"),
    ("no table", 'id = "A1"', 'id = 1', "indicator 1: Expected `str`"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_pack_that_could_not_do_what_it_says_is_refused(old: str, new: str, says: str) -> None:
    assert old in LSAC
    with pytest.raises(PackError, match=re.escape(says)):
        parse_pack(LSAC.replace(old, new, 1))


def test_the_hash_covers_content_and_override() -> None:
    plain = parse_pack(LSAC)
    changed = parse_pack(LSAC, {"indicator": {"A1": {"weight": 0.9}}, "combination": {"score_min": 1.0}})
    reworded = parse_pack(LSAC.replace("Most remittances are small", "Most are small"))
    assert len({plain.hash, changed.hash, reworded.hash}) == 3
    assert (changed.indicators[0].weight, changed.combination.score_min) == (0.9, 1.0)
    with pytest.raises(PackError, match=r"indicator\.A99"):
        parse_pack(LSAC, {"indicator": {"A99": {"weight": 1.0}}})
    with pytest.raises(PackError, match="queue"):
        parse_pack(LSAC, {"queue": "other"})


def test_what_weighs_nothing_keeps_its_meaning_and_interval() -> None:
    said = parse_pack(LSAC.replace(A1, weighing(A1, "0.0", "interval = [-0.2, 0.3]"))).indicators[0]
    assert (said.raises, said.counters, said.interval) == (True, False, (-0.2, 0.3))
    said = parse_pack(LSAC.replace(LAST, weighing(LAST, "0.0", "innocent = true"))).indicators[-1]
    assert (said.raises, said.counters, said.interval) == (False, True, None)
    silenced = parse_pack(LSAC, {"indicator": {"A1": {"weight": 0.0}}})
    assert (silenced.indicators[0].weight, silenced.indicators[0].raises) == (0.0, True)


def test_a_number_of_any_length_that_a_float_can_be_is_hashed() -> None:
    long = LSAC.replace("at_least = 0.8", "at_least = 1" + "0" * 30, 1)
    assert parse_pack(long).hash != parse_pack(LSAC).hash
    assert parse_pack(long).hash == parse_pack(long.replace("1" + "0" * 30, "1e30")).hash


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (3, "override: not a table"),
        ({"indicator": 3}, "override: indicator: not a table"),
        ({"indicator": {"A1": 3}}, "override: indicator.A1"),
        ({"combination": 3}, "override: combination: not a table"),
        ({"combination": {"indicators_min": 1}}, "indicators_min"),
        ({"indicator": {"A1": {"statement": "x"}}}, "override: indicator.A1"),
        ({"indicator": {"A1": {"weight": -1.0}}}, "counter-evidence"),
        ({"indicator": {"T3-": {"weight": 1.0}}}, "counter-evidence"),
        ({"indicator": {"A1": {"measure": {"feature": "remit_signs", "at_least": 1.0}}}}, "keep their features"),
        ({"indicator": {"A1": {"measure": {"feature": "remit_small_share_180d", "below": 0.9}}}}, "at_least or below"),
        ({"indicator": {"B1": {"conditions": []}}}, "keep their features"),
        ({"prior": -99.0}, "its score reaches"),
    ],
)
def test_an_override_sets_numbers_and_nothing_else(override: dict[str, Any], says: str) -> None:
    with pytest.raises(PackError, match=re.escape(says)):
        parse_pack(LSAC, override)


def test_an_override_sets_the_number_of_a_condition() -> None:
    changed = {"indicator": {"B1": {"conditions": [{"feature": "payee_remit_180d", "below": 30.0}]}}}
    (bound,) = next(each for each in parse_pack(LSAC, changed).indicators if each.id == "B1").conditions
    assert bound == Condition("payee_remit_180d", below=30.0)
