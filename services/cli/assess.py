"""``tocsin assess``: how well subjects are found on a stream whose truth is known, generated or in a folder."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.options import Json, fail, file_to_write, plot_to_write, print_json
from services.cli.workbench_view import check_kind
from services.generator import Configuration, ConfigurationError
from services.runtime.progress import Progress
from services.runtime.settings import load_settings
from services.scorer.rulebook.ruleset_file import load_ruleset


def assess(
    payers: Annotated[int, typer.Option(min=1_000, help="Payers of the stream that is assessed.")] = 100_000,
    months: Annotated[int, typer.Option(min=1, max=120, help="Length of the streams.")] = 18,
    seed: Annotated[int, typer.Option(help="Of the stream that is assessed.")] = 7,
    training_seed: Annotated[int, typer.Option(help="Of the stream that the model learns from.")] = 1,
    training_payers: Annotated[int, typer.Option(min=1_000, help="Payers of that stream.")] = 80_000,
    model: Annotated[str, typer.Option(help="Its kind; boosting needs the extra `boosting`.")] = "boosting",
    base_rates: Annotated[str, typer.Option(help="Profiles: unit_test, bench, realistic, needle.")] = "bench,realistic",
    hard: Annotated[bool, typer.Option("--hard", help="Payers who evade.")] = False,
    stream: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Assess this folder's payments.ndjson by its truth.ndjson.")
    ] = None,
    learn: Annotated[
        str, typer.Option(metavar="DIR,...", help="With --stream: learn from such folders; else from none.")
    ] = "",
    report: Annotated[Path | None, typer.Option(help="Write the Markdown report here.", callback=file_to_write)] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Write precision-recall curves here (needs matplotlib).", callback=plot_to_write),
    ] = None,
    json: Json = False,
) -> None:
    """Train on one seed, rank the payers and payees of another, and print what rules, model and both find.

    With --stream, rank those of a folder instead, by what ships or by what the folders of --learn teach.

    Every figure is of synthetic data: it shows that the software works as specified, not that it finds offenders.
    """
    from services.workbench.assessment import report as reports
    from services.workbench.assessment.run import Options
    from services.workbench.assessment.run import assess as run

    check_kind("--model", model)
    if stream is not None:
        _print(_of_folders(stream, [Path(each) for each in learn.split(",") if each], model), report, json)
        return
    if learn:
        fail("--learn: only with --stream", 2)
    _check(base_rates.split(","), payers, months)
    options = Options(payers, months, seed, training_seed, training_payers, model, tuple(base_rates.split(",")), hard)
    with Progress("assessing") as progress:
        try:
            tell = partial(print, "assess:", file=sys.stderr)
            result = run(options, load_ruleset(load_settings()), tell, progress.at_share)
        except ImportError as error:
            fail(error)
    text = reports.markdown(result)
    if report is not None:
        report.write_text(text, "utf-8")
    if plot is not None:
        reports.plot(result, plot)
    del result["curves"]
    if json:
        print_json(result)
    else:
        typer.echo(text)


def _of_folders(folder: Path, learned: list[Path], kind: str) -> dict[str, Any]:
    """The result of a folder, after learning from others."""
    from services.workbench.assessment.rankers import HighestPayment
    from services.workbench.assessment.sources import Folder
    from services.workbench.assessment.streams import assess_streams

    for each in learned:
        if each.resolve() == folder.resolve():
            fail(f"--learn {each}: is the folder that is assessed; what is learned must be other payers", 2)
    ruleset = load_ruleset(load_settings())
    with Progress("assessing") as progress:
        tell = partial(print, "assess:", file=sys.stderr)
        taught = [Folder(each) for each in learned]
        try:
            return assess_streams(
                [Folder(folder)], taught, [HighestPayment(ruleset, kind)], ruleset, tell, progress.at_share
            )
        except ImportError as error:
            fail(error)


def _print(result: dict[str, Any], report: Path | None, json: bool) -> None:
    from services.workbench.assessment.streams_report import markdown

    text = markdown(result)
    if report is not None:
        report.write_text(text, "utf-8")
    if json:
        print_json(result)
    else:
        typer.echo(text)


def _check(base_rates: list[str], payers: int, months: int) -> None:
    """Tell a base rate that is none before a model is trained."""
    try:
        for each in base_rates:
            Configuration(payers=payers, months=months, base_rate=each)
    except ConfigurationError as error:
        fail(f"--base-rates {','.join(base_rates)}: {error}")
