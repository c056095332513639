"""``tocsin bench``: what a payment costs, measured on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from services.bench.plan import ChampionKind, Plan
from services.broker import open_broker
from services.cli.options import Bootstrap, Json, fail, file_to_write, plot_to_write, print_json, print_table
from services.runtime.progress import Progress
from services.runtime.settings import load_settings

_PLAN = Plan()


def bench(
    bootstrap: Bootstrap = None,
    only: Annotated[str, typer.Option(help="Parts to measure, separated by commas; all, or none.")] = "all",
    payments: Annotated[int, typer.Option(min=400, help="Payments in each scorer run.")] = _PLAN.payments,
    baseline_payments: Annotated[
        int, typer.Option(min=10, help="Payments for each slow baseline.")
    ] = _PLAN.baseline_payments,
    champion: Annotated[ChampionKind, typer.Option(help="What decides; drawn at random.")] = _PLAN.champion,
    accounts: Annotated[int, typer.Option(min=10_000, help="Accounts of each side, at most.")] = _PLAN.accounts,
    latency_seconds: Annotated[float, typer.Option(min=1, help="How long each rate is held.")] = _PLAN.latency_s,
    agreement_payments: Annotated[
        int, typer.Option(min=400, help="Payments in each replay that is compared with another.")
    ] = _PLAN.agreement_payments,
    quix_python: Annotated[Path, typer.Option(help="An interpreter that has Quix Streams.")] = _PLAN.quix_python,
    figures: Annotated[
        Path | None,
        typer.Option(callback=file_to_write, help="Keep the figures in this file: parts run later add to them."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(callback=plot_to_write, help="Renew the tables in this page, and the plots beside it."),
    ] = None,
    soak: Annotated[
        int | None,
        typer.Option(min=10_000, help="Instead: so many decisions through the learner's join, without Kafka."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure one scorer process on one core, exactly once, on a real Kafka; and what users would pick instead.

    Rates are taken between two moments inside each run, so that starting up is not part of them. CPU times are those
    of the whole worker process: decoding, both hops, compression, the Kafka clients, metrics.
    """
    if soak is not None:
        _soak(soak, json)
        return
    from services.bench.report import around_block, write_report

    parts = _parts(only)
    if report is not None:
        around_block(report)  # before anything is measured
    found = _kept(figures)
    if not parts and not found:
        fail("--only none: there is nothing to show; expected --figures of an earlier run")
    if parts:
        plan = Plan(
            payments, baseline_payments, champion, accounts, latency_seconds, agreement_payments, quix_python.absolute()
        )
        found = _measured(bootstrap, plan, parts, found, partial(_keep, figures))
        _keep(figures, found)
    if report is not None:
        write_report(found, report)
    if json:
        print_json(found)
    else:
        _show(found)


def _measured(
    bootstrap: str | None, plan: Plan, parts: tuple[str, ...], before: dict[str, Any], keep: Callable[[Any], None]
) -> dict[str, Any]:
    from services.bench.run import Bench
    from services.bench.worker import reserve_core

    tell, core = partial(print, "bench:", file=sys.stderr), reserve_core()
    if bootstrap is not None:
        return Bench(load_settings(bootstrap=bootstrap), bootstrap, plan, core, tell).run(parts, before, keep)
    with open_broker() as broker:
        settings = load_settings(bootstrap=broker.bootstrap, delivery=broker.delivery)
        return Bench(settings, broker.kind, plan, core, tell).run(parts, before, keep)


def _keep(figures: Path | None, found: dict[str, Any]) -> None:
    if figures is not None:
        figures.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


def _parts(only: str) -> tuple[str, ...]:
    from services.bench.run import ALL, PARTS

    chosen = ALL if only == "all" else () if only == "none" else tuple(only.split(","))
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        fail(f"--only {unknown[0]}: there is no such part; expected some of {', '.join(PARTS)}, all or none")
    return tuple(part for part in PARTS if part in chosen)


def _kept(figures: Path | None) -> dict[str, Any]:
    """The figures of an earlier run, if there was one."""
    if figures is None or not figures.is_file():
        return {}
    try:
        found = orjson.loads(figures.read_bytes())
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        fail(f"{figures}: no figures; expected a file that `tocsin bench --figures` wrote, or none")
    return found


def _soak(decisions: int, json: bool) -> None:
    from services.bench.soak import SOAK_DAYS, soak
    from services.learner.app import limits_of

    with (
        TemporaryDirectory(prefix="tocsin-soak-") as folder,
        Progress("decisions", decisions) as progress,
    ):
        rows = soak(Path(folder), decisions, SOAK_DAYS, limits_of(load_settings()), progress.at)
    if json:
        print_json(rows)
        return
    columns = ("decisions", "days", "kept", "labels waiting", "examples", "store, MB", "peak memory, MB", "s")
    counts, sizes = ("decisions", "days", "kept", "labels_waiting", "examples"), ("store_bytes", "peak_memory_bytes")
    print_table(
        columns,
        (
            [
                *(f"{row[name]:,}" for name in counts),
                *(f"{row[name] / 1e6:.0f}" for name in sizes),
                f"{row['seconds']:.0f}",
            ]
            for row in rows
        ),
    )
    Console().print(", ".join(f"{name} {count:,}" for name, count in rows[-1]["results"].items()))


def _show(figures: dict[str, Any]) -> None:
    from services.bench.report import tables

    for columns, rows in tables(figures):
        print_table(columns, rows)
        Console().print()
    Console().print(
        f"{figures['payments']:,} payments, {figures['partitions']} partitions, {figures['delivery']}, "
        f"champion {figures['champion']}, {figures['broker']}"
    )
