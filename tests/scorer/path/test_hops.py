"""The path as a whole: payments in, decisions out, however the log is cut."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from itertools import pairwise

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.alert import Review
from services.contract.codec import decode, encode
from services.contract.dead_letter import read_dead_letter
from services.contract.decision import Decision
from services.contract.payment import Party, Payment
from services.scorer.path.features.registry import FEATURES, NAMES, PAYER_HOP, feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import HopResult, Outbound, Record
from services.scorer.path.rules.ruleset import parse_ruleset
from services.scorer.path.scoring.model import LogisticModel, untrained_model
from tests.scorer.path.features.label_twin import PAYEE_LABEL_TWINS, PAYER_LABEL_TWINS
from tests.scorer.path.features.typology_twin import PAYEE_TYPOLOGY, PAYER_TYPOLOGY

TYPOLOGY_NAMES = {*PAYER_TYPOLOGY, *PAYEE_TYPOLOGY}
LABEL_NAMES = {*PAYER_LABEL_TWINS, *PAYEE_LABEL_TWINS}
RULESET = parse_ruleset(
    resources.files("services.scorer.rulebook").joinpath("rulesets/general.toml").read_text("utf-8")
)
SCHEMA = feature_schema_hash(RULESET.parameters)
START_MS = 1_700_000_000_000
APPENDED_MS = START_MS + 400 * 86_400_000


UNLABELLED = (0.0, 365.0, 0.0, 1.0, 0.0, *[0.0] * 14)
"""What labels say while there is none, in the order of the registry."""


def model(seed: int = 3, review_probability: float = 0.6) -> LogisticModel:
    rng = np.random.default_rng(seed)
    count = len(FEATURES)
    weights, means, scales = rng.normal(size=count) * 0.3, rng.random(count), rng.random(count) + 0.5
    return LogisticModel(seed, SCHEMA, -2.0, weights, means, scales, review_probability)


def seeded_log(count: int, seed: int = 5) -> list[Record]:
    rng = np.random.default_rng(seed)
    log = []
    for i in range(count):
        payer, payee = rng.integers(0, 8), rng.integers(0, 12)
        payment = Payment(
            payment_id=f"p-{i}",
            event_time_ms=START_MS + i * 1_800_000 - int(rng.integers(0, 3)) * 7_200_000,
            amount_minor=int(rng.integers(1, 200)) * 50,
            currency="EUR" if i % 5 else "JPY",
            payer=Party(f"acc-{payer}", country="SE" if i % 3 else None),
            payee=Party(f"acc-{payee}", country="PH" if i % 4 else "DE", phone=f"{payee // 3}" if i % 2 else None),
            device=f"phone of {payer}" if i % 9 else "another",
            utc_offset_minutes=60 if i % 2 else None,
            status="rejected" if i % 17 == 0 else "accepted",
        )
        log.append(Record(i, APPENDED_MS + i, payment.payer.account.encode(), encode(payment)))
    return log


def both_hops(log: Sequence[Record], cuts: Sequence[int] = (), scorer: LogisticModel | None = None) -> list[HopResult]:
    """Run both hops over ``log``, cut into batches at ``cuts``; results of the payee hop, and the payer's first."""
    scorer = scorer or model()
    payer, payee = PayerHop(RULESET, "payments.v1", 0, 1), PayeeHop(RULESET, "by-payee", 0, 1, 1)
    results: list[HopResult] = []
    offset = 0
    bounds = [0, *sorted(set(cuts)), len(log)]
    for start, stop in pairwise(bounds):
        first = payer.process(log[start:stop], scorer)
        frames = [
            Record(offset + at, each.timestamp, each.key, each.value)
            for at, each in enumerate(first.outputs["payments_by_payee"])
        ]
        offset += len(frames)
        results += [first, payee.process(frames, scorer)]
    return results


def written(results: Sequence[HopResult], role: str) -> list[Outbound]:
    return [record for result in results for record in result.outputs.get(role, [])]


