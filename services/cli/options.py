"""Options that commands have in common, and how they print. What cannot be written is told before any work is done."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.table import Table

from services.ingest.numbers import BadValueError
from services.ingest.times import iso_ms

Bootstrap = Annotated[
    str | None, typer.Option(help="Kafka bootstrap servers, host:port[,...].", show_default="TOCSIN_BOOTSTRAP")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]


def moment_ms(text: str) -> int:
    """Milliseconds of an ISO time (UTC without an offset), or of themselves."""
    try:
        return int(text) if text.isdecimal() else iso_ms(text)
    except BadValueError:
        raise typer.BadParameter(
            f"{text!r} is no time; expected ISO 8601, such as 2026-06-01 or 2026-06-01T12:00Z, or milliseconds"
        ) from None


def file_to_write(path: Path | None) -> Path | None:
    """The callback of an option that names a file to write: its folder is made, and may be written to."""
    if path is not None:
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a folder; expected the name of a file to write")
        _folder_made(path.parent, path)
    return path


def folder_to_write(path: Path | None) -> Path | None:
    """The callback of an option that names a folder for files: it is made, and may be written to."""
    if path is not None:
        _folder_made(path, path)
    return path


def plot_to_write(path: Path | None) -> Path | None:
    """As ``file_to_write``, of a picture: what draws it must be installed."""
    return file_to_write(_drawn(path))


def plots_to_write(path: Path | None) -> Path | None:
    """As ``folder_to_write``, of pictures."""
    return folder_to_write(_drawn(path))


def _drawn(path: Path | None) -> Path | None:
    if path is not None and find_spec("matplotlib") is None:
        raise typer.BadParameter("pictures need matplotlib: pip install 'tocsin[plots]'")
    return path


def _folder_made(folder: Path, path: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{path}: cannot make the folder {folder}: {error.strerror}; name another") from None
    if not os.access(folder, os.W_OK):
        raise typer.BadParameter(f"{path}: the folder {folder} may not be written to; name another")


def fail(error: object, code: int = 1, json: bool = False, **facts: Any) -> NoReturn:
    """End the command with ``code``, after one message for people, or one object with ``facts`` for machines."""
    if json:
        print_json({"error": str(error), **facts})
    else:
        typer.echo(str(error), err=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Print ``value`` as one line of JSON."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode())


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str]], console: Console | None = None) -> None:
    """Print ``rows`` under bold names of their ``columns``, without lines around them."""
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*row)
    (console or Console()).print(table)
