"""What it costs to learn, on one core, by kind of model: examples like real ones, drawn at random."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import numpy as np

from models.kinds.table import TABLE
from models.learning.training import Plan, Trainer
from services.contract.label import Example
from services.learner.training.fitting import fitted
from services.scorer.path.features.registry import FEATURES

EXAMPLES = 2_000
FIT_EXAMPLES = 10_000
SCHEMA = "00" * 32
SUSPICIOUS_SHARE = 0.1


def learning_cost() -> dict[str, Any]:
    """``cpu_us_per_example`` by kind of model, without snapshots and fits; ``fit_cpu_s``, seconds of a fit of
    ``FIT_EXAMPLES``; and ``fit_pause_ms``, for how long at most the event loop stands still while one is made beside
    it. Without the extra ``boosting`` its three figures are left out."""
    kinds: dict[str, float] = {}
    found: dict[str, Any] = {"cpu_us_per_example": kinds}
    for kind in (each.name for each in TABLE if each.learner):
        trainer, examples = Trainer(Plan(SCHEMA, 10**9, 0.002, kind, refit_examples=FIT_EXAMPLES)), _examples()
        if kind == "boosting":
            for offset in range(FIT_EXAMPLES):
                trainer.learn(next(examples), offset)
            inputs = trainer.fit_inputs()
            assert inputs is not None, "examples of both labels are drawn"
            began = time.process_time()
            try:
                trainer.fit()
            except ImportError:
                continue
            found["fit_cpu_s"] = round(time.process_time() - began, 1)
            found["fit_pause_ms"] = round(1e3 * asyncio.run(longest_pause_s(fitted(trainer.packed_fit, inputs))), 1)
        chosen = [next(examples) for _ in range(EXAMPLES)]
        began = time.process_time()
        for offset, example in enumerate(chosen, trainer.next_offset):
            trainer.learn(example, offset)
        kinds[kind] = round(1e6 * (time.process_time() - began) / EXAMPLES, 1)
    return found


async def longest_pause_s(work: Coroutine[Any, Any, object]) -> float:
    """For how long at most the event loop does nothing else while ``work`` is done, seconds."""
    task, longest, since = asyncio.create_task(work), 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, since = max(longest, now - since), now
    await task
    return longest


def _examples() -> Iterator[Example]:
    rng = np.random.default_rng(1)
    number = 0
    while True:
        label = bool(rng.random() < SUSPICIOUS_SHARE)
        row = rng.lognormal(0.5 * label, 1.5, len(FEATURES))
        features = tuple(None if gone else value for value, gone in zip(row, rng.random(len(row)) < 0.1, strict=True))
        yield Example(
            f"e-{number}", f"p-{number}", "", number, number, label, 1.0, "analyst", features, SCHEMA, 0.0, ""
        )
        number += 1
