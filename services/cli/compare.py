"""``tocsin compare`` and ``backtest``: a model beside another one, or beside what was decided."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.options import Bootstrap, Json, fail, moment_ms, plots_to_write, print_json, print_table
from services.cli.workbench_view import Budget, read, show, text
from services.runtime.progress import Progress
from services.runtime.settings import Settings, load_settings
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.rulebook.ruleset_file import load_ruleset

if TYPE_CHECKING:
    from services.scorer.path.scoring.model import Model


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
        Path | None,
        typer.Option(
            help="With --shadow: draw each against the champion into this folder (matplotlib).",
            callback=plots_to_write,
        ),
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
    from models.registry.registry import Registry, RegistryError
    from services.workbench.compare import ComparisonError, compared, unseen

    registry = Registry(settings.registry)
    try:
        said = [registry.named(each).announcement for each in (champion, challenger)]
        data = read(files)
        models = [registry.scoring(each, data.feature_schema_hash) for each in said]
        rest = unseen(data, (said[0].trained_event_time_ms, said[1].trained_event_time_ms))
        found = compared(rest, models[0].scores(rest.features), models[1].scores(rest.features), share)
    except (RegistryError, ComparisonError, ValueError) as error:
        fail(error)
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
        fail("no challenger scored a decision: does `tocsin worker shadow` run, and is one announced?")
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
        served, other = said["cohorts"]["champion"], said["cohorts"]["challenger"]
        rows = ((cohort, *(text(of[cohort]["calibration_error"]) for of in (served, other))) for cohort in served)
        print_table(("label within", "served, miscal.", f"{name}, miscal."), rows)
        if not said["trained_until_known"]:
            typer.echo(f"{name} does not say what it learned from (--trained-until): some of these it may have seen")


def _show_comparison(champion: str, challenger: str, found: dict[str, Any]) -> None:
    show({champion: found["champion"], challenger: found["challenger"]}, "model")
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
    from models.registry.registry import Registry
    from services.scorer.path.scoring.ensemble import model_from
    from services.scorer.path.scoring.model import untrained_model
    from services.workbench.export import Stretch
    from services.workbench.history import backtest as from_kafka
    from services.workbench.whatif import compared, reviewed

    settings = load_settings(bootstrap=bootstrap)
    ruleset, registry = load_ruleset(settings), Registry(settings.registry)
    snapshot = None if model == "untrained" else registry.named(model)
    data = read(files) if files else None
    schema = feature_schema_hash(ruleset.parameters) if data is None else data.feature_schema_hash
    bounds = {"from_ms": start, "upto_ms": end}
    chosen = Stretch(schema, **{name: moment_ms(typed) for name, typed in bounds.items() if typed is not None})
    by: Model = untrained_model(schema) if snapshot is None else model_from(snapshot.announcement, schema)
    if data is None:
        said = asyncio.run(from_kafka(settings, ruleset, by, chosen, workers))
    else:
        data = data.chosen((data.event_ms >= chosen.from_ms) & (data.event_ms <= chosen.upto_ms))
        with Progress("deciding again") as progress:
            found = reviewed(data, ruleset, by, progress.at_share, workers)
        said = compared(data, found)
    if json:
        print_json(said)
        return
    rows = (("did go to review", said["did"]), ("would", said["would"]))
    columns = ("", *(name.replace("_", " ") for name in said["did"]))
    print_table(columns, ((name, *map(text, figures.values())) for name, figures in rows))
    typer.echo(
        f"{said['both']:,} both, {said['only_did']:,} no longer, {said['only_would']:,} newly; asked for by "
        + ", ".join(f"{name} {count:,}" for name, count in said["would_by"].items())
    )
