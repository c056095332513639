"""What the learner counts."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter

from services.metrics import Metrics

HOP = "learner"
_LABEL_RESULTS = ("joined", "duplicate", "waiting", "excess", "too_late", "expired", "overflow")


class Measures:
    """The metrics of a learner: the worker's, and one of its own."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.skipped = Counter(
            "tocsin_learner_skipped_total",
            "Records that teach nothing: decision_too_old, example_duplicate, example_foreign_schema, example_invalid",
            ("reason",),
            registry=metrics.registry,
        )

    def joined(self, counts: Mapping[str, int], rejected: Mapping[str, int], records: int) -> None:
        """One batch of the joiner was committed: what became of its records."""
        metrics = self.metrics
        metrics.transactions.labels(HOP, "committed").inc()
        metrics.batch.observe(records, HOP)
        for result in _LABEL_RESULTS:
            metrics.labels.labels(result).inc(counts.get(result, 0))
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
