"""Challengers on the live stream: what they said in shadow beside what was served, against labels as known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.measures import Flags, Floats
from services.contract.announcement import model_of, read_announced
from services.contract.codec import Rejection
from services.contract.columns import ids_of
from services.contract.shadow_scores import ShadowScores, read_shadow_scores
from services.kafka.announcing import name_of
from services.kafka.reading import read_log
from services.runtime.settings import Settings
from services.workbench.compare import ComparisonError, compared
from services.workbench.dataset import Dataset
from services.workbench.measures import measured


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A challenger, and what it said of the decisions of a data set: float64[n], NaN where it said nothing."""

    name: str
    """``name/version``; the beginning of its hash where its announcement is gone."""
    model_hash: str
    trained_event_time_ms: int
    """0: not told."""
    scores: Floats


async def read_shadow(settings: Settings, data: Dataset) -> list[Shadowed]:
    """The challengers in ``shadow-scores.v1`` that scored decisions of ``data``, by name.

    A record that came twice (at least once) counts once.
    """
    row_of = {name: row for row, name in enumerate(data.decision_id.tolist())}
    found: dict[str, Floats] = {}
    topic = settings.topics.shadow_scores.name
    for partition in range(settings.partitions):
        async for record in read_log(settings, topic, partition, "reading shadow scores"):
            said = read_shadow_scores(record.value)
            if not isinstance(said, Rejection):  # not the shadow worker's, which writes no such thing
                take_scores(found, said, row_of)
    named = await _announced(settings)
    told = [Shadowed(*named.get(each, (each[:12], each, 0)), found[each]) for each in found]
    return sorted(told, key=lambda each: (each.name, each.model_hash))


def take_scores(found: dict[str, Floats], said: ShadowScores, row_of: Mapping[str, int]) -> None:
    """Take the scores of a batch into ``found``, float64[rows of the data set] by challenger; ``row_of`` decision id.

    Where a challenger gave no number, what it gave before stays.
    """
    rows = np.array([row_of.get(each, -1) for each in ids_of(said.decision_id)], dtype=np.int64)
    for model_hash, scores in zip(said.challengers, said.scores.T, strict=True):
        told = (rows >= 0) & ~np.isnan(scores)
        if told.any():
            found.setdefault(model_hash, np.full(len(row_of), np.nan))[rows[told]] = scores[told]


async def _announced(settings: Settings) -> dict[str, tuple[str, str, int]]:
    """Name, hash and latest label of every model in ``models.v1``, by hash."""
    named: dict[str, tuple[str, str, int]] = {}
    async for record in read_log(settings, settings.topics.models.name, 0, "reading models"):
        found = read_announced(record.key, record.value)
        if found is None or isinstance(found, Rejection):  # a tombstone, or what scorers refused too
            continue
        said = model_of(found)
        named[said.model_hash] = (name_of(said), said.model_hash, said.trained_event_time_ms)
    return named


def rows_of(data: Dataset, challenger: Shadowed) -> Flags:
    """bool[n]: the decisions that count: it scored them, and they were made after the latest label it learned from."""
    chosen: Flags = ~np.isnan(challenger.scores) & (data.event_ms > challenger.trained_event_time_ms)
    return chosen


def against_champion(data: Dataset, challenger: Shadowed, budget_share: float) -> dict[str, Any]:
    """A challenger against what was served, on the decisions of ``rows_of``.

    Returns
    -------
    As JSON: what ``compared`` gives, ``cohorts`` with the figures of each by how late the label came, and whether it is
    known what the challenger learned from. Where no suspicious payment is labelled: how many decisions, and ``why``.
    """
    rows = rows_of(data, challenger)
    part, scores = data.chosen(rows), challenger.scores[rows]
    said: dict[str, Any] = {
        "model_hash": challenger.model_hash,
        "trained_until_known": challenger.trained_event_time_ms > 0,
    }
    try:
        said |= compared(part, part.score, scores, budget_share)
    except ComparisonError as error:
        return said | {"decisions": len(part), "why": str(error)}
    cohorts: Mapping[str, Floats] = {"champion": part.score, "challenger": scores}
    said["cohorts"] = {
        who: {cohort: figures.as_dict() for cohort, figures in measured(part, each, budget_share).items()}
        for who, each in cohorts.items()
    }
    return said
