"""``tocsin dataset``, ``train``, ``evaluate`` and ``compare``: the data scientist's workbench."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from services.cli.options import Bootstrap, Json, moment_ms, print_json
from services.progress import Progress
from services.scorer.path.features import feature_schema_hash
from services.scorer.ruleset_file import load_ruleset
from services.settings import Settings, load_settings

if TYPE_CHECKING:
    from services.evaluate.measures import Floats
    from services.learner.alarms import RefitRequest
    from services.scorer.path.model import Model
    from services.workbench.dataset import Dataset
    from services.workbench.poison import Burst

app = typer.Typer(help="Data sets of decisions and their labels.", no_args_is_help=True)
HANDBOOK = "handbook"
STEPS = 1_000
Files = Annotated[list[Path], typer.Argument(help="Parquet files that `tocsin dataset export` wrote.")]
Name = Annotated[str, typer.Argument(help="NAME/VERSION in the registry; NAME alone: its latest version.")]
Budget = Annotated[
    float | None,
    typer.Option(help="Share of payments that people can review.", show_default="TOCSIN_ALERT_BUDGET_SHARE"),
]
Matured = Annotated[
    float | None, typer.Option(help="After so many days without a label a payment counts as weakly not suspicious.")
]
_COLUMNS = {
    "payments": "labelled", "suspicious": "suspicious", "auc": "AUC", "average_precision": "AP",
    "recall_at_budget": "recall", "calibration_error": "miscal.", "brier": "Brier",
}  # fmt: skip


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
    as_of: Annotated[
        str | None, typer.Option(help="What was known then: an ISO 8601 time (UTC without an offset) or milliseconds.")
    ] = None,
    bootstrap: Bootstrap = None,
    json: Json = False,
) -> None:
    """Write every decision with the label that counts as one Parquet file: one row a decision, one column a feature.

    Features are those served, never computed again. With --as-of there is nothing in it that came later: no decision,
    and no label, whatever was corrected since.
    """
    from services.workbench.dataset import described
    from services.workbench.export import export as run

    settings = load_settings(bootstrap=bootstrap)
    schema = feature_schema_hash(load_ruleset(settings).parameters)
    data, left_out = asyncio.run(run(settings, schema, None if as_of is None else moment_ms(as_of)))
    data.write(out)
    said = {**described(data), "left_out_other_schema": left_out, "feature_schema_hash": schema}
    if json:
        print_json(said)
        return
    typer.echo(
        f"{out}: "
        + ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in said.items() if isinstance(value, int))
    )


@app.command()
def generate(
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
    payers: Annotated[int, typer.Option(min=100, help="Payers; about 33 payments each in 18 months.")] = 10_000,
    months: Annotated[int, typer.Option(min=1, max=120)] = 18,
    seed: Annotated[int, typer.Option()] = 1,
    base_rate: Annotated[str, typer.Option(help="unit_test, bench, realistic, needle.")] = "unit_test",
    profile: Annotated[Literal["remitter", "bank"], typer.Option(help="Whose payments.")] = "remitter",
    json: Json = False,
) -> None:
    """The same of a generated stream, without Kafka: to try the workbench on, with labels as late as the generator's.

    What is learned of it shows that the software works as specified, not that it finds offenders.
    """
    from services.generator import Configuration, ConfigurationError
    from services.workbench.dataset import described
    from services.workbench.generated import generated

    try:
        configuration = Configuration(payers=payers, months=months, seed=seed, base_rate=base_rate, profile=profile)
    except ConfigurationError as error:
        _fail(error)
    with Progress("generating", STEPS) as progress:
        data = generated(configuration, load_ruleset(load_settings()), partial(_at, progress))
    data.write(out)
    said = described(data)
    if json:
        print_json(said)
    else:
        typer.echo(f"{out}: " + ", ".join(f"{value:,} {name}" for name, value in said.items()))


def train(
    files: Files,
    kind: Annotated[str, typer.Option(help="boosting (needs the extra `boosting`) or logistic.")] = "boosting",
    name: Annotated[str | None, typer.Option(help="Line in the registry.", show_default="the kind")] = None,
    delay_days: Annotated[float, typer.Option(help="How late labels are, at the edge of the held-out part.")] = 7.0,
    matured_days: Matured = None,
    budget: Budget = None,
    if_drifted: Annotated[
        bool, typer.Option("--if-drifted", help="Train only if the drift watch asks for a refit, and settle that.")
    ] = False,
    plots: Annotated[Path | None, typer.Option(help="Write plots of the held-out part into this folder.")] = None,
    json: Json = False,
) -> None:
    """Train a model, measure it on the last quarter of the period, and save it in the registry as a challenger.

    Nothing scores with it until `tocsin promote`. With --if-drifted nothing is trained unless a request to refit stands
    (`drift.json` in `TOCSIN_STATE_DIR`); once the version is saved the request is settled.
    """
    from models.registry import Registry
    from services.learner.alarms import settle
    from services.workbench.mlflow_registry import tell_mlflow
    from services.workbench.train import TrainingError
    from services.workbench.train import train as run

    settings = load_settings()
    request = _refit_request(settings) if if_drifted else None
    if if_drifted and request is None:
        if json:
            print_json({"model": None})
        else:
            typer.echo(f"no refit is requested in {settings.state_dir}: nothing is trained")
        return
    data = _read(files)
    share = settings.alert_budget_share if budget is None else budget
    registry = Registry(settings.registry)

    def look(held_out: Dataset, scores: Floats, model: Model) -> None:
        if plots is not None:
            from services.workbench.plots import draw

            draw(held_out, scores, share, plots, model)

    try:
        made = run(data, kind, name or kind, registry, share, delay_days, matured_days, _tell, look)
    except (TrainingError, ImportError) as error:
        _fail(error)
    if request is not None:
        settle(settings.state_dir, request)
    wrong = tell_mlflow(settings, lambda mlflow: mlflow.saved(made))
    if wrong is not None:
        _tell(wrong)
    said = made.announcement
    if json:
        print_json({"model": f"{said.name}/{said.version}", "model_hash": said.model_hash, **made.about})
        return
    typer.echo(f"{said.name}/{said.version}, hash {said.model_hash[:12]}, on what was held out:")
    _show({cohort: made.about["held_out"][cohort] for cohort in ("all", "1d", "7d", "30d", "later")}, "label within")
    model = f"{said.name}/{said.version}"
    typer.echo(f"tocsin model show {model} tells more; tocsin promote {model} lets it score")


def evaluate(
    files: Annotated[list[str], typer.Argument(help=f"Parquet files of `tocsin dataset export`; or `{HANDBOOK}`.")],
    model: Annotated[str, typer.Option(help="served (the scores on record), logistic or boosting.")] = "served",
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
    plots: Annotated[Path | None, typer.Option(help="Write plots into this folder (needs matplotlib).")] = None,
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
        _fail(f"--model {model}: there are served, {', '.join(LEARNERS)}")
    found = _read([Path(each) for each in files])
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
    with Progress("walking", STEPS) as progress:
        scores = found.score
        if learner is not None:
            scores = prequential(found, learner, partial(_at, progress))
    from services.workbench.measures import measured

    figures = {cohort: each.as_dict() for cohort, each in measured(found, scores, share).items()}
    if plots is not None:
        from services.workbench.plots import draw

        draw(found, scores, share, plots, None if learner is None else learner.model())
    if json:
        print_json({"model": model, **figures})
    else:
        _show(figures, "label within")


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
            with Progress(called, STEPS) as progress:
                at = partial(_at, progress)
                found[called] = poisoning(data, make, flip, attack, budget_share, at, bounded)
    if plots is not None:
        from services.workbench.plots import draw_poisoning

        draw_poisoning(found, plots)
    if json:
        print_json({"poison": flip, "burst": 0 if attack is None else attack.labels, **found})
        return
    _show({f"{name}: {how}": each for name, of in found.items() for how, each in of.items()}, "labels")
    for name, of in found.items():
        for how, each in of.items():
            for who, by in each.get("moved", {}).items():
                if not by["decisions"]:
                    continue
                typer.echo(
                    f"{name}, {how}: log-odds of {who}: median {by['median']:+.2f}, 99 of 100 within {by['p99']:.2f}"
                )


def compare(
    champion: Annotated[
        str | None, typer.Argument(help="NAME/VERSION in the registry; NAME alone: its latest version.")
    ] = None,
    challenger: Annotated[str | None, typer.Argument(help="Likewise.")] = None,
    files: Annotated[
        list[Path] | None, typer.Option("--data", help="Parquet file of `tocsin dataset export`; may come again.")
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Every challenger on the live stream, against what was served.")
    ] = False,
    plots: Annotated[
        Path | None, typer.Option(help="With --shadow: draw each against the champion into this folder (matplotlib).")
    ] = None,
    budget: Budget = None,
    bootstrap: Bootstrap = None,
    json: Json = False,
) -> None:
    """Score the decisions that neither model has seen with both, and say how sure the difference is.

    With --shadow nothing is scored: what challengers said of live decisions (`tocsin worker shadow`) is set beside what
    was served, against the labels known now. Only decisions count that a challenger scored, made after all that it
    learned from.
    """
    settings = load_settings(bootstrap=bootstrap)
    share = settings.alert_budget_share if budget is None else budget
    if shadow:
        if champion is not None or files:
            raise typer.BadParameter("--shadow reads models and decisions from Kafka: name no model and no --data")
        _compare_shadow(settings, share, plots, json)
        return
    if champion is None or challenger is None or not files or plots is not None:
        raise typer.BadParameter("two models and --data, or --shadow")
    from models.registry import Registry, RegistryError
    from services.workbench.compare import ComparisonError, unseen
    from services.workbench.compare import compare as run

    data, registry = _read(files), Registry(settings.registry)
    try:
        said = [registry.named(each).announcement for each in (champion, challenger)]
        models = [registry.scoring(each, data.feature_schema_hash) for each in said]
        rest = unseen(data, (said[0].trained_event_time_ms, said[1].trained_event_time_ms))
        found = run(rest, models[0], models[1], share)
    except (RegistryError, ComparisonError, ValueError) as error:
        _fail(error)
    if json:
        print_json(found)
    else:
        _show_comparison(champion, challenger, found)


def _compare_shadow(settings: Settings, share: float, plots: Path | None, json: bool) -> None:
    from services.workbench.export import export as run
    from services.workbench.shadow import against_champion, read_shadow, rows_of

    data, _ = asyncio.run(run(settings, feature_schema_hash(load_ruleset(settings).parameters), None))
    challengers = asyncio.run(read_shadow(settings, data))
    if not challengers:
        _fail("no challenger scored a decision: does `tocsin worker shadow` run, and is one announced?")
    found = {each.name: against_champion(data, each, share) for each in challengers}
    if plots is not None:
        from services.workbench.plots import draw_against

        for each in challengers:
            rows = rows_of(data, each)
            if rows.any():
                part = data.chosen(rows)
                draw_against(part, part.score, each.scores[rows], share, each.name, plots)
    if json:
        print_json({"decisions": len(data), "challengers": found})
        return
    _show_shadow(found)


def _show_shadow(found: dict[str, dict[str, Any]]) -> None:
    for name, said in found.items():
        if "why" in said:
            typer.echo(f"{name}: {said['why']}")
            continue
        _show_comparison("served", name, said)
        table = Table("label within", "served, miscal.", f"{name}, miscal.", box=None, header_style="bold")
        for cohort, figures in said["cohorts"]["champion"].items():
            other = said["cohorts"]["challenger"][cohort]
            table.add_row(cohort, *(_text(each["calibration_error"]) for each in (figures, other)))
        Console().print(table)
        if not said["trained_until_known"]:
            typer.echo(f"{name} does not say what it learned from (--trained-until): some of these it may have seen")


def _show_comparison(champion: str, challenger: str, found: dict[str, Any]) -> None:
    _show({champion: found["champion"], challenger: found["challenger"]}, "model")
    for name, each in found["difference"].items():
        low, high = each["interval_95"]
        typer.echo(f"{name.replace('_', ' ')}: {each['value']:+.4f} (95 % {low:+.4f} to {high:+.4f}) for {challenger}")
    typer.echo(
        f"{found['agreement']:.0%} of {champion}'s reviews are {challenger}'s too; {found['decisions']:,} decisions"
    )


def backtest(
    model: Annotated[str, typer.Option(help="NAME/VERSION in the registry; `untrained`: rules and packs alone.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Parquet files that `tocsin dataset export` wrote; none: decisions and labels from Kafka."),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="Event time of the first decisions, as --to.")] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", help="Of the last: an ISO 8601 time (UTC without an offset) or milliseconds, inclusive."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.", show_default="all cores")] = os.cpu_count() or 1,
    bootstrap: Bootstrap = None,
    json: Json = False,
) -> None:
    """Decide past payments again with another model, rules or packs, and set what would go to review beside what did.

    Rules and packs are those of the settings (`TOCSIN_RULESET`, `TOCSIN_PACKS`, `TOCSIN_PACK_OVERRIDE`). It runs the
    path's own code over the features as served: with what served, it says what was said. From Kafka memory grows with
    the decisions in review, from files with all.
    """
    from models.registry import Registry, RegistryError
    from services.scorer.path.ensemble import model_from
    from services.scorer.path.model import untrained_model
    from services.workbench.export import Stretch
    from services.workbench.history import backtest as from_kafka
    from services.workbench.whatif import compared, reviewed

    settings = load_settings(bootstrap=bootstrap)
    ruleset, data = load_ruleset(settings), _read(files) if files else None
    schema = feature_schema_hash(ruleset.parameters) if data is None else data.feature_schema_hash
    whole = Stretch(schema)
    chosen = Stretch(
        schema,
        whole.from_ms if start is None else moment_ms(start),
        whole.upto_ms if end is None else moment_ms(end),
    )
    by: Model
    try:
        if model == "untrained":
            by = untrained_model(schema)
        else:
            by = model_from(Registry(settings.registry).named(model).announcement, schema)
    except (RegistryError, ValueError) as error:
        _fail(error)
    if data is None:
        said = asyncio.run(from_kafka(settings, ruleset, by, chosen, workers))
    else:
        data = data.chosen((data.event_ms >= chosen.from_ms) & (data.event_ms <= chosen.upto_ms))
        with Progress("deciding again", STEPS) as progress:
            found = reviewed(data, ruleset, by, partial(_at, progress), workers)
        said = compared(data, found)
    if json:
        print_json(said)
        return
    table = Table("", *(name.replace("_", " ") for name in said["did"]), box=None, header_style="bold")
    for name in ("did", "would"):
        table.add_row(
            f"{name} go to review" if name == "did" else "would", *(_text(each) for each in said[name].values())
        )
    Console().print(table)
    typer.echo(
        f"{said['both']:,} both, {said['only_did']:,} no longer, {said['only_would']:,} newly; asked for by "
        + ", ".join(f"{name} {count:,}" for name, count in said["would_by"].items())
    )


def _evaluate_handbook(folder: Path | None, json: bool) -> None:
    from services.evaluate.run import evaluate_handbook

    settings = load_settings()
    path = (folder or Path(os.environ.get("TOCSIN_DATA", "../shared/data"))) / "fdh_raw.parquet"
    if not path.is_file():
        _fail(
            f"{path}: not there; --data or TOCSIN_DATA names its folder (Fraud-Detection-Handbook/simulated-data-raw)"
        )
    with Progress("replaying", STEPS) as progress:
        try:
            found = evaluate_handbook(path, load_ruleset(settings), _tell, partial(_at, progress))
        except ImportError as error:
            _fail(error)
    if json:
        print_json(found)
        return
    table = Table("", "AUC", "average precision", "card precision@100", box=None, header_style="bold")
    keys = ("auc", "average_precision", "card_precision_100")
    rows = [(f"training week {each['training_week']}", each) for each in found["splits"]]
    for name, each in [*rows, ("Tocsin, online: mean", found["mean"]), *found["published"].items()]:
        table.add_row(name, *("" if each[key] is None else f"{each[key]:.3f}" for key in keys))
    Console().print(table)
    typer.echo(found["note"])


def _at(progress: Progress, part: float) -> None:
    progress.at(round(STEPS * part))


def _refit_request(settings: Settings) -> RefitRequest | None:
    """The request of the drift watch that stands; its alarms are said."""
    from services.learner.alarms import FILE, described, read_request

    try:
        request = read_request(settings.state_dir)
    except msgspec.DecodeError as error:
        _fail(f"{settings.state_dir / FILE}: is no request to refit: {error}")
    for alarm in request.alarms.values() if request else ():
        _tell(f"a refit is requested: drift of {described(alarm)}")
    return request


def _read(files: list[Path]) -> Dataset:
    from services.workbench.dataset import Dataset, DatasetError

    try:
        return Dataset.read(*files)
    except (DatasetError, ImportError) as error:
        _fail(error)


def _show(figures: dict[str, dict[str, Any]], what: str) -> None:
    table = Table(what, *_COLUMNS.values(), box=None, header_style="bold")
    for name, found in figures.items():
        table.add_row(name, *(_text(found[column]) for column in _COLUMNS))
    Console().print(table)
    typer.echo(
        "AP: average precision; recall: at the budget; miscal.: mean gap between probability said and share found."
    )


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _tell(doing: str) -> None:
    print(doing, file=sys.stderr)


def _fail(error: object) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(1)
