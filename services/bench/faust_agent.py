"""The same work done the ordinary way: two Faust agents, one payment at a time, their state in Faust tables.

It calls the same pure path as the lanes, so the features, rules, scores and decisions are the same; what differs is
the way payments reach it and results leave it. Run by ``tocsin bench`` as a process of its own.
"""

from __future__ import annotations

import faust

from services.faust_app import create_app
from services.metrics import Metrics
from services.scorer.path.features import feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.model import untrained_model
from services.scorer.path.records import HopResult, Record
from services.scorer.ruleset_file import load_ruleset
from services.settings import Settings, load_settings


def create_baseline(settings: Settings, metrics: Metrics) -> faust.App:
    """The app: an agent on ``payments.v1``, one on ``payments.by-payee.v1``."""
    app = create_app(settings, "baseline")
    ruleset, topics, partitions = load_ruleset(settings), settings.topics, settings.partitions
    model = untrained_model(feature_schema_hash(ruleset.parameters))
    raw = faust.Schema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    sources = {
        PayerHop: app.topic(topics.payments.name, schema=raw),
        PayeeHop: app.topic(topics.payments_by_payee.name, schema=raw),
    }
    out = {role: app.topic(getattr(topics, role).name, schema=raw) for role in
           ("payments_by_payee", "decisions", "reviews", "dead_letters")}  # fmt: skip
    payer_table = app.Table("payer-state", partitions=partitions, schema=raw)
    payee_table = app.Table("payee-state", partitions=partitions, schema=raw)
    payer_hops = {p: PayerHop(ruleset, topics.payments.name, p, partitions) for p in range(partitions)}
    payee_hops = {
        p: PayeeHop(ruleset, topics.payments_by_payee.name, p, partitions, partitions) for p in range(partitions)
    }

    async def deliver(result: HopResult) -> None:
        for role, records in result.outputs.items():
            for record in records:
                await out[role].send(
                    key=record.key, value=record.value, partition=record.partition, headers=record.headers
                )

    async def payer(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            hop = payer_hops[event.message.partition]
            result = hop.process([_record(event)], model)
            await deliver(result)
            for key, value in hop.state.changelog(result.touched):
                payer_table[key] = value
            metrics.payments.labels("payer", "forwarded").inc(result.counts["forwarded"])

    async def payee(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            hop = payee_hops[event.message.partition]
            result = hop.process([_record(event)], model)
            await deliver(result)
            for key, value in hop.state.changelog(result.touched):
                payee_table[key] = value
            metrics.payments.labels("payee", "decided").inc(result.counts["decided"])

    app.agent(sources[PayerHop], name="payer")(payer)
    app.agent(sources[PayeeHop], name="payee")(payee)
    return app


def _record(event: faust.EventT[bytes]) -> Record:
    message = event.message
    return Record(message.offset, int(message.timestamp * 1_000), message.key, message.value)


def main() -> None:
    """Run the baseline worker."""
    settings, metrics = load_settings(), Metrics()
    metrics.serve(settings.metrics_host, settings.metrics_port)
    faust.Worker(create_baseline(settings, metrics), loglevel="WARNING", quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
