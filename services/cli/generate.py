"""``tocsin generate``: synthetic payments with known truth, into a file or into Kafka."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from services.cli.generate_view import ShownDays, findings_table
from services.cli.generate_worlds import show_worlds, write_worlds
from services.cli.options import Bootstrap, Json, fail, print_json
from services.generator import Configuration, ConfigurationError, Day, Profile, Stream
from services.generator.check import Finding, findings
from services.generator.measures import Measures
from services.generator.outputs import WRITERS, OutputError, TruthWriter, truth_writer
from services.generator.plot import PlotError, write_plot
from services.ingest.replay import KafkaFailedError, send_payments
from services.runtime.settings import SettingsError, load_settings

EXIT_KAFKA = 1
EXIT_SETTINGS = 2
EXIT_DEVIATES = 3

Format = Literal["ndjson", "parquet", "pacs008"]
Family = Literal["training", "held-out"]


def generate(
    out: Annotated[Path | None, typer.Argument(help="File to write (pacs008: a new folder).")] = None,
    payers: Annotated[int, typer.Option(help="Accounts that pay.")] = 10_000,
    months: Annotated[int, typer.Option(help="Calendar months.")] = 18,
    seed: Annotated[int, typer.Option(help="The same seed and options give the same bytes.")] = 1,
    base_rate: Annotated[
        str, typer.Option(help="LSAC payers among cross-border ones: unit_test, bench, realistic, needle, or a number.")
    ] = "bench",
    profile: Annotated[
        Profile,
        typer.Option(
            help="bank: everything; remitter: only what a remitter sees, all payers pay abroad; small_bank: the demo's."
        ),
    ] = "remitter",
    hard: Annotated[
        bool, typer.Option("--hard", help="Evasion: jitter, daytime, two accounts, no repeated text.")
    ] = False,
    swap_destinations: Annotated[
        int | None, typer.Option(metavar="SEED", help="Permute destination countries; change nothing else.")
    ] = None,
    amounts: Annotated[str, typer.Option(help="Variant of LSAC amounts: base, chat_log, heavy, php, sweden.")] = "base",
    format_: Annotated[Format, typer.Option("--format", help="How OUT is written.")] = "ndjson",
    truth: Annotated[
        Path | None, typer.Option(help="Also write what is true, apart: .parquet, or else NDJSON.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Show each parameter beside what the stream shows; exit 3 if one deviates.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="With --check: the picture of the distributions.", show_default="OUT.check.png")
    ] = None,
    world: Annotated[
        str | None, typer.Option(metavar="FAMILY/NUMBER", help="A drawn world instead of the fixed one.")
    ] = None,
    worlds: Annotated[
        Family | None, typer.Option(help="One stream of worlds of all such families: OUT is a folder.")
    ] = None,
    worlds_per_family: Annotated[int, typer.Option(help="With --worlds: of each family.", min=1, max=1_000)] = 1,
    list_worlds: Annotated[
        bool, typer.Option("--list-worlds", help="Show the families, and what can occur in each.")
    ] = False,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Send to payments.v1, and labels to labels.v1 when due, instead of OUT.")
    ] = False,
    bootstrap: Bootstrap = None,
    json: Json = False,
) -> None:
    """Write synthetic payments whose truth is known.

    Agents pay by routines that follow published figures where there are any and stated assumptions elsewhere
    (services/generator/parameters.toml). Truth never travels with a payment. Results on this data show that the
    software works as specified, not that it finds offenders.

    A drawn world (--world harbour/3) has its own countries, prices, classes of innocents, source systems, hours and
    sub-types of LSAC payers, drawn from what its family allows (services/generator/worlds.toml). With --worlds, OUT
    becomes a folder: payments.ndjson of all worlds (of --payers each) by arrival, truth.ndjson one line an account.

    Exit codes: 0 done; 1 Kafka failed; 2 an option, a setting or a file is at fault; 3 --check found a deviation.
    """
    try:
        if list_worlds:
            show_worlds(json)
            return
        if worlds is not None:
            folder = _folder(out, kafka or check or hard or world is not None or truth is not None, profile)
            write_worlds(folder, worlds == "held-out", worlds_per_family, payers, months, seed, base_rate, json)
            return
        _require(out, kafka, check, truth, plot, world)
        configuration = Configuration(
            payers, months, seed, base_rate, profile, hard, swap_seed=swap_destinations, amounts=amounts, world=world
        )
        stream = Stream(configuration)
        with (
            ShownDays(configuration.days, quiet=json) as shown,
            nullcontext() if truth is None else truth_writer(truth) as true,
        ):
            run = _Run(stream, shown, Measures(stream) if check else None, true)
            if kafka:
                run.send(bootstrap)
            else:
                run.write(out, format_)
        found = findings(run.measures) if run.measures is not None else []
        plotted = _plot(run, plot or _beside(out)) if check else None
    except KafkaFailedError as error:
        fail(f"Kafka: {error}", EXIT_KAFKA, json)
    except (ConfigurationError, OutputError, SettingsError) as error:
        fail(error, EXIT_SETTINGS, json)
    _show(run, found, plotted, json)
    if any(each.within is False for each in found):
        raise typer.Exit(EXIT_DEVIATES)


@dataclass
class _Run:
    """One generation, and what has come of it so far."""

    stream: Stream
    shown: ShownDays
    measures: Measures | None
    truth: TruthWriter | None
    summary: dict[str, Any] = field(default_factory=dict)

    def days(self) -> Iterator[Day]:
        """The days, each counted, checked and shown on its way; truth of accounts and cases is written before them."""
        if self.truth is not None:
            for records in (self.stream.accounts(), self.stream.payments(), self.stream.case_labels()):
                self.truth.write(records)
        count = 0
        for number, day in enumerate(self.stream.days(), 1):
            count += len(day.rows)
            if self.measures is not None:
                self.measures.add(day)
            if self.truth is not None:
                self.truth.write(day.labels)
            yield day
            self.shown.at(number, count)
        self.summary |= {"records": count, "truth": dict(self.truth.counts) if self.truth else {}}
        self.summary["seconds"] = round(self.shown.seconds, 2)

    def write(self, out: Path | None, format_: str) -> None:
        """Write to ``out``, or nowhere."""
        if out is None:
            for _ in self.days():
                pass
            return
        chunks = (chunk for day in self.days() for chunk in self.stream.written(day.rows))
        self.summary |= {"file": str(out), "left_out": WRITERS[format_](out, chunks)}

    def send(self, bootstrap: str | None) -> None:
        """Write to Kafka."""
        settings = load_settings(bootstrap=bootstrap)
        report = asyncio.run(send_payments(self.stream.events(self.days()), settings, name="generate"))
        sent = {"sent": report.payments_sent, "labels": report.labels_sent, "dead_letters": report.dead_letters_sent}
        self.summary |= sent


def _folder(out: Path | None, unsaid: bool, profile: str) -> Path:
    """Where many worlds go. They take no options but sizes, seed and base rate."""
    if out is None:
        raise ConfigurationError("OUT: missing (a folder)")
    if unsaid or profile != "remitter":
        raise ConfigurationError("--worlds: only with --payers, --months, --seed, --base-rate, --worlds-per-family")
    return out


def _require(
    out: Path | None, kafka: bool, check: bool, truth: Path | None, plot: Path | None, world: str | None
) -> None:
    """Options that make sense together."""
    if check and world is not None:
        raise ConfigurationError("--check: not with --world, whose numbers are drawn")
    if kafka and out is not None:
        raise ConfigurationError("OUT: not with --kafka")
    if out is None and not kafka and not check and truth is None:
        raise ConfigurationError("OUT: missing (or --kafka, --check, --truth)")
    if plot is not None and not check:
        raise ConfigurationError("--plot: only with --check")
    if out is not None and truth is not None and out.absolute() == truth.absolute():
        raise ConfigurationError("--truth: must not be OUT: truth never travels with payments")


def _beside(out: Path | None) -> Path:
    return Path("generate.check.png") if out is None else out.with_name(out.name + ".check.png")


def _plot(run: _Run, path: Path) -> str | None:
    """Write the picture; a machine without matplotlib still gets the table."""
    assert run.measures is not None
    try:
        write_plot(run.measures, path)
    except PlotError as error:
        print(error, file=sys.stderr)
        return None
    return str(path)


def _show(run: _Run, found: list[Finding], plotted: str | None, json: bool) -> None:
    deviating = [each.parameter for each in found if each.within is False]
    if json:
        extra = {
            "plot": plotted,
            "deviating": deviating,
            "parameters": [asdict(each) | {"within": each.within} for each in found],
        }
        print_json(run.summary | (extra if run.measures is not None else {}))
        return
    if found:
        Console(width=None if sys.stdout.isatty() else 120).print(findings_table(found))
        typer.echo(f"{len(found)} parameters, {len(deviating)} deviate" + (f"; {plotted}" if plotted else ""))
    summary = run.summary
    rate = summary["records"] / max(summary["seconds"], 1e-3)
    typer.echo(f"{summary['records']:,} records in {summary['seconds']:,.1f} s, {rate:,.0f}/s")
    if summary.get("left_out"):
        typer.echo(f"  left out, since the format cannot say it: {summary['left_out']:,}")
    if "sent" in summary:
        typer.echo(f"  sent: {summary['sent']:,} payments, {summary['labels']:,} labels; "
                   f"dead letters: {summary['dead_letters']:,}")  # fmt: skip
    if summary["truth"]:
        typer.echo("  truth: " + ", ".join(f"{count:,} {name}s" for name, count in summary["truth"].items()))
