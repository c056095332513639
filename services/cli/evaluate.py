"""``tocsin evaluate``: a data set or the Fraud Detection Handbook, walked in event time."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import Json, fail, plots_to_write, print_json, print_table
from services.cli.workbench_view import Budget, Matured, read, show
from services.runtime.progress import Progress
from services.runtime.settings import load_settings

if TYPE_CHECKING:
    from services.workbench.dataset import Dataset
    from services.workbench.poison import Burst

HANDBOOK = "handbook"


def evaluate(
    files: Annotated[list[str], typer.Argument(help=f"Parquet files of `tocsin dataset export`; or `{HANDBOOK}`.")],
    model: Annotated[str, typer.Option(help="served (the scores on record), or the kind that learns.")] = "served",
    matured_days: Matured = None,
    budget: Budget = None,
    refit_days: Annotated[float, typer.Option(min=1.0, help="Days between two fits of boosting.")] = 7.0,
    sample: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Walk this share of payers, and all that somebody labelled.")
    ] = 1.0,
    poison: Annotated[float, typer.Option(min=0.0, max=0.5, help="Share of labels to flip before learning.")] = 0.0,
    poison_burst: Annotated[int, typer.Option(min=0, help="Wrong labels about one payer, all at once.")] = 0,
    poison_weight: Annotated[float, typer.Option(min=0.0, max=1e6, help="Of each of these.")] = 1.0,
    unbounded: Annotated[
        bool, typer.Option("--unbounded", help="With poison, walk also without the bounds on labels.")
    ] = False,
    plots: Annotated[
        Path | None,
        typer.Option(help="Write plots into this folder (needs matplotlib).", callback=plots_to_write),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help=f"Folder of fdh_raw.parquet, for `{HANDBOOK}`.", show_default="TOCSIN_DATA")
    ] = None,
    json: Json = False,
) -> None:
    """Walk decisions and labels in event time: each scored by what was known then, each label learned when it came.

    `tocsin evaluate handbook` runs the protocol of the Fraud Detection Handbook over its data, with labels withheld for
    seven days, and prints the figures beside those that the book and others report. With --poison or --poison-burst it
    walks as often as needed to say what wrong labels change; the figures are against the true ones.
    """
    if files == [HANDBOOK]:
        _evaluate_handbook(data, json)
        return
    from services.workbench.backtest import prequential, sampled, with_silence
    from services.workbench.learners import LEARNERS
    from services.workbench.poison import burst

    settings = load_settings()
    if model != "served" and model not in LEARNERS:
        fail(f"--model {model}: there is no such model; expected one of served, {', '.join(LEARNERS)}")
    found = read([Path(each) for each in files])
    if matured_days is not None:
        found = with_silence(found, matured_days)
    if sample < 1.0:
        found = sampled(found, sample)
    share = settings.alert_budget_share if budget is None else budget
    if poison or poison_burst:
        names = [model] if model in LEARNERS else list(LEARNERS)
        attack = burst(found, poison_burst, poison_weight) if poison_burst else None
        _poison(found, names, poison, attack, refit_days, unbounded, share, plots, json)
        return
    learner = LEARNERS[model](refit_days, True) if model in LEARNERS else None
    with Progress("walking") as progress:
        scores = found.score
        if learner is not None:
            scores = prequential(found, learner, progress.at_share)
    from services.workbench.measures import measured

    figures = {cohort: each.as_dict() for cohort, each in measured(found, scores, share).items()}
    if plots is not None:
        from services.workbench.plots import draw

        draw(found, scores, share, plots, None if learner is None else learner.model())
    if json:
        print_json({"model": model, **figures})
    else:
        show(figures, "label within")


def _poison(
    data: Dataset,
    names: list[str],
    flip: float,
    attack: Burst | None,
    refit_days: float,
    unbounded: bool,
    budget_share: float,
    plots: Path | None,
    json: bool,
) -> None:
    from services.workbench.learners import LEARNERS
    from services.workbench.poison import poisoning

    found = {}
    for name in names:
        for bounded in (True, False) if unbounded else (True,):
            called = name if bounded else f"{name}, unbounded"
            make = partial(LEARNERS[name], refit_days, bounded)
            with Progress(called) as progress:
                found[called] = poisoning(data, make, flip, attack, budget_share, progress.at_share, bounded)
    if plots is not None:
        from services.workbench.plots import draw_poisoning

        draw_poisoning(found, plots)
    if json:
        print_json({"poison": flip, "burst": 0 if attack is None else attack.labels, **found})
        return
    show({f"{name}: {how}": each for name, of in found.items() for how, each in of.items()}, "labels")
    for name, of in found.items():
        for how, each in of.items():
            for who, by in each.get("moved", {}).items():
                if not by["decisions"]:
                    continue
                typer.echo(
                    f"{name}, {how}: log-odds of {who}: median {by['median']:+.2f}, 99 of 100 within {by['p99']:.2f}"
                )


def _evaluate_handbook(folder: Path | None, json: bool) -> None:
    from services.workbench.handbook.handbook import TEST_DAYS
    from services.workbench.handbook.run import evaluate_handbook

    settings = load_settings()
    path = (folder or Path(os.environ.get("TOCSIN_DATA", "../shared/data"))) / "fdh_raw.parquet"
    if not path.is_file():
        fail(f"{path}: not there; --data or TOCSIN_DATA names its folder (Fraud-Detection-Handbook/simulated-data-raw)")
    with Progress("replaying") as progress:
        try:
            found = evaluate_handbook(path, settings, progress.at_share)
        except ImportError as error:
            fail(error)
    if json:
        print_json(found)
        return
    days = len(found["served"]) - TEST_DAYS * len(found["splits"])
    typer.echo(f"served on the tested days: {', '.join(dict.fromkeys(list(found['served'].values())[days:]))}")
    keys = ("auc", "average_precision", "card_precision_100")
    rows = [(f"training week {each['training_week']}", each) for each in found["splits"]]
    means = [("Tocsin as served: mean", found["mean"])] + [(f"  {name}", each) for name, each in found["lines"].items()]
    print_table(
        ("", "AUC", "average precision", "card precision@100"),
        (
            (name, *("" if each[key] is None else f"{each[key]:.3f}" for key in keys))
            for name, each in [*rows, *means, *found["published"].items()]
        ),
    )
    typer.echo(found["note"])
