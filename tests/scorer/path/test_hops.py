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
from services.contract.decision import HASH_SHOWN, Decision
from services.contract.payment import Party, Payment
from services.contract.served import ERROR, HIT
from services.scorer.path.decision import REASONS_MAX, REASONS_SHOWN
from services.scorer.path.features.registry import FEATURES, NAMES, PAYER_HOP, feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import HopResult, Outbound, Record
from services.scorer.path.rules.ruleset import parse_ruleset
from services.scorer.path.scoring.model import LogisticModel, untrained_model
from tests.scorer.path.features.label_twin import PAYEE_LABEL_TWINS, PAYER_LABEL_TWINS
from tests.scorer.path.features.typology_twin import PAYEE_TYPOLOGY, PAYER_TYPOLOGY
from tests.support.served import features_of, rows_of, served_in, told_of

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


def decided(results: Sequence[HopResult]) -> list[Decision]:
    return [decode(each.value, Decision) for each in written(results, "decisions")]


@settings(derandomize=True, max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 120), max_size=12))
def test_how_the_log_is_cut_into_batches_changes_no_byte_of_a_decision(cuts: list[int]) -> None:
    """Nor any bit of what decisions were made of; in which records of ``features.v1`` that stands may differ."""
    log = seeded_log(120)
    cut, whole = both_hops(log, cuts), both_hops(log)
    assert written(cut, "decisions") == written(whole, "decisions")
    assert rows_of(written(cut, "features")) == rows_of(written(whole, "features"))


def test_every_payment_gets_one_decision_that_reads_as_its_type_says() -> None:
    decisions = decided(both_hops(seeded_log(200)))
    assert sorted(each.payment_id for each in decisions) == sorted(f"p-{i}" for i in range(200))
    assert {each.model for each in decisions} == {model().hash[:HASH_SHOWN]}
    assert {each.ruleset for each in decisions} == {RULESET.hash[:HASH_SHOWN]}
    assert {each.feature_schema for each in decisions} == {SCHEMA[:HASH_SHOWN]}


def test_a_review_holds_its_payment_as_it_came_and_a_pass_holds_none() -> None:
    log = seeded_log(200)
    decisions = decided(both_hops(log))
    assert {each.outcome for each in decisions} == {"pass", "review"}
    for each in decisions:
        assert (each.review is None) == (each.outcome == "pass")
        assert each.review is None or bytes(each.review.payment) == log[each.origin.offset].value


def test_what_a_decision_was_made_of_stands_in_features_in_the_order_of_decisions() -> None:
    results = both_hops(seeded_log(200))
    decisions, rows = decided(results), rows_of(written(results, "features"))
    assert [(each.decision_id, each.tenant, each.payment_id) for each in decisions] == [row[1:4] for row in rows]
    keys = [record.key for record in written(results, "decisions")]
    for decision, row, key in zip(decisions, rows, keys, strict=True):
        payment = decode(seeded_log(200)[decision.origin.offset].value, Payment)
        assert (row.payer, row.payee, row.payee.encode()) == (payment.payer.account, payment.payee.account, key)
        assert (row.event_time_ms, row.appended_ms) == (decision.event_time_ms, APPENDED_MS + decision.origin.offset)
        assert (row.partition, row.offset) == (decision.origin.partition, decision.origin.offset)
        assert row.outcome == (decision.outcome == "review")
        assert (row.score, row.probability) == (bits(decision.score), bits(decision.probability))
        ruled = [
            tuple(rule for rule, outcome in zip(row.by.rule_ids, row.rules, strict=True) if outcome == which)
            for which in (HIT, ERROR)
        ]
        assert ruled == [decision.rules, decision.unmeasured]
    assert {len(row.features) for row in rows} == {8 * len(FEATURES)}


def bits(number: float) -> bytes:
    return np.float64(number).tobytes()


def test_batches_of_features_name_what_decided_and_are_as_late_as_their_latest_row() -> None:
    for record in written(both_hops(seeded_log(200), [70, 71]), "features"):
        served = served_in(record.value)
        by = served.by
        assert (by.model_version, by.model_hash) == (model().version, model().hash)
        assert (by.ruleset_hash, by.feature_schema_hash) == (RULESET.hash, SCHEMA)
        assert by.feature_names == NAMES
        assert by.rule_ids == tuple(rule.id for rule in RULESET.rules)
        assert (record.key, record.partition, record.headers) == (None, 0, [])
        assert record.timestamp == max(served.appended_ms)


def test_the_score_is_what_the_model_says_of_the_features_served_to_the_bit() -> None:
    for record in written(both_hops(seeded_log(300)), "features"):
        served = served_in(record.value)
        contributions, scores = model().contributions(served.features)
        assert served.score.tobytes() == scores.tobytes()
        for row, score in zip(contributions.tolist(), scores.tolist(), strict=True):
            added = model().bias
            for contribution in row:
                added += contribution
            assert added == score


