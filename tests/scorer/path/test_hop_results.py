"""What a hop says of a batch besides its outputs: counts, reasons, rules, and when each stage is over."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import msgspec
import pytest

from services.contract.alert import Review
from services.contract.codec import decode, encode
from services.contract.columns import BATCH_BYTES
from services.contract.decision import Decision
from services.contract.events import cloud_event
from services.contract.identity import Digests, decision_id
from services.contract.label import PaymentLabel
from services.contract.payment import Party, Payment
from services.scorer.path.features.private import PrivateLists
from services.scorer.path.features.references import Texts
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop, schema_of
from services.scorer.path.records import HopResult, Record
from services.scorer.path.replay import label_record
from services.scorer.path.rules.ruleset import Ruleset
from tests.scorer.path.test_hops import APPENDED_MS, RULESET, START_MS, model, seeded_log
from tests.support.served import rows_of

FIRST = Payment("p-0", START_MS, 5_000, "EUR", Party("a", country="DE"), Party("b", country="PH"))
SECOND = msgspec.structs.replace(FIRST, payment_id="p-1", event_time_ms=START_MS + 1)
REFUSED = msgspec.structs.replace(SECOND, status="rejected")
LABEL = PaymentLabel("p-0", "a", "b", START_MS, True, 50.0, 1.0)


def record(offset: int, payment: Payment, key: bytes = b"a") -> Record:
    return Record(offset, APPENDED_MS, key, encode(payment))


LOG = [
    record(0, FIRST), label_record(LABEL, 1, APPENDED_MS), record(2, FIRST), record(3, SECOND), record(4, REFUSED),
    record(5, FIRST), label_record(LABEL, 6, APPENDED_MS), label_record(LABEL, 7, APPENDED_MS),
    record(8, FIRST, key=b"somebody else"), Record(9, APPENDED_MS, b"a", b"{"), Record(10, APPENDED_MS, b"a", b"["),
]  # fmt: skip


def payer_hop() -> PayerHop:
    return PayerHop(RULESET, "payments.v1", 0, 1)


def handed_over_by(result: HopResult) -> list[Record]:
    return [
        Record(at, each.timestamp, each.key, each.value) for at, each in enumerate(result.outputs["payments_by_payee"])
    ]


def test_the_payer_hop_counts_what_became_of_each_record() -> None:
    result = payer_hop().process(LOG, model())
    assert result.counts == Counter(
        forwarded=2, duplicate=2, status_update=1, label=1, label_duplicate=2, dead_letter=3
    )
    assert sum(result.counts.values()) == len(LOG)
    assert result.reasons == Counter(not_json=2, key_mismatch=1)
    assert len(result.outputs["dead_letters"]) == 3


def test_the_payee_hop_counts_what_became_of_each_payment_and_record() -> None:
    handed = handed_over_by(payer_hop().process(LOG, model()))
    bad = [handed[0]._replace(value=None), Record(0, 0, b"b", b"junk")]
    result = PayeeHop(RULESET, "by-payee", 0, 1, 1).process([*bad, *handed], model(review_probability=0.0))
    assert result.counts == Counter(decided=2, label=1, dead_letter=2, review=2, duplicate=0, gap=0)
    assert result.reasons == Counter(handover_invalid=2)
    assert len(result.outputs["dead_letters"]) == 2
    some = PayeeHop(RULESET, "by-payee", 0, 1, 1).process(handed, model(review_probability=1.0))
    assert (some.counts["decided"], some.counts["review"]) == (2, 0)


def test_a_decision_is_lean_and_stands_under_the_account_of_its_payee_at_the_time_of_its_append() -> None:
    handed = handed_over_by(payer_hop().process(LOG, model()))
    decisions = PayeeHop(RULESET, "by-payee", 7, 1, 1).process(handed, model()).outputs["decisions"]
    assert [each[:3] for each in decisions] == [(7, APPENDED_MS, b"b")] * 2
    assert [each.headers for each in decisions] == [[], []]
    for each in decisions:
        read = decode(each.value, Decision)
        assert read.decision_id == decision_id("default", "a", read.payment_id, RULESET.hash)
        assert read.review or len(each.value) < 512


def test_a_review_is_an_event_named_after_its_decision_and_subject() -> None:
    handed = handed_over_by(payer_hop().process(LOG, model()))
    outputs = PayeeHop(RULESET, "by-payee", 0, 1, 1).process(handed, model(review_probability=0.0)).outputs
    reviews = [(each.headers, decode(each.value, Review)) for each in outputs["reviews"]]
    assert len(reviews) >= 2
    for headers, review in reviews:
        assert headers == cloud_event("review.v1", f"{review.decision_id}/{review.subject.role}")


def test_the_payee_hop_counts_by_rule_what_its_decisions_say() -> None:
    handed = handed_over_by(payer_hop().process(seeded_log(300), model()))
    result = PayeeHop(RULESET, "by-payee", 0, 1, 1).process(handed, model())
    decisions = [decode(each.value, Decision) for each in result.outputs["decisions"]]
    said = Counter((rule, "hit") for each in decisions for rule in each.rules)
    said.update((rule, "error") for each in decisions for rule in each.unmeasured)
    assert {outcome for _, outcome in said} == {"hit", "error"}
    assert result.rules == said


def test_of_the_rules_a_review_tells_those_that_hit_or_could_not_run() -> None:
    handed = handed_over_by(payer_hop().process(seeded_log(300), model()))
    outputs = PayeeHop(RULESET, "by-payee", 0, 1, 1).process(handed, model(review_probability=0.0)).outputs
    told: set[str] = set()
    for each in (decode(record.value, Decision) for record in outputs["decisions"]):
        assert each.review is not None
        by_outcome = {
            outcome: tuple(rule.rule for rule in each.review.rules if rule.outcome == outcome)
            for outcome in ("hit", "no_hit", "error")
        }
        assert by_outcome == {"hit": each.rules, "no_hit": (), "error": each.unmeasured}
        assert all(rule.missing for rule in each.review.rules if rule.outcome == "error")
        told.update(rule.outcome for rule in each.review.rules)
    assert told == {"hit", "error"}


@pytest.mark.parametrize("name", ["p", "\U0001f3e6" * 120])
def test_no_record_of_features_is_larger_than_a_mebibyte_however_long_names_are(name: str) -> None:
    payments = [
        Payment(f"{name}{at:08}", START_MS + at, 100, "EUR", Party(f"{name}{at % 3:08}"), Party(name), tenant=name)
        for at in range(1_500)
    ]
    log = [record(at, each, each.payer.account.encode()) for at, each in enumerate(payments)]
    handed = handed_over_by(payer_hop().process(log, model()))
    features = PayeeHop(RULESET, "by-payee", 0, 1, 1).process(handed, model()).outputs["features"]
    assert [row.payment_id for row in rows_of(features)] == [each.payment_id for each in payments]
    assert max(len(each.value) for each in features) <= 1_048_576
    assert len(features) <= sum(len(each.value) for each in features) / BATCH_BYTES + 1, "records are full"


def test_each_stage_is_marked_when_it_is_over() -> None:
    marks: list[str] = []
    handed = handed_over_by(payer_hop().process(LOG, model(), marks.append))
    assert marks == ["decode", "state", "kernel", "encode"]
    marks.clear()
    PayeeHop(RULESET, "by-payee", 0, 1, 1).process(handed, model(), marks.append)
    assert marks == ["decode", "state", "kernel", "rules", "model", "packs", "subjects", "model", "encode"]


def test_without_repeats_a_frame_that_comes_again_is_decided_again() -> None:
    handed = handed_over_by(payer_hop().process(LOG, model()))
    hop = PayeeHop(RULESET, "by-payee", 0, 1, 1)
    assert [hop.process(handed, model()).counts["decided"] for _ in range(2)] == [2, 2]


def with_key(key: bytes) -> Ruleset:
    return replace(RULESET, private=PrivateLists(texts=Texts(Digests(key))))


def test_state_and_handed_are_of_a_feature_schema_and_of_a_key_of_digests() -> None:
    plain = bytes.fromhex(feature_schema_hash(RULESET.parameters)[:16])
    assert schema_of(RULESET) == plain
    keyed = [schema_of(with_key(key)) for key in (b"0" * 32, b"1" * 32)]
    assert len({plain, *keyed}) == 3
    assert {len(each) for each in keyed} == {8}
    other = replace(RULESET, parameters=replace(RULESET.parameters, small_from=11.0))
    assert schema_of(replace(other, private=with_key(b"0" * 32).private)) not in (plain, *keyed)
