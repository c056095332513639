"""The benchmark, in parts that can be run alone: one scorer on one core, and what users would pick instead."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from services.bench.accounts import measure_accounts, measure_growth
from services.bench.agreement import measure_agreement
from services.bench.baselines import BASELINES, Conditions, measure_baseline
from services.bench.champion import announce_challenger
from services.bench.figures import merged, ratios
from services.bench.kernels import models_us_per_payment, packs_us_per_payment
from services.bench.latency import measure_latency
from services.bench.learning import learning_cost
from services.bench.one_by_one import one_by_one_us
from services.bench.payments import prepare
from services.bench.plan import Plan
from services.bench.swap import swaps
from services.bench.worker import (
    BOTH_HOPS,
    DECIDED,
    FORWARDED,
    POLL_S,
    Measured,
    MeasuredWorker,
    MeasuringError,
    worker_command,
)
from services.kafka.sizes import log_bytes
from services.runtime.settings import Settings

RATES = (100, 1_000, 5_000)
"""Payments a second at which latency is measured, besides ``SATURATION_SHARE`` of what the scorer does at most."""
SATURATION_SHARE = 0.8
_JOINED = "tocsin_learner_decisions_total"
_SHADOWED = "tocsin_shadow_decisions_total"
_OFTEN_S = 0.1
"""Between looks at workers that are done within two seconds."""

Tell = Callable[[str], None]


class Bench:
    """One run of the benchmark on one broker; each part's method returns its figures of ``tocsin bench --json``.

    Parameters
    ----------
    settings
        The broker to run on; topics are made under prefixes of their own.
    broker
        What people call it.
    core
        What workers run on (``services.bench.worker.reserve_core``).
    tell
        Told, in a few words, what is being measured.
    """

    def __init__(self, settings: Settings, broker: str, plan: Plan, core: int | None, tell: Tell) -> None:
        self._settings, self._broker, self._plan, self._core, self._tell = settings, broker, plan, core, tell

    def run(
        self, parts: Iterable[str], before: Mapping[str, Any], keep: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """The figures of ``parts`` (keys of ``PARTS``) over those of an earlier run, with ratios and conditions.
        ``keep`` is given what there is after every part.

        A part that cannot be measured is told of and left out; the others go on.
        """
        figures, failed = dict(before), list[str]()
        for part in parts:
            self._tell(PARTS[part].title)
            try:
                figures = self._compared(merged(figures, PARTS[part].measure(self))) | self._conditions()
                keep(figures)
            except MeasuringError as error:
                failed.append(part)
                self._tell(f"{part} was not measured: {error}")
        figures.pop("not_measured", None)
        return figures | ({"not_measured": failed} if failed else {})

    @cached_property
    def _scored(self) -> tuple[Settings, Measured]:
        """A deployment whose scorer has decided all payments, and what that took."""
        settings = self._prepared("scorer", self._plan.payments)
        self._tell("both hops in one process on one core")
        return settings, self._measured(worker_command("scorer"), settings, *BOTH_HOPS)

    def scorer(self) -> dict[str, Any]:
        """Throughput, CPU and bytes written of one scorer, all packs, exactly once."""
        settings, measured = self._scored
        return {
            "payments_per_second": round(measured.payments_per_second),
            "core_share": round(measured.core_share, 2),
            "cpu_us_per_payment": {"total": round(measured.cpu_us_per_payment, 1)},
            "bytes_written_per_payment": self._bytes_written(settings),
        }

    def unheld(self) -> dict[str, Any]:
        """The same of a scorer whose partitions wait for nobody, as they do while payments are of now."""
        free = self._prepared("unheld", self._plan.payments).model_copy(update={"event_spread_minutes": 0})
        return {"unheld": self._measured(worker_command("scorer"), free, *BOTH_HOPS).figures}

    def hops(self) -> dict[str, Any]:
        """CPU of each hop in a process of its own."""
        settings = self._prepared("hops", self._plan.payments)
        payer = self._measured(worker_command("scorer", "--hop", "payer"), settings, FORWARDED)
        payee = self._measured(worker_command("scorer", "--hop", "payee"), settings, DECIDED)
        hops = {"payer_hop": payer, "payee_hop": payee}
        return {"cpu_us_per_payment": {name: round(each.cpu_us_per_payment, 1) for name, each in hops.items()}}

    def deployment(self) -> dict[str, Any]:
        """CPU of what reads decisions, each in a process of its own: the learner, which joins, and one challenger in
        shadow; and the sum of all with the scorer's."""
        settings, scored = self._scored
        announce_challenger(settings)
        # Before the learner announces challengers, too.
        shadow = self._measured(worker_command("shadow"), settings, _SHADOWED, poll_s=_OFTEN_S)
        joiner = self._measured(worker_command("learner"), settings, _JOINED, poll_s=_OFTEN_S)
        whole = scored.cpu_us_per_payment + joiner.cpu_us_per_payment + shadow.cpu_us_per_payment
        return {
            "cpu_us_per_payment": {
                "joiner": round(joiner.cpu_us_per_payment, 1),
                "shadow": round(shadow.cpu_us_per_payment, 1),
                "deployment": round(whole, 1),
            }
        }

    def latency(self) -> dict[str, Any]:
        """Latency on a schedule, at ``RATES`` and at a share of saturation."""
        saturation = self._scored[1].payments_per_second
        rates = {str(rate): float(rate) for rate in RATES} | {"80_percent": SATURATION_SHARE * saturation}
        settings, found = self._prepared("latency", 0), dict[str, Any]()
        with MeasuredWorker(worker_command("scorer"), settings, BOTH_HOPS, self._core):
            for name, rate in rates.items():
                self._tell(f"latency at {rate:,.0f} payments a second")
                measured = measure_latency(settings, rate, self._plan.latency_s)
                found[name] = {"payments_per_second": round(rate), **measured}
        return {"latency_ms": found}

    def swap(self) -> dict[str, Any]:
        """From an announced model to the first decision by it."""
        settings = self._prepared("swap", 0)
        with MeasuredWorker(worker_command("scorer"), settings, BOTH_HOPS, self._core):
            return {"model_swap": swaps(settings)}

    def agreement(self) -> dict[str, Any]:
        """How many decisions differ between two runs."""
        settings, plan = self._under("agreement"), self._plan
        found = measure_agreement(settings, plan.champion, plan.agreement_payments, self._core, self._tell)
        return {"agreement": found}

    def kernels(self) -> dict[str, Any]:
        """What packs and models cost, of the payee hop; and the pure path called with one record at a time."""
        models = {name: round(cost, 2) for name, cost in models_us_per_payment().items()}
        packs = round(packs_us_per_payment(self._settings), 2)
        alone = round(one_by_one_us(self._settings.model_copy(update={"partitions": 1}), self._plan.champion), 1)
        return {"cpu_us_per_payment": {"packs": packs, "models": models, "one_by_one": alone}}

    def learning(self) -> dict[str, Any]:
        """What an example costs to learn."""
        return {"learning": learning_cost()}

    def accounts(self) -> dict[str, Any]:
        """Memory of accounts, and restoring them."""
        plan = self._plan
        return measure_accounts(self._settings, plan.champion, plan.accounts, self._core)

    def growth(self) -> dict[str, Any]:
        """A payment's cost among few and among many accounts."""
        plan = self._plan
        return {"growth": measure_growth(self._settings, plan.champion, plan.accounts, self._core)}

    def baseline(self, name: str) -> dict[str, Any]:
        """One of ``BASELINES``."""
        settings, plan = self._under(name), self._plan
        conditions = Conditions(settings, plan.champion, self._core, plan.quix_python)
        figures = measure_baseline(
            name, conditions, plan.baseline_payments, lambda payments: prepare(settings, payments, plan.champion)
        )
        return {"baselines": {name: figures}}

    def _under(self, name: str) -> Settings:
        return self._settings.model_copy(update={"topic_prefix": f"bench.{name.replace('_', '-')}."})

    def _prepared(self, name: str, payments: int) -> Settings:
        settings = self._under(name)
        if payments:
            self._tell(f"sending {payments:,} payments")
        prepare(settings, payments, self._plan.champion)
        return settings

    def _measured(self, command: list[str], settings: Settings, *counters: str, poll_s: float = POLL_S) -> Measured:
        with MeasuredWorker(command, settings, counters, self._core, poll_s=poll_s) as worker:
            return worker.measure(self._plan.payments)

    def _bytes_written(self, settings: Settings) -> dict[str, float]:
        """Bytes a payment of each topic that a scorer writes to, on the broker's disk, compressed; ``total`` is without
        the ``input``."""
        written = {each for hop in ("payer", "payee", "subject", "alerter") for each in settings.topics.written_by(hop)}
        kept = written | {settings.topics.payments}
        roles = {each.name: role for role, each in vars(settings.topics).items() if each in kept}
        sizes = asyncio.run(log_bytes(settings, roles))
        found = {roles[name]: round(size / self._plan.payments, 1) for name, size in sizes.items() if size}
        given = found.pop("payments", 0.0)
        return {"total": round(sum(found.values()), 1), "input": given, **dict(sorted(found.items()))}

    @staticmethod
    def _compared(figures: dict[str, Any]) -> dict[str, Any]:
        """With ``ratios`` (ours to each baseline, payments a second) and ``cpu_ratios`` (the same of CPU a payment)."""
        baselines, cpu = figures.get("baselines", {}), figures.get("cpu_us_per_payment", {})
        if "payments_per_second" not in figures or not baselines:
            return figures
        ours = {"payments_per_second": figures["payments_per_second"], "cpu_us_per_payment": cpu["total"]}
        by = {"ratios": "payments_per_second", "cpu_ratios": "cpu_us_per_payment"}
        return figures | {name: ratios(ours, baselines, figure) for name, figure in by.items()}

    def _conditions(self) -> dict[str, Any]:
        plan, settings = self._plan, self._settings
        return {
            "payments": plan.payments,
            "champion": plan.champion,
            "partitions": settings.partitions,
            "delivery": settings.delivery,
            "broker": self._broker,
            "machine": {
                "cores": os.cpu_count(),
                "load": round(os.getloadavg()[0], 1),
                "python": platform.python_version(),
            },
        }


