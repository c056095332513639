"""The assessment of streams for people, as Markdown."""

from __future__ import annotations

from typing import Any

from services.workbench.assessment.figures import PAYERS_PER_ALERT_A_MONTH

_FIGURES = (
    ("AUC", "auc"),
    ("average precision", "average_precision"),
    ("recall of payers at precision 0.5", "recall_at_precision_50"),
    ("with five payments or more", "payers_5plus/recall_at_precision_50"),
    ("with one payment", "one_off/recall_at_precision_50"),
    ("recall of payers at the budget", "recall_at_budget"),
    ("recall of payees at precision 0.5", "payees/recall_at_precision_50"),
    ("alerts about payers at precision 0.5", "alerts_at_precision_50"),
    ("alert rate of diaspora over others", "fairness/diaspora_alert_rate_ratio"),
    ("alert rate of twins over others", "fairness/twins_alert_rate_ratio"),
)


def markdown(result: dict[str, Any]) -> str:
    """The result as a report."""
    ranking, worlds = result["ranking"], result["worlds"]
    variants = list(ranking)
    learned = ", ".join(result["learned_from"]) or "nothing but what ships"
    lines = [
        "# Assessment",
        "",
        f"{', '.join(result['streams'])}: {result['payments']:,} payments of {result['payers']:,} payers in "
        f"{len(worlds)} worlds, of whom {result['positives']:,} are positive. Learned from: {learned}.",
        "",
        result["note"],
        "",
        f"Figures are means over worlds, counts are sums. The budget is one alert a month for every "
        f"{PAYERS_PER_ALERT_A_MONTH:,} payers of a world, at least one.",
        "",
        *_table("", {variant: ranking[variant] for variant in variants}),
    ]
    if len(worlds) > 1:
        lines += ["", "## Worlds: recall of payers at precision 0.5", ""]
        lines += [f"| world | payers | positive | {' | '.join(variants)} |", f"|---|{'---:|' * (2 + len(variants))}"]
        lines += [
            f"| {world} | {said['payers']:,} | {said['positives']:,} | "
            + " | ".join(_text(said["ranking"][variant]["recall_at_precision_50"]) for variant in variants)
            + " |"
            for world, said in worlds.items()
        ]
    if "combined" in ranking:
        lines += [
            "",
            "## Classes of payers (combined)",
            "",
            "| class | accounts | alerted at precision 0.5 | at budget |",
        ]
        lines += ["|---|---:|---:|---:|"]
        lines += [
            f"| {name} | {each['accounts']:,} | {each['alerted']:,} | {each['alerted_at_budget']:,} |"
            for name, each in ranking["combined"]["classes"].items()
        ]
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in result["left_out"].items())
    return "\n".join([*lines, "", f"Records left out: {left_out or 'none'}."]) + "\n"


def _table(head: str, variants: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"| {head} | {' | '.join(variants)} |",
        f"|---|{'---:|' * len(variants)}",
        *(
            f"| {name} | {' | '.join(_text(_at(each, path)) for each in variants.values())} |"
            for name, path in _FIGURES
        ),
    ]


def _at(figures: Any, path: str) -> Any:
    for name in path.split("/"):
        figures = figures[name]
    return figures


def _text(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
