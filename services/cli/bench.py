"""``tocsin bench``: what a payment costs, measured on this machine."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console

from services.broker import open_broker
from services.cli.options import Bootstrap, Json, print_json, print_table
from services.runtime.progress import Progress
from services.runtime.settings import load_settings


def bench(
    bootstrap: Bootstrap = None,
    payments: Annotated[int, typer.Option(min=40_000, help="Payments in each scorer run.")] = 150_000,
    baseline_payments: Annotated[int, typer.Option(min=2_000, help="Payments for the Faust agent.")] = 6_000,
    soak: Annotated[
        int | None,
        typer.Option(min=10_000, help="Instead: so many decisions through the learner's join, without Kafka."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure one scorer process on one core, exactly once, on a real Kafka; and a Faust agent doing the same work.

    Rates are taken between two moments inside each run, so that starting up is not part of them. CPU times are those
    of the whole worker process: decoding, both hops, compression, the Kafka clients, metrics.
    """
    if soak is not None:
        _soak(soak, json)
        return
    from services.bench.run import run_bench
    from services.bench.worker import reserve_core

    tell = partial(print, "bench:", file=sys.stderr)
    core = reserve_core()
    if bootstrap is not None:
        figures = run_bench(load_settings(bootstrap=bootstrap), core, payments, baseline_payments, tell)
        figures["broker"] = bootstrap
    else:
        with open_broker() as broker:
            settings = load_settings(bootstrap=broker.bootstrap, delivery=broker.delivery)
            figures = run_bench(settings, core, payments, baseline_payments, tell)
            figures["broker"] = broker.kind
    if json:
        print_json(figures)
    else:
        _show(figures)


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
    cpu, agent = figures["cpu_us_per_payment"], figures["baselines"]["faust_agent"]
    rows = [
        ("Tocsin, both hops", f"{figures['payments_per_second']:,}", f"{cpu['total']}"),
        ("  payer hop alone", "", f"{cpu['payer_hop']}"),
        ("  payee hop alone", "", f"{cpu['payee_hop']}"),
        ("  typology packs, of the payee hop", "", f"{cpu['packs']}"),
        *((f"  a model: {name.replace('_', ' ')}", "", f"{cost}") for name, cost in cpu["models"].items()),
        ("Faust agents, same work", f"{agent['payments_per_second']:,}", f"{agent['cpu_us_per_payment']}"),
    ]
    print_table(("one process on one core", "payments/s", "CPU µs a payment"), rows)
    Console().print(
        f"{figures['times_faust_agent']} times the Faust agents' rate; {figures['payments']:,} payments, "
        f"{figures['partitions']} partitions, {figures['delivery']}, {figures['broker']}"
    )
    learning = figures["learning"]["cpu_us_per_example"].items()
    said = ", ".join(f"{name.replace('_', ' ')} {cost:.0f}" for name, cost in learning)
    Console().print(f"an example costs to learn, in CPU µs: {said}")
    swap = figures["model_swap"]
    Console().print(f"a model that is announced decides after {swap['median_ms']} ms, {swap['longest_ms']} ms at most")
