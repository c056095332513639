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
    """A Prometheus histogram that takes many observations in a call; ``buckets`` are upper bounds without infinity."""

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
        names = [*(repr(bound) for bound in self._bounds.tolist()), "+Inf"]
        for labels, counts in list(self._counts.items()):
            buckets = list(zip(names, np.cumsum(counts).tolist(), strict=True))
            family.add_metric(labels, buckets, self._sums[labels])
        yield family


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


class _Maker:
    """Makes the metrics of one registry: each has a name, the names of its labels, and a sentence that explains it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, labels: tuple[str, ...], documentation: str) -> Counter:
        """What only grows."""
        return Counter(name, documentation, labels, registry=self._registry)

    def gauge(self, name: str, labels: tuple[str, ...], documentation: str) -> Gauge:
        """What is so now."""
        return Gauge(name, documentation, labels, registry=self._registry)

    def histogram(
        self, name: str, labels: tuple[str, ...], documentation: str, buckets: tuple[float, ...] = LATENCY_BUCKETS_S
    ) -> BatchHistogram:
        """How often what was observed was within each bound of ``buckets``."""
        return BatchHistogram(name, documentation, labels, buckets, self._registry)


class Metrics:
    """The metrics of one worker process, and its health."""

    # fmt: off
    def __init__(self, health: Health | None = None) -> None:
        self.registry = CollectorRegistry()
        self.health = health or Health()
        HealthMetrics(self.health, self.registry)
        make = _Maker(self.registry)

        self.loop_faults = make.counter("tocsin_loop_faults_total", ("loop", "fault"),
            "Faults that ended an attempt of a loop, by their class; another attempt followed")
        self.partition_stopped = make.gauge("tocsin_partition_stopped", ("topic", "partition"),
            "1 while a partition is stopped until people have decided how it goes on")
        self.last_commit = make.gauge("tocsin_last_commit_timestamp_seconds", ("topic", "partition"),
            "When a batch of a partition was last committed")
        self.event_time = make.gauge("tocsin_event_time_seconds", ("loop",), "Latest event time that a loop has taken")
        self.champion_announced = make.gauge("tocsin_champion_announced_timestamp_seconds", (),
            "When the model in use was announced or promoted; 0: none was")
        self.payments = make.counter("tocsin_payments_total", ("hop", "result"),
            "Payments by hop (payer, payee, subject) and result: forwarded, decided, added, duplicate, status_update, "
            "dead_letter")
        self.payment_labels = make.counter("tocsin_payment_labels_total", ("hop", "result"),
            "Labels of payments that features of a hop (payer, payee) learned of, by result: read, duplicate")
        self.decisions = make.counter("tocsin_decisions_total", ("outcome",), "Decisions by outcome: pass, review")
        self.rule_results = make.counter("tocsin_rule_results_total", ("rule", "outcome"),
            "Rule results other than no_hit")
        self.dead_letters = make.counter("tocsin_dead_letters_total", ("hop", "reason"), "Records put aside, by reason")
        self.duplicates = make.counter("tocsin_duplicates_total", ("hop",),
            "Payments that came again and changed nothing")
        self.handover_gaps = make.counter("tocsin_handover_gaps_total", (),
            "Records handed over to the payee hop before which another is missing")
        self.alerts = make.counter("tocsin_alerts_total", ("queue", "status"),
            "By queue, revisions of alerts: new, update, snoozed, superseded; and reviews that made none: held (over "
            "budget), quiet (no news), asleep (snoozed)")
        self.alert_threshold = make.gauge("tocsin_alert_threshold_log_odds", ("queue", "partition"),
            "Risk that a subject must reach to be within the budget of alerts")
        self.stage = make.histogram("tocsin_stage_duration_seconds", ("hop", "stage"),
            "Time a batch spends in a stage: decode, state, kernel, rules, model, packs, subjects, encode, alert, "
            "turn, commit")
        self.end_to_end = make.histogram("tocsin_end_to_end_latency_seconds", (),
            "From the broker's append of a payment to its committed decision")
        self.batch = make.histogram("tocsin_batch_records", ("hop",), "Records in one transaction", BATCH_BUCKETS)
        self.restore = make.histogram("tocsin_restore_duration_seconds", ("hop",),
            "Time to restore a partition's state", RESTORE_BUCKETS_S)
        self.transactions = make.counter("tocsin_transactions_total", ("hop", "result"),
            "Transactions by result: committed, failed")
        self.lag = make.gauge("tocsin_consumer_lag_records", ("topic", "partition"), "Records not yet read")
        self.state_accounts = make.gauge("tocsin_state_accounts", ("hop", "partition"),
            "Accounts in state; of the alerter, subjects: with an open alert, with what is left of one, or snoozed")
        self.state_bytes = make.gauge("tocsin_state_bytes", ("hop", "partition"), "Memory of the state's rows")
        self.accounts_evicted = make.counter("tocsin_accounts_evicted_total", ("hop",),
            "Accounts forgotten to make room for others (TOCSIN_ACCOUNTS_MAX, TOCSIN_SUBJECTS_MAX)")
        self.model = make.gauge("tocsin_model_info", ("version", "hash"), "1 for the model in use")
        self.models_refused = make.counter("tocsin_models_refused_total", (), "Announced models that could not be used")
        self.labels = make.counter("tocsin_labels_total", ("result",),
            "Labels by result: joined, not_learned (not suspicious, and not of the sample), outranked (by the one that "
            "stands), duplicate, waiting, invalid, or dropped: "
            "excess, too_late, expired, not_kept (its decision was not kept), overflow")
        self.examples = make.counter("tocsin_examples_total", ("label",),
            "Examples learned, by label: suspicious, not_suspicious")
        self.snapshots = make.counter("tocsin_model_snapshots_total", (), "Model snapshots published")
        self.learner_pending = make.gauge("tocsin_learner_pending_records", ("kind",),
            "Records waiting for their join: decisions, labels")
    # fmt: on

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

    # fmt: off
    def __init__(self, registry: CollectorRegistry) -> None:
        make = _Maker(registry)
        self.decisions = make.counter("tocsin_shadow_decisions_total", ("result",),
            "Decisions by what challengers made of them: scored, failed, feature_schema, no_challenger, invalid")
        self.failed = make.counter("tocsin_shadow_failed_scores_total", ("kind",),
            "Scores that a challenger could not compute or that are no number, by its kind")
        self.cpu = make.counter("tocsin_shadow_cpu_seconds_total", ("kind",),
            "CPU time of scoring, by the challenger's kind")
        self.challengers = make.gauge("tocsin_shadow_challengers", ("kind",), "Challengers that score, by kind")
    # fmt: on


class ModelHealth:
    """What a learner knows of how well payments are scored, and whether it drifts. NaN: not known, or not yet."""

    # fmt: off
    def __init__(self, registry: CollectorRegistry) -> None:
        make = _Maker(registry)

        def judged(name: str, documentation: str) -> Gauge:
            text = f"{documentation}; scores as emitted against labels, by how late the label came"
            return make.gauge(f"tocsin_prequential_{name}", ("cohort",), text)

        self.average_precision = judged("average_precision", "Weighted average precision of the latest examples")
        self.recall_at_budget = judged("recall_at_budget",
            "Share of what is suspicious among the payments that people can review")
        self.calibration_error = judged("calibration_error", "Mean distance of what was said from what came, in tenths")
        self.brier = judged("brier", "Mean squared error of the probability")
        self.judged = make.gauge("tocsin_prequential_examples", ("cohort", "label"),
            "Examples that the figures rest on")
        self.loss = make.gauge("tocsin_drift_loss_nats", ("label", "cohort"),
            "Mean log-loss since it last changed, by label and by how late it came")
        self.psi = make.gauge("tocsin_drift_psi", ("feature",), "Population stability index of a feature as served")
        self.score_psi = make.gauge("tocsin_drift_score_psi", (), "Population stability index of the score as served")
        self.score_psi.set(math.nan)
        self.sampled = make.gauge("tocsin_drift_decisions", ("window",),
            "Sampled decisions that the indices rest on: reference, window")
        self.alarms = make.counter("tocsin_drift_alarms_total", ("kind",), "Alarms of drift: loss, feature, score")
        self.refit_requested = make.gauge("tocsin_drift_refit_requested", ("kind",),
            "1 while a request to refit stands for this kind of drift: loss, feature, score")
        for kind in ("loss", "feature", "score"):
            self.alarms.labels(kind)
            self.refit_requested.labels(kind)
    # fmt: on
