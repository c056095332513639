"""``tocsin assess``: how well subjects are found on a stream whose truth is known, generated or in a folder."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from services.cli.options import Json, fail, file_to_write, plot_to_write, print_json
from services.cli.workbench_view import check_kind
from services.generator import Configuration, ConfigurationError
from services.runtime.progress import Progress
from services.runtime.settings import load_settings
from services.scorer.rulebook.ruleset_file import load_ruleset

if TYPE_CHECKING:
    from services.workbench.assessment.worlds import Worlds

Family = Literal["training", "held-out"]
TRAINING: Final = "training"


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
    worlds: Annotated[
        Family | None, typer.Option(help="Assess drawn worlds of these families; see `tocsin generate --list-worlds`.")
    ] = None,
    worlds_per_family: Annotated[int, typer.Option(min=1, max=1_000, help="With --worlds: of each family.")] = 1,
    base_rate: Annotated[str, typer.Option(help="With --worlds: a profile, or a share of payers.")] = "bench",
    learn: Annotated[
        str,
        typer.Option(
            metavar="DIR,...",
            help="With --stream or --worlds: learn from such folders, or from drawn worlds for training (`training`).",
            show_default="nothing: rank by what ships",
        ),
    ] = "",
    cases: Annotated[
        int | None,
        typer.Option(min=0, help="With --learn: about how many payers are known to be of the kind, at most."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the Markdown report here.", callback=file_to_write)] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Write precision-recall curves here (needs matplotlib).", callback=plot_to_write),
    ] = None,
    json: Json = False,
) -> None:
    """Train on one seed, rank the payers and payees of another, and print what rules, model and both find.

    With --stream, rank those of a folder instead, and with --worlds those of drawn worlds of --payers each, by what
    ships or by what --learn names. Drawn worlds to learn from have --training-payers each.

    Every figure is of synthetic data: it shows that the software works as specified, not that it finds offenders.
    """
    from services.workbench.assessment import report as reports
    from services.workbench.assessment.run import Options
    from services.workbench.assessment.run import assess as run

    check_kind("--model", model)
    if stream is not None or worlds is not None:
        from services.workbench.assessment.run import TRAINING_RATE
        from services.workbench.assessment.worlds import Worlds

        learned = [each for each in learn.split(",") if each]
        ranked = Worlds(worlds == "held-out", payers, months, seed, base_rate, worlds_per_family)
        taught = replace(ranked, held_out=False, payers=training_payers, seed=training_seed, base_rate=TRAINING_RATE)
        if worlds == "training":
            taught = replace(taught, first=worlds_per_family)
        result = _of_streams(stream, None if worlds is None else ranked, learned, taught, model, cases)
        _show(result, report, json)
        return
    if learn:
        fail("--learn: only with --stream or --worlds", 2)
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


def _of_streams(
    folder: Path | None, ranked: Worlds | None, learned: list[str], taught: Worlds, kind: str, cases: int | None
) -> dict[str, Any]:
    """The result of a folder or of drawn worlds, after learning from what is ``learned``."""
    from services.workbench.assessment.sources import Folder, Source
    from services.workbench.assessment.streams import assess_streams
    from services.workbench.assessment.subject_ranker import rankers_of
    from services.workbench.assessment.worlds import assess_worlds

    if folder is not None and ranked is not None:
        fail("--worlds: not with --stream", 2)
    for each in learned:
        if folder is not None and Path(each).resolve() == folder.resolve():
            fail(f"--learn {each}: is the folder that is assessed; what is learned must be other payers", 2)
    try:
        from_streams: list[Source] = []
        for each in learned:
            from_streams += taught.sources() if each == TRAINING else [Folder(Path(each))]
        ruleset = load_ruleset(load_settings())
        tell = partial(print, "assess:", file=sys.stderr)
        with Progress("assessing") as progress:
            if ranked is not None:
                return assess_worlds(ranked, from_streams, kind, ruleset, tell, progress.at_share, cases)
            assert folder is not None, "one of both is given"
            rankers = rankers_of(ruleset, kind, cases)
            return assess_streams([Folder(folder)], from_streams, rankers, ruleset, tell, progress.at_share)
    except ConfigurationError as error:
        fail(error, 2)
    except ImportError as error:
        fail(error)


def _show(result: dict[str, Any], report: Path | None, json: bool) -> None:
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
