"""What is evaluated is the learner that ships: its lines, its join, its versions; and it knows nothing too early."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from models.labels import RELIABILITY
from models.learning.training import Trainer
from services.contract.codec import decode, encode
from services.contract.label import Example
from services.contract.payment import Payment
from services.contract.served import write_served
from services.contract.topics import Topics
from services.contract.units import DAY_MS
from services.learner.app import challenger_plans_of, limits_of, plan_of
from services.learner.joining.batch import Output, Read, apply
from services.learner.joining.join import Join
from services.learner.joining.records import read_example
from services.runtime.settings import load_settings
from services.workbench.handbook.deployment import UNTRAINED, Deployment, UnfitError
from services.workbench.handbook.run import CHOSEN
from tests.learner.streams import MemoryStore
from tests.support.served_batches import Row, served_batch
from tests.workbench.handbook.streams import LEADER, START_MS, WEEK_MS, Run, rows_of, small_cards, small_settings

pytest.importorskip("lightgbm")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A month and a half, decided once."""
    return Run(small_cards(), tmp_path_factory.mktemp("run"))


def test_the_lines_are_those_that_the_learner_trains_by_default(tmp_path: Path) -> None:
    deployment = Deployment(load_settings(**CHOSEN), tmp_path, LEADER)
    deployment.close()
    shipped = [plan_of(load_settings()), *challenger_plans_of(load_settings())]
    wanted = {plan.name for plan in shipped if plan.kind in ("logistic", LEADER)}
    assert {line.name for line in deployment.lines} == wanted


def test_the_versions_are_those_that_the_learners_trainer_makes_of_the_same_examples(run: Run) -> None:
    plans = [plan_of(run.settings), *challenger_plans_of(run.settings)]
    assert set(run.snapshots) == {plan.name for plan in plans}
    for plan in plans:
        trainer = Trainer(plan)
        made = []
        for offset, value in enumerate(run.examples):
            example = read_example(value)
            assert isinstance(example, Example)
            made.append(trainer.learn(example, offset).snapshot)
        hashes = [each.announcement.model_hash for each in made if each is not None]
        assert len(hashes) > 5
        assert [each.announcement.model_hash for each in run.snapshots[plan.name]] == hashes


def test_the_examples_are_those_that_the_learners_join_makes_of_the_same_records(run: Run) -> None:
    """All decisions first and then all labels, as no limit is reached: the join does not mind."""
    topics, output = Topics(), Output()
    made = {each.payment_id: each for each in (decode(value, Example) for value in run.examples)}
    join = Join(MemoryStore(), limits_of(run.settings))
    rows = rows_of(small_cards())
    latest_ms = rows[-1].event_time_ms
    unknown = structs.replace(next(iter(made.values())), features=(), weight=0.0)
    for row, score in zip(rows, run.scores.tolist(), strict=True):
        known = made.get(row.payment_id, unknown)
        surely = known.label is False and known.weight == RELIABILITY["analyst"]  # learned whatever is drawn: a review
        payment = decode(row.value, Payment)
        decided = Row(
            row.payment_id, row.event_time_ms, known.features, score, "review" if surely else "pass",
            payment.payer.account, payment.payee.account,
        )  # fmt: skip
        value = write_served(served_batch([decided], known.feature_schema_hash, known.model_hash))
        apply(join, [Read(topics.features.name, 0, 0, row.event_time_ms, None, value)], topics, output)
    for row in rows:
        if row.label is not None and row.label.label_time_ms <= latest_ms:
            apply(join, [Read(topics.labels.name, 0, 0, latest_ms, b"", encode(row.label))], topics, output)
    wanted = [decode(each.value or b"", Example) for each in output.records if each.topic == topics.examples.name]
    assert len(wanted) > 500
    assert list(made.values()) == wanted


def test_a_day_is_served_by_the_leaders_latest_version_of_the_day_before(run: Run) -> None:
    leader = next(name for name in run.snapshots if name.startswith(LEADER))
    completed = [each.announcement.examples_offset for each in run.snapshots[leader]]
    assert run.served[0] == UNTRAINED
    assert any(name.startswith("logistic") for name in run.served), "until the first fit"
    for day in range(1, len(run.served)):
        made = sum(offset <= run.examples_by_day[day - 1] for offset in completed)
        if made:
            assert run.served[day] == f"{leader}/{made}"
    assert run.served[-1].startswith(leader)


def test_what_serves_ranks_what_it_has_learned(run: Run) -> None:
    truth, scores = small_cards().truth[2_000:], run.scores[2_000:]
    assert scores[truth].mean() > scores[~truth].mean() + 0.5


def test_nothing_that_is_said_rests_on_a_label_before_its_time_or_a_payment_that_comes_after(
    run: Run, tmp_path: Path
) -> None:
    cards, cut = small_cards(), 2_000
    now = cards.seconds[cut]
    late = cards.seconds + WEEK_MS // 1_000 > now
    amounts = np.where(np.arange(len(late)) > cut, cards.amounts * 9.0, cards.amounts)
    changed = Run(replace(cards, truth=np.where(late, ~cards.truth, cards.truth), amounts=amounts), tmp_path)
    assert np.array_equal(run.scores[: cut + 1], changed.scores[: cut + 1])
    assert not np.array_equal(run.scores, changed.scores)


def test_an_example_is_learned_a_week_after_its_payment(run: Run) -> None:
    learned = 0
    for day, upto in enumerate(run.examples_by_day):
        for value in run.examples[learned:upto]:
            known_day = (decode(value, Example).label_time_ms - START_MS) // DAY_MS
            assert known_day in (day - 1, day), "or, when it came after the last payment of its day, the day after"
        learned = upto


def test_a_payment_that_is_not_decided_ends_the_evaluation(tmp_path: Path) -> None:
    rows = rows_of(small_cards(payments=10))
    with (
        closing(Deployment(small_settings(), tmp_path, LEADER)) as deployment,
        pytest.raises(UnfitError, match="1 of 2 payments"),
    ):
        asyncio.run(deployment.day([rows[0], rows[0]]))
