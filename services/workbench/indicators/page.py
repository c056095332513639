"""What indicators are worth across worlds, for people: a table, and a picture of the intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.workbench.plots import picture

WHY = {
    "counted": "counted",
    "flips": "said, not counted: worlds contradict one another",
    "open": "said, not counted: over the worlds it may be nothing",
    "against": "said, not counted: innocent people show it more often",
    "nothing more": "said, not counted: it adds nothing beside the others",
    "unmeasured": "set by hand: no world tells it",
    "immediate": "set by hand: people look at it whatever it weighs",
}
"""In plain words, for each reason of ``services.workbench.indicators.weigh``."""
WHY_INNOCENT = {**WHY, "against": "said, not counted: innocent people show it less often"}
"""Of what speaks for an innocent reading."""
COLUMNS = (
    "id", "what it says", "source", "of the kind's payments", "of innocents'", "log ratio", "blind in", "weight", "why"
)  # fmt: skip


def markdown(result: dict[str, Any]) -> str:
    """The result as a table."""
    worlds = len(result["worlds"])
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|---|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for each in result["indicators"]:
        of = each["roles"]["payer" if "payer" in each["roles"] else "payee"]
        cells = (
            each["id"],
            each["statement"],
            each["source"],
            _shares(of["positives"]["payments_hit"]),
            _shares(of["others"]["payments_hit"]),
            _log_ratio(each),
            f"{of['worlds_blind']} of {worlds}",
            f"{each['weight']:g} (was {each['before']:g})",
            (WHY_INNOCENT if each["innocent"] else WHY)[each["why"]],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(result: dict[str, Any], path: Path) -> None:
    """Write a picture of the intervals of all indicators that some world measured: a grey point a world, a bar for the
    interval of the mean, a diamond for the weight.

    Raises
    ------
    ImportError
        Without matplotlib (the extra ``plots``).
    """
    picture(path, lambda axes: _intervals(axes, result))


def _intervals(axes: Any, result: dict[str, Any]) -> None:
    told = [each for each in result["indicators"] if each["interval"] is not None][::-1]
    axes.figure.set_size_inches(6.4, 0.19 * len(told) + 1.2)
    axes.axvline(0.0, color="grey", linewidth=0.8)
    for row, each in enumerate(told):
        points = [world["log_ratio"] for world in each["worlds"] if world["log_ratio"] is not None]
        colour = "0.45" if each["weight"] == 0.0 else "tab:green" if each["innocent"] else "tab:red"
        axes.plot(points, [row] * len(points), ".", color="0.75", markersize=3)
        axes.plot([each["log_ratio"][end] for end in ("low", "high")], [row, row], color=colour, linewidth=2.5)
        axes.plot([each["weight"]], [row], "D", color="black", markersize=3)
    axes.set_yticks(range(len(told)), [each["id"] for each in told])
    axes.tick_params(axis="y", labelsize=6)
    axes.set(
        xlabel="log ratio, the kind against innocents (point: a world, bar: mean over worlds, diamond: weight)",
        ylim=(-1.0, len(told)),
        title=f"What indicators say across {len(result['worlds'])} worlds",
    )


def _shares(found: dict[str, float | None]) -> str:
    """The median world, and the range over worlds.

    >>> _shares({"median": 0.213, "low": 0.0, "high": 1.0}), _shares({"median": None, "low": None, "high": None})
    ('21 % (0 to 100)', 'never measured')
    """
    median, low, high = found["median"], found["low"], found["high"]
    if median is None or low is None or high is None:
        return "never measured"
    return f"{_percent(median)} % ({_percent(low)} to {_percent(high)})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.0995 or share < 0.0005 else f"{100 * share:.1f}"


def _log_ratio(each: dict[str, Any]) -> str:
    of = each["log_ratio"]
    if of["mean"] is None:
        return "none"
    mean, low, high = (f"{round(of[name], 2) + 0.0:+.2f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"
