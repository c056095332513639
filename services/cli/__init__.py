"""The command ``tocsin``."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from aiokafka.errors import KafkaConnectionError, KafkaError
from typer.core import TyperGroup

from services.cli.options import fail
from services.contract.errors import TocsinError

__all__ = ["app_of", "main"]

COMMANDS: Final = {
    "demo": "demo.demo",
    "generate": "generate.generate",
    "replay": "replay.replay",
    "recompute": "recompute.recompute",
    "schema": "schema.schema",
    "bench": "bench.bench",
    "assess": "assess.assess",
    "broker": "broker.broker",
    "alert": "alert.app",
    "dataset": "workbench.app",
    "train": "workbench.train",
    "evaluate": "evaluate.evaluate",
    "backtest": "compare.backtest",
    "compare": "compare.compare",
    "promote": "model.promote",
    "rollback": "model.rollback",
    "model": "model.app",
    "pack": "pack.app",
    "topics": "topics.app",
    "worker": "worker.app",
}
"""Every command, in the order of the help, and what it is in this package: a function, or a group of commands."""


class Commands(TyperGroup):
    """The commands. An error that people can act on ends any of them with one message, never with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KafkaError as error:
            fail(_of_kafka(error))
        except TocsinError as error:
            fail(error, error.exit_code)
        except OSError as error:
            if error.filename is None:  # no file is at fault, so it is a bug of ours
                raise
            fail(f"{error.filename}: {error.strerror}; check the path and its permissions", 2)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tocsin {version('tocsin')}")
        raise typer.Exit


def _options(
    _wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and nothing else.")
    ] = False,
) -> None:
    """Options of every command: none but ``--version`` so far."""


def app_of(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The program with the commands of ``names``, whose modules are imported here, and no others."""
    app = typer.Typer(
        name="tocsin",
        cls=Commands,
        help="Streaming transaction monitoring: every payment scored as it happens, with reasons that can be checked."
        "\n\nSettings come from options, from TOCSIN_... variables and from tocsin.toml, in that order. "
        "`tocsin demo` shows it all on this machine; `tocsin replay` sends your own file.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
        rich_markup_mode="markdown",
    )
    app.callback()(_options)
    for name in names:
        module, _, what = COMMANDS[name].partition(".")
        command = getattr(import_module(f"{__name__}.{module}"), what)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def main() -> None:
    """Run the command. A worker has no use for the modules of the others, which take longer to import than its own."""
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    logging.getLogger("aiokafka").addFilter(_is_news)
    first = sys.argv[1:2]
    app_of(first if set(first) & COMMANDS.keys() else COMMANDS)()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of aiokafka's log says what we do not: that no server could be reached, we say ourselves."""
    return not str(record.msg).startswith('Unable connect to "')


def _of_kafka(error: KafkaError) -> str:
    """What went wrong, and what to do about it.

    >>> _of_kafka(KafkaConnectionError("Unable to bootstrap from [('k', 9092, <AddressFamily.AF_INET: 2>)]"))
    'Kafka at k:9092 does not answer: name yours by TOCSIN_BOOTSTRAP or --bootstrap, or start one by `tocsin broker`'
    """
    servers = ", ".join(f"{host}:{port}" for host, port in re.findall(r"\('([^']+)', (\d+)", str(error)))
    if not isinstance(error, KafkaConnectionError) or not servers:
        return f"Kafka: {error}"
    return (
        f"Kafka at {servers} does not answer: name yours by TOCSIN_BOOTSTRAP or --bootstrap, "
        "or start one by `tocsin broker`"
    )
