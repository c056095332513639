"""Training on a data set: a version in the registry, with what it learned from and how it did on what it had not seen.

The last part of the period is held out, with labels as late as they were: the model that is measured learned only from
labels known before it. The model that is kept then learns from all labels. Its operating threshold is the score that,
on the held-out part, would have filled the review budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from models.kinds.kind import FitInputs
from models.kinds.table import KINDS, ON_TABLES
from models.learning.training import Snapshot
from models.measures import Floats, Ranking
from models.registry.registry import Registry
from services.contract.errors import TocsinError
from services.contract.units import DAY_MS
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.ensemble import Deciding, announcement_of
from services.scorer.path.scoring.model import Model, probability
from services.workbench.backtest import learned, learning_weights, time_split, with_silence
from services.workbench.dataset import SUSPICIOUS, UNLABELLED, Dataset, described
from services.workbench.measures import measured

HELD_OUT_SHARE = 0.25
"""Of the decisions, the latest. A share of their number, not of their time: one wrong date would stretch that."""
LABELS_MIN = 10
"""Of each kind, before anything is fitted."""

Tell = Callable[[str], None]
Look = Callable[[Dataset, Floats, Model], object]


class TrainingError(TocsinError, ValueError):
    """A data set cannot be learned from. The message says why."""


def train(
    data: Dataset,
    kind: str,
    name: str,
    registry: Registry,
    budget_share: float,
    delay_days: float,
    matured_days: float | None,
    tell: Tell,
    look: Look | None = None,
) -> Snapshot:
    """Fit, measure, and save the next version of the line ``name``.

    Parameters
    ----------
    kind
        One of ``models.kinds.table.ON_TABLES``.
    budget_share
        Share of payments that people can review.
    delay_days
        Decisions so near before the held-out part are left out of the model that is measured: their labels are not
        in yet.
    matured_days
        After how many days silence counts as weakly not suspicious; ``None``: never.
    look
        Is shown the held-out decisions, their scores, and the model that gave them.

    Raises
    ------
    TrainingError
        When there are fewer than ``LABELS_MIN`` labels of one kind in either part.
    ImportError
        When the kind needs an extra that is not installed.
    RegistryError
        When ``name`` is no name.
    """
    if kind not in ON_TABLES:
        raise TrainingError(f"kind {kind!r}: there are {', '.join(ON_TABLES)}")
    version = (registry.versions(name) or [0])[-1] + 1
    whole = data if matured_days is None else with_silence(data, matured_days)
    start, end = (int(whole.event_ms[0]), int(whole.event_ms[-1])) if len(whole) else (0, 0)
    test_from = int(whole.event_ms[int((1.0 - HELD_OUT_SHARE) * len(whole))]) if len(whole) else 0
    before, held_out = time_split(whole, test_from, round(delay_days * DAY_MS))
    tell(f"fitting {kind} on the labels known before the held-out part")
    model = _fit(before, kind, 0, "the labels known before the held-out part")
    scores = model.scores(held_out.features)
    found = {cohort: figures.as_dict() for cohort, figures in measured(held_out, scores, budget_share).items()}
    threshold = _threshold(scores, budget_share)
    if look is not None:
        look(held_out, scores, model)
    tell("fitting on all labels")
    kept = replace(_fit(whole, kind, version, "the data set"), review_probability=threshold)
    known = whole.label != UNLABELLED
    about: dict[str, Any] = {
        "definition": dict(KINDS[kind].defaults),
        "data": {**described(whole), "from_ms": start, "to_ms": end},
        "held_out": {"from_ms": test_from, "delay_days": delay_days, "budget_share": budget_share, **found},
        "matured_days": matured_days,
        "most_contributing": most_contributing(kept, held_out.features),
    }
    said = announcement_of(name, kept, int(whole.label_ms[known].max()), challenger=True)
    snapshot = Snapshot(said, None, about)
    registry.save(snapshot)
    return snapshot


def most_contributing(model: Model, features: Floats, rows_max: int = 5_000) -> dict[str, float]:
    """Mean size of each feature's contribution (log-odds) over some decisions, the largest first, without zeros."""
    step = max(1, len(features) // rows_max)
    sizes = np.abs(model.contributions(features[::step])[0]).mean(axis=0) if len(features) else np.zeros(len(NAMES))
    order = np.argsort(-sizes, kind="stable")
    return {NAMES[at]: float(sizes[at]) for at in order.tolist() if sizes[at] > 0.0}


def _fit(data: Dataset, kind: str, version: int, what: str) -> Deciding:
    known = data.chosen(learned(data))
    known = known.chosen(np.argsort(known.label_ms, kind="stable"))
    labels = known.label == SUSPICIOUS
    if min(labels.sum(), len(labels) - labels.sum()) < LABELS_MIN:
        found = f"{labels.sum()} of {len(labels)} labels say suspicious"
        raise TrainingError(f"{what}: {found}; {LABELS_MIN} of each kind are needed")
    inputs = FitInputs(known.features, labels, learning_weights(known), known.feature_schema_hash)
    return KINDS[kind].fitted(inputs, version)


def _threshold(scores: Floats, budget_share: float) -> float:
    """The lowest probability that at most ``budget_share`` of ``scores`` reach; equal ones stand or fall together."""
    ranking = Ranking.of(scores, np.zeros(len(scores), dtype=np.bool_))
    return probability(ranking.threshold_at_budget(budget_share * len(scores)))
