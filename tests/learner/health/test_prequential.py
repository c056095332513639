"""Scores as emitted against labels: the figures by their definition, the windows' bounds, and no trace of a crash."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.drift import Alarm
from services.contract.label import Example
from services.contract.units import DAY_MS
from services.learner.health.prequential import (
    ALL,
    DEFINITION,
    NAMES,
    WINDOW_EXAMPLES,
    JudgedWindow,
    Prequential,
    StateRefused,
    cohort_of,
)
from tests.learner.streams import example
from tests.support.served_batches import START_MS

Judged = tuple[float, float, bool]
SHARE = 0.25
judged = st.lists(
    st.tuples(st.integers(-4, 4).map(float), st.integers(1, 16).map(float), st.booleans()), min_size=1, max_size=60
)


def window_of(examples: Iterable[Judged]) -> JudgedWindow:
    window = JudgedWindow()
    for score, weight, label in examples:
        window.add(score, weight, label)
    return window


def probability(score: float) -> float:
    return 1.0 / (1.0 + math.exp(-score))


def naive_average_precision(examples: list[Judged]) -> float:
    """Over falling thresholds: recall gained there times precision there."""
    true = sum(weight for _, weight, label in examples if label)
    total, before = 0.0, 0.0
    for threshold in sorted({score for score, _, _ in examples}, reverse=True):
        taken = [(weight, label) for score, weight, label in examples if score >= threshold]
        found = sum(weight for weight, label in taken if label)
        total += (found - before) / true * found / sum(weight for weight, _ in taken)
        before = found
    return total


def naive_recall(examples: list[Judged]) -> float:
    """Of all thresholds that keep within the budget the one that finds most."""
    mass = sum(weight for _, weight, _ in examples)
    true = sum(weight for _, weight, label in examples if label)
    found = [0.0]
    for threshold in {score for score, _, _ in examples}:
        taken = [(weight, label) for score, weight, label in examples if score >= threshold]
        if sum(weight for weight, _ in taken) <= SHARE * mass:
            found.append(sum(weight for weight, label in taken if label))
    return max(found) / true


def naive_calibration_error(examples: list[Judged]) -> float:
    """Ten groups of equal weight by rising score, in the order of arrival where scores are equal."""
    mass = sum(weight for _, weight, _ in examples)
    groups: dict[int, list[Judged]] = {}
    reached = 0.0
    for each in sorted(examples, key=lambda entry: entry[0]):
        reached += each[1]
        groups.setdefault(min(int(reached / mass * 10), 9), []).append(each)
    error = 0.0
    for group in groups.values():
        weight = sum(each[1] for each in group)
        said = sum(each[1] * probability(each[0]) for each in group) / weight
        came = sum(each[1] * each[2] for each in group) / weight
        error += weight / mass * abs(said - came)
    return error


@given(judged)
def test_the_figures_are_what_their_definitions_say(examples: list[Judged]) -> None:
    found = window_of(examples).figures(SHARE)
    mass = sum(weight for _, weight, _ in examples)
    brier = sum(weight * (probability(score) - label) ** 2 for score, weight, label in examples) / mass
    assert (found.payments, found.suspicious) == (len(examples), sum(label for _, _, label in examples))
    assert found.brier == pytest.approx(brier)
    assert found.calibration_error == pytest.approx(naive_calibration_error(examples))
    if found.suspicious:
        assert found.average_precision == pytest.approx(naive_average_precision(examples))
        assert found.recall_at_budget == pytest.approx(naive_recall(examples))
    else:
        assert found.average_precision is None
        assert found.recall_at_budget is None


@given(judged, st.integers(0, 60))
def test_a_window_is_packed_and_unpacked_to_the_bit(examples: list[Judged], cut: int) -> None:
    again = JudgedWindow(window_of(examples[:cut]).pack())
    for each in examples[cut:]:
        again.add(*each)
    assert again.pack() == window_of(examples).pack()


def test_a_window_is_bounded_and_forgets_the_oldest() -> None:
    random_scores = np.random.default_rng(1).normal(size=WINDOW_EXAMPLES + 100).tolist()
    examples = [(score, 1.0, score > 0.0) for score in random_scores]
    window = window_of(examples)
    assert window.pack() == window_of(examples[100:]).pack()
    assert len(window.pack()) == 17 * WINDOW_EXAMPLES
    assert JudgedWindow(window.pack()).figures(SHARE) == window_of(examples[100:]).figures(SHARE)


@given(st.integers(-2, 40 * 24))
def test_a_label_belongs_to_the_first_cohort_that_is_wide_enough(hours: int) -> None:
    wanted = next((name for name, most in (("1d", 24), ("7d", 168), ("30d", 720)) if hours <= most), "later")
    assert cohort_of(hours * DAY_MS // 24) == wanted


def log_of(seed: int, count: int, rise_at: int | None = None) -> list[Example]:
    """Examples of a model that knows something, with labels of all ages; from ``rise_at`` it is wrong more often."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        each = example(number, draw)
        wrong = rise_at is not None and number >= rise_at and draw.random() < 0.7
        score = draw.gauss(2.0 if each.label != wrong else -2.0, 1.0)
        late = draw.choice((0.5, 3.0, 20.0, 60.0))
        made.append(
            msgspec.structs.replace(
                each, event_time_ms=START_MS, label_time_ms=START_MS + int(late * DAY_MS) + number, score=score
            )
        )
    return made


