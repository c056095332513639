"""``tocsin topics``: create what the contract needs, or show what the cluster has."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.cli.options import Bootstrap, Json, print_json
from services.settings import load_settings
from services.topics_admin import TopicState, create_topics, describe_topics

app = typer.Typer(help="Create or describe the topics of the contract.", no_args_is_help=True)


@app.command()
def create(bootstrap: Bootstrap = None, partitions: int | None = None, json: Json = False) -> None:
    """Create the topics that are absent. Existing ones are left alone, and must have the partitions wanted."""
    _show(asyncio.run(create_topics(load_settings(bootstrap=bootstrap, partitions=partitions))), json)


@app.command()
def describe(bootstrap: Bootstrap = None, partitions: int | None = None, json: Json = False) -> None:
    """Show every topic of the contract beside what the cluster has. Exits with 1 if any is amiss."""
    states = asyncio.run(describe_topics(load_settings(bootstrap=bootstrap, partitions=partitions)))
    _show(states, json)
    if not all(state.fits for state in states):
        raise typer.Exit(1)


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
        print_json(
            [
                {
                    "topic": state.topic.name,
                    "key": state.topic.key,
                    "purpose": state.topic.purpose,
                    "partitions": state.partitions_found,
                    "partitions_wanted": state.partitions_wanted,
                    "compacted": state.topic.compacted,
                    "internal": state.topic.internal,
                }
                for state in states
            ]
        )
        return
    table = Table("topic", "key", "partitions", "purpose", box=None, header_style="bold")
    for state in states:
        found = str(state.partitions_found) if state.fits else f"[red]{state.partitions_found}"
        purpose = state.topic.purpose + (" (internal)" if state.topic.internal else "")
        table.add_row(state.topic.name, state.topic.key, f"{found} of {state.partitions_wanted}", purpose)
    Console().print(table)
