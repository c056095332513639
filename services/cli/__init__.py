"""The command ``tocsin``."""

from __future__ import annotations

import logging
import re
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from aiokafka.errors import KafkaConnectionError, KafkaError
from typer.core import TyperGroup

from services.cli import alert, assess, bench, broker, demo, model, pack, recompute, schema, topics, workbench, worker
from services.cli.compare import backtest, compare
from services.cli.evaluate import evaluate
from services.cli.generate import generate
from services.cli.replay import replay
from services.contract.errors import TocsinError
from services.kafka.topics import TopicsError
from services.runtime.settings import SettingsError
from services.scorer.shell.accept import NothingToAccept

__all__ = ["app", "main"]

AT_FAULT = (SettingsError, TopicsError, NothingToAccept)
"""What is put in order before the command is typed again: exit code 2. Any other error of ours is 1."""


class Commands(TyperGroup):
    """The commands. An error that people can act on ends any of them with one message, never with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KafkaError as error:
            _end(_of_kafka(error), 1)
        except TocsinError as error:
            _end(str(error), 2 if isinstance(error, AT_FAULT) else 1)
        except OSError as error:
            if error.filename is None:  # no file is at fault, so it is a bug of ours
                raise
            _end(f"{error.filename}: {error.strerror}; check the path and its permissions", 2)


def _end(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


app = typer.Typer(
    name="tocsin",
    cls=Commands,
    help="Streaming transaction monitoring: every payment scored as it happens, with reasons that can be checked.\n\n"
    "Settings come from options, from TOCSIN_... variables and from tocsin.toml, in that order. "
    "`tocsin demo` shows it all on this machine; `tocsin replay` sends your own file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tocsin {version('tocsin')}")
        raise typer.Exit


@app.callback()
def _options(
    _wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and nothing else.")
    ] = False,
) -> None:
    """Options of every command: none but ``--version`` so far."""


app.command("demo")(demo.demo)
app.command()(generate)
app.command()(replay)
app.command("recompute")(recompute.recompute)
app.command("schema")(schema.schema)
app.command("bench")(bench.bench)
app.command("assess")(assess.assess)
app.command("broker")(broker.broker)
app.add_typer(alert.app, name="alert")
app.add_typer(workbench.app, name="dataset")
app.command("train")(workbench.train)
app.command()(evaluate)
app.command()(backtest)
app.command()(compare)
app.command("promote")(model.promote)
app.command("rollback")(model.rollback)
app.add_typer(model.app, name="model")
app.add_typer(pack.app, name="pack")
app.add_typer(topics.app, name="topics")
app.add_typer(worker.app, name="worker")


def main() -> None:
    """Run the command."""
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    logging.getLogger("aiokafka").addFilter(_is_news)
    app()


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
