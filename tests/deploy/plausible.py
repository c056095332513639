"""A process that exposes a worker's metrics with plausible values that move, where no broker is needed.

``python -m tests.deploy.plausible scorer 9464`` runs until it is ended.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial

import numpy as np

from services.learner.measures import Measures
from services.runtime.clock import now_ms
from services.runtime.health import Loop
from services.runtime.metrics import Metrics, ModelHealth, ShadowMetrics

TICK_S = 0.1
PAYMENTS = 200
"""Payments in one tick."""
MODEL_HASH = "5f2c0d9b" * 8

LOOPS = {
    "scorer": ("models", "lane payer", "payments.v1[0]", "payments.by-payee.v1[0]"),
    "learner": ("joiner", "trainer logistic"),
    "shadow": ("models", "features.v1[0]"),
}
"""Those of each worker, by name."""

_STAGES = ("decode", "state", "kernel", "rules", "model", "packs", "encode", "alert", "turn", "commit")
_RANDOM = np.random.default_rng(20261124)


def fill_scorer(metrics: Metrics) -> None:
    """One more tick of a scorer's life: every metric that a scorer moves, moves."""
    for hop, result in (("payer", "forwarded"), ("payee", "decided")):
        metrics.payments.labels(hop, result).inc(PAYMENTS)
        metrics.payments.labels(hop, "dead_letter").inc(1)
        metrics.payments.labels(hop, "duplicate").inc(1)
        metrics.dead_letters.labels(hop, "invalid_field").inc(1)
        metrics.duplicates.labels(hop).inc(1)
        metrics.payment_labels.labels(hop, "read").inc(1)
        metrics.batch.observe(float(PAYMENTS), hop)
        metrics.transactions.labels(hop, "committed").inc()
        metrics.state_accounts.labels(hop, "0").inc(3)
        metrics.state_bytes.labels(hop, "0").inc(3 * 400)
        metrics.accounts_evicted.labels(hop).inc(2)
        for stage in _STAGES:
            metrics.stage.observe_many(_RANDOM.exponential(0.002, 4), hop, stage)
    metrics.payments.labels("payer", "status_update").inc(1)
    metrics.decisions.labels("pass").inc(PAYMENTS - 1)
    metrics.decisions.labels("review").inc(1)
    metrics.rule_results.labels("new_payee_burst", "hit").inc(1)
    metrics.rule_results.labels("structuring", "error").inc(1)
    metrics.alerts.labels("general", "new").inc(1)
    metrics.alerts.labels("general", "update").inc(2)
    for status in ("snoozed", "superseded", "held", "quiet", "asleep"):
        metrics.alerts.labels("general", status).inc(1)
    metrics.alert_threshold.labels("general", "0").set(float(_RANDOM.normal(2.0, 0.1)))
    metrics.end_to_end.observe_many(_RANDOM.exponential(0.03, PAYMENTS))
    for topic in ("payments.v1", "payments.by-payee.v1"):
        metrics.lag.labels(topic, "0").set(float(_RANDOM.integers(0, 500)))
        metrics.last_commit.labels(topic, "0").set(now_ms() / 1_000)
        metrics.partition_stopped.labels(topic, "0").set(0)
        metrics.event_time.labels(f"{topic}[0]").set(now_ms() / 1_000)


def fill_health(metrics: Metrics, loops: Iterable[Loop]) -> None:
    """One more tick of what every worker shows of itself."""
    for loop in loops:
        loop.step()
        metrics.count_fault(loop.name, "RequestTimedOutError")


def start_health(metrics: Metrics, names: Iterable[str], stack: ExitStack) -> list[Loop]:
    """The loops of a worker, which run as long as ``stack``."""
    return [stack.enter_context(metrics.health.loop(name)) for name in names]


