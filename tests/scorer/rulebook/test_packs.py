"""Typology packs: what they hold, that each indicator can hit and miss, and that the kernel is its naive twin."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.payment import Role
from services.scorer.path.features.registry import FEATURES, INDEX, NAMES
from services.scorer.path.rules.condition import Condition
from services.scorer.path.rules.pack import HIT, MISSING, NO_HIT, PackResults, Packs
from services.scorer.path.rules.pack_format import ROLES, STRONG_FAMILIES, Indicator, Pack
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import SHIPPED, pack_text

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


def holds(bound: Condition, x: list[float]) -> bool:
    value = x[INDEX[bound.feature]]
    return value >= bound.at_least if bound.at_least is not None else value < bound.threshold


def outcome_of(bounds: tuple[Condition, ...], x: list[float]) -> int:
    if any(math.isnan(x[INDEX[bound.feature]]) for bound in bounds):
        return MISSING
    return HIT if all(holds(bound, x) for bound in bounds) else NO_HIT


def is_silent(pack: Pack, role: Role, x: list[float]) -> bool:
    """Whether ``pack`` asks nothing of the role but what is immediate. What is missing ends no silence."""

    def keeps(bounds: tuple[Condition, ...]) -> bool:
        outcomes = {outcome_of((bound,), x) for bound in bounds}
        return HIT in outcomes and NO_HIT not in outcomes

    narrower = pack.silent_of_payee_when if role == "payee" else ()
    return keeps(pack.silent_when) and (not narrower or keeps(narrower))


def twin(pack: Pack, role: Role, x: list[float], evidence: float) -> tuple[float, bool]:
    """Score with the model, and whether the pack asks for a review."""
    hits = [each for each in pack.indicators if role in each.subjects and outcome_of(each.bounds, x) == HIT]
    score = pack.prior
    for each in hits:
        score += each.weight
    told = min(max(abs(evidence) - pack.model.beyond, 0.0), pack.model.limit)
    score += pack.model.weight * math.copysign(told, evidence)
    raising = [each for each in hits if not (each.weight < 0 or each.innocent)]
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


def test_what_weighs_nothing_is_said_and_the_score_does_not_count_it() -> None:
    """Evidence and counter-evidence of one payment weigh nothing: the finding has them, the score does not."""
    mule = PACKS[SHIPPED.index("mule")]
    evidence = next(each for each in mule.indicators if each.raises and not each.immediate)
    against = next(each for each in mule.indicators if each.counters)
    changed = TEXTS["mule"].replace(f"weight = {against.weight!r}", "weight = 0.0\ninnocent = true", 1)
    packs = Packs((parse_pack(TEXTS["mule"]), parse_pack(changed, {"indicator": {evidence.id: {"weight": 0.0}}})))
    x = np.full((1, len(NAMES)), np.nan)
    for bound in mule.applies:
        x[0, INDEX[bound.feature]] = bound.threshold
    for each in (evidence, against):
        x = np.where(np.isnan(x), at_bounds(each), x)
    results = evaluated(x, packs=packs)
    role = next(role for role in ROLES if role in evidence.subjects and role in against.subjects)
    for finding, weights in zip(
        (packs.finding(results, 0, at, role) for at in (0, 1)), ((evidence.weight, against.weight), (0.0, 0.0)),
        strict=True,
    ):  # fmt: skip
        assert [(each.indicator, each.weight) for each in finding.evidence] == [(evidence.id, weights[0])]
        assert [(each.indicator, each.weight) for each in finding.counter_evidence] == [(against.id, weights[1])]
        assert finding.score == finding.prior + sum(weights)


def test_evidence_that_weighs_nothing_is_one_of_the_signs_that_come_together() -> None:
    """A pack asks where three signs meet and two of them weigh enough; without the third it does not ask."""
    mule = PACKS[SHIPPED.index("mule")]
    weights = {each.id: {"weight": 0.0} for each in mule.indicators if each.raises}
    first = next(each for each in mule.indicators if each.raises)
    changes = {"indicator": weights | {first.id: {"weight": 9.0}}}
    packs = Packs((parse_pack(TEXTS["mule"], changes),))
    draw = np.random.default_rng(3)
    features = np.array([[draw.choice([np.nan, 0.0, 1.0, *THRESHOLDS[name]]) for name in NAMES] for _ in range(4_000)])
    features[:, [INDEX[bound.feature] for bound in mule.applies]] = [bound.threshold for bound in mule.applies]
    for bound in first.bounds:
        features[:, INDEX[bound.feature]] = at_bounds(first)[0, INDEX[bound.feature]]
    results = evaluated(features, packs=packs)
    asked = {False: 0, True: 0}
    for row, x in enumerate(features.tolist()):
        for side, role in enumerate(ROLES):
            _, wanted = twin(packs.packs[0], role, x, 0.0)
            assert bool(results.review[row, 0, side]) == wanted
            asked[wanted] += 1
    assert min(asked.values()) > 20
