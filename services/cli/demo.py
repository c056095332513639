"""``tocsin demo``: the whole of it on this machine, in about a minute."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from services.cli.options import Json, print_json

EXIT_UNSOUND, EXIT_INTERRUPTED = 1, 130


def demo(
    payments: Annotated[int, typer.Option(min=100, max=10_000_000, help="How many different payments.")] = 120_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same stream.")] = 7,
    keep: Annotated[bool, typer.Option("--keep", help="Leave broker and workers running until Ctrl-C.")] = False,
    bootstrap: Annotated[
        str | None, typer.Option(help="Use this cluster instead of starting one; topics get a prefix of their own.")
    ] = None,
    broker: Annotated[
        Literal["auto", "kafka", "memory"],
        typer.Option(help="kafka: Apache Kafka; memory: memory-only; auto: Kafka where it can be had."),
    ] = "auto",
    json: Json = False,
) -> None:
    """Show everything at work: a broker, a scorer, a learner, and a stream of payments whose labels come later.

    The stream is synthetic and seeded. Every figure of the summary is read back from the topics.
    Exit codes: 0 every payment was decided exactly once; 1 some were lost or doubled, or it could not be run;
    2 a setting is wrong; 130 interrupted.
    """
    from services.broker import BrokerError
    from services.cli.demo_view import DemoView, summary_lines
    from services.demo.run import DemoError, Options, Place, run_demo
    from services.demo.summary import Summary
    from services.demo.workers import WorkerEndedError
    from services.ingest.replay import ReplayError

    options = Options(payments, seed, keep, bootstrap, broker)
    with DemoView(payments) as view:

        def finished(summary: Summary, place: Place) -> None:
            view.stop()
            view.finished = True
            if json:
                print_json(summary.as_dict())
            for line in summary_lines(summary, place, keep):
                typer.echo(line, err=json)
            sys.stdout.flush()

        try:
            summary = run_demo(options, view, finished)
        except KeyboardInterrupt:
            raise typer.Exit(0 if view.finished else EXIT_INTERRUPTED) from None
        except (BrokerError, WorkerEndedError, DemoError, ReplayError, TimeoutError) as error:
            view.stop()
            print(f"demo: {error}", file=sys.stderr)
            raise typer.Exit(EXIT_UNSOUND) from None
    if not summary.sound:
        raise typer.Exit(EXIT_UNSOUND)
