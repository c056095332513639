"""Subjects against their naive twin, and what they promise of batches, late payments, memory and missing facts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.contract.units import DAY_MS
from services.scorer.path.features.registry import COUNTRY_FEATURES, FEATURES, INDEX, NAMES
from services.scorer.path.subjects.facts import (
    EVIDENCE_MAX,
    FACT_MAX,
    FACTS,
    PAYEE_SUBJECT_FEATURES,
    PAYEE_SUBJECT_NAMES,
    PAYER_SUBJECT_FEATURES,
    PAYER_SUBJECT_NAMES,
    PAYERS,
    facts_of,
    subject_schema_hash,
)
from services.scorer.path.subjects.kernel import SubjectBatch
from services.scorer.path.subjects.state import (
    BYTES_PER_PAYEE,
    BYTES_PER_PAYER,
    SUBJECTS_MAX,
    PayeeSubjects,
    PayerSubjects,
)
from tests.scorer.path.subjects.subject_twin import Payment, Twin

START_MS = 1_750_000_000_000
NAN = math.nan


def payment(
    payer: int, payee: int, evidence: float = NAN, day: float = 0.0, facts: Sequence[float] | None = None
) -> Payment:
    """A payment between numbered accounts, some days after the start."""
    values = [NAN] * len(FACTS) if facts is None else list(facts)
    event_ms = START_MS + int(day * DAY_MS)
    return Payment(event_ms, (payer + 1, 7 * payer + 1), (payee + 1001, 13 * payee + 5), values, evidence)


def batch_of(payments: Sequence[Payment]) -> SubjectBatch:
    return SubjectBatch(
        np.array([each.event_ms for each in payments], dtype=np.int64),
        np.array([each.payer for each in payments], dtype=np.uint64).reshape(-1, 2),
        np.array([each.payee for each in payments], dtype=np.uint64).reshape(-1, 2),
        np.array([each.facts for each in payments], dtype=np.float64).reshape(-1, len(FACTS)),
        np.array([each.evidence for each in payments], dtype=np.float64),
    )


class Both:
    """Both sides of one partition."""

    def __init__(self, subjects_max: int = SUBJECTS_MAX, idle_days: int = 100_000) -> None:
        self.payers = PayerSubjects(subjects_max, idle_days * DAY_MS)
        self.payees = PayeeSubjects(subjects_max, idle_days * DAY_MS)

    def add_up(self, batch: SubjectBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        features, others = self.payees.add_up(batch)
        return self.payers.add_up(batch, others), features


@dataclass
class Rows:
    """The subject features of payers and payees after each payment."""

    payers: NDArray[np.float64]
    payees: NDArray[np.float64]

    def payer(self, name: str, row: int = -1) -> float:
        return float(self.payers[row, PAYER_SUBJECT_NAMES.index(name)])

    def payee(self, name: str, row: int = -1) -> float:
        return float(self.payees[row, PAYEE_SUBJECT_NAMES.index(name)])


def served(payments: Sequence[Payment], state: Both | None = None, size: int = 0) -> Rows:
    """The subject features, in batches of ``size``; 0: all at once."""
    state = state or Both()
    size = size or max(1, len(payments))
    pieces = [state.add_up(batch_of(payments[at : at + size])) for at in range(0, len(payments), size)]
    payers, payees = zip(*pieces, strict=True)
    return Rows(np.concatenate(payers), np.concatenate(payees))


def assert_equal(rows: Rows, twin: Twin, payments: Sequence[Payment]) -> None:
    expected = [twin.take(each) for each in payments]
    for side, by_kernel in enumerate((rows.payers, rows.payees)):
        by_twin = np.array([each[side] for each in expected])
        np.testing.assert_allclose(by_kernel, by_twin, rtol=1e-5, atol=1e-5, equal_nan=True)


@st.composite
def streams(draw: st.DrawFn, accounts: int = 4) -> list[Payment]:
    """Payments of few accounts, some of them late, some of whose facts are not told."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    number, day = draw(st.integers(1, 40)), 0.0
    payments = []
    for _ in range(number):
        day += float(rng.choice([0.0, 0.5, 3.0, 90.0, -2.0, -100.0]))
        facts = np.where(rng.random(len(FACTS)) < 0.3, NAN, rng.normal(0.0, 100.0, len(FACTS)))
        evidence = NAN if rng.random() < 0.2 else float(rng.normal(0.0, 8.0))
        payer, payee = (int(each) for each in rng.integers(0, accounts, 2))
        payments.append(payment(payer, payee, evidence, day, facts.tolist()))
    return payments