@settings(derandomize=True, max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 120), max_size=12))
def test_how_the_log_is_cut_into_batches_changes_no_byte(cuts: list[int]) -> None:
    log = seeded_log(120)
    assert written(both_hops(log, cuts), "decisions") == written(both_hops(log), "decisions")


def test_every_payment_gets_one_decision_that_reads_as_its_type_says() -> None:
    log = seeded_log(200)
    decisions = [decode(each.value, Decision) for each in written(both_hops(log), "decisions")]
    assert sorted(each.payment_id for each in decisions) == sorted(f"p-{i}" for i in range(200))
    assert {each.model_hash for each in decisions} == {model().hash}
    assert all(each.feature_schema_hash == SCHEMA and len(each.features) == len(FEATURES) for each in decisions)
    assert all(bytes(each.payment) == log[each.origin.offset].value for each in decisions)


def test_the_contributions_of_a_review_sum_to_its_score_to_the_bit() -> None:
    reviews = [decode(each.value, Decision) for each in written(both_hops(seeded_log(300)), "decisions")]
    reviews = [each for each in reviews if each.outcome == "review"]
    assert reviews
    for review in reviews:
        score = model().bias
        for contribution in review.contributions:
            score += contribution
        assert score == review.score


def test_reasons_are_the_largest_positive_contributions_largest_first() -> None:
    for record in written(both_hops(seeded_log(300)), "decisions"):
        decision = decode(record.value, Decision)
        if decision.outcome != "review":
            continue
        expected = sorted((each for each in decision.contributions if each > 0), reverse=True)[:5]
        assert [reason.contribution for reason in decision.reasons] == expected


def test_a_review_goes_to_its_subject_and_a_pass_to_nobody() -> None:
    results = both_hops(seeded_log(300))
    decisions = [decode(each.value, Decision) for each in written(results, "decisions")]
    reviews = [(record.key, decode(record.value, Review)) for record in written(results, "reviews")]
    addressed = [(each.decision_id, role) for each in decisions for role in each.subjects]
    assert [(review.decision_id, review.subject.role) for _, review in reviews] == addressed
    assert all(key == review.subject.account.encode() for key, review in reviews)


def test_before_a_model_is_learned_no_payment_goes_to_review_by_its_score() -> None:
    decisions = [
        decode(each.value, Decision)
        for each in written(both_hops(seeded_log(100), scorer=untrained_model(SCHEMA)), "decisions")
    ]
    assert {each.reasons for each in decisions} == {()}
    assert all(sum(r.outcome == "hit" for r in each.rules) >= 3 for each in decisions if each.outcome == "review")


def test_a_rule_whose_feature_is_missing_says_error_and_names_it() -> None:
    payment = Payment("p", START_MS, 100, "EUR", Party("a"), Party("b"))
    record = Record(0, APPENDED_MS, b"a", encode(payment))
    decision = decode(written(both_hops([record]), "decisions")[0].value, Decision)
    corridor = next(each for each in decision.rules if each.rule == "new-corridor-new-payee")
    assert (corridor.outcome, corridor.missing) == ("error", ("corridor_is_new", "is_cross_border"))


def test_a_frame_that_comes_again_is_dropped_and_counted() -> None:
    payer = PayerHop(RULESET, "payments.v1", 0, 1)
    payee = PayeeHop(RULESET, "by-payee", 0, 1, 1, repeats_possible=True)
    frames = [
        Record(at, each.timestamp, each.key, each.value)
        for at, each in enumerate(payer.process(seeded_log(20), model()).outputs["payments_by_payee"])
    ]
    assert payee.process(frames, model()).counts["decided"] == 20
    again = payee.process(frames, model())
    assert (again.counts["decided"], again.counts["duplicate"], again.outputs["decisions"]) == (0, 20, [])


