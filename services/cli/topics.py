"""``tocsin topics``: create what the contract needs, show what the cluster has, or what a topic says."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer

from services.cli.options import Bootstrap, Json, file_to_write, print_json, print_table
from services.contract.codec import Rejection
from services.contract.document import markdown
from services.kafka.topics import TopicState, amiss, create_topics, describe_topics, untold
from services.runtime.settings import Settings, load_settings

Page = Annotated[Path | None, typer.Option(help="Write it here; not given: print it.", callback=file_to_write)]

app = typer.Typer(help="Create, describe, read or document the topics of the contract.", no_args_is_help=True)


@app.command()
def create(bootstrap: Bootstrap = None, partitions: int | None = None, json: Json = False) -> None:
    """Create the topics that are absent. Existing ones are left alone, and must be as the contract wants them."""
    _show(asyncio.run(create_topics(load_settings(bootstrap=bootstrap, partitions=partitions))), json)


@app.command()
def describe(bootstrap: Bootstrap = None, partitions: int | None = None, json: Json = False) -> None:
    """Show every topic of the contract beside what the cluster has. Exits with 1 if any is amiss."""
    states = asyncio.run(describe_topics(load_settings(bootstrap=bootstrap, partitions=partitions)))
    _show(states, json)
    if not all(state.fits for state in states):
        raise typer.Exit(1)


@app.command()
def read(
    topic: Annotated[str, typer.Argument(help="Its name, such as decisions.v1 or features.v1.")],
    payment: Annotated[str | None, typer.Option(help="Only what speaks of the payment with this id.")] = None,
    decision: Annotated[str | None, typer.Option(help="Only what speaks of the decision with this id.")] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this one.", show_default="all")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many.", show_default="all")] = None,
    bootstrap: Bootstrap = None,
    json: Annotated[
        bool, typer.Option("--json", help="Each in an object with its partition, offset, timestamp and key.")
    ] = False,
) -> None:
    """Print what a topic says, one JSON object a line, oldest first in each partition.

    Records of people's topics come as they are. Of a machines' topic each row comes with names: features by name, rules
    by id, packs by name and role. It names accounts and payments: do not print it where they must not be read. Exit
    codes: 0 printed, or nothing to print; 1 a record could not be read (standard error names it); 2 there is no such
    topic, or an option is wrong.
    """
    settings = load_settings(bootstrap=bootstrap)
    unread = asyncio.run(_print_contents(settings, topic, payment, _uuid(decision), partition, limit, json))
    if unread:
        raise typer.Exit(1)


async def _print_contents(
    settings: Settings, name: str, payment: str | None, decision: UUID | None, partition: int | None,
    limit: int | None, located: bool,
) -> int:  # fmt: skip
    """Print at most ``limit`` of them; returns how many records could not be read."""
    from services.kafka.contents import Asked, contents, readable_topic

    topic = readable_topic(settings, name)
    printed = unread = 0
    async with aclosing(contents(settings, topic, Asked(payment, decision), partition)) as found:
        async for each in found:
            if isinstance(each.value, Rejection):
                typer.echo(f"{topic.name}[{each.partition}]@{each.offset}: {each.value}", err=True)
                unread += 1
                continue
            typer.echo(orjson.dumps(each._asdict() if located else each.value).decode())
            printed += 1
            if printed == limit:
                break
    return unread


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise typer.BadParameter("--decision: not the id of a decision, which is a UUID") from None


@app.command()
def document(out: Page = None) -> None:
    """Print the contract as a page of Markdown: every topic, and every field of every record."""
    _write(markdown(), out)


@app.command()
def columns(out: Page = None) -> None:
    """Print what machines' topics hold as a page of Markdown: every column of every layout, and every feature."""
    from services.workbench.features_page import features_page

    _write(features_page(), out)


def _write(page: str, out: Path | None) -> None:
    if out is None:
        typer.echo(page, nl=False)
    else:
        out.write_text(page, "utf-8")


@app.command()
def accept(
    topic: Annotated[str, typer.Argument(help="Its name, prefix included, as the worker's log has it.")],
    partition: Annotated[list[int] | None, typer.Option(help="Only this one; may be given again.")] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Go on with a topic that was deleted and made again, or has lost its end: from its beginning, with the state as
    it is.

    Workers stop at such a partition and say so: its offsets no longer mean what the state was made of. What was lost
    with the old records and not yet decided stays undecided: send it again. What was decided and is sent again counts
    as a repeat only while it is remembered. Decisions from here on cannot be recomputed from the logs.
    """
    from services.scorer.shell.accept import accept as accept_topic

    settings = load_settings(bootstrap=bootstrap)
    chosen = partition or range(1 if topic == settings.topics.examples.name else settings.partitions)
    for each in asyncio.run(accept_topic(settings, topic, chosen)):
        print(f"{topic}[{each.partition}]: {each.why}; {each.group} goes on at {each.next_offset}")


def _show(states: list[TopicState], as_json: bool) -> None:
    if as_json:
        print_json([_facts(state) for state in states])
        return
    print_table(("topic", "key", "partitions", "amiss", "purpose"), map(_row, states))
    for line in (*amiss(states), *untold(states)):
        typer.echo(line, err=True)


def _row(state: TopicState) -> tuple[str, ...]:
    whole = state.partitions_found == state.partitions_wanted
    found = f"{state.partitions_found}" if whole else f"[red]{state.partitions_found}[/red]"
    purpose = state.topic.purpose + (" (internal)" if state.topic.internal else "")
    wrong = ", ".join(f"[red]{flaw.setting}[/red]" for flaw in state.flaws)
    return state.topic.name, state.topic.key, f"{found} of {state.partitions_wanted}", wrong, purpose


def _facts(state: TopicState) -> dict[str, Any]:
    return {
        "topic": state.topic.name,
        "key": state.topic.key,
        "purpose": state.topic.purpose,
        "partitions": state.partitions_found,
        "partitions_wanted": state.partitions_wanted,
        "replication_factor": state.copies_found,
        "replication_factor_wanted": state.copies_wanted,
        "compacted": state.topic.compacted,
        "internal": state.topic.internal,
        "settings": dict(state.settings_found),
        "settings_wanted": state.settings_wanted,
        "settings_untold": state.untold,
        "amiss": [asdict(flaw) for flaw in state.flaws],
    }
