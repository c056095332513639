"""Typology packs: what they hold, that each indicator can hit and miss, and that the kernel is its naive twin."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.types import Role
from services.runtime.settings import Settings, SettingsError
from services.scorer.path.features.private import KeyedList, PrivateLists, keyed_hash, term_of
from services.scorer.path.features.registry import FEATURES, INDEX, NAMES
from services.scorer.path.rules.condition import Condition
from services.scorer.path.rules.pack import HIT, MISSING, NO_HIT, PackResults, Packs
from services.scorer.path.rules.pack_format import ROLES, STRONG_FAMILIES, Indicator, Pack, PackError
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.path.rules.ruleset import with_packs
from services.scorer.rulebook.pack_file import SHIPPED, load_packs, load_private, pack_text, signature_of
from services.scorer.rulebook.ruleset_file import load_ruleset

TEXTS = {name: pack_text(name) for name in SHIPPED}
PACKS = tuple(parse_pack(TEXTS[name]) for name in SHIPPED)
ALL = Packs(PACKS)
CASES = [(pack, each) for pack in PACKS for each in pack.indicators]
PUBLISHED = {
    *(f"A{n}" for n in range(1, 6)), *(f"T{n}" for n in range(1, 7)), *(f"R{n}" for n in range(1, 6)),
    *(f"B{n}" for n in range(1, 7)), *(f"C{n}" for n in range(1, 8)), *(f"X{n}" for n in range(1, 6)),
    *(f"K{n}" for n in range(1, 5)), *(f"N{n}" for n in range(1, 7)), "F1",
}  # fmt: skip


def evaluated(features: np.ndarray, evidence: float = 0.0, packs: Packs = ALL) -> PackResults:
    return packs.evaluate(features, np.full(len(features), evidence))


def at_bounds(indicator: Indicator) -> np.ndarray:
    """A feature vector on which the indicator just hits, everything else missing."""
    x = np.full((1, len(NAMES)), np.nan)
    for name in {bound.feature for bound in indicator.bounds}:
        of_it = [bound for bound in indicator.bounds if bound.feature == name]
        low = max((bound.threshold for bound in of_it if bound.at_least is not None), default=-math.inf)
        high = min((bound.threshold for bound in of_it if bound.below is not None), default=math.inf)
        x[0, INDEX[name]] = low if low > -math.inf else math.nextafter(high, -math.inf)
        assert low < high
    return x


@pytest.mark.parametrize(("pack", "indicator"), CASES, ids=[f"{pack.name}-{indicator.id}" for pack, indicator in CASES])
def test_an_indicator_hits_at_its_threshold_and_not_beyond_it(pack: Pack, indicator: Indicator) -> None:
    column = ALL.indicators.index((PACKS.index(pack), indicator))
    x = at_bounds(indicator)
    assert evaluated(x).outcome[0, column] == HIT
    for bound in indicator.bounds:
        beyond, absent = x.copy(), x.copy()
        at = INDEX[bound.feature]
        beyond[0, at] = math.nextafter(bound.threshold, -math.inf) if bound.at_least is not None else bound.threshold
        absent[0, at] = math.nan
        assert evaluated(beyond).outcome[0, column] == NO_HIT
        assert evaluated(absent).outcome[0, column] == MISSING


# --- the naive twin -------------------------------------------------------------------------------------------------


def holds(bound: Condition, x: list[float]) -> bool:
    value = x[INDEX[bound.feature]]
    return value >= bound.at_least if bound.at_least is not None else value < bound.threshold


def outcome_of(bounds: tuple[Condition, ...], x: list[float]) -> int:
    if any(math.isnan(x[INDEX[bound.feature]]) for bound in bounds):
        return MISSING
    return HIT if all(holds(bound, x) for bound in bounds) else NO_HIT


def is_silent(pack: Pack, role: Role, x: list[float]) -> bool:
    """Whether ``pack`` asks nothing of the role but what is immediate."""
    needed = (*pack.silent_when, *(pack.silent_of_payee_when if role == "payee" else ()))
    return bool(pack.silent_when) and all(outcome_of((bound,), x) == HIT for bound in needed)


def twin(pack: Pack, role: Role, x: list[float], evidence: float) -> tuple[float, bool]:
    """Score with the model, and whether the pack asks for a review."""
    hits = [each for each in pack.indicators if role in each.subjects and outcome_of(each.bounds, x) == HIT]
    score = pack.prior
    for each in hits:
        score += each.weight
    told = min(max(abs(evidence) - pack.model.beyond, 0.0), pack.model.limit)
    score += pack.model.weight * math.copysign(told, evidence)
    raising = [each for each in hits if each.weight > 0]
    families = {each.family for each in raising}
    limits = pack.combination
    met = (
        len(raising) >= limits.indicators_min
        and len(families) >= limits.families_min
        and bool(families & STRONG_FAMILIES)
        and score >= limits.score_min
    )
    immediate = any(each.immediate for each in raising)
    met = met and not is_silent(pack, role, x)
    return score, outcome_of(pack.applies, x) == HIT and (met or immediate)


THRESHOLDS = {
    name: sorted({bound.threshold for _, each in CASES for bound in each.bounds if bound.feature == name})
    for name in NAMES
}
EACH = [
    st.sampled_from([math.nan, 0.0, 1.0, *THRESHOLDS[name], *(t + 0.5 for t in THRESHOLDS[name])]) for name in NAMES
]


@settings(derandomize=True, deadline=None, max_examples=150)
@given(x=st.tuples(*EACH), evidence=st.sampled_from([0.0, 2.5, -3.0, 7.5, -9.0, 50.0]))
def test_the_kernel_equals_the_naive_twin_to_the_bit(x: tuple[float, ...], evidence: float) -> None:
    results = evaluated(np.array([x]), evidence)
    for at, pack in enumerate(PACKS):
        for side, role in enumerate(ROLES):
            score, review = twin(pack, role, list(x), evidence)
            assert results.risk[0, at, side] == score
            assert bool(results.review[0, at, side]) == review


@settings(derandomize=True, deadline=None, max_examples=80)
@given(x=st.tuples(*EACH), evidence=st.sampled_from([0.0, 2.5, 9.0]))
def test_a_findings_parts_sum_to_its_score_and_without_what_would_end_it_there_is_none(
    x: tuple[float, ...], evidence: float
) -> None:
    results = evaluated(np.array([x]), evidence)
    for at, side in np.argwhere(results.review[0]).tolist():
        finding = ALL.finding(results, 0, at, ROLES[side])
        total = finding.prior
        for each in (*finding.evidence, *finding.counter_evidence):
            total += each.weight
        assert total + finding.model == finding.score
        assert finding.would_end
        left = [each for each in finding.evidence if each.indicator not in finding.would_end]
        limits = PACKS[at].combination
        known = {each.id: each for each in PACKS[at].indicators}
        assert not any(known[each.indicator].immediate for each in left)
        silent = is_silent(PACKS[at], ROLES[side], list(x))
        assert (
            silent
            or len(left) < limits.indicators_min
            or len({each.family for each in left}) < limits.families_min
            or finding.score - sum(known[name].weight for name in finding.would_end) < limits.score_min + 1e-9
        )


# --- what packs hold -------------------------------------------------------------------------------------------------


def test_every_published_indicator_is_used_or_left_out_with_a_reason() -> None:
    used = {
        re.sub(r"[a-z-]+$", "", each.id)
        for pack in PACKS
        if pack.name in ("lsac", "fsec-victim")
        for each in pack.indicators
    }
    omitted = {each.id for pack in PACKS for each in pack.omitted}
    assert used | omitted >= PUBLISHED
    assert not {"K1", "K2", "K4", "C1"} & used


def test_no_pack_speaks_on_corridor_channel_or_text_alone() -> None:
    for at, pack in enumerate(PACKS):
        weak = [each for each in pack.indicators if each.family not in STRONG_FAMILIES]
        x = np.zeros((1, len(NAMES)))
        for each in weak:
            x = np.fmax(x, np.nan_to_num(at_bounds(each)))
        results = evaluated(x, 100.0)
        strong = [
            each for each in pack.indicators
            if each.family in STRONG_FAMILIES and each.raises and outcome_of(each.bounds, x[0].tolist()) == HIT
        ]  # fmt: skip
        assert strong or not results.review[0, at].any()


def test_no_feature_of_a_pack_is_a_persons_trait_and_no_wording_accuses() -> None:
    for name, text in TEXTS.items():
        ours = re.sub(r'url = "[^"]*"', "", text)
        assert not re.search(r"offender|pedo|paedo|guilty|criminal", ours, re.IGNORECASE), name
    for feature in FEATURES:
        assert not re.search(r"nationality|religion|gender|birth|_sex|name_", feature.name)


def test_victims_of_extortion_have_a_queue_and_a_label_of_their_own() -> None:
    lsac, fsec = PACKS[SHIPPED.index("lsac")], PACKS[SHIPPED.index("fsec-victim")]
    assert {lsac.queue, lsac.label}.isdisjoint({fsec.queue, fsec.label})
    assert all("payee" not in each.subjects for each in fsec.indicators), "it speaks of nobody but the victim"


def test_a_confirmed_payee_and_a_minors_account_go_straight_to_people() -> None:
    x = np.zeros((2, len(NAMES)))
    x[:, INDEX["is_remittance"]] = 1.0
    x[0, INDEX["payee_is_confirmed"]] = x[1, INDEX["payee_is_minor"]] = 1.0
    results = evaluated(x)
    lsac = SHIPPED.index("lsac")
    assert results.review[:, lsac].tolist() == [[True, True], [False, True]]
    assert ALL.finding(results, 0, lsac, "payee").queue == "lsac"
    assert ALL.finding(results, 1, lsac, "payee").queue == "victim-safety"


# --- what is refused ------------------------------------------------------------------------------------------------

BROKEN = [
    ("unknown key", "version = 1\n", 'version = 1\ncolour = "red"\n', "colour"),
    ("no such feature", '"remit_small_share_180d"', '"remit_smal_share"', "indicator A1: there is no feature"),
    ("infinite", "prior = -7.0", "prior = -inf", "prior"),
    ("both bounds", "below = -0.5 }", "below = -0.5, at_least = 1.0 }", "indicator A1b"),
    ("no weight", "weight = 0.4", "weight = 0.0", "indicator R2: weight"),
    ("a twin id", 'id = "A1b"', 'id = "A1"', "two have the same id"),
    ("too little", "indicators_min = 3", "indicators_min = 2", "indicators_min"),
    ("counter-evidence first", "weight = 0.4", "weight = -0.4", "counter-evidence"),
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
    ("a silence of nothing", TEXTS["lsac"].partition("# A burst of")[2].partition("# Extortion moves")[0], "\n",
     "silent_of_payee_when: narrows"),
    ("silent of what is not measured", '"remit_new_payees_180d", below = 4.0', '"remit_newness", below = 4.0',
     "silent_of_payee_when: there is no feature"),
    ("beyond floats", "at_least = 0.8", "at_least = 1" + "0" * 400, "indicator A1: Number out of range"),
    ("no table", 'id = "A1"', 'id = 1', "indicator 1: Expected `str`"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_pack_that_could_not_do_what_it_says_is_refused(old: str, new: str, says: str) -> None:
    assert old in TEXTS["lsac"]
    with pytest.raises(PackError, match=re.escape(says)):
        parse_pack(TEXTS["lsac"].replace(old, new, 1))


def test_the_hash_covers_content_and_override() -> None:
    plain = parse_pack(TEXTS["lsac"])
    changed = parse_pack(TEXTS["lsac"], {"indicator": {"A1": {"weight": 0.9}}, "combination": {"score_min": 1.0}})
    reworded = parse_pack(TEXTS["lsac"].replace("Most remittances are small", "Most are small"))
    assert len({plain.hash, changed.hash, reworded.hash}) == 3
    assert (changed.indicators[0].weight, changed.combination.score_min) == (0.9, 1.0)
    with pytest.raises(PackError, match=r"indicator\.A99"):
        parse_pack(TEXTS["lsac"], {"indicator": {"A99": {"weight": 1.0}}})
    with pytest.raises(PackError, match="queue"):
        parse_pack(TEXTS["lsac"], {"queue": "other"})


def test_a_number_of_any_length_that_a_float_can_be_is_hashed() -> None:
    long = TEXTS["lsac"].replace("at_least = 0.8", "at_least = 1" + "0" * 30, 1)
    assert parse_pack(long).hash != parse_pack(TEXTS["lsac"]).hash
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
        parse_pack(TEXTS["lsac"], override)


def test_an_override_sets_the_number_of_a_condition() -> None:
    changed = {"indicator": {"B1": {"conditions": [{"feature": "payee_remit_180d", "below": 30.0}]}}}
    (bound,) = next(each for each in parse_pack(TEXTS["lsac"], changed).indicators if each.id == "B1").conditions
    assert bound == Condition("payee_remit_180d", below=30.0)


def test_what_people_read_is_not_in_powers_of_ten() -> None:
    fsec = SHIPPED.index("fsec-victim")
    x = np.full((1, len(NAMES)), 0.0)
    x[0, INDEX["payer_value_7d"]], x[0, INDEX["pair_payments"]] = 1234.4, 1.0
    (told,) = [each for each in ALL.finding(evaluated(x), 0, fsec, "payer").evidence if each.indicator == "F1b"]
    assert told.reason == "1234 EUR in about a week (below 1500)"


@settings(derandomize=True, deadline=None, max_examples=80)
@given(x=st.tuples(*EACH), evidence=st.sampled_from([0.0, 2.5, 9.0]))
def test_no_smaller_set_of_indicators_would_end_a_review(x: tuple[float, ...], evidence: float) -> None:
    results = evaluated(np.array([x]), evidence)
    for at, side in np.argwhere(results.review[0]).tolist():
        pack, finding = PACKS[at], ALL.finding(results, 0, at, ROLES[side])
        hit = {each.indicator for each in (*finding.evidence, *finding.counter_evidence)}
        silent = is_silent(pack, ROLES[side], list(x))

        def asks(
            without: Iterable[str],
            pack: Pack = pack,
            hit: set[str] = hit,
            model: float = finding.model,
            silent: bool = silent,
        ) -> bool:
            left = [each for each in pack.indicators if each.id in hit - set(without)]
            raising = [each for each in left if each.raises]
            families = {each.family for each in raising}
            score = pack.prior
            for each in left:
                score += each.weight
            limits = pack.combination
            return any(each.immediate for each in raising) or (
                len(raising) >= limits.indicators_min
                and len(families) >= limits.families_min
                and bool(families & STRONG_FAMILIES)
                and score + model >= limits.score_min
                and not silent
            )

        assert asks(())
        assert not asks(finding.would_end)
        names = [each.indicator for each in finding.evidence]
        smaller = itertools.combinations(names, len(finding.would_end) - 1)
        assert all(asks(without) for without in itertools.islice(smaller, 3_000))


def chosen_settings(**chosen: object) -> Settings:
    return Settings.model_validate(chosen)


# --- the deployer's own files ----------------------------------------------------------------------------------------


def test_an_override_is_applied_only_with_the_deployers_signature(tmp_path: Path) -> None:
    file = tmp_path / "override.toml"
    file.write_text("[mule]\nprior = -5.0\n")
    chosen = chosen_settings(pack_override=file, pack_key="secret")
    with pytest.raises(SettingsError, match="TOCSIN_PACK_OVERRIDE"):
        load_packs(chosen)
    signature = tmp_path / "override.toml.sig"
    signature.write_text(signature_of(b"another", file.read_bytes()))
    with pytest.raises(SettingsError, match="not the signature"):
        load_packs(chosen)
    signature.write_text(signature_of(b"secret", file.read_bytes()))
    assert next(pack for pack in load_packs(chosen) if pack.name == "mule").prior == -5.0
    with pytest.raises(SettingsError, match="TOCSIN_PACK_KEY"):
        load_packs(chosen_settings(pack_override=file))
    file.write_text("[nothing]\nprior = -5.0\n")
    signature.write_text(signature_of(b"secret", file.read_bytes()))
    with pytest.raises(SettingsError, match="nothing: no such pack"):
        load_packs(chosen)


LISTS = {"confirmed_payees": "confirmed", "lexicon": "lexicon"}


@pytest.mark.parametrize("setting", LISTS)
def test_private_lists_are_hashes_under_the_deployers_key(setting: str, tmp_path: Path) -> None:
    def load(key: str = "") -> KeyedList:
        found: KeyedList = getattr(load_private(chosen_settings(**{setting: file}, pack_key=key)), LISTS[setting])
        return found

    file = tmp_path / "list"
    file.write_text(keyed_hash(b"secret", "acc-1").hex() + "\n\n")
    assert "acc-1" in load("secret")
    assert "acc-2" not in load("secret")
    assert "acc-1" not in load("another")
    file.write_text("acc-1\n")
    with pytest.raises(SettingsError, match=f"TOCSIN_{setting.upper()}"):
        load("secret")
    file.write_text("ab\n")
    with pytest.raises(SettingsError, match="line 1 is no hash"):
        load("secret")
    with pytest.raises(SettingsError, match="TOCSIN_PACK_KEY"):
        load()


def test_without_a_lexicon_nothing_is_known_of_a_reference() -> None:
    lists = PrivateLists(lexicon=KeyedList(b"key", [keyed_hash(b"key", term_of("LEX_PRIVATE_07"))]))
    assert lists.hold_terms(["see lex_private_07", "LEX_PRIVATE_08", None]).tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(PrivateLists().hold_terms(["LEX_PRIVATE_07"])).all()
    for text in ("", "--", "one two three four"):
        with pytest.raises(ValueError, match="1 to 3 words"):
            term_of(text)


def test_a_decision_names_the_private_lists_it_was_made_with() -> None:
    ruleset, some = load_ruleset(chosen_settings()), KeyedList(b"key", [keyed_hash(b"key", "term")])
    lists = (PrivateLists(), PrivateLists(lexicon=some), PrivateLists(confirmed=some))
    assert len({with_packs(ruleset, (), each).hash for each in lists}) == 3
