"""What the benchmark found, for people: tables, and the block of docs/PERFORMANCE.md with its plots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from services.bench.agreement import APART
from services.bench.baselines import BASELINES
from services.contract.errors import TocsinError
from services.workbench.plots import picture

BEGIN, END = "<!-- tocsin bench: begin -->", "<!-- tocsin bench: end -->"
"""Between them a page is the benchmark's; what stands around them is people's."""
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Columns and rows, which may end early. The first cell of a row is its name, the others are aligned to the right."""
_CPU_ROWS = {
    "total": "the scorer: both hops in one process",
    "payer_hop": "payer hop alone",
    "payee_hop": "payee hop alone",
    "joiner": "the learner, which joins",
    "shadow": "one challenger in shadow",
    "deployment": "the whole deployment: scorer, learner, shadow",
    "packs": "typology packs, of the payee hop",
    "one_by_one": "the pure path called with one record at a time, as Faust and Quix Streams call it",
}
_AGREEMENT_ROWS = {
    "replay_unheld": "a replay of months, partitions not held together",
    "replay": "the same, at most {event_spread_minutes} minutes ahead of each other",
    "real_pace": "payments of now, {payments_per_second:.0f} a second",
}
_QUANTILES = ("p50", "p99", "p999", "max")


class NoBlock(TocsinError, ValueError):
    """The page has no block of the benchmark's. The message says which lines mark one."""


def tables(figures: dict[str, Any]) -> Iterator[Table]:
    """What was measured, a table a question; none for a part that was not."""
    yield from (table for table in (_rates(figures), _cpu(figures), _latency(figures), _agreement(figures),
                                    _bytes(figures), _accounts(figures), _growth(figures), _learning(figures))
                if table[1])  # fmt: skip