@dataclass(frozen=True, slots=True)
class Part:
    """What people are told while it is measured, and what measures it."""

    title: str
    measure: Callable[[Bench], dict[str, Any]]


def _baseline(name: str) -> Part:
    return Part(BASELINES[name].title, lambda bench: bench.baseline(name))


PARTS: dict[str, Part] = {
    "scorer": Part("the scorer", Bench.scorer),
    "unheld": Part("the scorer, its partitions not held together", Bench.unheld),
    "hops": Part("each hop alone", Bench.hops),
    "deployment": Part("the joiner and a shadow", Bench.deployment),
    **{name: _baseline(name) for name in BASELINES},
    "latency": Part("latency on a schedule", Bench.latency),
    "swap": Part("models announced and taken up", Bench.swap),
    "agreement": Part("two runs of the same payments, compared", Bench.agreement),
    "accounts": Part("memory of accounts, and restoring them", Bench.accounts),
    "growth": Part("a payment's cost as accounts grow", Bench.growth),
    "kernels": Part("packs and models", Bench.kernels),
    "learning": Part("learning", Bench.learning),
}
"""Every part, in the order in which they are measured."""
ALL = tuple(part for part in PARTS if part != "kafka_streams_rocksdb")
"""What is measured unless chosen otherwise: each baseline once."""
