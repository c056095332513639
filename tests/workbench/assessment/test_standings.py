"""Tables of subjects grow, and the sample that is learned does not."""

from __future__ import annotations

import numpy as np
import pytest

from services.workbench.assessment import train
from services.workbench.assessment.standings import Standing
from services.workbench.assessment.train import TruthTrainer
from services.workbench.assessment.truth import EVERY_WORLD


def test_many_subjects_grow_the_table_and_keep_what_was_there() -> None:
    standing, n = Standing([False]), 5_000
    accounts = np.arange(n)
    standing.take(accounts, np.zeros(n, dtype=np.int64), accounts, accounts[:, None].astype(np.float64))
    standing.take(np.array([7]), np.array([0]), np.array([7]), np.array([[9_999.0]]))
    subjects = standing.of_world(0)
    assert subjects.scores[[6, 7, 4_999], 0].tolist() == [6.0, 9_999.0, 4_999.0]
    assert subjects.payments[[6, 7]].tolist() == [1, 2]
    assert not len(standing.of_world(1).lines)


def test_of_payments_the_highest_counts_and_of_subjects_the_latest_in_batches_cut_anywhere() -> None:
    """Accounts 0 and 1 of world 0; what is said of 1 in every world, too, and not at all with its last payment."""
    accounts, worlds = np.array([0, 1, 0, 1, 1]), np.array([0, 0, 0, EVERY_WORLD, 0])
    scores = np.array([[5.0, 5.0], [1.0, 1.0], [2.0, 2.0], [0.5, 0.5], [-np.inf, -np.inf]])
    for cut in range(len(accounts)):
        standing = Standing([False, True])
        for part in (slice(0, cut), slice(cut, None)):
            standing.take(accounts[part], worlds[part], accounts[part], scores[part])
        assert standing.of_world(0).scores.tolist() == [[5.0, 2.0], [1.0, 0.5]]


def test_the_sample_of_others_stays_bounded_and_even_and_no_positive_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "OTHERS_MAX", 1_000)
    trainer = TruthTrainer(1)
    for part in range(20):
        truth = np.arange(2_000) % 100 == 0
        trainer.take(np.full((2_000, 2), float(part)), truth)
    assert 400 + 500 <= trainer.examples <= 400 + 1_000
    of_part = np.bincount(np.concatenate(trainer._features)[:, 0].astype(int))
    assert of_part.min() >= 30
    assert of_part.max() <= 90
