"""A line of models is a function of its plan and the log, and of nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.influence import ACCOUNT_LABELS_MAX, AccountLimit
from models.labels import SILENCE
from models.learning.training import RECENT_EXAMPLES, Plan, Snapshot, Trainer, TrainerState
from services.contract.codec import encode
from services.contract.label import Example
from services.scorer.path.scoring.ensemble import model_from
from tests.learner.streams import example
from tests.support.served_batches import SCHEMA

PLAN = Plan(SCHEMA, 20, 0.05)
GOLDEN = "85d81f846c4c3fdb4e874d4fc15ad0a2ef9e5923475805b86491f918fe15a83b"
"""Changes with the registry of features, the definition of the model, River's release, and the C library's exp."""


def examples(seed: int, count: int) -> list[Example]:
    draw = random.Random(seed)
    return [example(number, draw) for number in range(count)]


def run(trainer: Trainer, log: Iterable[tuple[int, Example]]) -> list[Snapshot]:
    lessons = [trainer.learn(each, offset) for offset, each in log]
    return [lesson.snapshot for lesson in lessons if lesson.snapshot is not None]


def hashes(snapshots: list[Snapshot]) -> list[tuple[int, str]]:
    return [(snapshot.announcement.version, snapshot.announcement.model_hash) for snapshot in snapshots]


@given(seed=st.integers(0, 2**32), cut=st.integers(0, 60))
@settings(max_examples=20, deadline=None)
def test_a_trainer_restored_at_any_example_goes_on_identically(seed: int, cut: int) -> None:
    log = list(enumerate(examples(seed, 60)))
    whole = Trainer(PLAN)
    expected = run(whole, log)
    first = Trainer(PLAN)
    made = run(first, log[:cut])
    written = msgspec.json.encode(first.state())
    second = Trainer(PLAN, msgspec.json.decode(written, type=TrainerState))
    assert made + run(second, log[cut:]) == expected
    assert second.state() == whole.state()


def test_offsets_name_positions_and_decide_nothing() -> None:
    log = examples(3, 60)
    dense = run(Trainer(PLAN), enumerate(log))
    gaps = run(Trainer(PLAN), ((3 * number + number // 7, each) for number, each in enumerate(log)))
    assert hashes(dense) == hashes(gaps)
    assert [each.announcement.examples_offset for each in dense] == [20, 40, 60]
    assert [each.announcement.examples_offset for each in gaps] == [60, 123, 186]


def test_versions_count_from_one_and_scorers_accept_them() -> None:
    for version, snapshot in enumerate(run(Trainer(PLAN), enumerate(examples(4, 60))), start=1):
        assert snapshot.announcement.version == version
        model = model_from(snapshot.announcement, SCHEMA)
        assert model.hash == snapshot.announcement.model_hash


def test_the_threshold_sends_about_the_budget_to_review() -> None:
    trainer = Trainer(PLAN)
    log = examples(5, 400)
    snapshots = run(trainer, enumerate(log))
    thresholds = {snapshot.announcement.review_probability for snapshot in snapshots}
    assert all(0.0 < threshold < 1.0 for threshold in thresholds)
    assert len(thresholds) > 5


def test_a_tiny_run_has_the_hash_it_always_had() -> None:
    assert run(Trainer(PLAN), enumerate(examples(1, 40)))[-1].announcement.model_hash == GOLDEN


def test_a_repeated_example_is_learned_once() -> None:
    log = examples(6, 20)
    doubled = [each for pair in zip(log, log, strict=True) for each in pair]
    trainer = Trainer(PLAN)
    results = [trainer.learn(each, offset).result for offset, each in enumerate(doubled)]
    assert results == ["learned", "duplicate"] * 20
    assert trainer.examples == 20


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", ""]), st.sampled_from(["analyst", SILENCE])), max_size=80),
    st.integers(0, 80),
)
@settings(max_examples=20, deadline=None)
def test_labels_of_one_account_are_limited_as_in_the_workbench_wherever_the_trainer_was_restored(
    told: list[tuple[str, str]], cut: int
) -> None:
    said = examples(10, len(told))
    log = [
        msgspec.structs.replace(each, payer=payer, source=source)
        for each, (payer, source) in zip(said, told, strict=True)
    ]
    whole, first = Trainer(PLAN), Trainer(PLAN)
    results = [whole.learn(each, offset).result for offset, each in enumerate(log)]
    run(first, enumerate(log[:cut]))
    second = Trainer(PLAN, msgspec.json.decode(encode(first.state()), type=TrainerState))
    assert [second.learn(each, cut + at).result for at, each in enumerate(log[cut:])] == results[cut:]
    assert second.state() == whole.state()
    limit = AccountLimit()
    for each, result in zip(log, results, strict=True):
        limited = each.payer and each.source != SILENCE and not limit.admits("default", each.payer, each.label)
        assert result == ("limited" if limited else "learned")
    assert whole.examples == results.count("learned")


def test_a_limited_label_teaches_nothing_what_contradicts_it_is_learned_and_a_repeat_of_it_is_one() -> None:
    trainer, plain = Trainer(PLAN), Trainer(PLAN)
    burst = [msgspec.structs.replace(each, payer="a", label=True) for each in examples(11, ACCOUNT_LABELS_MAX + 3)]
    results = [trainer.learn(each, offset).result for offset, each in enumerate(burst)]
    assert results == ["learned"] * ACCOUNT_LABELS_MAX + ["limited"] * 3
    run(plain, enumerate(burst[:ACCOUNT_LABELS_MAX]))
    assert trainer.state().learned == plain.state().learned
    assert trainer.state().window == plain.state().window
    assert trainer.learn(burst[-1], len(burst)).result == "duplicate"
    away = msgspec.structs.replace(burst[0], example_id="away", label=False)
    assert trainer.learn(away, len(burst) + 1).result == "learned"
    elsewhere = msgspec.structs.replace(burst[0], example_id="elsewhere", tenant="other")
    assert trainer.learn(elsewhere, len(burst) + 2).result == "learned"


def test_the_memory_of_examples_is_bounded_and_survives_a_restart() -> None:
    trainer = Trainer(PLAN)
    state = msgspec.structs.replace(trainer.state(), recent=bytes(8 * RECENT_EXAMPLES))
    restored = Trainer(PLAN, state)
    restored.learn(examples(1, 1)[0], 0)
    assert len(restored.state().recent) == 8 * RECENT_EXAMPLES
    assert Trainer(PLAN, restored.state()).learn(examples(1, 1)[0], 1).result == "duplicate"


@pytest.mark.parametrize(
    "change, result",
    [
        ({"feature_schema_hash": "00" * 32}, "foreign_schema"),
        ({"features": (1.0, 2.0)}, "invalid"),
        ({"weight": 0.0}, "invalid"),
        ({"weight": -1.0}, "invalid"),
        ({"weight": 1e300}, "invalid"),
    ],
)
def test_an_example_that_does_not_fit_changes_nothing(change: dict[str, object], result: str) -> None:
    trainer, log = Trainer(PLAN), examples(8, 5)
    run(trainer, enumerate(log[:4]))
    before = trainer.state()
    assert trainer.learn(msgspec.structs.replace(log[4], **change), 4).result == result
    assert trainer.state() == msgspec.structs.replace(before, next_offset=5)


def test_the_log_is_read_in_order_only() -> None:
    trainer, log = Trainer(PLAN), examples(9, 2)
    trainer.learn(log[0], 10)
    with pytest.raises(ValueError, match="offset 10 comes after 10"):
        trainer.learn(log[1], 10)


def test_whatever_decides_a_line_is_in_its_name() -> None:
    names = {
        plan.name
        for plan in (
            PLAN,
            replace(PLAN, feature_schema_hash="00" * 32),
            replace(PLAN, snapshot_examples=21),
            replace(PLAN, alert_budget_share=0.06),
        )
    }
    assert len(names) == 4
    assert Plan(SCHEMA, 20, 0.05).name == PLAN.name
