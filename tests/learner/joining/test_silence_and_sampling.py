"""Which decisions are kept for labels to come, and what it says that none came."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from models.labels import RELIABILITY, SILENCE
from models.learning.silence import certainty
from services.bench.soak import soak
from services.contract.codec import decode, encode
from services.contract.label import Disposition, Example
from services.contract.payment_digests import payment_key
from services.contract.served import ERROR, HIT, NO_HIT
from services.contract.topics import Topics
from services.contract.units import DAY_MS
from services.learner.joining.batch import Output, Read, apply, sweep
from services.learner.joining.join import Join, Limits
from services.learner.joining.records import EXAMPLE_WEIGHT_MAX
from services.learner.joining.sampling import drawn, inclusion
from services.learner.joining.state import StateRefused
from services.learner.measures import Measures
from services.runtime.metrics import Metrics
from services.scorer.path.scoring.model import probability
from tests.learner.streams import MemoryStore, decision, label, served, take, taught
from tests.support.served_batches import START_MS, Row, served_batch

TOPICS = Topics()
LATER_MS = START_MS + 10_000 * DAY_MS
LIMITS = Limits(keep_share=0.1, keep_probability=0.05, label_maturity_ms=90 * DAY_MS, label_frequency=0.3)


@pytest.mark.parametrize(
    ("outcome", "rule", "score", "wanted"),
    [
        ("review", NO_HIT, -9.0, 1.0),
        ("pass", HIT, -9.0, 1.0),
        ("pass", ERROR, -9.0, 0.1),
        ("pass", NO_HIT, -9.0, 0.1),
        ("pass", NO_HIT, -4.0, probability(-4.0) / 0.05),
        ("pass", NO_HIT, -2.9, 1.0),
        ("pass", NO_HIT, 9.0, 1.0),
    ],
)
def test_what_is_of_interest_is_kept_and_of_the_rest_a_share_that_grows_with_the_probability(
    outcome: str, rule: int, score: float, wanted: float
) -> None:
    rows = [Row("p", score=score, outcome=outcome, rules=(NO_HIT, rule)), Row("q", score=-9.0)]
    assert inclusion(served_batch(rows), 0.1, 0.05).tolist() == pytest.approx([wanted, 0.1])


def test_weights_undo_the_sampling() -> None:
    """Of 20,000 decisions, all labelled: sums over the kept ones, weighted, are sums over all of them (4 sigma)."""
    draw, join = random.Random(5), Join(MemoryStore(), LIMITS)
    scores = [min(2.0, draw.gauss(-6.0, 2.0)) for _ in range(20_000)]
    weights: list[float] = []
    for number, score in enumerate(scores):
        take(join, served(f"p-{number}", score=score), LATER_MS)
        joined = join.take_label(label(f"p-{number}", "l", source="authority"))
        weights.append(0.0 if joined is None else taught(joined).weight)
    assert 2_000 < join.decisions < 8_000
    for of in (lambda score: 1.0, probability):
        pis = [min(1.0, max(0.1, probability(score) / 0.05)) for score in scores]
        spread = sum((1.0 / pi - 1.0) * of(score) ** 2 for pi, score in zip(pis, scores, strict=True)) ** 0.5
        total = sum(weight * of(score) for weight, score in zip(weights, scores, strict=True))
        assert total == pytest.approx(sum(map(of, scores)), abs=4.0 * spread)


def test_a_label_that_waits_for_a_decision_that_is_not_kept_is_counted_and_waits_no_longer() -> None:
    join = Join(MemoryStore(), LIMITS)
    names = [f"p-{number}" for number in range(200)]
    for name in names:
        join.take_label(label(name, "l"))
    made = [each for name in names for each in take(join, served(name, score=-9.0), LATER_MS)]
    assert 5 < len(made) < 40
    assert {name for name in names if drawn(payment_key("default", name)) < 0.1} == {
        taught(each).payment_id for each in made
    }
    assert join.counts["not_kept"] == join.counts["decision_not_kept"] == 200 - len(made)
    assert join.waiting_labels == 0


LEARNED = Limits(learn_share=0.1, label_maturity_ms=90 * DAY_MS)


def test_of_what_turns_out_not_suspicious_a_share_is_learned_and_weighs_as_the_whole() -> None:
    """Of 20,000 decisions, all kept and labelled: scorers hear of all, trainers of the suspicious and of a share."""
    draw, join = random.Random(6), Join(MemoryStore(), LEARNED)
    scores = [min(2.0, draw.gauss(-6.0, 2.0)) for _ in range(20_000)]
    weights: list[float] = []
    for number, score in enumerate(scores):
        suspicious = number % 20 == 0
        take(join, served(f"p-{number}", score=score), LATER_MS)
        said = label(
            f"p-{number}", "l", disposition="suspicious" if suspicious else "not_suspicious", source="authority"
        )
        joined = join.take_label(said)
        assert joined is not None
        assert joined.first is not None
        assert joined.first.confirmed is suspicious
        if suspicious:
            assert taught(joined).weight == 1.0
        else:
            weights.append(0.0 if joined.example is None else joined.example.weight)
    assert join.counts["not_learned"] == weights.count(0.0)
    assert join.counts["joined"] == 20_000 - weights.count(0.0)
    assert 2_000 < join.counts["joined"] < 8_000
    pis = [min(1.0, max(0.1, probability(score) / 0.05)) for at, score in enumerate(scores) if at % 20]
    spread = sum(1.0 / pi - 1.0 for pi in pis) ** 0.5
    assert sum(weights) == pytest.approx(len(pis), abs=4.0 * spread)


def test_a_label_that_corrects_an_example_is_learned_whatever_is_drawn() -> None:
    join = Join(MemoryStore(), LEARNED)
    name = next(each for each in (f"p-{at}" for at in range(100)) if drawn(payment_key("default", each)) > 0.5)
    take(join, served(name, score=-9.0), LATER_MS)
    said: tuple[Disposition, ...] = ("not_suspicious", "not_suspicious", "suspicious", "not_suspicious")
    made = [join.take_label(label(name, f"l-{at}", START_MS + at, each, "authority")) for at, each in enumerate(said)]
    examples = [each.example for each in made if each is not None]
    assert [each and (each.label, each.weight) for each in examples] == [None, None, (True, 1.0), (False, 1.0)]
    assert [each is not None and each.first is not None for each in made] == [True, False, False, False]


def test_of_silence_the_same_share_is_learned_and_weighs_as_the_whole() -> None:
    store = MemoryStore()
    join = Join(store, LEARNED)
    names = [f"p-{number}" for number in range(300)]
    for name in names:
        take(join, served(name, score=-9.0), LATER_MS)
    take(join, served("now", START_MS + 91 * DAY_MS), LATER_MS)
    store.write(join.seal())
    join.written()
    passed, made = join.sweep(1_000)
    assert passed == 300
    assert {each.payment_id for each in made} == {each for each in names if drawn(payment_key("default", each)) < 0.1}
    assert {each.weight for each in made} == {RELIABILITY[SILENCE] * certainty(-9.0, 0.3) / 0.1}


@given(st.floats(-50.0, 50.0), st.floats(0.01, 0.99))
def test_silence_weighs_as_elkan_and_noto_have_it(score: float, frequency: float) -> None:
    g = frequency * probability(score)  # of being labelled suspicious
    w = (1.0 - frequency) / frequency * g / (1.0 - g)
    assert certainty(score, frequency) == pytest.approx(1.0 - w, abs=1e-12)
    assert 0.0 < certainty(score, frequency) <= 1.0
    assert certainty(score, 1.0) == 1.0
    assert certainty(1e6, frequency) == 0.0


def test_a_decision_without_a_label_makes_one_weak_example_after_its_time_and_tells_scorers_nothing() -> None:
    store, output = MemoryStore(), Output()
    join = Join(store, LIMITS)
    records = [
        *((f"p-{day}", decision(f"p-{day}", START_MS + day * DAY_MS, (1.0,))) for day in range(100)),
        ("p-3", encode(label("p-3", "l", START_MS + 20 * DAY_MS))),
    ]
    for key, value in records:
        topic = TOPICS.labels.name if key == "p-3" and b"label_id" in value else TOPICS.features.name
        apply(join, [Read(topic, 0, 0, LATER_MS, key.encode(), value)], TOPICS, Output())
        store.write(join.seal())
        join.written()
    passed = 0
    while count := sweep(join, 3, TOPICS, output):
        assert count <= 3
        passed += count
        store.write(join.seal())
        join.written()
        join = Join(store, LIMITS)  # goes on where it was
    made = [decode(record.value or b"", Example) for record in output.records]
    assert passed == 9
    assert {record.topic for record in output.records} == {TOPICS.examples.name}, "silence is no label for features"
    assert [each.payment_id for each in made] == [f"p-{day}" for day in range(9) if day != 3]
    first = made[0]
    assert (first.label, first.source, first.label_time_ms) == (False, SILENCE, START_MS + 90 * DAY_MS)
    assert first.weight == RELIABILITY[SILENCE] * certainty(-3.0, 0.3)
    later = join.take_label(label("p-0", "l", START_MS + 95 * DAY_MS))
    assert later is not None
    assert later.first is not None, "the first label that anybody gave"
    assert taught(later).example_id != first.example_id


def test_a_decision_that_comes_when_silence_has_passed_its_day_is_kept_and_not_passed_again() -> None:
    store = MemoryStore()
    join = Join(store, Limits(label_maturity_ms=90 * DAY_MS))

    def settle() -> None:
        store.write(join.seal())
        join.written()

    for name, day in (("old", 0), ("now", 100), ("late", -1)):
        take(join, served(name, START_MS + day * DAY_MS), LATER_MS)
        settle()
        passed, made = join.sweep(10)
        assert (passed, [each.payment_id for each in made]) == ((1, ["old"]) if name == "now" else (0, []))
        settle()
    assert join.take_label(label("late", "l", START_MS + 100 * DAY_MS)) is not None


def test_a_weight_stays_what_a_trainer_takes() -> None:
    join = Join(MemoryStore(), Limits(keep_share=1e-9, keep_probability=1.0))
    name = next(each for each in (f"p-{at}" for at in range(10**6)) if drawn(payment_key("default", each)) < 1e-5)
    take(join, served(name, score=-11.0), LATER_MS)
    said = label(name, "l", source="authority")
    joined = join.take_label(structs.replace(said, weight=1e5))
    assert joined is not None
    assert taught(joined).weight == EXAMPLE_WEIGHT_MAX


def test_a_store_of_another_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(StateRefused, match="delete its folder"):
        Join(MemoryStore({b"m": b"\x93\x00\x00\x00"}))


def test_what_becomes_of_decisions_and_labels_is_counted() -> None:
    store, metrics = MemoryStore(), Metrics()
    join, measures = Join(store, LIMITS), Measures(metrics)
    for number in range(100):
        join.take_label(label(f"p-{number}", "l", START_MS + 2, source="authority"))
        take(join, served(f"p-{number}", score=-9.0), LATER_MS)
        join.take_label(label(f"p-{number}", "m", START_MS + 2))
        take(join, served(f"q-{number}", score=-9.0), LATER_MS)
    take(join, served("now", START_MS + 91 * DAY_MS), LATER_MS)
    measures.joined(join.counts, {}, 1)
    store.write(join.seal())
    join.written()
    join.sweep(1_000)
    measures.joined(join.counts, {}, 1)

    def counted(name: str, result: str) -> float | None:
        return metrics.registry.get_sample_value(f"tocsin_{name}_total", {"result": result})

    names = [f"{side}-{number}" for side in "pq" for number in range(100)]
    kept = [name for name in names if drawn(payment_key("default", name)) < 0.1]
    labelled = sum(name.startswith("p") for name in kept)
    assert counted("learner_decisions", "kept") == len(kept) + 1
    assert counted("learner_decisions", "not_kept") == 200 - len(kept)
    assert counted("learner_decisions", "matured") == len(kept) - labelled > 0
    assert counted("learner_decisions", "forgotten") == 0
    assert counted("labels", "joined") == counted("labels", "outranked") == labelled > 0
    assert counted("labels", "not_kept") == 100 - labelled


def test_a_small_soak_grows_to_its_bounds_and_no_further(tmp_path: Path) -> None:
    limits = Limits(
        keep_share=0.2,
        decision_retention_ms=40 * DAY_MS,
        slack_ms=5 * DAY_MS,
        label_maturity_ms=20 * DAY_MS,
        label_wait_ms=40 * DAY_MS,
        waiting_labels_max=30,
    )
    rows = soak(tmp_path, 20_000, 400.0, limits, lambda done: None)
    assert [row["decisions"] // 2_000 for row in rows] == list(range(1, 11))
    a_day = 20_000 / 400.0 * 0.25  # kept of a day's, with those of high probability
    assert all(row["kept"] <= 60 * a_day for row in rows), "retention, slack, and what is forgotten in the next batches"
    assert rows[-1]["kept"] <= 1.2 * rows[2]["kept"]
    assert all(row["labels_waiting"] <= 30 for row in rows)
    results = Counter(rows[-1]["results"])
    wanted = ("joined", "outranked", "duplicate", "not_kept", "expired", "overflow", "decision_forgotten", "matured")
    assert all(results[each] > 0 for each in wanted), results
    assert results["decision_kept"] - results["decision_forgotten"] == rows[-1]["kept"]
    assert rows[-1]["examples"] == results["joined"] + results["matured"]
