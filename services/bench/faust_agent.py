"""Two Faust agents, as Faust's own guide would have them: ``async for event in stream.events()``, a Table for each
side, one ``send`` for each result.

What it does: an agent on ``payments.v1`` calls the scorer's payer hop with the one payment in hand, writes each row of
state that changed into a Table (whose changelog gets a record for it), and hands over to ``payments.by-payee.v1``;
an agent on that topic does the same with the payee hop, and sends the decision. Features, rules, packs, model and
decisions are the scorer's.

What it delivers: at least once, by Faust's commits every few seconds. After a crash it decides payments again. Rows
live in the hops' memory and only pass through the Tables, since a Table cannot hold columns; a real one would read them
back before it went on, which this does not. Run by ``tocsin bench`` as a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import faust

from services.bench.one_by_one import ROLES, OneByOne, Step
from services.bench.plan import ChampionKind
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings, load_settings
from services.scorer.path.records import Record


def create_baseline(settings: Settings, metrics: Metrics, champion: ChampionKind) -> faust.App:
    """The app: an agent on ``payments.v1``, one on ``payments.by-payee.v1``."""
    app = faust.App(
        f"{settings.identity}-baseline",
        broker=[f"aiokafka://{server}" for server in settings.bootstrap.split(",")],
        store="memory://",
        datadir=str(settings.state_dir),
        web_enabled=False,
        topic_partitions=settings.partitions,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
    )
    path, topics = OneByOne(settings, champion), settings.topics
    out = {role: app.topic(getattr(topics, role).name, schema=_raw()) for role in ROLES}

    def add_agent(name: str, topic: str, step: Callable[[int, Record], Step], result: str) -> None:
        accounts = app.Table(
            f"{name}-accounts", partitions=settings.partitions, key_type=bytes, value_type=bytes, schema=_raw()
        )

        async def agent(stream: faust.StreamT[bytes]) -> None:
            async for event in stream.events():
                done = step(event.message.partition, _record(event))
                for key, row in done.changed:
                    if row is None:
                        accounts.pop(key, None)
                    else:
                        accounts[key] = row
                for role, produced in done.result.outputs.items():
                    for each in produced:
                        await out[role].send(
                            key=each.key, value=each.value, partition=each.partition, headers=each.headers
                        )
                metrics.payments.labels(name, result).inc(done.result.counts[result])

        app.agent(app.topic(topic, schema=_raw()), name=name)(agent)

    add_agent("payer", topics.payments.name, path.payer, "forwarded")
    add_agent("payee", topics.payments_by_payee.name, path.payee, "decided")
    return app


def _raw() -> faust.Schema:
    """Keys and values as bytes."""
    return faust.Schema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def _record(event: Any) -> Record:
    message = event.message
    headers = list(message.headers.items()) if isinstance(message.headers, dict) else list(message.headers or ())
    return Record(message.offset, int(message.timestamp * 1_000), message.key, message.value, headers)


def main(champion: ChampionKind) -> None:
    """Run the baseline worker."""
    settings, metrics = load_settings(), Metrics()
    metrics.serve(settings.metrics_host, settings.metrics_port)
    app = create_baseline(settings, metrics, champion)
    faust.Worker(app, loglevel="WARNING", quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main(cast("ChampionKind", sys.argv.pop()))
