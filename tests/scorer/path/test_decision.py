"""What is decided of a payment, and why: each case on features that are written down here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from msgspec.structs import asdict
from numpy.typing import NDArray

from services.contract.alert import Review
from services.contract.codec import decode, encode
from services.contract.columns import Texts
from services.contract.decision import HASH_SHOWN, Decision, ReviewDetail
from services.contract.identity import decision_id
from services.contract.payment import Party, Payment
from services.contract.served import ServedBy
from services.scorer.path.decision import REASONS_MAX, REASONS_SHOWN, DecisionWriter, Verdicts, decide
from services.scorer.path.features.registry import FEATURES, INDEX, NAMES
from services.scorer.path.lean import Decided
from services.scorer.path.rules.evaluate import Rules
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.path.rules.ruleset import parse_ruleset, with_packs
from services.scorer.path.scoring.model import LogisticModel, probability
from services.scorer.rulebook.pack_file import pack_text

RULESET = parse_ruleset("""
name = "small"
version = 1
[parameters]
small_from = 10.0
small_to = 200.0
near_threshold_from = 8000.0
near_threshold_to = 10000.0
[review]
rule_hits_min = 2
families_min = 2
queue = "general"
[[rule]]
id = "of-the-payer"
statement = "Many payments"
family = "temporal"
subject = "payer"
measure = { feature = "payer_payments_1h", at_least = 3.0 }
[[rule]]
id = "of-the-payee"
statement = "Many payers"
family = "network"
subject = "payee"
measure = { feature = "payee_payers_60d", at_least = 8.0 }
[[rule]]
id = "of-the-payer-too"
statement = "A round amount"
family = "amount"
subject = "payer"
measure = { feature = "amount_roundness", at_least = 1.0 }
[rates]
EUR = 1.0
""")
RULES = Rules(RULESET)
PACK = parse_pack(pack_text("lsac"))
WITH_PACK = Rules(with_packs(RULESET, (PACK,)))
SCHEMA = "5c" * 32
K = len(FEATURES)
QUIET: dict[str, float] = {"payer_payments_1h": 0.0, "payee_payers_60d": 0.0, "amount_roundness": 0.1}
BUSY_PAYER, BUSY_PAYEE = {"payer_payments_1h": 3.0}, {"payee_payers_60d": 8.0}
MINOR = {"payee_is_minor": 1.0, "is_remittance": 1.0}
"""What the pack asks for a review of at once."""
PAYMENT = Payment("p-1", 7, 4_000, "EUR", Party("payer-1"), Party("payee-1"))
ON_PAYER, ON_PAYEE = "payer_payments_1d", "payee_payments_1d"
LINEAR = [feature.name for feature in FEATURES if feature.scale == "linear"]


@dataclass(frozen=True)
class Dear(LogisticModel):
    """A model whose contributions cost too much to be computed for payments that pass."""

    explains_all: ClassVar[bool] = False


def rows(*told: dict[str, float]) -> NDArray[np.float64]:
    """A quiet payment each, but for what is told of it; everything else is missing."""
    table = np.full((len(told), K), np.nan)
    for row, each in zip(table, told, strict=True):
        for name, value in (QUIET | each).items():
            row[INDEX[name]] = value
    return table


def model(weights: dict[str, float] | None = None, review_probability: float = 1.0, bias: float = 0.0) -> LogisticModel:
    """Says ``bias`` and, of each feature (as it reads it), its weight times it."""
    each = np.zeros(K)
    for name, weight in (weights or {}).items():
        each[INDEX[name]] = weight
    return LogisticModel(3, SCHEMA, bias, each, np.zeros(K), np.ones(K), review_probability)


def dear(of: LogisticModel) -> Dear:
    return Dear(of.version, SCHEMA, of.bias, of.weights, of.means, of.scales, of.review_probability)


def decided(features: NDArray[np.float64], of: LogisticModel | None = None, rules: Rules = RULES) -> Verdicts:
    return decide(features, rules, of or model(), lambda stage: None)


WRITER = DecisionWriter(RULES, SCHEMA)
PACK_WRITER = DecisionWriter(WITH_PACK, SCHEMA)


def lean(said: Verdicts, writer: DecisionWriter = WRITER, of: LogisticModel | None = None) -> Decision:
    """The decision on ``PAYMENT`` as it is written."""
    made = Decided(
        tenant=Texts.of([PAYMENT.tenant.encode()]),
        payer=Texts.of([PAYMENT.payer.account.encode()]),
        payment_id=Texts.of([PAYMENT.payment_id.encode()]),
        event_ms=np.array([PAYMENT.event_time_ms]),
        partition=np.array([0], dtype=np.int32),
        offset=np.array([7]),
        scores=said.scores,
        probabilities=said.probabilities,
        review=said.review,
        leading=said.leading[:, :REASONS_SHOWN].copy(),
        outcomes=said.results.outcome,
        details=Texts.of([writer.detail(0, said, [], encode(PAYMENT)) if said.review[0] else b""]),
    )
    return decode(writer.lines(made, of or said.model).data.tobytes(), Decision)


def shown(said: Verdicts) -> list[str]:
    """The reasons that a decision shows."""
    return list(lean(said).reasons)


# --- the outcome -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [0.0, -4.5, 3.25])
def test_a_payment_goes_to_review_from_the_operating_threshold_on(score: float) -> None:
    threshold = probability(score)
    for limit, review in (
        (threshold, True),
        (math.nextafter(threshold, 0.0), True),
        (math.nextafter(threshold, 1.0), False),
    ):
        said = decided(rows({}), model(bias=score, review_probability=limit))
        assert (said.review.tolist(), said.general.tolist()) == ([review], [review])
        assert said.probabilities.tolist() == [threshold]


@pytest.mark.parametrize(
    "told, review",
    [
        ({}, False),
        (BUSY_PAYER, False),
        (BUSY_PAYER | {"amount_roundness": 1.0}, True),
        (BUSY_PAYER | BUSY_PAYEE, True),
        (BUSY_PAYER | {"payee_payers_60d": 7.9}, False),
    ],
)
def test_rules_ask_for_a_review_whatever_the_model_says(told: dict[str, float], review: bool) -> None:
    said = decided(rows(told), model(bias=-20.0))
    assert (said.review.tolist(), said.general.tolist()) == ([review], [review])


def test_a_pack_asks_for_a_review_that_is_its_own() -> None:
    said = decided(rows(MINOR, {}, MINOR | BUSY_PAYER | BUSY_PAYEE), model(bias=-20.0), WITH_PACK)
    assert said.review.tolist() == [True, False, True]
    assert said.general.tolist() == [False, False, True]


def test_a_pack_hears_of_the_model_what_it_says_beyond_its_bias() -> None:
    table = rows(MINOR, MINOR)
    table[1, INDEX["amount_is_small"]] = 1.0
    plain, biased = (decided(table, model({"amount_is_small": 8.0}, bias=bias), WITH_PACK) for bias in (0.0, -3.0))
    assert plain.packs.added.tolist() == biased.packs.added.tolist()
    assert plain.packs.added[0].tolist() == [0.0]
    assert plain.packs.added[1, 0] == PACK.model.weight * (8.0 - PACK.model.beyond) > 0.0


def test_the_stages_are_marked_in_their_order() -> None:
    marks: list[str] = []
    decide(rows({}), RULES, model(), marks.append)
    assert marks == ["rules", "model", "packs", "model"]


# --- reasons ---------------------------------------------------------------------------------------------------------


def test_reasons_are_the_largest_positive_contributions_and_ties_stand_in_canonical_order() -> None:
    names = LINEAR[:8]
    weights = dict(zip(names, (1.0, 3.0, -9.0, 3.0, 0.0, 0.5, 7.0, 0.25), strict=True))
    said = decided(rows(dict.fromkeys(names, 1.0)), model(weights))
    expected = [names[at] for at in (6, 1, 3, 0, 5)]
    assert [NAMES[at] for at in said.leading[0].tolist()] == expected
    assert WRITER.reasons(0, said) == [
        {"feature": name, "value": 1.0, "contribution": weights[name]} for name in expected
    ]
    assert shown(said) == expected[:3]
    assert (REASONS_MAX, REASONS_SHOWN) == (5, 3)


def test_what_lowered_a_score_or_left_it_alone_is_no_reason() -> None:
    said = decided(rows({LINEAR[0]: 1.0, LINEAR[1]: 1.0}), model({LINEAR[0]: -1.0, LINEAR[1]: 0.0}))
    assert said.leading.tolist() == [[-1] * REASONS_MAX]
    assert WRITER.reasons(0, said) == []
    assert shown(said) == []


@pytest.mark.parametrize("at", [0, K - 1])
def test_any_feature_can_be_the_only_reason(at: int) -> None:
    table = rows({NAMES[at]: 1.0})
    said = decided(table, model({NAMES[at]: 1.0}))
    assert said.leading.tolist() == [[at, -1, -1, -1, -1]]
    assert [each["feature"] for each in WRITER.reasons(0, said)] == [NAMES[at]]
    assert shown(said) == [NAMES[at]]


def test_the_first_feature_keeps_its_place_before_the_last_that_raised_the_score_less() -> None:
    said = decided(rows({NAMES[0]: 1.0, NAMES[K - 1]: 1.0}), model({NAMES[0]: 9.0, NAMES[K - 1]: 1.0}))
    assert said.contributions[0, 0] > said.contributions[0, K - 1] > 0.0
    assert said.leading.tolist() == [[0, K - 1, -1, -1, -1]]


def test_what_is_dear_to_explain_is_explained_of_reviews_only_and_decided_alike() -> None:
    table = rows({LINEAR[0]: 1.0}, {LINEAR[0]: 3.0}, BUSY_PAYER | BUSY_PAYEE | {LINEAR[0]: 1.0}, {LINEAR[0]: 0.0})
    cheap = model({LINEAR[0]: 2.0}, review_probability=probability(5.0))
    every, some = decided(table, cheap), decided(table, dear(cheap))
    assert every.review.tolist() == some.review.tolist() == [False, True, True, False]
    assert every.scores.tolist() == some.scores.tolist() == [2.0, 6.0, 2.0, 0.0]
    assert every.contributions[:, INDEX[LINEAR[0]]].tolist() == [2.0, 6.0, 2.0, 0.0]
    assert some.contributions[:, INDEX[LINEAR[0]]].tolist() == [0.0, 6.0, 2.0, 0.0]
    assert some.leading[:, 0].tolist() == [-1, INDEX[LINEAR[0]], INDEX[LINEAR[0]], -1]
    assert not decided(table[:1], dear(cheap)).contributions.any()


# --- whom it is about ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told, weights, subjects",
    [
        # The subjects of the rules that hit, whatever the model says.
        (BUSY_PAYER, {ON_PAYEE: 9.0}, ["payer"]),
        (BUSY_PAYEE, {ON_PAYER: 9.0}, ["payee"]),
        (BUSY_PAYER | BUSY_PAYEE, {}, ["payer", "payee"]),
        (BUSY_PAYER | {"amount_roundness": 1.0}, {}, ["payer"]),
        # A rule that cannot be evaluated names nobody.
        ({"payee_payers_60d": math.nan}, {ON_PAYER: 1.0}, ["payer"]),
        # Else the side that raised the score more; what lowered it does not count.
        ({}, {ON_PAYER: 1.0, ON_PAYEE: 2.0}, ["payee"]),
        ({}, {ON_PAYER: 2.0, ON_PAYEE: 1.0}, ["payer"]),
        ({}, {ON_PAYER: 1.0, ON_PAYEE: 1.0}, ["payer"]),
        ({}, {ON_PAYER: -9.0, ON_PAYEE: -1.0}, ["payer"]),
        ({}, {ON_PAYER: -1.0, ON_PAYEE: -9.0}, ["payer"]),
        ({}, {ON_PAYER: 1.0, "payee_payments_7d": 2.0, ON_PAYEE: -9.0}, ["payee"]),
    ],
)
def test_a_review_is_about_the_subjects_of_the_rules_else_about_the_side_that_raised_the_score(
    told: dict[str, float], weights: dict[str, float], subjects: list[str]
) -> None:
    table = rows({ON_PAYER: 1.0, ON_PAYEE: 1.0, "payee_payments_7d": 1.0} | told)
    assert WRITER.subjects(0, decided(table, model(weights))) == subjects


def test_a_review_is_addressed_to_its_subjects_and_to_those_of_each_finding() -> None:
    said = decided(rows(MINOR, MINOR | BUSY_PAYER | BUSY_PAYEE), model(bias=-20.0), WITH_PACK)
    found = [PACK_WRITER.findings(row, said) for row in range(2)]
    assert [[each.finding.role for each in row] for row in found] == [["payee"], ["payee"]]
    only_pack, both = (PACK_WRITER.addressed(row, said, found[row]) for row in range(2))
    assert only_pack == [("payee", found[0][0])]
    assert both == [("payer", None), ("payee", None), ("payee", found[1][0])]
    more = [decode(PACK_WRITER.detail(row, said, found[row], b"{}"), ReviewDetail) for row in range(2)]
    assert [each.subjects for each in more] == [(), ("payer", "payee")]
    assert [each.findings for each in more] == [(found[row][0].finding,) for row in range(2)]


@pytest.mark.parametrize("role, account", [("payer", "payer-1"), ("payee", "payee-1")])
def test_a_review_says_what_a_person_needs_of_its_subject(role: str, account: str) -> None:
    table = rows(MINOR | BUSY_PAYER | BUSY_PAYEE | {ON_PAYER: 1.0})
    of = model({ON_PAYER: 0.5}, bias=-1.0)
    said = decided(table, of, WITH_PACK)
    finding = PACK_WRITER.findings(0, said)[0]
    for told in (None, finding):
        read = decode(PACK_WRITER.review(0, "d-1", PAYMENT, role, told, said), Review)  # type: ignore[arg-type]
        assert (read.subject.role, read.subject.account, read.decision_id) == (role, account, "d-1")
        assert (read.payment_id, read.tenant, read.event_time_ms) == ("p-1", "default", 7)
        assert (read.amount_minor, read.currency) == (4_000, "EUR")
        assert read.score == said.scores[0] == -1.0 + 0.5 * math.log1p(1.0)
        assert read.probability == probability(read.score)
        assert [(each.rule, each.outcome) for each in read.rules] == [("of-the-payer", "hit"), ("of-the-payee", "hit")]
        assert [each.feature for each in read.reasons] == [ON_PAYER]
        assert (read.model_hash, read.ruleset_hash) == (of.hash, WITH_PACK.ruleset.hash)
        if told is None:
            assert (read.queue, read.finding) == ("general", None)
        else:
            assert (read.queue, read.finding) == (finding.finding.queue, finding.finding)


def test_the_detail_of_a_review_is_what_was_measured_and_the_payment_as_it_came() -> None:
    said = decided(rows(BUSY_PAYER | BUSY_PAYEE | {"amount_roundness": math.nan}), model({ON_PAYER: 0.5}))
    raw = b'{ "payment_id":"p-1" ,"x":1.50}'
    written = WRITER.detail(0, said, [], raw)
    assert written.endswith(b'"payment":' + raw + b"}")
    read = decode(written, ReviewDetail)
    assert [(each.rule, each.outcome, each.missing) for each in read.rules] == [
        ("of-the-payer", "hit", ()), ("of-the-payee", "hit", ()), ("of-the-payer-too", "error", ("amount_roundness",)),
    ]  # fmt: skip
    assert [(each.measured, each.threshold) for each in read.rules[:2]] == [(3.0, 3.0), (8.0, 8.0)]
    assert (read.subjects, read.findings) == (("payer", "payee"), ())
    assert [asdict(each) for each in read.reasons] == WRITER.reasons(0, said)


def test_a_decision_names_what_it_was_made_by_and_has_the_id_of_its_payment() -> None:
    of = replace(model(), version=12)
    made = lean(decided(rows({})), WRITER, of)
    assert (made.model_version, made.model) == (12, of.hash[:HASH_SHOWN])
    assert (made.ruleset, made.feature_schema) == (RULESET.hash[:HASH_SHOWN], SCHEMA[:HASH_SHOWN])
    assert made.decision_id == decision_id("default", "payer-1", "p-1", RULESET.hash)
    assert lean(decided(rows({})), DecisionWriter(RULES, "other")).decision_id == made.decision_id
    assert lean(decided(rows({}), rules=WITH_PACK), PACK_WRITER).decision_id != made.decision_id


def test_what_decisions_of_a_batch_have_in_common() -> None:
    of = replace(model(), version=12)
    hashes = (of.hash, WITH_PACK.ruleset.hash, SCHEMA)
    rules = ("of-the-payer", "of-the-payee", "of-the-payer-too")
    assert PACK_WRITER.served_by(of) == ServedBy(12, *hashes, NAMES, rules, (PACK.name,))
    assert WRITER.served_by(of).pack_names == ()


def test_a_decision_lists_rules_that_hit_and_those_that_could_not_run() -> None:
    said = [decided(rows(told)) for told in ({}, BUSY_PAYER, BUSY_PAYER | BUSY_PAYEE | {"amount_roundness": math.nan})]
    assert [(made.rules, made.unmeasured) for made in map(lean, said)] == [
        ((), ()), (("of-the-payer",), ()), (("of-the-payer", "of-the-payee"), ("of-the-payer-too",)),
    ]  # fmt: skip


def test_a_review_tells_no_rule_that_ran_and_did_not_hit() -> None:
    said = decided(rows({}, BUSY_PAYER, {"amount_roundness": math.nan}))
    told = [[each["outcome"] for each in RULES.described(said.results, row)] for row in range(3)]
    assert told == [[], ["hit"], ["error"]]
    assert [len(RULES.described(said.results, row, only_hits=True)) for row in range(3)] == [0, 1, 0]