def test_reasons_of_a_review_are_the_largest_positive_contributions_largest_first() -> None:
    results = both_hops(seeded_log(300))
    reviews = 0
    rows = features_of(written(results, "features"))
    contributions = model().contributions(rows)[0]
    for decision, row, added in zip(decided(results), rows, contributions.tolist(), strict=True):
        expected = sorted((each for each in added if each > 0), reverse=True)[:REASONS_MAX]
        assert [added[NAMES.index(name)] for name in decision.reasons] == expected[:REASONS_SHOWN]
        if decision.review is not None:
            reviews += 1
            assert [reason.contribution for reason in decision.review.reasons] == expected
            assert [reason.value for reason in decision.review.reasons] == [
                row[NAMES.index(reason.feature)] for reason in decision.review.reasons
            ]
    assert reviews


def test_a_review_goes_to_its_subject_and_a_pass_to_nobody() -> None:
    results = both_hops(seeded_log(300))
    reviews = [(record.key, decode(record.value, Review)) for record in written(results, "reviews")]
    to_review = [(each.decision_id, each.review) for each in decided(results) if each.review is not None]
    addressed = [(identity, role) for identity, review in to_review for role in review.subjects]
    assert [(review.decision_id, review.subject.role) for _, review in reviews] == addressed
    assert all(key == review.subject.account.encode() for key, review in reviews)


def test_before_a_model_is_learned_no_payment_goes_to_review_by_its_score() -> None:
    decisions = decided(both_hops(seeded_log(100), scorer=untrained_model(SCHEMA)))
    assert {each.reasons for each in decisions} == {()}
    reviews = [each for each in decisions if each.review is not None]
    assert all(len(each.rules) >= 3 and not (each.review and each.review.reasons) for each in reviews)


@pytest.mark.parametrize("review_probability", [0.0, 1.0])
def test_a_rule_whose_feature_is_missing_could_not_run_and_a_review_names_what_is_missing(
    review_probability: float,
) -> None:
    record = Record(0, APPENDED_MS, b"a", GOOD)
    (decision,) = decided(both_hops([record], scorer=model(review_probability=review_probability)))
    assert "new-corridor-new-payee" in decision.unmeasured
    assert "new-corridor-new-payee" not in decision.rules
    assert (decision.review is not None) == (review_probability == 0.0)
    if decision.review is not None:
        corridor = next(each for each in decision.review.rules if each.rule == "new-corridor-new-payee")
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
    assert again.outputs["features"] == []


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
    assert (result.outputs["decisions"], result.outputs["features"]) == ([], [])


FEATURES_END = 28 + 8 * len(PAYER_HOP)


@pytest.mark.parametrize("length", [28, FEATURES_END, FEATURES_END + 15, FEATURES_END + 16])
def test_a_frame_that_is_cut_before_its_payment_is_put_aside(length: int) -> None:
    (frame, *_) = written([PayerHop(RULESET, "payments.v1", 0, 1).process(seeded_log(1), model())], "payments_by_payee")
    result = PayeeHop(RULESET, "by-payee", 0, 1, 1).process([Record(0, 0, b"acc-1", frame.value[:length])], model())
    assert len(result.outputs["dead_letters"]) == 1
    assert (result.outputs["decisions"], result.outputs["features"]) == ([], [])


def test_unknown_fields_reach_the_review() -> None:
    raw = GOOD[:-1] + b', "processor_note": {"batch": [1, 2]}}'
    results = both_hops([Record(0, APPENDED_MS, b"a", raw)], scorer=model(review_probability=0.0))
    (decision,) = written(results, "decisions")
    assert orjson.loads(decision.value)["review"]["payment"]["processor_note"] == {"batch": [1, 2]}


def test_the_same_payments_give_the_features_they_always_gave() -> None:
    """Golden: changes only when features, rules or the record change, and then on purpose."""
    features = told_of(written(both_hops(seeded_log(400)), "features"))
    rounded = [[None if x is None else float(f"{x:.9g}") for x in row] for row in features]
    unlabelled = [[x for name, x in zip(NAMES, row, strict=True) if name not in LABEL_NAMES] for row in rounded]
    names = [name for name in NAMES if name not in LABEL_NAMES]
    general = [[x for name, x in zip(names, row, strict=True) if name not in TYPOLOGY_NAMES] for row in unlabelled]
    assert hashlib.sha256(orjson.dumps(general)).hexdigest()[:16] == "11753a2a743e0540"
    assert hashlib.sha256(orjson.dumps(unlabelled)).hexdigest()[:16] == "6a9bf5105573587d"
    labels = [[x for name, x in zip(NAMES, row, strict=True) if name in LABEL_NAMES] for row in rounded]
    assert {tuple(row) for row in labels} == {UNLABELLED}, "what is most innocent, while there is no label"