def start_scorer(metrics: Metrics) -> None:
    """What a scorer shows once, at its start."""
    for hop in ("payer", "payee"):
        metrics.restore.observe(0.4, hop)
    metrics.use_model(3, MODEL_HASH)
    metrics.champion_announced.set(now_ms() / 1_000 - 86_400)


def fill_learner(measures: Measures) -> None:
    """One more tick of a learner's life."""
    metrics = measures.metrics
    for result in ("joined", "duplicate", "waiting", "invalid"):
        metrics.labels.labels(result).inc(1)
    for result, decisions in (("kept", 40), ("not_kept", PAYMENTS - 40), ("matured", 5), ("forgotten", 2)):
        measures.decisions.labels(result).inc(decisions)
    measures.skipped.labels("example_duplicate").inc(1)
    metrics.examples.labels("suspicious").inc(1)
    metrics.examples.labels("not_suspicious").inc(20)
    metrics.snapshots.inc()
    for kind in ("logistic", "adaptive_forest"):
        measures.line_running.labels(kind).set(1)
        measures.line_examples.labels(kind).inc(21)
        measures.line_version.labels(kind).set(3)
        measures.line_lag.labels(kind).set(float(_RANDOM.integers(0, 50)))
        measures.line_refused.labels(kind).inc(0)
    measures.line_fits.labels("fitted").inc(1)
    measures.pending(decisions=4_000, labels=12)
    measures.lag("labels.v1", 0, int(_RANDOM.integers(0, 20)))
    measures.lag("features.v1", 0, int(_RANDOM.integers(0, 500)))
    metrics.event_time.labels("joiner").set(now_ms() / 1_000 - 60)
    _fill_health(measures.health)


def _fill_health(health: ModelHealth) -> None:
    """One more tick of what a learner knows of models' health."""
    for cohort in ("1d", "7d", "30d", "later", "all"):
        for gauge in (health.average_precision, health.recall_at_budget, health.calibration_error, health.brier):
            gauge.labels(cohort).set(float(_RANDOM.uniform(0.1, 0.2)))
        for label, examples in (("suspicious", 40.0), ("not_suspicious", 8_000.0)):
            health.judged.labels(cohort, label).set(examples)
            health.loss.labels(label, cohort).set(float(_RANDOM.uniform(0.1, 0.2)))
    for feature in ("amount", "is_cross_border"):
        health.psi.labels(feature).set(float(_RANDOM.uniform(0.0, 0.1)))
    health.score_psi.set(float(_RANDOM.uniform(0.0, 0.1)))
    for window in ("reference", "window"):
        health.sampled.labels(window).set(4_000)
    health.alarms.labels("feature").inc()
    health.refit_requested.labels("feature").set(1)


def fill_shadow(metrics: Metrics, shadow: ShadowMetrics) -> None:
    """One more tick of a shadow worker's life."""
    shadow.decisions.labels("scored").inc(PAYMENTS - 1)
    for result in ("failed", "feature_schema", "no_challenger", "invalid"):
        shadow.decisions.labels(result).inc(1)
    for kind in ("logistic", "onnx"):
        shadow.cpu.labels(kind).inc(0.001)
        shadow.failed.labels(kind).inc(1)
        shadow.challengers.labels(kind).set(1)
    metrics.lag.labels("features.v1", "0").set(float(_RANDOM.integers(0, 500)))


def main(role: str, port: int) -> None:
    """Serve until ended."""
    metrics = Metrics()
    tick: Callable[[], None]
    if role == "scorer":
        start_scorer(metrics)
        tick = partial(fill_scorer, metrics)
    elif role == "shadow":
        tick = partial(fill_shadow, metrics, ShadowMetrics(metrics.registry))
    else:
        tick = partial(fill_learner, Measures(metrics))
    metrics.serve("127.0.0.1", port)
    never = threading.Event()
    with ExitStack() as stack:
        loops = start_health(metrics, LOOPS[role], stack)
        while not never.wait(TICK_S):
            tick()
            fill_health(metrics, loops)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
