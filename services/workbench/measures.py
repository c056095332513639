"""The measures of ``models.measures`` on a data set: on all that is labelled, and by how late the label came. Pure."""

from __future__ import annotations

import numpy as np

from models.measures import BUDGET_SHARE, COHORTS, Figures, Flags, Floats, figures
from services.contract.units import DAY_MS
from services.workbench.dataset import SUSPICIOUS, UNLABELLED, Dataset


def measured(data: Dataset, scores: Floats, budget_share: float = BUDGET_SHARE) -> dict[str, Figures]:
    """Figures of the labelled decisions that have a score (not NaN): ``all``, and by how late the label came."""
    known = (data.label != UNLABELLED) & ~np.isnan(scores)
    days = (data.label_ms - data.event_ms) / DAY_MS
    out = {"all": _of(data, scores, known, budget_share)}
    floor = -np.inf
    for name, most in COHORTS:
        out[name] = _of(data, scores, known & (days > floor) & (days <= most), budget_share)
        floor = most
    return out


def _of(data: Dataset, scores: Floats, rows: Flags, budget_share: float) -> Figures:
    return figures(scores[rows], data.label[rows] == SUSPICIOUS, data.weight[rows], budget_share)
