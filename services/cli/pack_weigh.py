"""``tocsin pack weigh``: the weights of a pack that drawn worlds agree on."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from services.cli.options import Json, fail, file_to_write, plot_to_write, print_json
from services.generator import ConfigurationError
from services.runtime.progress import Progress
from services.runtime.settings import load_settings
from services.scorer.path.rules.pack_format import Pack
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import SHIPPED, pack_text
from services.scorer.rulebook.pack_rewrite import NewWeight, with_weights
from services.scorer.rulebook.ruleset_file import load_ruleset


def weigh(
    name: Annotated[str, typer.Argument(help=f"A folder, or one of {', '.join(SHIPPED)}; its label is lsac.")],
    worlds: Annotated[
        Literal["training"], typer.Option(help="Of which families; nothing is fitted to those that are held out.")
    ] = "training",
    worlds_per_family: Annotated[int, typer.Option(min=1, max=100, help="Worlds of each family.")] = 3,
    payers: Annotated[int, typer.Option(min=100, help="Payers of each world.")] = 4_000,
    months: Annotated[int, typer.Option(min=1, max=120, help="Length of each world.")] = 18,
    seed: Annotated[int, typer.Option(help="Of the worlds' people.")] = 1,
    base_rate: Annotated[str, typer.Option(help="A profile, or a share of payers.")] = "0.02",
    prior: Annotated[
        float | None, typer.Option(help="The pack's prior, log-odds.", show_default="as many others asked about")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PACKFILE", help="Write the pack with these weights here.", callback=file_to_write),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the intervals here, as SVG (needs matplotlib).", callback=plot_to_write)
    ] = None,
    json: Json = False,
) -> None:
    """Say what each indicator of a pack is worth across drawn worlds, and what it may weigh.

    Evidence weighs at most the lower end of its interval over worlds, counter-evidence at most the end nearer zero.
    What worlds contradict one another about weighs nothing.

    Every figure is of synthetic data: it shows that the software works as specified, not that it finds offenders.
    """
    from services.workbench.assessment.worlds import Worlds
    from services.workbench.indicators.page import draw, markdown
    from services.workbench.indicators.run import follow
    from services.workbench.indicators.run import weigh as run

    text = pack_text(name)
    pack = parse_pack(text)
    drawn = Worlds(worlds != "training", payers, months, seed, base_rate, worlds_per_family)
    try:
        sources = drawn.sources()
    except ConfigurationError as error:
        fail(error, 2)
    with Progress("weighing") as progress:
        tell = partial(print, "weighing:", file=sys.stderr)
        followed = follow(pack, sources, load_ruleset(load_settings()), tell, progress.at_share)
    result = run(pack, followed, asdict(drawn), prior)
    if out is not None:
        out.write_text(rewritten(text, pack, result), "utf-8")
    if plot is not None:
        draw(result, plot)
    if json:
        print_json(result)
    else:
        typer.echo(markdown(result), nl=False)


def rewritten(text: str, pack: Pack, result: dict[str, Any]) -> str:
    """The ``pack.toml`` of ``text``, which is ``pack``, with the weights of ``result``."""
    return with_weights(
        text,
        result["prior"]["after"],
        {
            indicator.id: NewWeight(
                found["weight"], None if found["interval"] is None else tuple(found["interval"]), indicator.counters
            )
            for indicator, found in zip(pack.indicators, result["indicators"], strict=True)
        },
    )
