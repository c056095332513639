"""Drift of what is served: windows by event time, alarms once, and a state that no crash moves."""

from __future__ import annotations

import random
from collections.abc import Container, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.drift import SCORE, Alarm, count_bins, deciles, stability_index
from services.contract.payment_digests import payment_key
from services.contract.units import DAY_MS
from services.learner.joining.join import Join
from services.learner.joining.records import Decisions
from services.learner.joining.served import COLUMNS, REFERENCE_DECISIONS, ServedDrift, ServedPlan
from services.scorer.path.features.registry import INDEX, NAMES
from tests.learner.streams import MemoryStore
from tests.support.served_batches import SCHEMA, START_MS, Row, served_batch

PLAN = ServedPlan(SCHEMA, sample_one_in=1, window_days=2, window_decisions=200, psi_limit=0.25, reference="1")
DAY = START_MS // DAY_MS * DAY_MS
A_DAY = 150
"""Decisions in one."""
LARGE = "payer_payments_1d"
Log = list[Row]


def decision(number: int, at_ms: int, features: Sequence[float | None], score: float = -3.0) -> Row:
    return Row(f"p-{number}", at_ms, tuple(features), score)


def take(served: ServedDrift, rows: Sequence[Row], is_new: bool = True) -> None:
    decisions = Decisions.of(served_batch(rows), 0)
    served.take(decisions, np.full(len(rows), is_new))


def decisions(seed: int, days: int, moved: Container[int] = (), a_day: int = A_DAY) -> Log:
    """On days of ``moved`` one feature is missing, another is large, and scores are higher. Some are flags."""
    draw, made = np.random.default_rng(seed), []
    for day in range(days):
        values = draw.normal(size=(a_day, len(NAMES)))
        values[:, ::3] = values[:, ::3] > 1.0
        scores = draw.normal(2.0 if day in moved else -3.0, 1.0, a_day).tolist()
        if day in moved:
            values[:, INDEX[LARGE]] = 1e6
        rows: list[list[float | None]] = values.tolist()
        for at, row in enumerate(rows):
            row[at % len(row)] = None
            if day in moved:
                row[INDEX["amount"]] = None
            made.append(decision(day * a_day + at, DAY + day * DAY_MS + at * DAY_MS // a_day, row, scores[at]))
    return made


def run(store: MemoryStore, log: Sequence[Row], plan: ServedPlan = PLAN, batch: int = 40) -> list[Alarm]:
    """The decisions in batches, as the joiner takes them, over what ``store`` holds; the alarms that were heard."""
    served = ServedDrift(store, plan)
    heard: list[Alarm] = []
    for start in range(0, len(log), batch):
        take(served, log[start : start + batch])
        changes = served.seal()
        heard += served.alarms
        store.write(changes)
        served.written()
    return heard


def table(log: Sequence[Row]) -> np.ndarray:
    return np.array([(*each.features, each.score) for each in log], dtype=np.float64)


def indices(log: Log, reference: slice, current: slice) -> dict[str, float]:
    edges = deciles(table(log[reference]))
    counts = [count_bins(table(log[part]), edges) for part in (reference, current)]
    return dict(zip(COLUMNS, stability_index(*counts).tolist(), strict=True))


def test_each_day_the_window_that_ends_is_held_against_the_first_days() -> None:
    log, store = decisions(1, 7), MemoryStore()
    for day in range(1, 7):
        run(store, log[(day - 1) * A_DAY : day * A_DAY])
        assert ServedDrift(store, PLAN).index() == {} or day > 4
    run(store, log[6 * A_DAY :])
    found = ServedDrift(store, PLAN)
    assert found.evaluations == 3  # days 2-3, 3-4 and 4-5; day 6 is open
    wanted = indices(log, slice(0, 2 * A_DAY), slice(4 * A_DAY, 6 * A_DAY))
    assert found.index() == pytest.approx(wanted, abs=1e-12)
    assert found.decisions == {"reference": 2 * A_DAY, "window": 2 * A_DAY}  # a day that ended, and the open one


@pytest.mark.parametrize("seed", range(6))
def test_what_moves_is_an_alarm_that_names_it_once_and_what_does_not_is_none(seed: int) -> None:
    plan = replace(PLAN, window_decisions=2_000)
    assert run(MemoryStore(), decisions(seed, 8, a_day=1_000), plan) == []
    alarms = run(MemoryStore(), decisions(seed, 8, moved=range(4, 9), a_day=1_000), plan)
    assert [alarm.kind for alarm in alarms] == ["feature", "score"]
    feature, score = alarms
    assert feature.values.keys() == {"amount", LARGE}
    assert score.values.keys() == {SCORE}
    assert all(value > 0.25 for alarm in alarms for value in alarm.values.values())
    assert {(alarm.event_time_ms, alarm.about, alarm.limit) for alarm in alarms} == {(DAY + 5 * DAY_MS, "1", 0.25)}


def test_what_has_come_back_and_moves_again_is_an_alarm_again() -> None:
    log = decisions(5, 13, moved={4, 5, 10, 11}, a_day=1_000)
    alarms = run(MemoryStore(), log, replace(PLAN, window_decisions=2_000))
    assert [(alarm.kind, (alarm.event_time_ms - DAY) // DAY_MS) for alarm in alarms] == [
        ("feature", 5),
        ("score", 5),
        ("feature", 11),
        ("score", 11),
    ]


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 1_050), max_size=4), batch=st.integers(1, 200))
@settings(max_examples=10, deadline=None)
def test_killed_and_resumed_anywhere_it_comes_to_the_same_alarms_and_state(
    seed: int, cuts: list[int], batch: int
) -> None:
    log = decisions(seed, 7, moved=range(4, 9))
    whole, resumed = MemoryStore(), MemoryStore()
    expected = run(whole, log)
    heard: list[Alarm] = []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(log)], strict=True):
        heard += run(resumed, log[start:stop], batch=batch)
    assert heard == expected
    assert heard
    assert resumed.values == whole.values


