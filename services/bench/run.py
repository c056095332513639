"""The benchmark: one scorer on one core through both hops, each hop alone, and a Faust agent doing the same work."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

import msgspec

from services.bench.kernels import models_us_per_payment, packs_us_per_payment
from services.bench.learning import learning_cost
from services.bench.swap import swaps
from services.bench.worker import POLL_S, Measured, MeasuredWorker
from services.contract.payment import Payment
from services.generator import Configuration, Stream
from services.ingest.replay import send_payments
from services.kafka.topics import create_topics
from services.runtime.settings import Settings

POLL_AGENT_S = 0.25
PAYMENTS_A_PAYER = 10
_SCORER = ["services.cli", "worker", "scorer", "--loglevel", "ERROR"]
_FORWARDED = 'tocsin_payments_total{hop="payer",result="forwarded"}'
_DECIDED = 'tocsin_payments_total{hop="payee",result="decided"}'


def run_bench(
    settings: Settings, core: int | None, payments: int, baseline_payments: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Measure, and return the figures of ``tocsin bench --json``.

    Parameters
    ----------
    settings
        The broker to run on; topics are made under a prefix of their own.
    core
        What workers run on (``services.bench.worker.reserve_core``).
    payments, baseline_payments
        How many payments each scorer run, and the Faust agent, work through.
    tell
        Told, in a few words, what is being measured.
    """
    alone, both, baseline = (settings.model_copy(update={"topic_prefix": f"bench.{each}."}) for each in "abc")
    tell(f"sending {payments:,} payments")
    _prepare(alone, payments)
    tell("payer hop alone")
    payer = _measure([*_SCORER, "--hop", "payer"], alone, _FORWARDED, payments, core)
    tell("payee hop alone")
    payee = _measure([*_SCORER, "--hop", "payee"], alone, _DECIDED, payments, core)
    tell("both hops in one process on one core")
    _prepare(both, payments)
    total = _measure(_SCORER, both, _DECIDED, payments, core)
    tell("models announced and taken up")
    with MeasuredWorker(_SCORER, both, _DECIDED, core):
        taken_up = swaps(both)
    tell(f"a Faust agent, {baseline_payments:,} payments")
    _prepare(baseline, baseline_payments)
    agent = _measure(["services.bench.faust_agent"], baseline, _DECIDED, baseline_payments, core, POLL_AGENT_S)
    return {
        "payments_per_second": round(total.payments_per_second),
        "cpu_us_per_payment": {
            "payer_hop": round(payer.cpu_us_per_payment, 1),
            "payee_hop": round(payee.cpu_us_per_payment, 1),
            "total": round(total.cpu_us_per_payment, 1),
            "packs": round(packs_us_per_payment(settings), 2),
            "models": {name: round(cost, 2) for name, cost in models_us_per_payment().items()},
        },
        "learning": learning_cost(),
        "model_swap": taken_up,
        "baselines": {
            "faust_agent": {
                "payments_per_second": round(agent.payments_per_second),
                "cpu_us_per_payment": round(agent.cpu_us_per_payment, 1),
            }
        },
        "times_faust_agent": round(total.payments_per_second / agent.payments_per_second, 1),
        "payments": payments,
        "partitions": settings.partitions,
        "delivery": settings.delivery,
        "machine": {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "python": platform.python_version()},
    }


def _prepare(settings: Settings, payments: int) -> None:
    asyncio.run(create_topics(settings))
    asyncio.run(send_payments(_payments(payments), settings, name="bench"))


def _payments(count: int) -> Iterator[Payment]:
    """The first ``count`` payments of about ``count / 10`` customers of the generated bank (``services.generator``):
    card, bills, salaries, transfers and remittances of about 360 bytes of JSON each."""
    payers = max(count // PAYMENTS_A_PAYER, 100)
    stream = Stream(Configuration(payers=payers, months=12, seed=1, profile="bank", noise=False))
    values = chain.from_iterable(chunk.values for chunk in stream.chunks())
    return map(msgspec.json.Decoder(Payment).decode, islice(values, count))


def _measure(
    arguments: list[str], settings: Settings, counter: str, payments: int, core: int | None, poll_s: float = POLL_S
) -> Measured:
    with MeasuredWorker(arguments, settings, counter, core, poll_s) as worker:
        return worker.measure(payments)
