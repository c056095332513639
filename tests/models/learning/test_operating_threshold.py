"""The operating threshold of a line: on what it rests, when it begins anew, and how far it keeps off what was said."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from models.kinds.boosting import REFIT_LABELS_MIN
from models.kinds.kind import ROUNDING
from models.kinds.table import TABLE
from models.learning.threshold import ThresholdWindow
from models.learning.training import Plan, Snapshot, Trainer
from services.contract.label import Example
from tests.learner.streams import example
from tests.support.served_batches import SCHEMA

REFIT, WINDOW, BUDGET = 80, 60, 0.2
KINDS = tuple(kind.name for kind in TABLE if kind.learner)
PAIR_BYTES = 16
"""Of an example in a packed window."""


def plan_of(kind: str) -> Plan:
    return Plan(SCHEMA, 30, BUDGET, kind, refit_examples=REFIT, refit_window_examples=WINDOW)


def examples(count: int, start: int = 0, suspicious_in_ten: int = 5) -> list[Example]:
    draw = random.Random(start)
    made = (example(start + number, draw) for number in range(count))
    return [msgspec.structs.replace(each, label=at % 10 < suspicious_in_ten) for at, each in enumerate(made)]


def learned(trainer: Trainer, log: list[Example]) -> list[Snapshot]:
    lessons = [trainer.learn(each, trainer.position) for each in log]
    assert {lesson.result for lesson in lessons} == {"learned"}
    return [lesson.snapshot for lesson in lessons if lesson.snapshot is not None]


def in_window(trainer: Trainer) -> int:
    return len(trainer.state().window) // PAIR_BYTES


def test_a_new_ensemble_begins_its_threshold_anew() -> None:
    """What the one before said of examples is no evidence of what this one says."""
    trainer = Trainer(plan_of("boosting"))
    learned(trainer, examples(REFIT))
    assert (trainer.fit_due, in_window(trainer)) == (True, 0), "nobody has said anything yet"
    assert trainer.fit() == "fitted"
    learned(trainer, examples(REFIT, start=REFIT))
    assert (trainer.fit_due, in_window(trainer)) == (True, REFIT)
    assert (trainer.fit(), in_window(trainer)) == ("fitted", 0)
    (snapshot,) = learned(trainer, examples(20, start=2 * REFIT))
    assert snapshot.state is not None
    assert len(snapshot.state.window) == 20 * PAIR_BYTES, "the version after 180 examples rests on those since the fit"


def test_an_ensemble_that_stays_for_want_of_labels_keeps_its_threshold() -> None:
    trainer = Trainer(plan_of("boosting"))
    learned(trainer, examples(REFIT))
    assert trainer.fit() == "fitted"
    learned(trainer, examples(REFIT, start=REFIT, suspicious_in_ten=0))
    assert REFIT_LABELS_MIN > 0
    before = trainer.state()
    assert (trainer.fit(), in_window(trainer)) == ("too_few_labels", REFIT)
    assert trainer.state() == before


@pytest.mark.parametrize("kind", KINDS)
def test_the_threshold_of_a_version_is_that_of_what_was_said_less_what_its_scorers_may_be_off(kind: str) -> None:
    rounding = ROUNDING if kind in ("adaptive_forest", "boosting") else 0.0
    made = learned(Trainer(plan_of(kind)), examples(REFIT + 40))
    assert made
    for snapshot in made:
        assert snapshot.state is not None
        window = ThresholdWindow(snapshot.state.window)
        threshold = snapshot.announcement.review_probability
        assert threshold == window.threshold(BUDGET, rounding)
        assert (threshold == window.threshold(BUDGET)) == (rounding == 0.0)


def test_payments_that_say_the_same_as_the_lowest_within_the_budget_are_all_reviewed() -> None:
    """Votes take few values, and a scorer may be off one of them in its last bits, downward too."""
    (*_, last) = learned(Trainer(plan_of("adaptive_forest")), examples(150))
    assert last.state is not None
    said = np.frombuffer(last.state.window, dtype="<f8").reshape(-1, 2)[:, 0]
    threshold = last.announcement.review_probability
    reviewed = said[said >= threshold]
    assert 0 < len(reviewed) <= BUDGET * len(said)
    off = np.nextafter(np.nextafter(reviewed, 0.0), 0.0)
    assert (off >= threshold).all()
    assert not (np.nextafter(said[said < threshold], 1.0) >= threshold).any()
