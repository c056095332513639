"""The same work in Quix Streams: a dataframe a hop, its state stores, exactly once by its own transactions.

Quix Streams hands out one message at a time, so the scorer's hops are called with one record each. Every row of state
that changed is written to the message key's state store (RocksDB, with a changelog topic), every result goes out by
``to_topic``. The rows that the hops read live in their memory, as in the Faust agent: a store that is read for each
payment would cost more.

``quixstreams`` wants an older pydantic-settings than Tocsin does, so it lives in an environment of its own (``make
var/quix/bin/python``), whose interpreter runs this file. Run by ``tocsin bench`` as a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

from quixstreams import Application, message_context
from quixstreams.models import Serializer

from services.bench.one_by_one import ROLES, OneByOne, Step
from services.bench.plan import ChampionKind
from services.runtime.metrics import Metrics
from services.runtime.settings import load_settings
from services.scorer.path.records import Outbound, Record

COMMIT_S = 0.5
Routed = tuple[str, Outbound]
"""A record with the role of the topic that it goes to."""


class _Value(Serializer):
    """The bytes of what is routed."""

    def __call__(self, value: Any, ctx: Any) -> bytes:
        routed: Routed = value
        return routed[1].value


def main(champion: ChampionKind) -> None:
    """Run both hops until told to end."""
    settings, metrics = load_settings(), Metrics()
    metrics.serve(settings.metrics_host, settings.metrics_port)
    path, topics = OneByOne(settings, champion), settings.topics
    app = Application(
        broker_address=settings.bootstrap,
        consumer_group=f"{settings.identity}-quix",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=COMMIT_S,
        state_dir=settings.state_dir,
        producer_extra_config={"compression.type": "snappy"},
        loglevel="ERROR",
    )
    out = {
        role: app.topic(getattr(topics, role).name, key_serializer="bytes", value_serializer=_Value()) for role in ROLES
    }

    def add_hop(name: str, topic: str, step: Callable[[int, Record], Step], result: str) -> None:
        def work(value: bytes, key: bytes, timestamp: int, headers: Any, state: Any) -> list[Routed]:
            at = message_context()
            done = step(at.partition, Record(at.offset, timestamp, key, value, headers or ()))
            for changed, row in done.changed:
                if row is None:
                    state.delete(changed.hex())
                else:
                    state.set_bytes(changed.hex(), row)
            metrics.payments.labels(name, result).inc(done.result.counts[result])
            return [(role, each) for role, produced in done.result.outputs.items() for each in produced]

        records = app.topic(topic, key_deserializer="bytes", value_deserializer="bytes")
        routed = app.dataframe(records).apply(work, stateful=True, expand=True, metadata=True)
        routed = routed.set_headers(lambda value, key, timestamp, headers: value[1].headers)
        routed.to_topic(lambda value, key, timestamp, headers: out[value[0]], key=lambda value: value[1].key)

    add_hop("payer", topics.payments.name, path.payer, "forwarded")
    add_hop("payee", topics.payments_by_payee.name, path.payee, "decided")
    app.run()


if __name__ == "__main__":
    main(cast("ChampionKind", sys.argv[1]))