@settings(max_examples=40, deadline=None)
@given(streams())
def test_they_equal_their_twin(payments: list[Payment]) -> None:
    assert_equal(served(payments), Twin(), payments)


@settings(max_examples=20, deadline=None)
@given(streams(accounts=30), st.integers(1, 7))
def test_batches_change_no_bit(payments: list[Payment], size: int) -> None:
    whole, cut = served(payments, Both(subjects_max=9)), served(payments, Both(subjects_max=9), size)
    np.testing.assert_array_equal(cut.payers.view("i8"), whole.payers.view("i8"))
    np.testing.assert_array_equal(cut.payees.view("i8"), whole.payees.view("i8"))


@settings(max_examples=20, deadline=None)
@given(streams(accounts=30))
def test_the_longest_idle_make_room(payments: list[Payment]) -> None:
    state, twin = Both(subjects_max=5), Twin(limit=5)
    assert_equal(served(payments, state, 3), twin, payments)
    assert state.payers.evicted + state.payees.evicted == twin.evicted


def test_an_idle_subject_is_forgotten() -> None:
    state = Both(idle_days=30)
    payments = [payment(0, 0), payment(1, 1, day=0.5), payment(1, 1, day=1), payment(2, 2, day=2)]
    payments += [payment(1, 1, day=1 + each) for each in range(40)] + [
        payment(2, 2, day=2 + each) for each in range(40)
    ]
    assert served([*payments, payment(0, 0, day=42)], state).payer("subject_payments") == 1.0


def test_a_late_payment_counts_as_of_the_present() -> None:
    facts = [[float(each)] * len(FACTS) for each in (1, 3)]
    late = served([payment(0, 0, day=100, facts=facts[0]), payment(0, 0, day=0, facts=facts[1])])
    assert late.payer("amount_mean") == 2.0
    assert late.payer("amount_last") == 3.0
    assert late.payee("subject_payments_180d") == 2.0


def test_a_fact_that_was_never_told_is_missing() -> None:
    facts = [5.0, *[NAN] * (len(FACTS) - 1)]
    features = served([payment(0, 0, facts=facts), payment(0, 0)])
    for how in ("last", "mean", "maximum"):
        assert features.payer(f"{FACTS[0]}_{how}") == features.payee(f"{FACTS[0]}_{how}") == 5.0
        assert math.isnan(features.payer(f"{FACTS[1]}_{how}"))
        assert math.isnan(features.payee(f"model_evidence_{how}"))
    assert features.payee("payers_number") == 0.0
    assert math.isnan(features.payee("payers_highest"))


def test_a_fact_that_was_told_lifetimes_ago_is_missing_of_the_mean_alone() -> None:
    facts = [5.0, *[NAN] * (len(FACTS) - 1)]
    features = served([payment(0, 0, facts=facts), payment(0, 0, day=70 * 365)])
    assert math.isnan(features.payer(f"{FACTS[0]}_mean"))
    assert features.payer(f"{FACTS[0]}_maximum") == 5.0


def test_a_payer_hears_of_others_at_its_payee_and_not_of_itself() -> None:
    features = served([payment(0, 0, 4.0), payment(0, 0, 4.0), payment(1, 0, 2.0), payment(2, 0, -1.0)])
    assert math.isnan(features.payer("others_highest_mean", row=1))
    assert features.payer("others_highest_maximum", row=2) == 4.0
    assert features.payer("others_highest_mean") == 4.0
    assert features.payer("others_average_mean") == 3.0
    assert features.payer("others_number_mean") == 2.0
    assert features.payee("payers_average") == pytest.approx(5.0 / 3.0)


def test_a_payers_word_is_the_decayed_mean_of_its_payments_to_this_payee() -> None:
    said = [payment(0, 0, 6.0), payment(0, 1, -9.0), payment(0, 0, 0.0, day=180)]
    assert served(said).payee("payers_highest") == pytest.approx(6.0 * 0.5 / 1.5)
    assert served(said, size=1).payer("others_number_maximum") == 0.0


