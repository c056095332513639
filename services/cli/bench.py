"""``tocsin bench``: what a payment costs, measured on this machine."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from services.bench.champion import ChampionKind
from services.broker import open_broker
from services.cli.options import Bootstrap, Json, file_to_write, plot_to_write, print_json, print_table
from services.runtime.progress import Progress
from services.runtime.settings import load_settings


def bench(
    bootstrap: Bootstrap = None,
    only: Annotated[str, typer.Option(help="Parts to measure, separated by commas; 'all': all that follow.")] = "all",
    payments: Annotated[int, typer.Option(min=400, help="Payments in each scorer run.")] = 150_000,
    baseline_payments: Annotated[int, typer.Option(min=10, help="Payments for each slow baseline.")] = 6_000,
    champion: Annotated[ChampionKind, typer.Option(help="What decides; drawn at random.")] = "boosting",
    accounts: Annotated[int, typer.Option(min=10_000, help="Accounts of each side, at most.")] = 1_000_000,
    latency_seconds: Annotated[float, typer.Option(min=1, help="How long each rate is held.")] = 20.0,
    quix_python: Annotated[
        Path, typer.Option(help="An interpreter that has Quix Streams.", show_default="var/quix/bin/python")
    ] = Path("var/quix/bin/python"),
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
    from services.bench.report import write_report
    from services.bench.run import Bench, Plan
    from services.bench.worker import reserve_core

    parts = _parts(only)
    tell = partial(print, "bench:", file=sys.stderr)
    before = orjson.loads(figures.read_bytes()) if figures is not None and figures.is_file() else {}
    plan = Plan(payments, baseline_payments, champion, accounts, latency_seconds, quix_python.absolute())
    core = reserve_core()
    if bootstrap is not None:
        found = Bench(load_settings(bootstrap=bootstrap), plan, core, tell).run(parts, before)
        found["broker"] = bootstrap
    else:
        with open_broker() as broker:
            settings = load_settings(bootstrap=broker.bootstrap, delivery=broker.delivery)
            found = Bench(settings, plan, core, tell).run(parts, before)
            found["broker"] = broker.kind
    if figures is not None:
        figures.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if report is not None:
        write_report(found, report)
    if json:
        print_json(found)
    else:
        _show(found)


def _parts(only: str) -> tuple[str, ...]:
    from services.bench.run import ALL, PARTS

    chosen = ALL if only == "all" else tuple(only.split(","))
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise typer.BadParameter(f"no part {', '.join(unknown)}; expected some of {', '.join(PARTS)}, or all")
    return tuple(part for part in PARTS if part in chosen)


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