def run(judge: Prequential, log: list[tuple[int, Example]]) -> list[Alarm]:
    found = (judge.take(each, offset) for offset, each in log)
    return [alarm for alarm in found if alarm is not None]


def test_each_example_is_judged_in_its_cohort_and_in_all() -> None:
    judge = Prequential()
    log = log_of(1, 400)
    assert run(judge, list(enumerate(log))) == []
    ages = [cohort_of(each.label_time_ms - each.event_time_ms) for each in log]
    for name in NAMES:
        held = [each for each, age in zip(log, ages, strict=True) if name in (age, ALL)]
        wanted = window_of((each.score, each.weight, each.label) for each in held).figures(SHARE)
        assert judge.figures(name, SHARE) == wanted
    assert sum(judge.figures(name, SHARE).payments for name in NAMES) == 2 * len(log)


def test_only_cohorts_with_news_are_computed_again_and_the_longest_waiting_first() -> None:
    judge = Prequential()
    while judge.next_changed() is not None:
        pass
    for offset, each in enumerate(log_of(1, 1)):
        judge.take(each, offset)
    waiting = [judge.next_changed(), judge.next_changed()]
    assert ALL in waiting
    assert judge.next_changed() is None


def test_a_repeat_and_a_weight_that_is_none_count_nothing_and_another_schema_counts() -> None:
    judge = Prequential()
    first, second, third, *_ = log_of(1, 3)
    repeats = [first, first]
    weightless = [msgspec.structs.replace(second, weight=weight) for weight in (0.0, -1.0, math.nan, 1e7)]
    for offset, each in enumerate(repeats + weightless):
        judge.take(each, offset)
        assert judge.judged == 1
    judge.take(msgspec.structs.replace(third, feature_schema_hash="00" * 32), 9)
    assert judge.judged == 2
    with pytest.raises(ValueError, match="offset 9 comes after 9"):
        judge.take(second, 9)


@pytest.mark.parametrize("seed", range(8))
def test_losses_that_rise_at_once_are_an_alarm_and_steady_ones_are_none(seed: int) -> None:
    assert run(Prequential(), list(enumerate(log_of(seed, 6_000)))) == []
    alarms = run(Prequential(), list(enumerate(log_of(seed, 6_000, rise_at=3_000))))
    assert {alarm.kind for alarm in alarms} == {"loss"}
    assert {alarm.about.partition("/")[2] for alarm in alarms} == {"1d", "7d", "30d", "later"}
    assert all(alarm.values["after"] > alarm.values["before"] for alarm in alarms)
    assert all(alarm.event_time_ms >= START_MS + 3_000 for alarm in alarms)


@pytest.mark.parametrize("seed", range(4))
def test_losses_that_fall_are_no_alarm(seed: int) -> None:
    wrong, right = log_of(seed, 3_000, rise_at=0), log_of(seed + 50, 3_000)
    renamed = [msgspec.structs.replace(each, example_id=f"later-{each.example_id}") for each in right]
    assert run(Prequential(), list(enumerate(wrong + renamed))) == []


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 1_600), max_size=3))
@settings(max_examples=10, deadline=None)
def test_killed_and_resumed_anywhere_it_comes_to_the_same_alarms_and_figures(seed: int, cuts: list[int]) -> None:
    log = list(enumerate(log_of(seed, 1_600, rise_at=800)))
    whole = Prequential()
    expected = run(whole, log)
    found: list[Alarm] = []
    resumed = Prequential()
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(log)], strict=True):
        resumed = Prequential(resumed.pack())
        found += run(resumed, log[start:stop])
    assert found == expected
    assert resumed.pack() == whole.pack()
    assert [resumed.figures(name, SHARE) for name in NAMES] == [whole.figures(name, SHARE) for name in NAMES]


def test_a_state_that_is_not_whole_or_of_another_definition_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Prequential()
    run(judge, list(enumerate(log_of(1, 20))))
    packed = judge.pack()
    for broken in (packed[:-1], packed[:70] + b"?" + packed[71:], b"rubbish"):
        with pytest.raises(StateRefused, match="SHA-256"):
            Prequential(broken)
    monkeypatch.setitem(DEFINITION, "loss_max", 11.0)
    with pytest.raises(StateRefused, match="another definition"):
        Prequential(packed)


def test_its_state_is_bounded() -> None:
    judge = Prequential()
    log = log_of(1, 200)
    for number in range(200):
        again = [msgspec.structs.replace(each, example_id=f"{number}-{each.example_id}") for each in log]
        run(judge, [(200 * number + at, each) for at, each in enumerate(again)])
    assert len(judge.pack()) < 900_000
    assert judge.figures(ALL, SHARE).payments == WINDOW_EXAMPLES
