"""Every metric that a worker exposes, by its Prometheus name. No label can hold an account.

Latencies start at 50 microseconds. Counts and times are taken a batch at a time; ``observe_many`` keeps the price of a
histogram off the payments.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.runtime.health import Health
from services.runtime.server import serve

LATENCY_BUCKETS_S = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 60.0,
)  # fmt: skip
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
RESTORE_BUCKETS_S = (0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class BatchHistogram(Collector):
    """A Prometheus histogram that takes many observations in one call.

    Parameters
    ----------
    name, documentation, labels, buckets
        As for ``prometheus_client.Histogram``; ``buckets`` are upper bounds without infinity.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: tuple[str, ...],
        buckets: Iterable[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._bounds = np.array(list(buckets), dtype=np.float64)
        self._counts: dict[tuple[str, ...], NDArray[np.int64]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def observe_many(self, values: NDArray[np.float64], *labels: str) -> None:
        """Take ``values`` (float64[n]) under one set of label values."""
        counts = self._counts.setdefault(labels, np.zeros(len(self._bounds) + 1, dtype=np.int64))
        counts += np.bincount(np.searchsorted(self._bounds, values), minlength=len(counts))
        self._sums[labels] = self._sums.get(labels, 0.0) + float(values.sum())

    def observe(self, value: float, *labels: str) -> None:
        """Take one value."""
        self.observe_many(np.array([value]), *labels)

    def describe(self) -> Iterable[Metric]:
        return [HistogramMetricFamily(self._name, self._documentation, labels=self._labels)]

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        names = [*(_bound(bound) for bound in self._bounds), "+Inf"]
        for labels, counts in list(self._counts.items()):
            buckets = list(zip(names, np.cumsum(counts).tolist(), strict=True))
            family.add_metric(labels, buckets, self._sums[labels])
        yield family


def _bound(bound: float) -> str:
    return repr(float(bound))


class HealthMetrics(Collector):
    """What a worker's health says at the moment it is asked."""

    def __init__(self, health: Health, registry: CollectorRegistry) -> None:
        self._health = health
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        report = self._health.report()
        yield GaugeMetricFamily("tocsin_live", "1 while no loop of the worker stands still", value=report.live)
        yield GaugeMetricFamily("tocsin_ready", "1 while, besides, all of its loops run", value=report.ready)
        steps = GaugeMetricFamily(
            "tocsin_loop_last_step_timestamp_seconds",
            "When a loop last took a step: a batch committed, an answer of the broker; 0 before its first",
            labels=("loop",),
        )
        for loop in self._health:
            steps.add_metric((loop.name,), loop.stepped_unix_s)
        yield steps


class Metrics:
    """The metrics of one worker process, and its health."""

    def __init__(self, health: Health | None = None) -> None:
        self.registry = registry = CollectorRegistry()
        self.health = health or Health()
        HealthMetrics(self.health, registry)
        self.loop_faults = Counter(
            "tocsin_loop_faults_total",
            "Faults that ended an attempt of a loop, by their class; another attempt followed",
            ("loop", "fault"),
            registry=registry,
        )
        self.partition_stopped = Gauge(
            "tocsin_partition_stopped",
            "1 while a partition is stopped until people have decided how it goes on",
            ("topic", "partition"),
            registry=registry,
        )
        self.last_commit = Gauge(
            "tocsin_last_commit_timestamp_seconds",
            "When a batch of a partition was last committed",
            ("topic", "partition"),
            registry=registry,
        )
        self.event_time = Gauge(
            "tocsin_event_time_seconds", "Latest event time that a loop has taken", ("loop",), registry=registry
        )
        self.champion_announced = Gauge(
            "tocsin_champion_announced_timestamp_seconds",
            "When the model in use was announced or promoted; 0: none was",
            registry=registry,
        )
        self.payments = Counter(
            "tocsin_payments_total",
            "Payments by hop (payer, payee) and result: forwarded, decided, duplicate, status_update, dead_letter",
            ("hop", "result"),
            registry=registry,
        )
        self.payment_labels = Counter(
            "tocsin_payment_labels_total",
            "Labels of payments that features of a hop (payer, payee) learned of, by result: read, duplicate",
            ("hop", "result"),
            registry=registry,
        )
        self.decisions = Counter(
            "tocsin_decisions_total", "Decisions by outcome: pass, review", ("outcome",), registry=registry
        )
        self.rule_results = Counter(
            "tocsin_rule_results_total", "Rule results other than no_hit", ("rule", "outcome"), registry=registry
        )
        self.dead_letters = Counter(
            "tocsin_dead_letters_total", "Records put aside, by reason", ("hop", "reason"), registry=registry
        )
        self.duplicates = Counter(
            "tocsin_duplicates_total", "Payments that came again and changed nothing", ("hop",), registry=registry
        )
        self.alerts = Counter(
            "tocsin_alerts_total",
            "By queue, revisions of alerts: new, update, snoozed, superseded; and reviews that made none: held (over "
            "budget), quiet (no news), asleep (snoozed)",
            ("queue", "status"),
            registry=registry,
        )
        self.alert_threshold = Gauge(
            "tocsin_alert_threshold_log_odds",
            "Risk that a subject must reach to be within the budget of alerts",
            ("queue", "partition"),
            registry=registry,
        )
        self.stage = BatchHistogram(
            "tocsin_stage_duration_seconds",
            "Time a batch spends in a stage: decode, state, kernel, rules, model, encode, alert, commit",
            ("hop", "stage"),
            LATENCY_BUCKETS_S,
            registry,
        )
        self.end_to_end = BatchHistogram(
            "tocsin_end_to_end_latency_seconds",
            "From the broker's append of a payment to its committed decision",
            (),
            LATENCY_BUCKETS_S,
            registry,
        )
        self.batch = BatchHistogram(
            "tocsin_batch_records", "Records in one transaction", ("hop",), BATCH_BUCKETS, registry
        )
        self.restore = BatchHistogram(
            "tocsin_restore_duration_seconds",
            "Time to restore a partition's state",
            ("hop",),
            RESTORE_BUCKETS_S,
            registry,
        )
        self.transactions = Counter(
            "tocsin_transactions_total",
            "Transactions by result: committed, failed",
            ("hop", "result"),
            registry=registry,
        )
        self.lag = Gauge(
            "tocsin_consumer_lag_records", "Records not yet read", ("topic", "partition"), registry=registry
        )
        self.state_accounts = Gauge(
            "tocsin_state_accounts",
            "Accounts in state; of the alerter, subjects: with an open alert, with what is left of one, or snoozed",
            ("hop", "partition"),
            registry=registry,
        )
        self.state_bytes = Gauge(
            "tocsin_state_bytes", "Memory of the state's rows", ("hop", "partition"), registry=registry
        )
        self.model = Gauge("tocsin_model_info", "1 for the model in use", ("version", "hash"), registry=registry)
        self.models_refused = Counter(
            "tocsin_models_refused_total", "Announced models that could not be used", registry=registry
        )
        self.labels = Counter(
            "tocsin_labels_total",
            "Labels by result: joined, not_learned (not suspicious, and not of the sample), outranked (by the one that "
            "stands), duplicate, waiting, invalid, or dropped: "
            "excess, too_late, expired, not_kept (its decision was not kept), overflow",
            ("result",),
            registry=registry,
        )
        self.examples = Counter(
            "tocsin_examples_total",
            "Examples learned, by label: suspicious, not_suspicious",
            ("label",),
            registry=registry,
        )
        self.snapshots = Counter("tocsin_model_snapshots_total", "Model snapshots published", registry=registry)
        self.learner_pending = Gauge(
            "tocsin_learner_pending_records", "Records waiting for their join: decisions, labels", ("kind",),
            registry=registry,
        )  # fmt: skip

    def use_model(self, version: int, model_hash: str) -> None:
        """Show which model scores from now on."""
        self.model.clear()
        self.model.labels(str(version), model_hash[:12]).set(1)

    def count_fault(self, loop: str, fault: str) -> None:
        """A fault ended an attempt of ``loop``."""
        self.loop_faults.labels(loop, fault).inc()

    def serve(self, host: str, port: int) -> None:
        """Answer ``/metrics``, ``/live`` and ``/ready`` at ``http://host:port``; port 0 answers nothing."""
        if port:
            serve(host, port, self.registry, self.health)


class ShadowMetrics:
    """What a shadow worker counts beside transactions, stages and lag, which are a lane's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decisions = Counter(
            "tocsin_shadow_decisions_total",
            "Decisions by what challengers made of them: scored, failed, feature_schema, no_challenger, invalid",
            ("result",),
            registry=registry,
        )
        self.failed = Counter(
            "tocsin_shadow_failed_scores_total",
            "Scores that a challenger could not compute or that are no number, by its kind",
            ("kind",),
            registry=registry,
        )
        self.cpu = Counter(
            "tocsin_shadow_cpu_seconds_total", "CPU time of scoring, by the challenger's kind", ("kind",),
            registry=registry,
        )  # fmt: skip
        self.challengers = Gauge("tocsin_shadow_challengers", "Challengers that score, by kind", ("kind",),
            registry=registry,
        )  # fmt: skip


class ModelHealth:
    """What a learner knows of how well payments are scored, and whether it drifts. NaN: not known, or not yet."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def judged(name: str, documentation: str) -> Gauge:
            text = f"{documentation}; scores as emitted against labels, by how late the label came"
            return Gauge(f"tocsin_prequential_{name}", text, ("cohort",), registry=registry)

        self.average_precision = judged("average_precision", "Weighted average precision of the latest examples")
        self.recall_at_budget = judged(
            "recall_at_budget", "Share of what is suspicious among the payments that people can review"
        )
        self.calibration_error = judged("calibration_error", "Mean distance of what was said from what came, in tenths")
        self.brier = judged("brier", "Mean squared error of the probability")
        self.judged = Gauge(
            "tocsin_prequential_examples",
            "Examples that the figures rest on",
            ("cohort", "label"),
            registry=registry,
        )
        self.loss = Gauge(
            "tocsin_drift_loss_nats",
            "Mean log-loss since it last changed, by label and by how late it came",
            ("label", "cohort"),
            registry=registry,
        )
        self.psi = Gauge(
            "tocsin_drift_psi", "Population stability index of a feature as served", ("feature",), registry=registry
        )
        self.score_psi = Gauge(
            "tocsin_drift_score_psi", "Population stability index of the score as served", registry=registry
        )
        self.score_psi.set(math.nan)
        self.sampled = Gauge(
            "tocsin_drift_decisions",
            "Sampled decisions that the indices rest on: reference, window",
            ("window",),
            registry=registry,
        )
        self.alarms = Counter(
            "tocsin_drift_alarms_total", "Alarms of drift: loss, feature, score", ("kind",), registry=registry
        )
        self.refit_requested = Gauge(
            "tocsin_drift_refit_requested",
            "1 while a request to refit stands for this kind of drift: loss, feature, score",
            ("kind",),
            registry=registry,
        )
        for kind in ("loss", "feature", "score"):
            self.alarms.labels(kind)
            self.refit_requested.labels(kind)
