"""``tocsin generate --worlds`` and ``--list-worlds``: one stream of many drawn worlds, and which there are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from services.cli.generate_view import ShownDays
from services.cli.options import print_json
from services.generator.stream_folder import configurations, world_names, write_stream_folder
from services.generator.worlds import families, family_of


def write_worlds(
    folder: Path, held_out: bool, per_family: int, payers: int, months: int, seed: int, base_rate: str, json: bool
) -> None:
    """Write ``per_family`` worlds of each family into ``folder``, and say how many payments and accounts they have."""
    chosen = configurations(world_names(held_out, per_family), payers, months, seed, base_rate)
    days = chosen[0].days
    with ShownDays(days, quiet=json) as shown:
        written = write_stream_folder(folder, chosen, lambda part, count: shown.at(round(part * days), count))
    summary: dict[str, Any] = {"folder": str(folder), **written, "seconds": round(shown.seconds, 2)}
    if json:
        print_json(summary)
        return
    rate = written["payments"] / max(summary["seconds"], 1e-3)
    typer.echo(f"{folder}: {written['payments']:,} payments of {written['worlds']} worlds in "
               f"{summary['seconds']:,.1f} s, {rate:,.0f}/s")  # fmt: skip
    typer.echo(f"  truth: {written['accounts']:,} accounts, {written['positive']:,} positive")


def show_worlds(json: bool) -> None:
    """The families: what can occur in their worlds."""
    laws = [family_of(name) for held_out in (False, True) for name in families(held_out)]
    if json:
        print_json({"families": [{name: getattr(each, name) for name in each.__struct_fields__} for each in laws]})
        return
    table = Table("family", "held out", "classes", "systems", "sub-types", box=None, header_style="bold")
    for each in laws:
        held_out = "held out" if each.held_out else ""
        table.add_row(each.name, held_out, ", ".join(each.classes), ", ".join(each.systems), ", ".join(each.sub_types))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