def markdown(figures: dict[str, Any]) -> str:
    """The tables, and a line on the conditions."""
    machine = figures["machine"]
    lines = [
        f"{figures['payments']:,} payments, {figures['partitions']} partitions, {figures['delivery']}, champion "
        f"{figures['champion']}, {figures['broker']}; {machine['cores']} cores, load {machine['load']}, "
        f"Python {machine['python']}."
    ]
    for columns, rows in tables(figures):
        lines += ["", f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
        lines += [f"| {' | '.join([*row, *[''] * (len(columns) - len(row))])} |" for row in rows]
    return "\n".join(lines)


def around_block(page: Path) -> tuple[str, str]:
    """What stands before and after the block in ``page``.

    Raises
    ------
    NoBlock
        When the page has none.
    """
    text = page.read_text("utf-8") if page.is_file() else ""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise NoBlock(f"{page} has no block to renew; expected a line {BEGIN} and after it a line {END}")
    before, _, rest = text.partition(BEGIN)
    return before, rest.partition(END)[2]


def write_report(figures: dict[str, Any], page: Path) -> None:
    """Renew the block in ``page``, and the plots beside it, named like it.

    Raises
    ------
    NoBlock
        When the page has none.
    ImportError
        Without matplotlib.
    """
    before, after = around_block(page)
    drawn = [f"![{title}]({path.name})" for title, path in _plots(figures, page)]
    block = "\n\n".join([BEGIN, markdown(figures), *drawn, END])
    page.write_text(before + block + after, "utf-8")


def _rates(figures: dict[str, Any]) -> Table:
    columns = (
        "one process on one core",
        "payments/s",
        "CPU, µs a payment",
        "share of the core",
        "Tocsin's rate is",
        "Tocsin's CPU is",
    )
    rows: list[Sequence[str]] = []
    if "payments_per_second" in figures:
        cpu = figures["cpu_us_per_payment"]["total"]
        rows.append(["Tocsin, both hops", f"{figures['payments_per_second']:,}", f"{cpu}", f"{figures['core_share']}"])
    if "unheld" in figures:
        rows.append(["the same, partitions not held together, as at real pace", *_measured(figures["unheld"])])
    for name, each in _baselines(figures):
        if "skipped" in each:
            rows.append([BASELINES[name].title, f"skipped: {each['skipped']}"])
            continue
        times = [
            f"{figures[ratio][name]} times" for ratio in ("ratios", "cpu_ratios") if name in figures.get(ratio, {})
        ]
        rows.append([BASELINES[name].title, *_measured(each), *times])
    return columns, rows


def _measured(each: dict[str, Any]) -> list[str]:
    return [f"{each['payments_per_second']:,}", f"{each['cpu_us_per_payment']}", f"{each['core_share']}"]


def _baselines(figures: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    measured = figures.get("baselines", {})
    return [(name, measured[name]) for name in BASELINES if name in measured]


def _cpu(figures: dict[str, Any]) -> Table:
    cpu = figures.get("cpu_us_per_payment", {})
    rows = [(title, f"{cpu[name]}") for name, title in _CPU_ROWS.items() if name in cpu]
    rows += [(f"a model: {name.replace('_', ' ')}", f"{cost}") for name, cost in cpu.get("models", {}).items()]
    return ("", "CPU, µs a payment"), rows


def _latency(figures: dict[str, Any]) -> Table:
    columns = ("payments a second, on a schedule", "p50, ms", "p99, ms", "p99.9, ms", "longest, ms", "payments")
    return columns, [
        (_rate_title(name, each), *(f"{each[quantile]:.0f}" for quantile in _QUANTILES), f"{each['payments']:,}")
        for name, each in figures.get("latency_ms", {}).items()
    ]


def _rate_title(name: str, measured: dict[str, Any]) -> str:
    rate = f"{measured['payments_per_second']:,}"
    return rate if name.isdecimal() else f"{rate} (80 % of saturation)"


def _agreement(figures: dict[str, Any]) -> Table:
    columns = (
        "two runs of the same payments",
        "payments",
        "of those, reviews",
        "outcomes differ",
        "scores differ",
        f"by more than {APART} log-odds",
    )
    return columns, [
        (
            _AGREEMENT_ROWS[name].format(**each),
            f"{each['payments']:,}",
            f"{each['reviews']:,}",
            f"{each['outcomes_differ']:,} ({100 * each['outcomes_differ_share']:.2f} %)",
            f"{each['scores_differ']:,} ({100 * each['scores_differ_share']:.2f} %)",
            f"{each['scores_apart']:,}",
        )
        for name, each in figures.get("agreement", {}).items()
    ]


def _bytes(figures: dict[str, Any]) -> Table:
    written = figures.get("bytes_written_per_payment", {})
    names = {"total": "written beside the input", "input": "the input"}
    rows = [(names.get(role, f"of that, {role.replace('_', ' ')}"), f"{size:,.0f}") for role, size in written.items()]
    return ("on the broker's disk, compressed", "bytes a payment"), rows


def _accounts(figures: dict[str, Any]) -> Table:
    memory = figures.get("memory_bytes_per_account", {})
    rows = [(f"memory of a {side}'s account, bytes", f"{memory[side]:,}") for side in ("payer", "payee") if memory]
    if "restore_seconds_per_million_accounts" in figures:
        seconds = figures["restore_seconds_per_million_accounts"]
        rows.append(("restoring a million accounts of each side, s", f"{seconds}"))
    return ("accounts", f"filled with {memory.get('accounts', 0):,}"), rows


def _growth(figures: dict[str, Any]) -> Table:
    costs = figures.get("growth", {}).get("cpu_us_per_payment", {})
    rows = [
        (f"{int(size):,}", f"skipped: {cost['skipped']}" if isinstance(cost, dict) else f"{cost}")
        for size, cost in costs.items()
    ]
    return ("accounts of each side", "CPU of both hops' pure path, µs a payment"), rows


def _learning(figures: dict[str, Any]) -> Table:
    costs = figures.get("learning", {}).get("cpu_us_per_example", {})
    rows = [(f"learning an example: {name.replace('_', ' ')}, CPU µs", f"{cost:.0f}") for name, cost in costs.items()]
    swap = figures.get("model_swap")
    if swap:
        taken = f"{swap['median_ms']} ({swap['longest_ms']} at most)"
        rows.append(("a model that is announced decides after, ms", taken))
    return ("models", ""), rows


def _plots(figures: dict[str, Any], page: Path) -> Iterator[tuple[str, Path]]:
    drawings: dict[str, tuple[str, bool, Callable[[Any], None]]] = {
        "rates": ("Payments a second, one process on one core", bool(_baselines(figures)),
                  lambda axes: _draw_rates(axes, figures)),
        "latency": ("Latency on a schedule", "latency_ms" in figures, lambda axes: _draw_latency(axes, figures)),
        "growth": ("A payment's cost as accounts grow", "growth" in figures, lambda axes: _draw_growth(axes, figures)),
    }  # fmt: skip
    for name, (title, is_measured, paint) in drawings.items():
        if is_measured:
            yield title, picture(page.parent / f"{page.stem.lower()}-{name}.svg", paint)


def _draw_rates(axes: Any, figures: dict[str, Any]) -> None:
    shown = [(BASELINES[name].title, each["payments_per_second"]) for name, each in _baselines(figures)
             if "skipped" not in each]  # fmt: skip
    if "payments_per_second" in figures:
        shown.append(("Tocsin, both hops", figures["payments_per_second"]))
    shown.sort(key=lambda each: each[1])
    colours = ["tab:blue" if title.startswith("Tocsin") else "0.6" for title, _ in shown]
    axes.barh([title for title, _ in shown], [rate for _, rate in shown], color=colours)
    for place, (_, rate) in enumerate(shown):
        axes.text(rate, place, f" {rate:,}", va="center", fontsize=7)
    axes.margins(x=0.15)
    axes.set(xlabel="payments a second, one process on one core")


def _draw_latency(axes: Any, figures: dict[str, Any]) -> None:
    measured = list(figures["latency_ms"].values())
    rates = [each["payments_per_second"] for each in measured]
    for quantile, name in zip(_QUANTILES, ("median", "99 %", "99.9 %", "longest"), strict=True):
        axes.plot(rates, [each[quantile] for each in measured], "o-", markersize=3, label=name)
    axes.set(xscale="log", yscale="log", xlabel="payments a second", ylabel="ms from schedule to decision read")
    axes.legend(frameon=False)


def _draw_growth(axes: Any, figures: dict[str, Any]) -> None:
    costs = figures["growth"]["cpu_us_per_payment"]
    measured = {int(size): cost for size, cost in costs.items() if not isinstance(cost, dict)}
    axes.plot(list(measured), list(measured.values()), "o-", markersize=4)
    axes.set(xscale="log", xlabel="accounts of each side", ylabel="CPU, µs a payment, pure path", ylim=(0, None))
