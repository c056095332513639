"""The same work done the ordinary way: two Faust agents over ``stream.take_events``, each result sent on by itself.

It calls the same pure path as the lanes, on batches, so the features, rules, scores and decisions are the same and as
cheap; what differs is how payments reach it and how results and changed state leave it. (It delivers at least once,
and writes its changelog as a Faust table would, since a table cannot be written from ``take_events``.) Run by
``tocsin bench`` as a process of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

import faust

from services.runtime.metrics import Metrics
from services.runtime.settings import Settings, load_settings
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Record
from services.scorer.path.scoring.model import untrained_model
from services.scorer.rulebook.ruleset_file import load_ruleset

BATCH = 500
WITHIN_S = 0.02
Hops = Mapping[int, PayerHop] | Mapping[int, PayeeHop]


def create_baseline(settings: Settings, metrics: Metrics) -> faust.App:
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
    ruleset, topics, partitions = load_ruleset(settings), settings.topics, settings.partitions
    model = untrained_model(feature_schema_hash(ruleset.parameters))
    out = {role: app.topic(getattr(topics, role).name, schema=_raw()) for role in
           ("payments_by_payee", "decisions", "reviews", "dead_letters", "payer_state", "payee_state")}  # fmt: skip
    payer_hops = {p: PayerHop(ruleset, topics.payments.name, p, partitions) for p in range(partitions)}
    payee_hops = {
        p: PayeeHop(ruleset, topics.payments_by_payee.name, p, partitions, partitions, settings.repeats_possible)
        for p in range(partitions)
    }

    async def work(hops: Hops, events: list[faust.EventT[bytes]], changelog: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        for partition, records in _by_partition(events).items():
            hop = hops[partition]
            result = hop.process(records, model)
            counts += result.counts
            for role, produced in result.outputs.items():
                for each in produced:
                    await out[role].send(key=each.key, value=each.value, partition=each.partition, headers=each.headers)
            for key, row in hop.state.checkpoint(records[-1].offset + 1):
                await out[changelog].send(key=key, value=row, partition=partition)
        return counts

    def add_agent(name: str, topic: str, hops: Hops, result: str) -> None:
        async def agent(stream: faust.StreamT[bytes]) -> None:
            async for events in stream.take_events(BATCH, within=WITHIN_S):
                counts = await work(hops, events, f"{name}_state")
                metrics.payments.labels(name, result).inc(counts[result])

        app.agent(app.topic(topic, schema=_raw()), name=name)(agent)

    add_agent("payer", topics.payments.name, payer_hops, "forwarded")
    add_agent("payee", topics.payments_by_payee.name, payee_hops, "decided")
    return app


def _raw() -> faust.Schema:
    """Keys and values as bytes."""
    return faust.Schema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def _by_partition(events: list[faust.EventT[bytes]]) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = defaultdict(list)
    for event in events:
        message = event.message
        record = Record(message.offset, int(message.timestamp * 1_000), message.key, message.value)
        found[message.partition].append(record)
    return found


def main() -> None:
    """Run the baseline worker."""
    settings, metrics = load_settings(), Metrics()
    metrics.serve(settings.metrics_host, settings.metrics_port)
    faust.Worker(create_baseline(settings, metrics), loglevel="WARNING", quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
