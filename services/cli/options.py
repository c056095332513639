"""Options that commands have in common, and how they print."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer

Bootstrap = Annotated[
    str | None, typer.Option(help="Kafka bootstrap servers, host:port[,...].", show_default="TOCSIN_BOOTSTRAP")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]


def moment_ms(text: str) -> int:
    """Milliseconds of an ISO time (UTC without an offset), or of themselves."""
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither an ISO 8601 time nor milliseconds") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def print_json(value: Any) -> None:
    """Print ``value`` as one line of JSON."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode())
