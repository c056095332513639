"""``tocsin model``, ``tocsin promote`` and ``tocsin rollback``: which models there are, and which one scores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.cli.options import Bootstrap, Json, fail, moment_ms, print_json, print_table
from services.contract.announcement import ModelAnnouncement, Promotion
from services.kafka.announcing import announce, name_of, read_champion, write_champion
from services.learner.champion import promoted, rolled_back
from services.runtime.settings import Settings, load_settings
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.rulebook.ruleset_file import load_ruleset

if TYPE_CHECKING:
    from models.learning.training import Snapshot
    from services.workbench.mlflow_registry import MlflowRegistry

app = typer.Typer(
    help="Models in the registry: list them, show one, register your own, let one score in shadow.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="NAME/VERSION; NAME alone: its latest version.")]
TOP = 12


@app.command("list")
def list_models(json: Json = False) -> None:
    """The lines of models in the registry (`TOCSIN_REGISTRY`), and the versions of each."""
    from models.registry.registry import Registry

    registry = Registry(load_settings().registry)
    found = {name: registry.versions(name) for name in registry.names()}
    if json:
        print_json(found)
        return
    if not found:
        typer.echo(
            f"{registry.folder} has no model yet: `tocsin train` makes one; TOCSIN_REGISTRY names another folder"
        )
        return
    rows = ((name, f"{len(versions):,}", f"{name}/{versions[-1]}") for name, versions in found.items())
    print_table(("line", "versions", "latest"), rows)


@app.command()
def show(model: Name, json: Json = False) -> None:
    """The card of a model: what it learned from and when, what it weighs most, its hash, what it is not good for."""
    from models.registry.card import card_of

    settings = load_settings()
    card = card_of(_load(settings, model), _schema_hash(settings))
    if json:
        print_json(card)
        return
    table = Table(box=None, show_header=False)
    for key, value in card.items():
        if not isinstance(value, dict | list):
            table.add_row(key.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    for part in ("data", "definition", "graph"):
        if part in card:
            table.add_row(part, ", ".join(f"{name} {value}" for name, value in card[part].items()))
    Console().print(table)
    if features := card["features"]:
        what = "weight" if any("weight" in each for each in features) else "adds, on average"
        print_table(("feature", what, "meaning"), ((f["feature"], _size(f), f["meaning"]) for f in features[:TOP]))
    for limit in card["limits"]:
        typer.echo(f"- {limit}")


@app.command()
def register(
    file: Annotated[Path, typer.Argument(help="A model in the ONNX format.")],
    name: Annotated[str, typer.Option(help="Line in the registry; each registration is a version of it.")],
    output: Annotated[
        str | None, typer.Option(help="The graph's output to take.", show_default="the only one that can be")
    ] = None,
    trained_until: Annotated[
        str | None,
        typer.Option(
            help="Latest label among what it learned from: ISO 8601 or milliseconds. Comparisons start there."
        ),
    ] = None,
    announced: Annotated[
        bool, typer.Option("--announce/--no-announce", help="Let shadow workers score with it at once.")
    ] = True,
    bootstrap: Bootstrap = None,
    json: Json = False,
) -> None:
    """Register your own model as a challenger: it scores in shadow beside the champion, and can never be promoted.

    It takes one table of float or double, a row a payment, features in canonical order (the feature columns of `tocsin
    dataset export`), NaN where one is missing; it gives the probability of suspicious, or a table of both. Needs the
    extra `onnx`. Of scikit-learn: `skl2onnx.to_onnx(model, features[:1], options={"zipmap": False})`.
    """
    from models.registry.registry import Registry
    from services.workbench.register import register as run

    settings = load_settings(bootstrap=bootstrap)
    until = 0 if trained_until is None else moment_ms(trained_until)
    made = run(file, name, Registry(settings.registry), _schema_hash(settings), output, until)
    said = made.announcement
    if announced:
        asyncio.run(announce(settings, said))
    _tell_challenger(said, announced, json)
    _tell_mlflow(settings, lambda mlflow: mlflow.saved(made))


@app.command("announce")
def announce_model(model: Name, bootstrap: Bootstrap = None, json: Json = False) -> None:
    """Announce a trained model as a challenger: shadow workers score with it, and nobody acts on what it says."""
    settings = load_settings(bootstrap=bootstrap)
    said = _load(settings, model, current_schema=True).announcement
    if not said.challenger:
        fail(f"{name_of(said)} is the learner's, which announces it itself")
    asyncio.run(announce(settings, said))
    _tell_challenger(said, True, json)


def promote(model: Name, bootstrap: Bootstrap = None, json: Json = False) -> None:
    """Make a model of the registry the champion: every scorer takes it up between two batches, without a restart.

    From then on workers score with it, whatever the learner announces, until another is promoted or `tocsin rollback`
    goes back. `tocsin promote learner` hands the choice back to the learner: the model announced last scores.
    """
    settings = load_settings(bootstrap=bootstrap)
    chosen = None if model == "learner" else _load(settings, model, current_schema=True).announcement
    promotion = None if chosen is None else promoted(chosen, asyncio.run(read_champion(settings)))
    _put_in_force(settings, promotion, json)


def rollback(bootstrap: Bootstrap = None, json: Json = False) -> None:
    """Go back to the champion before; where there was none, to the model that the learner announced last."""
    from models.registry.registry import Registry

    settings = load_settings(bootstrap=bootstrap)
    registry = Registry(settings.registry)
    promotion = rolled_back(asyncio.run(read_champion(settings)), lambda name, at: registry.load(name, at).announcement)
    _put_in_force(settings, promotion, json)


@app.command()
def fetch(
    model: Annotated[str, typer.Argument(help="NAME/VERSION, or an alias in MLflow: champion, challenger.")],
    json: Json = False,
) -> None:
    """Copy a model from MLflow (`TOCSIN_REGISTRY_MLFLOW`) into the registry, its hashes checked."""
    from services.workbench.mlflow_registry import MlflowError, MlflowRegistry

    settings = load_settings()
    if not settings.registry_mlflow:
        raise MlflowError("TOCSIN_REGISTRY_MLFLOW: not set; expected the tracking URI of an MLflow")
    said = MlflowRegistry(settings).fetched(model).announcement
    if json:
        print_json({"model": name_of(said), "model_hash": said.model_hash})
    else:
        typer.echo(f"{name_of(said)}, hash {said.model_hash[:12]}, is in {settings.registry}")


def _size(feature: dict[str, Any]) -> str:
    return f"{feature['weight']:+.4f}" if "weight" in feature else f"{feature['mean_contribution']:.4f}"


def _tell_mlflow(settings: Settings, tell: Callable[[MlflowRegistry], None]) -> None:
    from services.workbench.mlflow_registry import tell_mlflow

    wrong = tell_mlflow(settings, tell)
    if wrong is not None:
        fail(wrong)


def _tell_challenger(said: ModelAnnouncement, is_announced: bool, json: bool) -> None:
    if json:
        print_json({"model": name_of(said), "model_hash": said.model_hash, "announced": is_announced})
    else:
        does = (
            "scores in shadow" if is_announced else f"`tocsin model announce {name_of(said)}` lets it score in shadow"
        )
        typer.echo(f"{name_of(said)}, hash {said.model_hash[:12]}: {does}")


def _put_in_force(settings: Settings, promotion: Promotion | None, json: bool) -> None:
    asyncio.run(write_champion(settings, promotion))
    if json:
        print_json(
            {
                "champion": None if promotion is None else name_of(promotion.champion),
                "model_hash": None if promotion is None else promotion.champion.model_hash,
                "before": [] if promotion is None else list(promotion.before),
            }
        )
    elif promotion is None:
        typer.echo("no champion: workers score with the model that the learner announced last")
    else:
        typer.echo(f"champion: {name_of(promotion.champion)}, hash {promotion.champion.model_hash[:12]}")
    _tell_mlflow(settings, lambda mlflow: mlflow.promoted(promotion))


def _load(settings: Settings, model: str, current_schema: bool = False) -> Snapshot:
    """A model of the registry; ends the command with 1 where it is not to be had."""
    from models.registry.registry import Registry

    snapshot = Registry(settings.registry).named(model)
    if current_schema and snapshot.announcement.feature_schema_hash != _schema_hash(settings):
        fail(
            f"{model} was trained on feature schema {snapshot.announcement.feature_schema_hash[:12]}, scorers compute "
            f"{_schema_hash(settings)[:12]}: they would refuse it"
        )
    return snapshot


def _schema_hash(settings: Settings) -> str:
    return feature_schema_hash(load_ruleset(settings).parameters)
