"""What came out of an evaluation, drawn: one SVG a question. Needs matplotlib (the extra ``plots``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.drift import count_bins, deciles, stability_index
from models.measures import Floats, Ranking, calibration
from services.contract.units import DAY_MS
from services.scorer.path.features.registry import NAMES
from services.scorer.path.scoring.model import Model
from services.workbench.compare import top
from services.workbench.dataset import NOT_SUSPICIOUS, SUSPICIOUS, UNLABELLED, Dataset

MONTH_MS = 28 * DAY_MS
PSI_FEATURES = 20
POINTS_MAX = 2_000
"""Labelled decisions of one kind that are drawn, evenly taken."""
CONTRIBUTING_FEATURES = 20
CONTRIBUTING_DECISIONS = 1_000
"""Decisions whose contributions are drawn, evenly spaced in time."""


def draw(data: Dataset, scores: Floats, budget_share: float, folder: Path, model: Model | None = None) -> list[Path]:
    """Write precision-recall, recall at the budget over time, calibration, and feature drift into ``folder``; and, of
    ``model``, what features contribute to its scores.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    known = data.chosen((data.label != UNLABELLED) & ~np.isnan(scores))
    said = scores[(data.label != UNLABELLED) & ~np.isnan(scores)]
    pictures: dict[str, Callable[[Any], None]] = {
        "precision-recall": lambda axes: _precision_recall(axes, known, said),
        "recall-over-time": lambda axes: _over_time(axes, known, said, budget_share),
        "calibration": lambda axes: _calibration(axes, known, said),
        "drift": lambda axes: _drift(axes, data),
    }
    if model is not None:
        pictures["contributions"] = lambda axes: _contributions(axes, data, model)
    return [picture(folder / f"{name}.svg", paint) for name, paint in pictures.items()]


def draw_poisoning(found: dict[str, dict[str, Any]], folder: Path) -> Path:
    """Write the average precision of walks with clean and with poisoned labels into ``folder``.

    Parameters
    ----------
    found
        By learner, what ``poison.poisoning`` gave.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    return picture(folder / "poison.svg", lambda axes: _poisoning(axes, found))


def psi(before: Floats, after: Floats) -> float:
    """Population stability index of a feature between two samples: that of the live drift watch (``models.drift``).

    >>> psi(np.arange(100.0), np.arange(100.0))
    0.0
    """
    edges = deciles(before[:, None])
    return float(stability_index(count_bins(before[:, None], edges), count_bins(after[:, None], edges))[0])


def picture(path: Path, paint: Callable[[Any], None]) -> Path:
    """Write what ``paint`` draws on its axes to ``path``, as SVG that is the same for the same numbers.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "tocsin", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        paint(axes)
        figure.savefig(path, metadata={"Date": None}, dpi=200)  # of what is drawn as pixels
    return path


def _precision_recall(axes: Any, data: Dataset, scores: Floats) -> None:
    truth = data.label == SUSPICIOUS
    for values, name, style in ((scores, "evaluated", ".-"), (data.score, "served", ".--")):
        ranking = Ranking.of(values, truth, data.weight)
        if truth.any():
            axes.plot(ranking.recall, ranking.precision, style, markersize=3, label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="Precision and recall")
    axes.legend(frameon=False)


def _over_time(axes: Any, data: Dataset, scores: Floats, share: float) -> None:
    months = (data.event_ms - data.event_ms.min(initial=np.iinfo(np.int64).max)) // MONTH_MS
    truth = data.label == SUSPICIOUS
    for values, name, style in ((scores, "evaluated", "o-"), (data.score, "served", "s--")):
        found = [(int(month), Ranking.of(values[rows], truth[rows], data.weight[rows]).recall_at_budget(share))
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
    path = folder / f"champion-against-{name.replace('/', '-')}.svg"
    return picture(path, lambda axes: _against(axes, data, champion, challenger, budget_share, name))


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


def _contributions(axes: Any, data: Dataset, model: Model) -> None:
    """One row a feature, one point a decision: what the feature added to its score, coloured by the feature's rank.

    The summary plot of Lundberg and others (*From local explanations to global understanding*, 2020), of contributions
    that are exact: with the bias they add up to the score.
    """
    features = data.features[:: max(1, -(-len(data) // CONTRIBUTING_DECISIONS))]
    contributions = model.contributions(np.ascontiguousarray(features))[0]
    sizes = np.abs(contributions).mean(axis=0) if len(features) else np.zeros(len(NAMES))
    most = [at for at in np.argsort(-sizes, kind="stable")[:CONTRIBUTING_FEATURES].tolist() if sizes[at] > 0.0][::-1]
    axes.axvline(0.0, color="grey", linewidth=0.8)
    for row, at in enumerate(most):
        told = ~np.isnan(features[:, at])
        x, y = contributions[:, at], row + _spread(contributions[:, at])
        axes.scatter(x[~told], y[~told], s=2, color="0.7", linewidths=0, rasterized=True)
        axes.scatter(x[told], y[told], s=2, c=_ranks(features[told, at]), cmap="coolwarm", vmin=0.0, vmax=1.0,
                     linewidths=0, rasterized=True)  # fmt: skip
    axes.set_yticks(range(len(most)), [NAMES[at] for at in most])
    axes.tick_params(axis="y", labelsize=6)
    axes.set(
        xlabel="contribution to the score, log-odds (blue: low value of the feature, red: high, grey: missing)",
        title=f"The {len(most)} features that contribute most",
    )


def _spread(values: Floats, bins: int = 80, most: float = 0.4) -> Floats:
    """float64[n], within ``most`` of 0: how far points are moved aside so that equal values do not hide each other."""
    low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
    place = np.zeros(len(values), np.int64) if high <= low else ((values - low) / (high - low) * bins).astype(np.int64)
    order = np.argsort(place, kind="stable")
    first = np.searchsorted(place[order], place[order], side="left")
    nth = np.empty(len(values), dtype=np.int64)
    nth[order] = np.arange(len(values)) - first
    aside = (nth + 1) // 2 * np.where(nth % 2 == 1, 1, -1)
    return aside * most / max(1, int(np.abs(aside).max(initial=0)))


def _ranks(values: Floats) -> Floats:
    """float64[n]: the share of ``values`` below each, equal ones alike."""
    return np.searchsorted(np.sort(values), values, side="left") / max(1, len(values) - 1)


def _poisoning(axes: Any, found: dict[str, dict[str, Any]]) -> None:
    scenarios = list(dict.fromkeys(name for each in found.values() for name in each))
    height = 0.8 / len(scenarios)
    for nth, (scenario, colour) in enumerate(zip(scenarios, ("0.6", "tab:orange", "tab:red"), strict=False)):
        values = [each.get(scenario, {}).get("average_precision") or 0.0 for each in found.values()]
        places = [-at - nth * height for at in range(len(found))]
        axes.barh(places, values, height=0.9 * height, color=colour, label=scenario)
        for place, value in zip(places, values, strict=True):
            axes.text(value, place, f" {value:.3f}", va="center", fontsize=7)
    axes.set_yticks([-at - height * (len(scenarios) - 1) / 2 for at in range(len(found))], list(found))
    axes.set(xlabel="average precision, decisions of the second half", title="Poisoned labels")
    axes.margins(x=0.15)
    axes.legend(frameon=False, fontsize=8)
