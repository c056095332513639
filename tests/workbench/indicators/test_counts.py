"""Counting what indicators say: the columns are their naive twin, and what is missing is no miss."""

from __future__ import annotations

import numpy as np

from services.scorer.path.rules.pack import HIT, MISSING, NO_HIT
from services.workbench.indicators.counts import HISTORY, OTHERS, POSITIVES, counted, world_of
from tests.workbench.indicators.made import pack_of, truth, world


def test_counts_are_those_of_their_naive_twin() -> None:
    draw = np.random.default_rng(5)
    outcomes = draw.integers(0, 3, (300, 4)).astype(np.uint8)
    subject, positive = draw.integers(0, 40, 300), draw.random(40) < 0.3
    found = counted(outcomes, subject, positive)
    for group, wanted in ((OTHERS, False), (POSITIVES, True)):
        members = [each for each in range(40) if positive[each] == wanted and (subject == each).any()]
        assert found.subjects[group] == len(members)
        for indicator in range(4):
            said = {each: [int(o) for o, s in zip(outcomes[:, indicator], subject, strict=True) if s == each]
                    for each in members}  # fmt: skip
            for outcome in (NO_HIT, HIT, MISSING):
                assert found.payments[group, outcome, indicator] == sum(each.count(outcome) for each in said.values())
            told = [[each for each in of if each != MISSING] for of in said.values()]
            assert found.measured[group, indicator] == sum(1 for of in told if of)
            assert found.ever[group, indicator] == sum(1 for of in told if HIT in of)
            shares = sum(of.count(HIT) / len(of) for of in told if of)
            np.testing.assert_allclose(found.shares[group, indicator], shares)


def test_what_is_missing_is_no_miss() -> None:
    """Of a subject of whom two payments are not measured, the shares are those of the others."""
    told = np.array([[HIT], [NO_HIT]], dtype=np.uint8)
    untold = np.array([[HIT], [MISSING], [NO_HIT], [MISSING]], dtype=np.uint8)
    positive = np.array([True])
    first = counted(told, np.zeros(2, dtype=np.int64), positive)
    second = counted(untold, np.zeros(4, dtype=np.int64), positive)
    assert first.shares[POSITIVES, 0] == second.shares[POSITIVES, 0] == 0.5
    assert second.payments[POSITIVES, :, 0].tolist() == [1, 1, 2]


def test_what_is_said_of_a_payers_first_payments_does_not_count() -> None:
    """A payer of two payments is no subject; of one with four, two count."""
    accounts = np.array([[0, 0], [1, 1], [1, 1], [0, 0], [1, 1], [1, 1]])
    outcomes = np.array([[HIT]] * 4 + [[HIT], [NO_HIT]], dtype=np.uint8)
    silent = np.zeros((6, 2), dtype=np.bool_)
    found = world_of("w", outcomes, silent, accounts, accounts + np.array([0, 2]), truth([False, True]))
    assert HISTORY == 3
    for counts in found.counts:
        assert counts.subjects.tolist() == [0, 1]
        assert counts.payments[POSITIVES, :, 0].tolist() == [1, 1, 0]
    for said in found.said:
        assert said.times.sum() == 2
        assert sorted(set(said.subject.tolist())) == [0, 1], "they may be asked about all the same"


def test_payers_without_truth_are_left_out() -> None:
    accounts = np.array([[0, 0]] * 3 + [[1, 1]] * 3 + [[2, 2]] * 3)
    outcomes, silent = np.full((9, 1), HIT, dtype=np.uint8), np.zeros((9, 2), dtype=np.bool_)
    lines = np.array([[0, 2]] * 3 + [[1, 3]] * 3 + [[-1, -1]] * 3)
    found = world_of("w", outcomes, silent, accounts, lines, truth([False, True]))
    assert [counts.subjects.tolist() for counts in found.counts] == [[1, 1], [1, 1]]


def test_every_pattern_of_hits_stands_once_and_its_times_add_up() -> None:
    pack = pack_of("A1", "T3", "T6-")
    found = world("w", pack, {"A1": (0.2, 0.6), "T3": (0.1, 0.5), "T6-": (0.5, 0.1)}, 1)
    assert len(np.unique(found.hits, axis=0)) == len(found.hits) <= 8
    for counts, said in zip(found.counts, found.said, strict=True):
        for group, wanted in ((OTHERS, False), (POSITIVES, True)):
            of_group = said.positive[said.subject] == wanted
            hits = said.times[of_group] @ found.hits[said.pattern[of_group]]
            assert hits.tolist() == counts.payments[group, HIT].tolist()
