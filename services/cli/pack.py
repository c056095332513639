"""``tocsin pack``: check typology packs, read them, and see what each indicator rests on."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from services.cli.options import Json, fail, print_json
from services.cli.pack_weigh import weigh
from services.generator import ConfigurationError
from services.runtime.files import unreadable
from services.runtime.progress import Progress
from services.runtime.settings import load_settings
from services.scorer.path.features.private import keyed_hash, term_of
from services.scorer.path.features.registry import FEATURES, INDEX
from services.scorer.path.rules.pack_format import Indicator, Pack, PackError
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import SHIPPED, SIGNATURE_SUFFIX, list_key, pack_folder, pack_text, signature_of
from services.scorer.rulebook.pack_fixtures import read_fixtures
from services.scorer.rulebook.ruleset_file import load_ruleset

app = typer.Typer(help="Typology packs: published indicators as data.", no_args_is_help=True)
app.command()(weigh)

Names = Annotated[list[str] | None, typer.Argument(help="Packs or folders. Not given: all that ship.")]
Name = Annotated[str, typer.Argument(help=f"A folder, or one of {', '.join(SHIPPED)}.")]
CASE = "tests/scorer/rulebook/test_packs.py::test_an_indicator_hits_at_its_threshold_and_not_beyond_it"
TWIN = "tests/scorer/path/features/test_features_equal_their_twins.py::test_a_feature_equals_its_twin"


def _load(name: str) -> Pack:
    try:
        return parse_pack(pack_text(name))
    except PackError as error:
        raise PackError(f"{name}: {error}") from None


@app.command()
def lint(names: Names = None) -> None:
    """Check packs and their fixtures; the first error is named, with its indicator and key, and the exit code is 1."""
    for name in names or SHIPPED:
        pack = _load(name)
        try:
            fixtures = read_fixtures(pack_folder(name))
        except PackError as error:
            raise PackError(f"{pack.name}: {error}") from None
        held = f"{len(pack.indicators)} indicators, {len(fixtures)} fixtures"
        typer.echo(f"{pack.name} {pack.version}: {held}, hash {pack.hash[:12]}")


@app.command()
def show(name: Name, json: Json = False) -> None:
    """Print a pack for people: what it asks for, and on whose word."""
    pack = _load(name)
    if json:
        print_json(_described(pack))
        return
    console = Console()
    needed = pack.combination
    console.print(f"[bold]{pack.title}[/bold] (queue {pack.queue}, version {pack.version}, hash {pack.hash[:12]})")
    console.print(
        f"Asks for a review from {needed.indicators_min} indicators of {needed.families_min} families on, at a score "
        f"of {needed.score_min:g}; the prior is {pack.prior:g}. Never on corridor, channel or text alone."
    )
    columns = "id", "family", "speaks of", "statement", "measure", "weight", "interval"
    table = Table(*columns, Column("source", overflow="fold"))
    for each in pack.indicators:
        table.add_row(
            each.id, each.family, ", ".join(each.subjects), each.statement, _measure(each), _weight(each),
            _interval(each),
            f"{each.source.text} \\[{each.source.tag}] {each.source.url}".rstrip(),
        )  # fmt: skip
    console.print(table)
    for limit in pack.limits:
        console.print(f"- {limit}")
    for omitted in pack.omitted:
        console.print(f"not used: {omitted.id}. {omitted.reason}", style="dim")


@app.command()
def coverage(names: Names = None, json: Json = False) -> None:
    """Print the matrix indicator, feature, test."""
    rows = [
        {
            "pack": name,
            "indicator": each.id,
            "features": [bound.feature for bound in each.bounds],
            "needs": sorted({field for bound in each.bounds for field in FEATURES[INDEX[bound.feature]].needs}),
            "tests": [f"{CASE}[{name}-{each.id}]", *(f"{TWIN}[{bound.feature}]" for bound in each.bounds)],
        }
        for name in names or SHIPPED
        for each in _load(name).indicators
    ]
    if json:
        print_json(rows)
        return
    table = Table("pack", "indicator", "features", "needs")
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else "\n".join(value) for value in list(row.values())[:4]))
    console = Console()
    console.print(table)
    console.print(f"Tests: {CASE}[pack-indicator] for the indicator, {TWIN}[feature] for each of its features.")


@app.command()
def sign(file: Annotated[Path, typer.Argument(help="An override, TOML.")]) -> None:
    """Sign an override with TOCSIN_PACK_KEY: writes FILE.sig beside it."""
    key = load_settings().pack_key.get_secret_value().encode()
    if not key:
        raise typer.BadParameter("TOCSIN_PACK_KEY: not set; it is the key to sign with")
    beside = file.with_name(file.name + SIGNATURE_SUFFIX)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(unreadable(file, error, "an override of packs, TOML")) from None
    beside.write_text(signature_of(key, content) + "\n", "ascii")
    typer.echo(beside)


@app.command()
def learn(
    out: Annotated[Path, typer.Option(help="The pack's folder, which gets subjects.model and subjects.json.")],
    worlds_per_family: Annotated[int, typer.Option(min=1, max=100, help="Of each training family.")] = 8,
    payers: Annotated[int, typer.Option(min=1_000, help="Of each world.")] = 3_000,
    months: Annotated[int, typer.Option(min=1, max=120, help="Of each world.")] = 18,
    base_rate: Annotated[str, typer.Option(help="A profile, or the share of payers to be found.")] = "0.01",
    seed: Annotated[int, typer.Option(help="Of the worlds and the samples.")] = 2_026,
) -> None:
    """Learn the lsac pack's subject model from drawn training worlds, and write it with its card.

    Results on synthetic data show that the software works as specified, not that it finds offenders.
    """
    from services.workbench.assessment.prior import PriorOptions, learn_prior, save_prior

    options = PriorOptions(worlds_per_family, payers, months, base_rate, seed)
    try:
        with Progress("learning") as progress:
            tell = partial(print, "pack learn:", file=sys.stderr)
            model, card = learn_prior(options, load_ruleset(load_settings()), tell, progress.at_share)
        save_prior(out, model, card)
    except (ConfigurationError, ImportError, OSError) as error:
        fail(error)
    cases = card["learned_from"]["positive_payers"]
    typer.echo(f"{out}: {len(model.packed):,} bytes, hash {model.hash[:12]}, {cases} positive payers")


@app.command("hash-payee")
def hash_payee(account: Annotated[str, typer.Argument(help="The payee's account.")]) -> None:
    """Print what stands for an account in the list of confirmed payees, under TOCSIN_PACK_KEY."""
    typer.echo(keyed_hash(list_key(load_settings()), account).hex())


@app.command("hash-term")
def hash_term(term: Annotated[str, typer.Argument(help="One to three words of a reference text.")]) -> None:
    """Print what stands for a term in the private lexicon, under TOCSIN_PACK_KEY. Case and accents do not matter."""
    key = list_key(load_settings())
    try:
        typer.echo(keyed_hash(key, term_of(term)).hex())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _measure(indicator: Indicator) -> str:
    return "\n".join(
        f"{bound.feature} {'<' if bound.below is not None else '>='} {bound.threshold:g}" for bound in indicator.bounds
    )


def _weight(indicator: Indicator) -> str:
    return f"{indicator.weight:+g}" if indicator.weight else "0: said, not counted"


def _interval(indicator: Indicator) -> str:
    """What the indicator says by itself over worlds, if the pack tells it."""
    ends = indicator.interval
    return "" if ends is None else f"{ends[0]:+g} to {ends[1]:+g}"


def _described(pack: Pack) -> dict[str, Any]:
    return {
        name: msgspec.to_builtins(getattr(pack, name))
        for name in (
            "name", "version", "title", "queue", "label", "headline", "prior", "applies", "silent_when",
            "silent_of_payee_when", "combination", "model",
            "limits", "indicators", "omitted", "hash",
        )
    }  # fmt: skip
