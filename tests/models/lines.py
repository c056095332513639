"""Lines of models for tests: a plan for each kind that learns, a log with everything in it, and how it is run."""

from __future__ import annotations

import random

import msgspec

from models.kinds.table import TABLE
from models.learning.training import Plan, Snapshot, Trainer
from services.contract.label import Example
from tests.learner.streams import example
from tests.support.served_batches import SCHEMA

KINDS = tuple(kind.name for kind in TABLE if kind.learner)
COUNT = 340
Made = list[tuple[Snapshot, bytes]]


def plan_of(kind: str) -> Plan:
    return Plan(SCHEMA, 65, 0.05, kind, refit_examples=100, refit_window_examples=150)


def log_of(seed: int, count: int = COUNT) -> list[tuple[int, Example]]:
    """Three in ten are suspicious; some come twice, some payments have two labels, some records are of other features,
    and of a busy account there is more said than is learned. Offsets have gaps."""
    draw, log = random.Random(seed), []
    for number in range(count):
        made = example(number, draw)
        made = msgspec.structs.replace(made, label=number % 10 < 3, payer="busy" if number % 10 == 7 else "")
        if draw.random() < 0.05:
            made = msgspec.structs.replace(made, feature_schema_hash="00" * 32)
        if number > 3 and draw.random() < 0.1:
            source = draw.choice(("authority", "analyst", "matured", "other"))
            made = msgspec.structs.replace(made, payment_id=f"p-{number - 3}", source=source)
        log += [made] * (2 if draw.random() < 0.05 else 1)
    return [(2 * at + at // 7, each) for at, each in enumerate(log)]


def run(trainer: Trainer, log: list[tuple[int, Example]]) -> Made:
    """The versions, each with the checkpoint of its moment."""
    made = []
    for offset, each in log:
        if offset < trainer.position:
            continue
        lesson = trainer.learn(each, offset)
        if lesson.snapshot is not None:
            made.append((lesson.snapshot, trainer.checkpoint()))
    return made
