"""Options that commands have in common, and how they print."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
import typer

Bootstrap = Annotated[
    str | None, typer.Option(help="Kafka bootstrap servers, host:port[,...].", show_default="TOCSIN_BOOTSTRAP")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]


def print_json(value: Any) -> None:
    """Print ``value`` as one line of JSON."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode())
