"""With a model of subjects: about payees the payee hop asks, about payers the subject hop, nobody twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from services.contract.alert import Review
from services.contract.codec import decode
from services.contract.columns import Texts
from services.contract.evidence import write_evidence
from services.scorer.path.asking.hop import SubjectHop
from services.scorer.path.hops import PayeeHop
from services.scorer.path.records import Outbound
from tests.scorer.path.logs import remittance_log
from tests.scorer.path.subjects.workers import SCHEMA, Partition, as_log, evidence_in, handed_over, model, partition_of
from tests.support.evidence import evidence_rows
from tests.support.subject_models import LinearSubjects
from tests.workbench.assessment.folders import RULESET

WEIGHTS = {
    "remit_new_payees_180d_mean": 0.6,
    "remit_sessions_180d_maximum": 0.5,
    "others_number_maximum": 0.3,
    "payers_number": 0.5,
    "payee_remit_180d_maximum": 0.4,
}
SUBJECTS = LinearSubjects(WEIGHTS, bias=-2.0)
LOG = handed_over(remittance_log(seed=4, length=240))
PAYERS = 2


def payee_hop(subjects: LinearSubjects | None) -> PayeeHop:
    return PayeeHop(RULESET, "payments.by-payee.v1", 0, 1, PAYERS, subject_model=subjects)


def subject_hop(partition: int, subjects: LinearSubjects | None = SUBJECTS) -> SubjectHop:
    return SubjectHop(RULESET, SCHEMA, "evidence.by-payer.v1", partition, PAYERS, subject_model=subjects)


def decided(subjects: LinearSubjects | None, cuts: int = 1) -> dict[str, list[Outbound]]:
    partition = Partition(lambda: payee_hop(subjects), LOG)
    for at in range(cuts):
        partition.go((at + 1) * len(LOG) // cuts, model(1), checkpoint=False)
    return partition.outputs


@cache
def outputs() -> dict[str, list[Outbound]]:
    return decided(SUBJECTS)


@cache
def of_payers() -> list[Outbound]:
    return [
        each
        for partition in range(PAYERS)
        for each in subject_hop(partition)
        .process(as_log(outputs()["evidence"], partition), model(2))
        .outputs["reviews"]
    ]


def by_pack(records: list[Outbound]) -> list[Review]:
    found = [decode(each.value, Review) for each in records]
    return [each for each in found if each.finding is not None and each.finding.pack == "lsac"]


def test_reviews_of_payers_come_from_the_subject_hop_and_of_payees_from_the_payee_hop() -> None:
    at_payees, at_payers = by_pack(outputs()["reviews"]), by_pack(of_payers())
    assert len(at_payees) > 5
    assert len(at_payers) > 5
    assert {each.subject.role for each in at_payees if each.finding and not each.finding.immediate} == {"payee"}
    assert {each.subject.role for each in at_payers} == {"payer"}
    doubled = Counter((each.decision_id, each.subject) for each in (*at_payees, *at_payers))
    assert max(doubled.values()) == 1


def test_the_score_of_a_finding_is_the_subjects_risk() -> None:
    payers: dict[str, float] = {}
    for partition in range(PAYERS):
        for found, features in subject_hop(partition).added_up(as_log(outputs()["evidence"], partition)):
            names = [each.decode() for each in map(found.payment_id.at, range(len(found)))]
            payers |= dict(zip(names, SUBJECTS.risk("payer", features).tolist(), strict=True))
    payees: dict[str, float] = {}
    for record in outputs()["evidence"]:
        told = evidence_in(record.value)
        assert told.by.subject_model_hash == SUBJECTS.hash
        payees |= {told.payment_id.at(row).decode(): float(told.payee_risk[row]) for row in range(len(told))}
    for each in by_pack([*outputs()["reviews"], *of_payers()]):
        assert each.finding is not None
        if each.finding.subject is None:
            assert each.finding.immediate
            continue
        risk = (payers if each.subject.role == "payer" else payees)[each.payment_id]
        assert each.finding.score == risk
        assert each.finding.subject.model == SUBJECTS.hash
        assert len(each.finding.subject.families) >= 2
        assert each.finding.subject.reasons


def test_a_review_of_a_payer_goes_to_its_subjects_partition_and_says_what_the_payments_does() -> None:
    by_payment = {
        told.payment_id.at(row): (told, row)
        for record in outputs()["evidence"]
        for told in [evidence_in(record.value)]
        for row in range(len(told))
    }
    for record in of_payers():
        review = decode(record.value, Review)
        told, row = by_payment[review.payment_id.encode()]
        assert record.key == review.subject.account.encode() == told.payer.at(row)
        assert record.partition == partition_of(review.subject.account, PAYERS)
        assert record.timestamp == told.appended_ms[row]
        assert (review.score, review.probability) == (told.score[row], told.probability[row])
        assert review.model_hash == told.by.model_hash


def test_how_logs_are_cut_changes_no_review() -> None:
    cut = decided(SUBJECTS, cuts=17)
    assert cut["reviews"] == outputs()["reviews"]
    assert evidence_rows(cut["evidence"]) == evidence_rows(outputs()["evidence"])
    for partition in range(PAYERS):
        one = Partition(partial(subject_hop, partition), as_log(cut["evidence"], partition))
        for edge in range(1, len(one.log) + 1):
            one.go(edge, model(3), checkpoint=edge % 3 == 0)
            one.crash(compact=False)
        expected = [each.value for each in of_payers() if _partition_of(each) == partition]
        assert [each.value for each in one.outputs["reviews"]] == expected


def _partition_of(record: Outbound) -> int:
    return partition_of((record.key or b"").decode(), PAYERS)


def test_without_a_model_of_subjects_everything_is_as_it_was() -> None:
    plain = decided(None)
    assert {each.subject.role for each in by_pack(plain["reviews"])} <= {"payer", "payee"}
    assert all(each.finding is None or each.finding.subject is None for each in by_pack(plain["reviews"]))
    for partition in range(PAYERS):
        log = as_log(plain["evidence"], partition)
        assert subject_hop(partition, None).process(log, model(1)).outputs["reviews"] == []


def test_evidence_with_another_payment_than_it_speaks_of_gives_a_dead_letter_and_no_review() -> None:
    record = as_log(outputs()["evidence"], 0)[0]
    found = evidence_in(record.value or b"")
    forged = replace(found, payment=Texts.of([b'{"payment_id":"other"}'] * len(found)))
    log = [record._replace(value=write_evidence(forged))]
    always = LinearSubjects({"remit_payments_180d_mean": 1.0, "remit_new_payees_180d_mean": 1.0}, bias=50.0)
    good = subject_hop(0, always).process([record], model(1))
    assert good.outputs["reviews"]
    result = subject_hop(0, always).process(log, model(1))
    assert result.outputs["reviews"] == []
    assert result.reasons == {"evidence_invalid": 1}
    assert np.isfinite(found.payee_risk).all()


@pytest.mark.parametrize("role", ["payer", "payee"])
def test_the_safeguard_holds_in_the_hops(role: Any) -> None:
    """A risk that the payments' model alone carries asks about nobody."""
    alone = LinearSubjects({"model_evidence_mean": 0.1, "subject_payments": 5.0}, bias=5.0)
    found = decided(alone)
    told = by_pack(found["reviews"]) if role == "payee" else []
    for partition in range(PAYERS):
        log = as_log(found["evidence"], partition)
        if role == "payer":
            told += by_pack(list(subject_hop(partition, alone).process(log, model(1)).outputs["reviews"]))
    for each in told:
        assert each.finding is not None
        strong = {"temporal", *(one.family for one in each.finding.evidence)} - {"channel", "text"}
        assert each.finding.immediate or len(strong) >= 2
