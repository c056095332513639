"""The summary's arithmetic, on literal tables and against naive twins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.demo.figures import NOTHING, detection, percentile
from services.demo.plan import PACED_MAX, snapshot_examples, stretches
from services.demo.readback import Evidence, Served
from services.demo.summary import NOTE, Conditions, summarise

T, F = True, False


@pytest.mark.parametrize(
    "scores, suspicious, share, precision, recall, average_precision",
    [
        ([9.0, 8.0, 7.0, 6.0], [T, F, T, F], 0.25, 1.0, 0.5, 5 / 6),
        ([9.0, 8.0, 7.0, 6.0], [T, F, T, F], 0.50, 0.5, 0.5, 5 / 6),
        ([9.0, 8.0, 7.0, 6.0], [T, F, T, F], 0.75, 2 / 3, 1.0, 5 / 6),
        ([1.0, 2.0, 3.0, 4.0], [T, F, F, F], 0.50, 0.0, 0.0, 0.25),
        ([5.0, 5.0, 5.0, 5.0], [F, T, F, F], 0.25, 0.0, 0.0, 0.25),
        ([5.0, 5.0, 5.0, 5.0], [T, F, F, F], 0.25, 1.0, 1.0, 0.25),
        ([3.0, 2.0, 1.0], [F, F, F], 0.34, 0.0, None, None),
        ([3.0], [T], 0.001, 1.0, 1.0, 1.0),
    ],
)
def test_precision_recall_and_average_precision(
    scores: list[float],
    suspicious: list[bool],
    share: float,
    precision: float,
    recall: float | None,
    average_precision: float | None,
) -> None:
    found = detection(scores, suspicious, share)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert found.average_precision == pytest.approx(average_precision)


def test_of_nothing_nothing_is_said() -> None:
    assert detection([], [], 0.5) == NOTHING


def naive_average_precision(scores: list[int], suspicious: list[bool]) -> float:
    """Precision at every threshold, weighted by the recall it adds."""
    total, last_recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = [truth for score, truth in zip(scores, suspicious, strict=True) if score >= threshold]
        recall = sum(taken) / sum(suspicious)
        total += (recall - last_recall) * sum(taken) / len(taken)
        last_recall = recall
    return total


rankings = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=40)


@given(rankings, st.floats(0.01, 0.99))
def test_detection_equals_its_naive_twin(ranking: list[tuple[int, bool]], share: float) -> None:
    scores, suspicious = [score for score, _ in ranking], [truth for _, truth in ranking]
    found = detection([float(score) for score in scores], suspicious, share)
    looked_at = sorted(range(len(scores)), key=lambda at: (-scores[at], at))[: max(1, int(len(scores) * share))]
    right = sum(suspicious[at] for at in looked_at)
    assert found.budget == len(looked_at)
    assert found.precision == right / len(looked_at)
    if sum(suspicious):
        assert found.recall == right / sum(suspicious)
        assert found.recall_max is not None
        assert found.recall <= found.recall_max
        assert found.average_precision == pytest.approx(naive_average_precision(scores, suspicious))
    else:
        assert found.recall is found.average_precision is None


@pytest.mark.parametrize(
    "values, share, expected",
    [([], 0.5, None), ([7.0], 0.99, 7.0), ([3.0, 1.0, 2.0], 0.5, 2.0), ([float(n) for n in range(1, 101)], 0.99, 99.0)],
)
def test_percentiles(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


@given(st.integers(100, 2_000_000))
def test_stretches_are_the_whole_stream(count: int) -> None:
    planned = stretches(count)
    assert sum(each.payments for each in planned) == count
    assert [each.kind for each in planned] == ["lead", "bulk", *["block"] * 5, "paced"]
    assert planned[-1].payments <= PACED_MAX
    assert 50 <= snapshot_examples(count) <= 1_000


def served(number: int, score: float, outcome: str = "pass", model: int = 1) -> Served:
    return Served(f"d-{number}", f"p{number}", outcome, score, model)  # type: ignore[arg-type]


def evidence_of(*decisions: Served, ids: int) -> Evidence:
    evidence = Evidence(payment_ids={f"p{number}" for number in range(1, ids + 1)}, decisions=len(decisions))
    for each in decisions:
        if evidence.served.setdefault(each.payment_id, each) is not each:
            evidence.doubled.add(each.payment_id)
    return evidence


def conditions(sent: int, evaluated_from: int | None) -> Conditions:
    return Conditions(1, "memory", "at_least_once", sent, 0, 0, 12.3, [5.0, 1.0], evaluated_from, 0.5)


def test_a_sound_run_is_evaluated_where_a_model_was_live() -> None:
    evidence = evidence_of(
        served(1, 9.0, model=0), served(2, 3.0, "review"), served(3, 1.0), served(4, 2.0, "review"), ids=4
    )
    truth, positions = {"p2": "mule", "p1": "mule"}, {"p1": 1, "p2": 2, "p3": 3, "p4": 4}
    summary = summarise(conditions(4, evaluated_from=1), evidence, truth, positions, 2.0)
    told = summary.as_dict()
    assert summary.sound
    assert (told["payments_in"], told["decisions_out"], told["lost"], told["doubled"]) == (4, 4, 0, 0)
    assert (told["precision"], told["recall"], told["average_precision"]) == (1.0, 1.0, 1.0)
    assert told["evaluation"]["payments"] == 3
    assert (told["evaluation"]["review_precision"], told["evaluation"]["review_recall"]) == (0.5, 1.0)
    assert told["latency_ms"] == {"p50": 1.0, "p99": 5.0}
    assert told["decision_id"] == "d-2"
    assert told["note"] == NOTE


@pytest.mark.parametrize(
    "decisions, ids, sent, lost, doubled",
    [
        ([served(1, 0.0)], 2, 2, 1, 0),
        ([served(1, 0.0), served(1, 0.5)], 1, 1, 0, 1),
        ([served(1, 0.0)], 1, 3, 2, 0),
        ([], 0, 1, 1, 0),
    ],
)
def test_whatever_is_lost_or_doubled_makes_a_run_unsound(
    decisions: list[Served], ids: int, sent: int, lost: int, doubled: int
) -> None:
    summary = summarise(conditions(sent, None), evidence_of(*decisions, ids=ids), {}, {}, 1.0)
    told = summary.as_dict()
    assert (told["payments_in"], told["lost"], told["doubled"]) == (sent, lost, doubled)
    assert not summary.sound
    assert told["precision"] is told["recall"] is told["average_precision"] is None
