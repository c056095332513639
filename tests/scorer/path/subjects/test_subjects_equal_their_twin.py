"""The subject hop against its naive twin, and what it promises of batches, late payments, memory and missing facts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.contract.units import DAY_MS
from services.scorer.path.features.registry import FEATURES, INDEX
from services.scorer.path.subjects.facts import (
    EVIDENCE_MAX,
    FACTS,
    PAYERS,
    SUBJECT_FEATURES,
    SUBJECT_INDEX,
    SUBJECT_NAMES,
    facts_of,
    subject_schema_hash,
)
from services.scorer.path.subjects.kernel import SubjectBatch
from services.scorer.path.subjects.state import BYTES_PER_PAYEE, BYTES_PER_PAYER, SubjectState, add_up
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


def served(payments: Sequence[Payment], state: SubjectState | None = None, size: int = 0) -> NDArray[np.float64]:
    """The subject features, in batches of ``size``; 0: all at once."""
    state = state or SubjectState()
    size = size or max(1, len(payments))
    pieces = [payments[at : at + size] for at in range(0, len(payments), size)]
    return np.concatenate([add_up(batch_of(piece), state) for piece in pieces])


def of(features: NDArray[np.float64], name: str, side: int = 0) -> float:
    """One subject feature after the last payment."""
    return float(features[-1, side, SUBJECT_INDEX[name]])


def assert_equal(served_by: NDArray[np.float64], twin: Twin, payments: Sequence[Payment]) -> None:
    expected = np.array([twin.take(each) for each in payments])
    np.testing.assert_allclose(served_by, expected, rtol=1e-9, atol=1e-9, equal_nan=True)


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
def test_it_equals_its_twin(payments: list[Payment]) -> None:
    horizon = SubjectState(idle_ms=100_000 * DAY_MS)
    assert_equal(served(payments, horizon), Twin(), payments)


@settings(max_examples=20, deadline=None)
@given(streams(accounts=30), st.integers(1, 7))
def test_batches_change_no_bit(payments: list[Payment], size: int) -> None:
    whole = served(payments, SubjectState(subjects_max=9))
    np.testing.assert_array_equal(served(payments, SubjectState(subjects_max=9), size).view("i8"), whole.view("i8"))


@settings(max_examples=20, deadline=None)
@given(streams(accounts=30))
def test_the_longest_idle_make_room(payments: list[Payment]) -> None:
    state, twin = SubjectState(subjects_max=5, idle_ms=100_000 * DAY_MS), Twin(limit=5)
    assert_equal(served(payments, state, 3), twin, payments)
    assert state.evicted == twin.evicted


def test_an_idle_subject_is_forgotten() -> None:
    state = SubjectState(idle_ms=30 * DAY_MS)
    payments = [payment(0, 0), payment(1, 1, day=0.5), payment(1, 1, day=1), payment(2, 2, day=2)]
    payments += [payment(1, 1, day=1 + each) for each in range(40)] + [
        payment(2, 2, day=2 + each) for each in range(40)
    ]
    assert of(served([*payments, payment(0, 0, day=42)], state), "subject_payments") == 1.0


def test_a_late_payment_counts_as_of_the_present() -> None:
    facts = [[float(each)] * len(FACTS) for each in (1, 3)]
    late = served([payment(0, 0, day=100, facts=facts[0]), payment(0, 0, day=0, facts=facts[1])])
    assert of(late, "amount_mean") == 2.0
    assert of(late, "amount_last") == 3.0
    assert of(late, "subject_payments_180d") == 2.0


def test_a_fact_that_was_never_told_is_missing() -> None:
    facts = [5.0, *[NAN] * (len(FACTS) - 1)]
    features = served([payment(0, 0, facts=facts), payment(0, 0)])
    for how in ("last", "mean", "maximum"):
        assert of(features, f"{FACTS[0]}_{how}") == 5.0
        assert math.isnan(of(features, f"{FACTS[1]}_{how}"))
        assert math.isnan(of(features, f"model_evidence_{how}"))
    assert of(features, "payers_number", side=1) == 0.0
    assert math.isnan(of(features, "payers_highest", side=1))


def test_a_payer_hears_of_others_at_its_payee_and_not_of_itself() -> None:
    features = served([payment(0, 0, 4.0), payment(0, 0, 4.0), payment(1, 0, 2.0), payment(2, 0, -1.0)])
    assert math.isnan(features[1, 0, SUBJECT_INDEX["others_highest_mean"]])
    assert features[2, 0, SUBJECT_INDEX["others_highest_maximum"]] == 4.0
    assert of(features, "others_highest_mean") == 4.0
    assert of(features, "others_average_mean") == 3.0
    assert of(features, "others_number_mean") == 2.0
    assert of(features, "payers_average", side=1) == pytest.approx(5.0 / 3.0)


def test_what_a_payer_hears_is_not_passed_on() -> None:
    """Two rounds and no third: a payer's word to its next payee is about its own payments alone."""
    near = served([payment(0, 0, 9.0), payment(1, 0, 0.0), payment(1, 1, 0.0)])
    assert of(near, "others_highest_maximum") == 9.0
    assert of(near, "payers_highest", side=1) == 0.0


def test_what_a_payer_left_fades() -> None:
    faded = served([payment(0, 0, 8.0), payment(1, 0, day=180)])
    assert of(faded, "others_highest_mean") == pytest.approx(4.0)


def test_evidence_is_bounded() -> None:
    features = served([payment(0, 0, 1e6), payment(1, 1, -1e6)])
    assert features[0, 1, SUBJECT_INDEX["payers_highest"]] == EVIDENCE_MAX
    assert features[1, 1, SUBJECT_INDEX["payers_highest"]] == -EVIDENCE_MAX


def test_a_payee_remembers_the_payers_that_paid_last() -> None:
    first = [payment(each, 0, float(each == 0)) for each in range(PAYERS)]
    kept = served([*first, payment(0, 0, 1.0), payment(PAYERS, 0, 0.0)])
    assert of(kept, "payers_number", side=1) == PAYERS
    assert of(kept, "payers_highest", side=1) == 1.0
    gone = served([*first, payment(PAYERS, 0, 0.0)])
    assert of(gone, "payers_highest", side=1) == 0.0


def test_counterparties_are_counted() -> None:
    assert of(served([payment(0, each) for each in range(10)]), "subject_counterparties") == pytest.approx(10, abs=0.3)


def test_names_are_in_canonical_order() -> None:
    assert len(set(SUBJECT_NAMES)) == len(SUBJECT_FEATURES) == 3 + 3 * (len(FACTS) + 1) + 9
    assert all(feature.unit and feature.meaning for feature in SUBJECT_FEATURES)
    assert subject_schema_hash() == subject_schema_hash()
    features = np.arange(2.0 * len(FEATURES)).reshape(2, -1)
    assert facts_of(features)[1].tolist() == [len(FEATURES) + INDEX[name] for name in FACTS]


def test_bytes_are_as_stated() -> None:
    state = SubjectState()
    served([payment(each, each % 500) for each in range(2_000)], state)
    rows = 2_000 * BYTES_PER_PAYER + 500 * BYTES_PER_PAYEE
    assert rows <= state.nbytes <= rows * 1.05
