"""Ranking subjects by what adds up: who is ranked when, and what is learned of whom."""

from __future__ import annotations

import numpy as np
import pytest

from services.scorer.path.subjects.facts import PAYER_SUBJECT_NAMES
from services.workbench.assessment.rankers import HighestPayment
from services.workbench.assessment.subject_ranker import EARLIER_WEIGHT, Examples, SubjectRanker, rankers_of
from tests.workbench.assessment.folders import RULESET


def test_nobody_is_ranked_before_something_is_learned() -> None:
    assert SubjectRanker(HighestPayment(RULESET)).variants == ()


@pytest.mark.parametrize(
    ("kind", "learns", "rankers"), [("boosting", True, 2), ("boosting", False, 1), ("logistic", True, 1)]
)
def test_subjects_are_ranked_where_boosted_models_learn(kind: str, learns: bool, rankers: int) -> None:
    assert len(rankers_of(RULESET, kind, learns)) == rankers


def test_the_last_row_of_a_subject_counts_in_full_and_a_sample_of_earlier_ones_less() -> None:
    examples = Examples(PAYER_SUBJECT_NAMES)
    examples.begin()
    accounts = np.array([0, 5_000, 0, 7])
    features = np.arange(4.0)[:, None] * np.ones(len(PAYER_SUBJECT_NAMES))
    known, positive = np.array([True, True, True, False]), np.array([True, False, True, False])
    examples.take(accounts, features, known, positive, earlier=np.array([True, False, False, True]))
    examples.end()
    rows, labels, weights = examples.examples()
    assert rows[:, 0].tolist() == [0.0, 2.0, 1.0]
    assert labels.tolist() == [True, True, False]
    assert weights.tolist() == [EARLIER_WEIGHT, 1.0, 1.0]
