"""Evidence from payees' partitions to payers': equal to the core, however logs are cut and wherever a worker dies."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.contract.evidence import Evidence, EvidenceBy, write_evidence
from services.scorer.path.asking.adding import evidence_of
from services.scorer.path.features.registry import INDEX
from services.scorer.path.features.state import whole as state_left
from services.scorer.path.features.state_format import StateFormatError
from services.scorer.path.records import Outbound, Record
from services.scorer.path.subjects.facts import facts_of
from services.scorer.path.subjects.kernel import SubjectBatch
from services.scorer.path.subjects.said import SAID_PREFIX
from services.scorer.path.subjects.state import PayeeSubjects, PayerSubjects
from tests.scorer.path.logs import remittance_log
from tests.scorer.path.runs import digests
from tests.scorer.path.subjects.workers import (
    Partition,
    as_log,
    evidence_in,
    handed_over,
    model,
    partition_of,
    payee_hop,
    subject_hop,
)
from tests.support.evidence import evidence_rows
from tests.support.served import served_in
from tests.support.states import subjects_of

PAYERS = 2
"""Partitions of payers."""
LOG = handed_over(remittance_log(seed=3, length=240))


def whole(by: int = 1) -> Partition[Any]:
    """The payee partition, its log in one batch."""
    partition = Partition(payee_hop, LOG)
    partition.go(len(LOG), model(by), checkpoint=True)
    return partition


def served_rows(records: list[Outbound]) -> list[Any]:
    return [served_in(record.value) for record in records]


def test_evidence_goes_to_its_payers_partition_and_tells_all() -> None:
    outputs = whole().outputs
    served = served_rows(outputs["features"])
    under = sum(int((each.features[:, INDEX["is_remittance"]] == 1.0).sum()) for each in served)
    told = [(record.partition, evidence_in(record.value)) for record in outputs["evidence"]]
    assert under == sum(len(found) for _, found in told) > 100
    assert {partition for partition, _ in told} == set(range(PAYERS))
    for partition, found in told:
        for row in range(len(found)):
            assert partition_of(found.payer.at(row).decode(), PAYERS) == partition
            assert b'"payment_id":"' + found.payment_id.at(row) + b'"' in found.payment.at(row)
        np.testing.assert_array_equal(found.evidence, found.score - model(1).bias)
        assert np.isnan(found.payee_risk).all()


def test_the_hops_equal_the_core() -> None:
    """Payees from features as served, in their order; payers from evidence as handed over."""
    outputs = whole().outputs
    payees, payers = PayeeSubjects(), [PayerSubjects() for _ in range(PAYERS)]
    others: dict[bytes, bytes] = {}
    expected: dict[bytes, bytes] = {}
    for served in served_rows(outputs["features"]):
        rows = np.flatnonzero(served.features[:, INDEX["is_remittance"]] == 1.0)
        tenants, names, to = (served.texts(name) for name in ("tenant", "payer", "payee"))
        batch = SubjectBatch(
            served.event_time_ms[rows],
            digests(*[(tenants[row], names[row]) for row in rows]),
            digests(*[(tenants[row], to[row]) for row in rows]),
            facts_of(served.features[rows]),
            evidence_of(served.score[rows], model(1)),
        )
        heard = payees.add_up(batch)[1]
        for at, row in enumerate(rows.tolist()):
            one = SubjectBatch(*(column[at : at + 1] for column in batch))
            features = payers[partition_of(names[row], PAYERS)].add_up(one, heard[at : at + 1])
            identity = served.decision_id[row].tobytes()
            others[identity], expected[identity] = heard[at].tobytes(), features[0].tobytes()
    for partition in range(PAYERS):
        hop = subject_hop(partition)
        for found, features in hop.added_up(as_log(outputs["evidence"], partition)):
            for row, identity in enumerate(found.decision_id):
                assert found.others[row].tobytes() == others.pop(identity.tobytes())
                assert features[row].tobytes() == expected.pop(identity.tobytes())
        assert subjects_of(hop.state.subjects) == subjects_of(payers[partition])
    assert not expected


@pytest.mark.parametrize("seed", range(3))
def test_a_payee_worker_that_dies_anywhere_gives_the_same_evidence_and_has_the_same_subjects(seed: int) -> None:
    """Under models that change, so that only what was said then gives the same bits."""
    draw = random.Random(seed)
    edges = sorted({*draw.sample(range(1, len(LOG)), 12), len(LOG)})
    models = [draw.choice((1, 2, 3)) for _ in edges]
    undisturbed, killed = Partition(payee_hop, LOG), Partition(payee_hop, LOG)
    for edge, by in zip(edges, models, strict=True):
        undisturbed.go(edge, model(by), checkpoint=True)
        killed.go(edge, model(by), checkpoint=draw.random() < 0.3)
        if draw.random() < 0.6:
            killed.crash(compact=draw.random() < 0.5)
    assert evidence_rows(killed.outputs["evidence"]) == evidence_rows(undisturbed.outputs["evidence"])
    assert killed.outputs["decisions"] == undisturbed.outputs["decisions"]
    assert subjects_of(killed.hop.state.subjects) == subjects_of(undisturbed.hop.state.subjects)


def test_how_a_log_is_cut_changes_no_bit() -> None:
    cut = Partition(payee_hop, LOG)
    for edge in range(1, len(LOG) + 1):
        cut.go(edge, model(1), checkpoint=False)
    assert evidence_rows(cut.outputs["evidence"]) == evidence_rows(whole().outputs["evidence"])
    assert subjects_of(cut.hop.state.subjects) == subjects_of(whole().hop.state.subjects)


def test_what_the_model_said_leaves_the_changelog_once_a_checkpoint_holds_what_came_of_it() -> None:
    partition = Partition(payee_hop, LOG)
    for edge in (5, 10, 15):
        partition.go(edge, model(1), checkpoint=edge == 15)
    partition.go(20, model(1), checkpoint=True)
    left = [key for key, value in dict(partition.entries).items() if value is not None]
    assert not any(key.startswith(SAID_PREFIX) for key in left)
    assert any(key.startswith(SAID_PREFIX) for key, _ in partition.entries)


def test_a_checkpoint_that_is_cut_short_leaves_what_the_model_said() -> None:
    """Without transactions: what the former checkpoint needs is still there."""
    partition = Partition(payee_hop, LOG)
    partition.go(5, model(1), checkpoint=True)
    partition.go(10, model(2), checkpoint=False)
    partition.entries = state_left(dict([*partition.entries, *partition.hop.state.checkpoint(10)[:-1]]))
    partition.crash(compact=False)
    partition.go(len(LOG), model(2), checkpoint=False)
    other = Partition(payee_hop, LOG)
    other.go(5, model(1), checkpoint=False)
    other.go(len(LOG), model(2), checkpoint=False)
    assert subjects_of(partition.hop.state.subjects) == subjects_of(other.hop.state.subjects)


def test_a_state_that_was_not_told_what_the_model_said_is_refused() -> None:
    with pytest.raises(StateFormatError, match="what the model said"):
        payee_hop().take(LOG)


@pytest.mark.parametrize("seed", range(3))
def test_a_subject_worker_that_dies_anywhere_has_the_same_subjects(seed: int) -> None:
    draw = random.Random(seed)
    cut = Partition(payee_hop, LOG)
    for edge in range(4, len(LOG) + 4, 4):
        cut.go(min(edge, len(LOG)), model(1), checkpoint=False)
    log = as_log(cut.outputs["evidence"])
    undisturbed, killed = Partition(subject_hop, log), Partition(subject_hop, log)
    undisturbed.go(len(log), model(1), checkpoint=False)
    for edge in sorted({*draw.sample(range(1, len(log)), 8), len(log)}):
        killed.go(edge, model(1), checkpoint=draw.random() < 0.4)
        if draw.random() < 0.6:
            killed.crash(compact=draw.random() < 0.5)
    assert subjects_of(killed.hop.state.subjects) == subjects_of(undisturbed.hop.state.subjects)
    assert killed.hop.state.origins.tolist() == undisturbed.hop.state.origins.tolist()


def first_record() -> Record:
    return as_log(whole().outputs["evidence"])[0]


def changed(**columns: Any) -> bytes:
    """The first record with other columns."""
    found = evidence_in(first_record().value or b"")
    return write_evidence(replace(found, **columns))


def _nth(name: str, value: float) -> bytes:
    found: Evidence = evidence_in(first_record().value or b"")
    column = getattr(found, name).copy()
    column[-1] = value
    return write_evidence(replace(found, **{name: column}))


DAMAGED: dict[str, Any] = {
    "nothing": lambda: None,
    "noise": lambda: b"\x00" * 40,
    "cut": lambda: (first_record().value or b"")[:-100],
    "another feature schema": lambda: changed(by=EvidenceBy(bytes(8), 0, 1, "")),
    "partition that is not there": lambda: changed(
        by=replace(evidence_in(first_record().value or b"").by, partition=7)
    ),
    "time before 1970": lambda: _nth("event_time_ms", -1),
    "time long after the append": lambda: _nth("event_time_ms", 2**45),
    "append in the future": lambda: _nth("appended_ms", 2**50),
    "position below 0": lambda: _nth("position", -1),
    "infinite feature": lambda: _nth("features", np.inf),
    "infinite evidence": lambda: _nth("evidence", -np.inf),
    "others beyond their bounds": lambda: _nth("others", 1e9),
    "no score": lambda: _nth("score", np.nan),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_evidence_is_a_dead_letter_and_nothing_else(damage: str) -> None:
    good = first_record()
    bad = Record(0, good.timestamp, None, DAMAGED[damage]())
    hop, other = subject_hop(), subject_hop()
    result = hop.process([bad, good], model(1))
    assert result.counts["dead_letter"] == len(result.outputs["dead_letters"]) == 1
    assert sum(result.reasons.values()) == 1
    other.process([good], model(1))
    assert subjects_of(hop.state.subjects) == subjects_of(other.state.subjects)


def test_what_comes_again_is_dropped_where_it_may() -> None:
    log = as_log(whole().outputs["evidence"])
    once, twice = subject_hop(repeats_possible=True), subject_hop(repeats_possible=True)
    once.process(log, model(1))
    result = twice.process([*log, *log], model(1))
    assert result.counts["duplicate"] == sum(len(evidence_in(record.value or b"")) for record in log)
    assert subjects_of(once.state.subjects) == subjects_of(twice.state.subjects)


def test_subjects_restored_from_a_forged_changelog_are_refused() -> None:
    partition = Partition(subject_hop, as_log(whole().outputs["evidence"]))
    partition.go(len(partition.log), model(1), checkpoint=True)
    rows = partition.hop.state.subjects.rows
    rows.rows["payments"][0] = 0
    rows.changed[0] = True
    partition.entries += partition.hop.state.checkpoint(len(partition.log))
    with pytest.raises(StateFormatError, match="subject's row"):
        partition.crash(compact=False)


def test_payees_with_words_of_no_weight_are_refused() -> None:
    partition = whole()
    second = partition.hop.state.subjects.second
    second.rows["words"]["weight"][0, 0] = 0.0
    second.changed[0] = True
    partition.entries += partition.hop.state.checkpoint(len(LOG))
    with pytest.raises(StateFormatError, match="subject's row"):
        partition.crash(compact=False)
