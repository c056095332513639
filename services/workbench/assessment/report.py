"""The assessment for people: Markdown, and precision-recall curves as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.workbench.assessment.run import TRAINING_RATE, VARIANTS

_ROWS = (
    ("recall of payers at precision 0.5", "recall_at_precision_50"),
    ("of payers with five payments or more", "recall_payers_5plus_at_precision_50"),
    ("of facilitators (payees ranked by themselves)", "recall_facilitators_at_precision_50"),
    ("recall of payers at the budget", "recall_at_budget"),
    ("median payments before the alert", "median_payments_before_alert"),
    ("alerts at precision 0.5", "alerts_at_precision_50"),
)


def markdown(result: dict[str, Any]) -> str:
    """The result as a report."""
    options = result["options"]
    lines = [
        "# Assessment",
        "",
        f"{options['payers']:,} payers over {options['months']} months, seed {options['seed']}; the model "
        f"({options['kind']}) learned from {options['training_payers']:,} payers of seed {options['training_seed']}, "
        f"of whom {TRAINING_RATE} are of the kind, with the truth as labels.",
        "",
        f"{result['note']}",
    ]
    for rate, found in result["base_rates"].items():
        first = found[VARIANTS[0]]
        lines += [
            "",
            f"## Base rate: {rate}",
            "",
            f"{first['payers']} payers of the kind, {first['payers_5plus']} of them with five payments or more; "
            f"{first['facilitators']} facilitators; a budget of {first['budget_alerts']} alerts. Victims of extortion "
            f"in the lsac queue: {found['extortion_victims_in_lsac_queue']}.",
            "",
            f"| | {' | '.join(VARIANTS)} |",
            "|---|---:|---:|---:|",
            *(f"| {name} | {' | '.join(_figure(found[each], key) for each in VARIANTS)} |" for name, key in _ROWS),
            "",
            "In brackets: 95 % intervals of the shares found.",
            "",
            "| sub-type (combined) | payers | recall at precision 0.5 | median payments before |",
            "|---|---:|---:|---:|",
            *(
                f"| {name} | {each['payers']} | {_text(each['recall_at_precision_50'])} | "
                f"{_text(each['median_payments_before_alert'])} |"
                for name, each in found["combined"]["sub_types"].items()
            ),
        ]
    lines += ["", "## Fairness", "", "| | |", "|---|---:|"]
    lines += [f"| {name.replace('_', ' ')} | {_text(value)} |" for name, value in result["fairness"].items()]
    return "\n".join(lines) + "\n"


def plot(result: dict[str, Any], path: Path) -> None:
    """Precision against recall of the payers' ranking, a panel a base rate.

    Raises
    ------
    ImportError
        Without matplotlib (the extra ``plots``).
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0 * len(result["curves"]), 4.2), layout="constrained")
    axes = figure.subplots(1, len(result["curves"]), squeeze=False)[0]
    for panel, (rate, curves) in zip(axes, result["curves"].items(), strict=True):
        for (variant, points), style in zip(curves.items(), ("--", ":", "-"), strict=True):
            panel.plot([x for x, _ in points], [y for _, y in points], style, label=variant)
        panel.axhline(0.5, color="grey", linewidth=0.8)
        panel.set(title=f"base rate {rate}", xlabel="recall of payers", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        panel.legend()
    figure.suptitle(result["note"], fontsize=8)
    figure.savefig(path, dpi=120)


def _figure(found: dict[str, Any], key: str) -> str:
    interval = found["intervals_95"].get(key)
    return _text(found[key]) + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


def _text(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
