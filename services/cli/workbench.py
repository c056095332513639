"""``tocsin dataset`` and ``train``: data sets of decisions, and models of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from services.cli.options import Bootstrap, Json, fail, file_to_write, moment_ms, plots_to_write, print_json
from services.cli.workbench_view import Budget, Files, Matured, check_kind, read, show, tell
from services.contract.codec import RecordInvalid
from services.kafka.announcing import name_of
from services.runtime.progress import Progress
from services.runtime.settings import Settings, load_settings
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.rulebook.ruleset_file import load_ruleset

if TYPE_CHECKING:
    from models.measures import Floats
    from services.learner.health.alarms import RefitRequest
    from services.scorer.path.scoring.model import Model
    from services.workbench.dataset import Dataset

app = typer.Typer(help="Data sets of decisions and their labels.", no_args_is_help=True)


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.", callback=file_to_write)],
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
    _tell_written(out, said, json)


@app.command()
def generate(
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.", callback=file_to_write)],
    payers: Annotated[int, typer.Option(min=100, help="Payers; about 33 payments each in 18 months.")] = 10_000,
    months: Annotated[int, typer.Option(min=1, max=120)] = 18,
    seed: Annotated[int, typer.Option()] = 1,
    base_rate: Annotated[str, typer.Option(help="unit_test, bench, realistic, needle.")] = "unit_test",
    profile: Annotated[Literal["remitter", "bank", "small_bank"], typer.Option(help="Whose payments.")] = "remitter",
    json: Json = False,
) -> None:
    """The same of a generated stream, without Kafka: to try the workbench on, with labels as late as the generator's.

    What is learned of it shows that the software works as specified, not that it finds offenders.
    """
    from services.generator import Configuration
    from services.workbench.dataset import described
    from services.workbench.generated import generated

    configuration = Configuration(payers=payers, months=months, seed=seed, base_rate=base_rate, profile=profile)
    with Progress("generating") as progress:
        data = generated(configuration, load_ruleset(load_settings()), progress.at_share)
    data.write(out)
    _tell_written(out, described(data), json)


def _tell_written(out: Path, facts: Mapping[str, Any], json: bool) -> None:
    if json:
        print_json(facts)
        return
    counts = (f"{value:,} {name.replace('_', ' ')}" for name, value in facts.items() if isinstance(value, int))
    typer.echo(f"{out}: {', '.join(counts)}")


def train(
    files: Files,
    kind: Annotated[str, typer.Option(help="Its kind; boosting needs the extra `boosting`.")] = "boosting",
    name: Annotated[str | None, typer.Option(help="Line in the registry.", show_default="the kind")] = None,
    delay_days: Annotated[float, typer.Option(help="How late labels are, at the edge of the held-out part.")] = 7.0,
    matured_days: Matured = None,
    budget: Budget = None,
    if_drifted: Annotated[
        bool, typer.Option("--if-drifted", help="Train only if the drift watch asks for a refit, and settle that.")
    ] = False,
    plots: Annotated[
        Path | None, typer.Option(help="Write plots of the held-out part into this folder.", callback=plots_to_write)
    ] = None,
    json: Json = False,
) -> None:
    """Train a model, measure it on the latest quarter of the decisions, and save it in the registry as a challenger.

    Nothing scores with it until `tocsin promote`. With --if-drifted nothing is trained unless a request to refit stands
    (`drift.json` in `TOCSIN_STATE_DIR`); once the version is saved the request is settled.
    """
    from models.registry.registry import Registry, RegistryError
    from services.learner.health.alarms import settle
    from services.workbench.mlflow_registry import tell_mlflow
    from services.workbench.train import TrainingError
    from services.workbench.train import train as run

    check_kind("--kind", kind)
    settings = load_settings()
    registry = Registry(settings.registry)
    try:
        registry.versions(name or kind)
    except RegistryError as error:
        fail(f"--name {error}")
    request = _refit_request(settings) if if_drifted else None
    if if_drifted and request is None:
        if json:
            print_json({"model": None})
        else:
            typer.echo(f"no refit is requested in {settings.state_dir}: nothing is trained")
        return
    data = read(files)
    share = settings.alert_budget_share if budget is None else budget

    def look(held_out: Dataset, scores: Floats, model: Model) -> None:
        if plots is not None:
            from services.workbench.plots import draw

            draw(held_out, scores, share, plots, model)

    try:
        made = run(data, kind, name or kind, registry, share, delay_days, matured_days, tell, look)
    except (TrainingError, RegistryError, ImportError) as error:
        fail(error)
    if request is not None:
        settle(settings.state_dir, request)
    wrong = tell_mlflow(settings, lambda mlflow: mlflow.saved(made))
    if wrong is not None:
        tell(wrong)
    said = made.announcement
    model = name_of(said)
    if json:
        print_json({"model": model, "model_hash": said.model_hash, **made.about})
        return
    typer.echo(f"{model}, hash {said.model_hash[:12]}, on what was held out:")
    show({cohort: made.about["held_out"][cohort] for cohort in ("all", "1d", "7d", "30d", "later")}, "label within")
    typer.echo(f"tocsin model show {model} tells more; tocsin promote {model} lets it score")


def _refit_request(settings: Settings) -> RefitRequest | None:
    """The request of the drift watch that stands; its alarms are said."""
    from services.learner.health.alarms import FILE, described, read_request

    try:
        request = read_request(settings.state_dir)
    except RecordInvalid as error:
        fail(f"{settings.state_dir / FILE}: is no request to refit: {error}")
    for alarm in request.alarms.values() if request else ():
        tell(f"a refit is requested: drift of {described(alarm)}")
    return request