GOOD = encode(Payment("p", START_MS, 100, "EUR", Party("a"), Party("b")))
BAD_RECORDS = [
    (Record(0, APPENDED_MS, b"a", None), "empty", ""),
    (Record(0, APPENDED_MS, b"a", b"{"), "not_json", ""),
    (Record(0, APPENDED_MS, b"other", GOOD), "key_mismatch", "key"),
    (Record(0, APPENDED_MS, None, GOOD), "key_mismatch", "key"),
    (Record(0, START_MS - 86_400_001, b"a", GOOD), "event_time_in_future", "event_time_ms"),
    (Record(0, APPENDED_MS, b"a", GOOD.replace(b"EUR", b"XXX")), "field_invalid", "currency"),
]


@pytest.mark.parametrize(("record", "reason", "field"), BAD_RECORDS)
def test_a_record_that_cannot_be_processed_is_put_aside_as_it_came(record: Record, reason: str, field: str) -> None:
    result = PayerHop(RULESET, "payments.v1", 0, 1).process([record], model())
    (letter,) = result.outputs["dead_letters"]
    said = read_dead_letter(letter.headers)
    assert (letter.value, said.reason, said.field) == (record.value or b"", reason, field)
    assert (said.topic, said.partition, said.offset) == ("payments.v1", 0, 0)
    assert result.outputs["payments_by_payee"] == []


@pytest.mark.parametrize("value", [None, b"", b"junk", b"TOC1" + bytes(60), b"TOC1\x07" + bytes(400)])
def test_a_foreign_frame_is_put_aside(value: bytes | None) -> None:
    result = PayeeHop(RULESET, "by-payee", 0, 1, 1).process([Record(0, 0, b"a", value)], model())
    assert len(result.outputs["dead_letters"]) == 1
    assert result.outputs["decisions"] == []


FEATURES_END = 28 + 8 * len(PAYER_HOP)


@pytest.mark.parametrize("length", [28, FEATURES_END, FEATURES_END + 15, FEATURES_END + 16])
def test_a_frame_that_is_cut_before_its_payment_is_put_aside(length: int) -> None:
    (frame, *_) = written([PayerHop(RULESET, "payments.v1", 0, 1).process(seeded_log(1), model())], "payments_by_payee")
    result = PayeeHop(RULESET, "by-payee", 0, 1, 1).process([Record(0, 0, b"acc-1", frame.value[:length])], model())
    assert len(result.outputs["dead_letters"]) == 1
    assert result.outputs["decisions"] == []


def test_unknown_fields_reach_the_decision() -> None:
    raw = GOOD[:-1] + b', "processor_note": {"batch": [1, 2]}}'
    decided = written(both_hops([Record(0, APPENDED_MS, b"a", raw)]), "decisions")[0].value
    assert orjson.loads(decided)["payment"]["processor_note"] == {"batch": [1, 2]}


def test_the_same_payments_give_the_decisions_they_always_gave() -> None:
    """Golden: changes only when features, rules or the record change, and then on purpose."""
    values = [each.value for each in written(both_hops(seeded_log(400)), "decisions")]
    features = [orjson.loads(each)["features"] for each in values]
    rounded = [[None if x is None else float(f"{x:.9g}") for x in row] for row in features]
    unlabelled = [[x for name, x in zip(NAMES, row, strict=True) if name not in LABEL_NAMES] for row in rounded]
    names = [name for name in NAMES if name not in LABEL_NAMES]
    general = [[x for name, x in zip(names, row, strict=True) if name not in TYPOLOGY_NAMES] for row in unlabelled]
    assert hashlib.sha256(orjson.dumps(general)).hexdigest()[:16] == "83bf001ddfa27aed"
    assert hashlib.sha256(orjson.dumps(unlabelled)).hexdigest()[:16] == "4f6d58dd7cedbdcc"
    labels = [[x for name, x in zip(NAMES, row, strict=True) if name in LABEL_NAMES] for row in rounded]
    assert {tuple(row) for row in labels} == {UNLABELLED}, "what is most innocent, while there is no label"
