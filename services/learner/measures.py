"""What the learner counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

from prometheus_client import Counter, Gauge

from models.drift import SCORE
from models.measures import Figures
from services.runtime.metrics import Metrics, ModelHealth

HOP = "learner"
_LABEL_RESULTS = (
    "joined", "not_learned", "outranked", "duplicate", "waiting", "excess", "too_late", "expired", "not_kept",
    "overflow",
)  # fmt: skip


class Measures:
    """The metrics of a learner: the worker's, the models' health, and two of its own."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.health = ModelHealth(metrics.registry)
        counter, gauge = partial(Counter, registry=metrics.registry), partial(Gauge, registry=metrics.registry)
        self.decisions = counter(
            "tocsin_learner_decisions_total",
            "Decisions by result: kept, not_kept (not of the sample); and of the kept ones later: matured (nobody "
            "labelled them, so they made a weak example), forgotten",
            ("result",),
        )
        self.skipped = counter(
            "tocsin_learner_skipped_total",
            "What teaches nothing: decision_too_old, example_duplicate, example_limited (beyond its account's limit), "
            "example_foreign_schema, example_invalid",
            ("reason",),
        )
        self.line_running = gauge(
            "tocsin_line_running",
            "By kind of model: 1 for a line that is trained, 0 for one whose extra is not installed",
            ("kind",),
        )
        self.line_examples = counter("tocsin_line_examples_total", "Examples learned, by kind of model", ("kind",))
        self.line_version = gauge("tocsin_line_version", "Version made last, by kind of model", ("kind",))
        self.line_lag = gauge("tocsin_line_lag_records", "Examples not yet learned, by kind of model", ("kind",))
        self.line_refused = counter(
            "tocsin_line_refused_total", "Versions too large to be announced, by kind of model", ("kind",)
        )
        self.line_fits = counter(
            "tocsin_line_fits_total",
            "Fits of the boosted line that were due, by result: fitted, too_few_labels",
            ("result",),
        )

    def joined(self, counts: Mapping[str, int], rejected: Mapping[str, int], taken: int) -> None:
        """One batch of the joiner was committed: what became of the decisions and labels that it took."""
        metrics = self.metrics
        metrics.transactions.labels(HOP, "committed").inc()
        metrics.batch.observe(taken, HOP)
        for result in _LABEL_RESULTS:
            metrics.labels.labels(result).inc(counts.get(result, 0))
        for result in ("kept", "not_kept", "forgotten"):
            self.decisions.labels(result).inc(counts.get(f"decision_{result}", 0))
        self.decisions.labels("matured").inc(counts.get("matured", 0))
        metrics.labels.labels("invalid").inc(rejected.get("label_invalid", 0))
        metrics.duplicates.labels(HOP).inc(counts.get("decision_duplicate", 0))
        self.skipped.labels("decision_too_old").inc(counts.get("decision_too_old", 0))
        for reason, count in rejected.items():
            metrics.dead_letters.labels(HOP, reason).inc(count)

    def pending(self, decisions: int, labels: int) -> None:
        """How many records wait for their join."""
        self.metrics.learner_pending.labels("decisions").set(decisions)
        self.metrics.learner_pending.labels("labels").set(labels)

    def lag(self, topic: str, partition: int, records: int) -> None:
        """How many records of a partition are not yet read."""
        self.metrics.lag.labels(topic, str(partition)).set(max(0, records))

    def judged(self, cohort: str, figures: Figures) -> None:
        """What the scores of a cohort's examples were worth; NaN where a figure needs what is not there."""
        health = self.health
        for gauge, value in (
            (health.average_precision, figures.average_precision),
            (health.recall_at_budget, figures.recall_at_budget),
            (health.calibration_error, figures.calibration_error),
            (health.brier, figures.brier),
        ):
            gauge.labels(cohort).set(math.nan if value is None else value)
        health.judged.labels(cohort, "suspicious").set(figures.suspicious)
        health.judged.labels(cohort, "not_suspicious").set(figures.payments - figures.suspicious)

    def losses(self, means: Mapping[tuple[str, str], float]) -> None:
        """Mean losses since they last changed, by label and cohort."""
        for (label, cohort), loss in means.items():
            self.health.loss.labels(label, cohort).set(loss)

    def served(self, decisions: Mapping[str, int], indices: Mapping[str, float]) -> None:
        """What is known of drift in what is served: sampled decisions by window, the indices of features and score."""
        for window, sampled in decisions.items():
            self.health.sampled.labels(window).set(sampled)
        for name, index in indices.items():
            (self.health.score_psi if name == SCORE else self.health.psi.labels(name)).set(index)
