"""``tocsin schema``: the JSON Schemas of the contract, generated from its types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from services.cli.options import folder_to_write
from services.contract.schema import RECORDS, json_schema, json_schemas


def schema(
    name: Annotated[str | None, typer.Argument(help=f"One of {', '.join(RECORDS)}. Not given: all.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write one file a schema into this folder.", callback=folder_to_write)
    ] = None,
) -> None:
    """Print the JSON Schemas (2020-12) of the records that cross Kafka."""
    if name is not None and name not in RECORDS:
        raise typer.BadParameter(f"there is no record {name!r}; there are {', '.join(RECORDS)}")
    chosen = json_schemas() if name is None else {name: json_schema(name)}
    if out is None:
        typer.echo(_text(chosen if name is None else chosen[name]))
        return
    for each, content in chosen.items():
        (out / f"{each}.schema.json").write_text(_text(content) + "\n", "utf-8")
        typer.echo(out / f"{each}.schema.json")


def _text(content: object) -> str:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()
