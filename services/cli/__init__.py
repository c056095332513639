"""The command ``tocsin``."""

from __future__ import annotations

import logging
import sys

import typer
from aiokafka.errors import KafkaConnectionError

from services.cli import alert, assess, bench, broker, demo, model, pack, recompute, schema, topics, workbench, worker
from services.cli.compare import backtest, compare
from services.cli.evaluate import evaluate
from services.cli.generate import generate
from services.cli.replay import replay
from services.kafka.topics import TopicsError
from services.runtime.settings import SettingsError
from services.scorer.shell.accept import NothingToAccept

__all__ = ["app", "main"]

app = typer.Typer(
    name="tocsin",
    help="Streaming transaction monitoring: every payment scored as it happens, with reasons that can be checked.\n\n"
    "Settings come from options, from TOCSIN_... variables and from tocsin.toml, in that order. "
    "`tocsin demo` shows it all on this machine; `tocsin replay` sends your own file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)
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
    """Run the command. An error that people can act on is one message: exit code 2 for a setting, 1 for Kafka."""
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    try:
        app()
    except KafkaConnectionError as error:
        print(f"Kafka: {error}", file=sys.stderr)
        sys.exit(1)
    except (SettingsError, TopicsError, NothingToAccept) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