def test_what_a_payer_hears_is_not_passed_on() -> None:
    """Two rounds and no third: a payer's word at its next payee is about its payments to that one alone."""
    near = served([payment(0, 0, 9.0), payment(1, 0, 0.0), payment(1, 1, 0.0)])
    assert near.payer("others_highest_maximum") == 9.0
    assert near.payee("payers_highest") == 0.0


def test_a_payers_word_fades() -> None:
    faded = served([payment(0, 0, 8.0), payment(1, 0, day=180)])
    assert faded.payer("others_highest_mean") == pytest.approx(4.0)


def test_a_payment_without_evidence_says_nothing() -> None:
    rows = served([payment(0, 0, 8.0), payment(0, 0, NAN), payment(1, 0, NAN), payment(2, 0, 1.0)])
    assert rows.payer("others_highest_maximum") == 8.0
    assert rows.payer("others_number_maximum") == 1.0


def test_evidence_is_bounded() -> None:
    features = served([payment(0, 0, 1e6), payment(1, 1, -1e6)])
    assert features.payee("payers_highest", row=0) == EVIDENCE_MAX
    assert features.payee("payers_highest", row=1) == -EVIDENCE_MAX


def test_a_payee_remembers_the_payers_that_gave_a_word_last() -> None:
    first = [payment(each, 0, float(each == 0)) for each in range(PAYERS)]
    kept = served([*first, payment(0, 0, 1.0), payment(PAYERS, 0, 0.0)])
    assert kept.payee("payers_number") == PAYERS
    assert kept.payee("payers_highest") == 1.0
    gone = served([*first, payment(PAYERS, 0, 0.0)])
    assert gone.payee("payers_highest") == 0.0
    back = served([*first, payment(PAYERS, 0, 0.0), payment(0, 0, 0.5)])
    assert back.payee("payers_highest") == 0.5


def test_counterparties_are_counted() -> None:
    rows = served([payment(0, each) for each in range(10)])
    assert rows.payer("subject_counterparties") == pytest.approx(10, abs=0.3)


def test_names_are_in_canonical_order() -> None:
    common = 3 + 3 * (len(FACTS) + 1)
    assert len(set(PAYER_SUBJECT_NAMES)) == len(PAYER_SUBJECT_FEATURES) == common + 6
    assert len(set(PAYEE_SUBJECT_NAMES)) == len(PAYEE_SUBJECT_FEATURES) == common + 3
    assert PAYER_SUBJECT_NAMES[:common] == PAYEE_SUBJECT_NAMES[:common]
    assert all(feature.unit and feature.meaning for feature in (*PAYER_SUBJECT_FEATURES, *PAYEE_SUBJECT_FEATURES))
    assert subject_schema_hash() == subject_schema_hash()
    features = np.arange(2.0 * len(FEATURES)).reshape(2, -1)
    assert facts_of(features)[1].tolist() == [len(FEATURES) + INDEX[name] for name in FACTS]


def test_facts_are_all_features_but_those_that_know_countries() -> None:
    assert set(NAMES) - set(FACTS) == set(COUNTRY_FEATURES)
    assert len(COUNTRY_FEATURES) == 4
    assert [INDEX[name] for name in FACTS] == sorted(INDEX[name] for name in FACTS)


def test_a_fact_that_only_a_forger_can_write_leaves_sums_that_are_numbers() -> None:
    features = np.full((2, len(FEATURES)), np.nan)
    features[:, INDEX["amount"]] = [1e300, -1e300]
    facts = facts_of(features)
    assert facts[:, FACTS.index("amount")].tolist() == [FACT_MAX, -FACT_MAX]
    assert np.isnan(facts).sum() == facts.size - 2
    rows = served([payment(0, 0, facts=each.tolist()) for each in facts])
    assert rows.payer("amount_mean") == 0.0


def test_bytes_are_as_stated() -> None:
    state = Both()
    served([payment(each, each % 500) for each in range(2_000)], state)
    rows = 2_000 * BYTES_PER_PAYER + 500 * BYTES_PER_PAYEE
    assert rows <= state.payers.nbytes + state.payees.nbytes <= rows * 1.05
