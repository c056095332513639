"""What would have gone to review, straight from Kafka: ``whatif`` over any stretch of history that the logs still hold.

One process reads ``features.v1``; the others decode and decide, a batch at a time. Of a decision only what its review
needs is kept, and only where it did or would go to review; of labels only those of such decisions. So memory grows with
reviews, not with history: beside them there are at most ``QUEUED`` batches a process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from services.runtime.settings import Settings
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.model import Model
from services.workbench.dataset import Dataset, concatenated
from services.workbench.export import Stretch, decoded, labelled, served_batches
from services.workbench.whatif import Decided, compared, decide_prepared, processes, together

QUEUED = 2
"""Batches a process: one that it works on, one that waits."""


class _Part(NamedTuple):
    """Of a batch: how many decisions it has of the stretch, how many were left out, and those in review, then or now,
    as ``Reviews`` says of them."""

    decisions: int
    left_out: int
    data: Dataset
    decided: Decided


async def backtest(settings: Settings, ruleset: Ruleset, model: Model, chosen: Stretch, workers: int) -> dict[str, Any]:
    """``whatif.compared`` of the decisions of ``chosen``, each with the label that counts by now.

    Equal to that of an export, to the last number; ``left_out_other_schema`` says how many decisions of the stretch
    were made under another feature schema.
    """
    loop = asyncio.get_running_loop()
    parts: list[_Part] = []
    with processes(workers, ruleset, model) as pool:
        waiting: deque[asyncio.Future[_Part]] = deque()
        async for values in served_batches(settings, chosen):
            waiting.append(loop.run_in_executor(pool, _decided, values, chosen))
            if len(waiting) == QUEUED * workers:
                parts.append(await waiting.popleft())
        parts += [await each for each in waiting]
    none = _without_features(Dataset.empty(chosen.feature_schema_hash))
    data = await labelled(settings, concatenated([none, *(part.data for part in parts)]))
    return {
        **compared(data, together(ruleset, [part.decided for part in parts])),
        "decisions": sum(part.decisions for part in parts),
        "left_out_other_schema": sum(part.left_out for part in parts),
    }


def _decided(values: list[bytes], chosen: Stretch) -> _Part:
    data, left_out = decoded(values, chosen)
    review, asked, scores = decide_prepared(data.features)
    rows = review | (data.outcome == "review")
    return _Part(len(data), left_out, _without_features(data.chosen(rows)), (review[rows], asked[rows], scores[rows]))


def _without_features(data: Dataset) -> Dataset:
    return replace(data, features=np.zeros((len(data), 0)))
