"""Ranking subjects by what adds up: what is learned of whom, and how own labels take over from what ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.measures import Whole
from services.scorer.path.scoring.subject_model import SubjectModel
from services.workbench.assessment import subject_ranker
from services.workbench.assessment.replayed import Labelled
from services.workbench.assessment.spool import Spool, UnderPack, under_pack
from services.workbench.assessment.subject_learner import (
    CASES_MIN,
    EARLIER_WEIGHT,
    PARTS,
    TWIN_WEIGHT,
    Examples,
    SubjectLearner,
)
from services.workbench.assessment.subject_ranker import CASES_HALF, SubjectRanker
from services.workbench.assessment.worlds import Worlds
from tests.workbench.assessment.folders import RULESET

WIDTH = 3
NO_TWIN = np.zeros(1, dtype=np.bool_)


def payments(accounts: Whole) -> UnderPack:
    """Payments of ``accounts`` to themselves, of which only these are looked at."""
    n = len(accounts)
    digests, both = np.zeros((n, 2), dtype=np.uint64), np.stack([accounts, accounts], axis=1)
    digests[:, 1] = accounts.astype(np.uint64) << np.uint64(32)
    return UnderPack(np.arange(n), both, digests, digests, np.zeros_like(both), np.empty((n, 0)))


def _quiet(_: Any) -> None:
    """Told, and says nothing."""


@pytest.fixture(scope="module")
def streams() -> list[Labelled]:
    """Two small worlds for training, with enough payers of the kind to learn from."""
    worlds = Worlds(held_out=False, payers=300, months=3, seed=3, base_rate="0.1").sources()[:2]
    return [Labelled(each, RULESET) for each in worlds]


@pytest.fixture(scope="module")
def learned(streams: list[Labelled]) -> SubjectModel:
    """A subject model of them."""
    return SubjectLearner().learn(streams, _quiet, _quiet)


def test_nobody_is_ranked_without_a_model() -> None:
    assert SubjectRanker(None).variants == ()


def test_without_own_labels_the_model_that_ships_ranks_alone(streams: list[Labelled], learned: SubjectModel) -> None:
    ranker = SubjectRanker(learned)
    batch = next(streams[0].batches(_quiet))
    first = ranker.take(batch)["combined"]
    ranker.begin()
    assert np.array_equal(ranker.take(batch)["combined"], first)
    assert np.isfinite(first[batch.subject_to_pack]).all()
    assert np.isneginf(first[~batch.subject_to_pack]).all()


def test_own_cases_take_over_gradually(streams: list[Labelled], learned: SubjectModel) -> None:
    """What is mixed is between what both say, by the number of cases; and the same streams teach the same model."""
    shipped = SubjectLearner(seed=2, base_rate=0.001).learn(streams[:1], _quiet, _quiet)
    mixed = SubjectRanker(shipped)
    mixed.learn(streams, _quiet, _quiet)
    assert [model.hash for _, model in mixed._mixed] == [shipped.hash, learned.hash]
    batch = next(streams[1].batches(_quiet))
    said = [
        ranker.take(batch)["combined"][batch.subject_to_pack]
        for ranker in (mixed, *map(SubjectRanker, (learned, shipped)))
    ]
    cases = sum(int((each.truth.positive & each.truth.is_payer).sum()) for each in streams)
    part = cases / (cases + CASES_HALF)
    assert np.allclose(said[0], part * said[1] + (1.0 - part) * said[2])


def test_with_too_few_cases_the_model_that_ships_ranks_on(streams: list[Labelled], learned: SubjectModel) -> None:
    ranker, heard = SubjectRanker(learned, cases_max=CASES_MIN // 3), list[str]()
    ranker.learn(streams, heard.append, _quiet)
    assert [model.hash for _, model in ranker._mixed] == [learned.hash]
    assert "payers of the kind" in heard[-1]


def test_a_subject_of_whom_the_pack_is_silent_stands_below_all_others(
    streams: list[Labelled], learned: SubjectModel
) -> None:
    ranker = SubjectRanker(learned)
    batch = next(streams[0].batches(_quiet))
    features = batch.features[batch.subject_to_pack]
    silent = ranker._pack.evaluate(features, np.zeros(len(features))).silent[:, 0, 0]
    assert silent.any()
    assert not silent.all()
    scores = ranker.take(batch)["combined"][batch.subject_to_pack, 0]
    assert scores[silent].max() < scores[~silent].min()
    assert subject_ranker.LEAST_RISK < 0.0


def test_the_last_row_of_a_subject_counts_in_full_and_a_sample_of_earlier_ones_less() -> None:
    examples = Examples(WIDTH)
    accounts = np.array([0, 5_000, 0, 7])
    features = np.arange(4.0)[:, None] * np.ones(WIDTH)
    known, positive = np.array([True, True, True, False]), np.array([True, False, True, False])
    examples.take(payments(accounts), 0, features, known, positive, NO_TWIN)
    examples.end()
    rows = examples.rows()
    last = rows.weights == 1.0
    assert rows.features[last, 0].tolist() == [2.0, 1.0]
    assert rows.positive[last].tolist() == [True, False]
    assert set(rows.weights[~last].tolist()) <= {EARLIER_WEIGHT}


def test_what_is_kept_of_others_weighs_as_much_as_what_was_met() -> None:
    most, met = 500, 4_000
    examples = Examples(WIDTH, others_max=most)
    for at in range(4):
        accounts = np.arange(at, met, 4) // 4
        positive = accounts < 3
        found, known = payments(accounts), np.ones(len(accounts), dtype=np.bool_)
        examples.take(found, 1, np.zeros((len(accounts), WIDTH)), known, positive, NO_TWIN)
        examples.end()
    rows = examples.rows()
    assert (~rows.positive).sum() <= most
    last = rows.weights >= 1.0
    assert (rows.positive & last).sum() == 4 * 3
    assert rows.weights[~rows.positive & last].sum() == pytest.approx(met, rel=0.15)


def test_a_part_is_left_out_by_account() -> None:
    examples = Examples(WIDTH)
    accounts = np.arange(6)
    examples.take(payments(accounts), 0, accounts[:, None] * np.ones(WIDTH), accounts >= 0, accounts < 3, NO_TWIN)
    examples.end()
    kept = [examples.rows(without=part).features for part in range(PARTS)]
    assert [sorted(set(each[:, 0].tolist())) for each in kept] == [[1.0, 3.0, 5.0], [0.0, 2.0, 4.0]]


def test_what_was_kept_on_disk_comes_back(streams: list[Labelled], tmp_path: Path) -> None:
    spool = Spool(streams[0], tmp_path / "rows")
    filled = list(spool.fill(_quiet))
    again = list(spool.pieces(_quiet))
    for name in UnderPack._fields:
        first, second = (np.concatenate([getattr(each, name) for each in pieces]) for pieces in (filled, again))
        if name == "features":
            first = first.astype(np.float32).astype(np.float64)
        assert np.array_equal(first, second, equal_nan=name == "features"), name
    batch = next(streams[0].batches(_quiet))
    assert np.array_equal(under_pack(batch).features, batch.features[batch.subject_to_pack], equal_nan=True)


def test_twins_count_more_than_others_so_that_they_are_told_apart() -> None:
    examples = Examples(WIDTH)
    accounts, known = np.arange(3), np.ones(3, dtype=np.bool_)
    found = payments(accounts)._replace(lines=np.stack([accounts, accounts], axis=1))
    examples.take(found, 0, np.zeros((3, WIDTH)), known, accounts == 0, np.array([False, True, False]))
    examples.end()
    rows = examples.rows()
    assert rows.weights[rows.weights >= 1.0].tolist() == [1.0, TWIN_WEIGHT, 1.0]