def test_what_was_not_written_leaves_no_trace() -> None:
    log, store = decisions(3, 6), MemoryStore()
    run(store, log[:400])
    before = dict(store.values)
    lost = ServedDrift(store, PLAN)
    take(lost, log[400:])
    lost.seal()
    assert store.values == before


def test_one_decision_in_so_many_is_looked_at_chosen_by_its_payment() -> None:
    log, plan = decisions(4, 2, a_day=3_000), replace(PLAN, sample_one_in=16)
    served = ServedDrift(MemoryStore(), plan)
    take(served, log)
    take(served, log, is_new=False)
    chosen = sum(int.from_bytes(payment_key("default", each.payment_id)[8:]) % 16 == 0 for each in log)
    assert served.decisions["reference"] == chosen
    assert chosen == pytest.approx(len(log) / 16, rel=0.2)


@pytest.mark.parametrize("seed", range(2))
def test_the_reference_is_a_bounded_sample_that_no_order_changes(seed: int) -> None:
    log = decisions(6, 1, a_day=REFERENCE_DECISIONS + 500)
    kept = sorted(payment_key(each.tenant, each.payment_id) for each in log)[:REFERENCE_DECISIONS]
    random.Random(seed).shuffle(log)
    store = MemoryStore()
    run(store, log, batch=500)
    assert sorted(key[2:] for key in store.values if key.startswith(b"pr")) == kept


def test_a_day_with_few_decisions_is_part_of_a_longer_pane() -> None:
    log = decisions(7, 24, a_day=20)  # 100 make a pane: five days each
    store = MemoryStore()
    run(store, log)
    found = ServedDrift(store, PLAN)
    assert found.evaluations == 1
    assert found.index() == pytest.approx(indices(log, slice(0, 200), slice(200, 400)), abs=1e-12)


def test_a_late_decision_counts_in_the_open_pane_and_one_far_ahead_ends_none() -> None:
    log, store = decisions(8, 2), MemoryStore()
    run(store, log)
    served = ServedDrift(store, PLAN)
    features = log[0].features
    take(served, [decision(10_001, DAY - 30 * DAY_MS, features)._replace(appended_ms=DAY + 2 * DAY_MS - 1)])
    assert served.decisions["window"] == 0
    assert served.decisions["reference"] == len(log) + 1
    wrong_clock = decision(10_002, DAY + 4_000 * DAY_MS, features)._replace(appended_ms=DAY + DAY_MS)
    take(served, [wrong_clock])  # at most a day ahead
    take(served, [decision(10_003, DAY + 2 * DAY_MS, features)._replace(appended_ms=DAY + 2 * DAY_MS)])
    assert served.decisions == {"reference": len(log) + 1, "window": 0}
    served.seal()
    assert served.decisions == {"reference": len(log) + 1, "window": 2}


@pytest.mark.parametrize("changed", [{"reference": "2"}, {"feature_schema_hash": "00" * 32}, {"sample_one_in": 2}])
def test_another_plan_forgets_all_and_takes_its_reference_anew(changed: dict[str, object]) -> None:
    store = MemoryStore()
    run(store, decisions(9, 5))
    store.write({b"d" + b"x" * 16: b"the join's"})
    served = ServedDrift(store, replace(PLAN, **changed))  # type: ignore[arg-type]
    assert (served.evaluations, served.index(), served.decisions) == (0, {}, {"reference": 0, "window": 0})
    store.write(served.seal())
    assert sorted(store.values) == [b"d" + b"x" * 16, b"pm"]


def test_a_decision_of_another_schema_is_not_looked_at() -> None:
    served = ServedDrift(MemoryStore(), replace(PLAN, feature_schema_hash="00" * 32))
    take(served, decisions(1, 1))
    assert served.decisions["reference"] == 0
    assert served.seal() == {}


def test_keys_do_not_meet_those_of_the_join_and_what_is_stored_is_bounded() -> None:
    store = MemoryStore()
    run(store, decisions(2, 9))
    assert sorted({key[:2] for key in store.values}) == [b"pc", b"pe", b"pm", b"pw"]
    assert len(store.values) == 3 + PLAN.window_days  # one pane that ended, one open
    assert sum(map(len, store.values.values())) < 60_000
    assert Join(store).waiting_labels == 0
    assert len(COLUMNS) == len(NAMES) + 1
