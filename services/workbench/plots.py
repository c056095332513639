"""What came out of an evaluation, drawn: one SVG a question. Needs matplotlib (the extra ``plots``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.drift import count_bins, deciles, stability_index
from services.evaluate.measures import Floats
from services.scorer.path.features import NAMES
from services.workbench.compare import top
from services.workbench.dataset import NOT_SUSPICIOUS, SUSPICIOUS, UNLABELLED, Dataset
from services.workbench.measures import DAY_MS, calibration, recall_at_budget

MONTH_MS = 28 * DAY_MS
PSI_FEATURES = 20
POINTS_MAX = 2_000
"""Labelled decisions of one kind that are drawn, evenly taken."""


def draw(data: Dataset, scores: Floats, budget_share: float, folder: Path) -> list[Path]:
    """Write precision-recall, recall at the budget over time, calibration, and feature drift into ``folder``.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = data.chosen((data.label != UNLABELLED) & ~np.isnan(scores))
    said = scores[(data.label != UNLABELLED) & ~np.isnan(scores)]
    pictures: dict[str, Callable[[Any], None]] = {
        "precision-recall": lambda axes: _precision_recall(axes, known, said),
        "recall-over-time": lambda axes: _over_time(axes, known, said, budget_share),
        "calibration": lambda axes: _calibration(axes, known, said),
        "drift": lambda axes: _drift(axes, data),
    }
    return [_picture(folder / f"{name}.svg", paint) for name, paint in pictures.items()]


def psi(before: Floats, after: Floats) -> float:
    """Population stability index of a feature between two samples: that of the live drift watch (``models.drift``).

    >>> psi(np.arange(100.0), np.arange(100.0))
    0.0
    """
    edges = deciles(before[:, None])
    return float(stability_index(count_bins(before[:, None], edges), count_bins(after[:, None], edges))[0])


def _picture(path: Path, paint: Callable[[Any], None]) -> Path:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "tocsin", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        paint(axes)
        figure.savefig(path, metadata={"Date": None})
    return path


def _precision_recall(axes: Any, data: Dataset, scores: Floats) -> None:
    truth = data.label == SUSPICIOUS
    for values, name, style in ((scores, "evaluated", ".-"), (data.score, "served", ".--")):
        order = np.argsort(-values, kind="stable")
        mass, true = data.weight[order], np.where(truth[order], data.weight[order], 0.0)
        ends = np.append(np.diff(values[order]) != 0, True)  # equal scores stand or fall together
        if true.any():
            found = np.cumsum(true)[ends]
            axes.plot(found / true.sum(), found / np.cumsum(mass)[ends], style, markersize=3, label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="Precision and recall")
    axes.legend(frameon=False)


def _over_time(axes: Any, data: Dataset, scores: Floats, share: float) -> None:
    months = (data.event_ms - data.event_ms.min(initial=np.iinfo(np.int64).max)) // MONTH_MS
    truth = data.label == SUSPICIOUS
    for values, name, style in ((scores, "evaluated", "o-"), (data.score, "served", "s--")):
        found = [(int(month), recall_at_budget(values[rows], truth[rows], data.weight[rows], share))
                 for month in np.unique(months) for rows in [months == month]]  # fmt: skip
        told = [(month, recall) for month, recall in found if recall is not None]
        axes.plot([month for month, _ in told], [recall for _, recall in told], style, markersize=3, label=name)
    axes.set(
        xlabel="four weeks", ylabel="recall", ylim=(0, 1.02), title=f"Recall at a budget of {share:.2%} of payments"
    )
    axes.legend(frameon=False)


def _calibration(axes: Any, data: Dataset, scores: Floats) -> None:
    if len(scores):
        points = calibration(scores, data.label == SUSPICIOUS, data.weight)
        axes.plot([said for said, _, _ in points], [found for _, found, _ in points], "o-", markersize=4)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.set(xlabel="probability said", ylabel="share suspicious", title="Calibration, tenths of the payments")


def _drift(axes: Any, data: Dataset) -> None:
    middle = np.median(data.event_ms) if len(data) else 0
    before, after = data.features[data.event_ms <= middle], data.features[data.event_ms > middle]
    indices = ((psi(before[:, at], after[:, at]), name) for at, name in enumerate(NAMES))
    found = sorted(each for each in indices if not np.isnan(each[0]))
    top = found[-PSI_FEATURES:]
    axes.barh([name for _, name in top], [value for value, _ in top], color="tab:blue")
    for line in (0.1, 0.25):
        axes.axvline(line, color="grey", linewidth=0.8)
    axes.tick_params(axis="y", labelsize=6)
    axes.set(xlabel="population stability index", title="Drift of features, second half against first")


def draw_against(
    data: Dataset, champion: Floats, challenger: Floats, budget_share: float, name: str, folder: Path
) -> Path:
    """Write the picture of one score against the other, both float64[n]: every decision, labels among them, and whose
    reviews at the budget are whose. ``name`` is the challenger's.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"champion-against-{name.replace('/', '-')}.svg"
    return _picture(path, lambda axes: _against(axes, data, champion, challenger, budget_share, name))


def _against(axes: Any, data: Dataset, champion: Floats, challenger: Floats, share: float, name: str) -> None:
    shown = axes.hexbin(champion, challenger, gridsize=50, bins="log", mincnt=1, cmap="Greys", linewidths=0.1)
    axes.figure.colorbar(shown, ax=axes, label="decisions")
    for what, label, style in ((NOT_SUSPICIOUS, "not suspicious", "tab:blue"), (SUSPICIOUS, "suspicious", "tab:red")):
        rows = np.flatnonzero(data.label == what)
        rows = rows[:: max(1, len(rows) // POINTS_MAX)]
        axes.scatter(champion[rows], challenger[rows], s=4, color=style, alpha=0.6, label=f"labelled {label}")
    first, other = top(champion, share), top(challenger, share)
    axes.axvline(champion[first].min(), color="grey", linewidth=0.8)
    axes.axhline(challenger[other].min(), color="grey", linewidth=0.8)
    said = f"{int((first & other).sum()):,} both, {int((first & ~other).sum()):,} champion, "
    axes.set(
        xlabel="champion as served, log-odds",
        ylabel=f"{name} in shadow, log-odds",
        title=f"Reviews at a budget of {share:.2%}: {said}{int((other & ~first).sum()):,} challenger",
    )
    axes.legend(frameon=False, loc="upper left")
