"""The summary of a demo: what the topics show, as one object for machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.demo.figures import Detection, detection, percentile
from services.demo.plan import PACED_PER_SECOND
from services.demo.readback import Evidence, Served

NOTE = "Results on synthetic data show that the software works as specified, not that it finds offenders."


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what the run took place, and what only its own clock can know."""

    seed: int
    broker: str
    delivery: str
    payments_sent: int
    labels_sent: int
    labels_to_come: int
    payments_per_second: float | None
    latencies_ms: list[float]
    evaluated_from: int | None
    """Position of the first payment that was sent after a learned model was in use; ``None``: there was none."""
    alert_budget_share: float


@dataclass(frozen=True, slots=True)
class Summary:
    """A finished run."""

    conditions: Conditions
    evidence: Evidence
    detection: Detection
    review_precision: float | None
    review_recall: float | None
    shown: Served | None
    """A decision worth a look: of the suspicious payments under review, the one with the highest score."""
    seconds: float

    @property
    def missing(self) -> int:
        """Payments that were sent and are not in ``payments.v1``."""
        return max(0, self.conditions.payments_sent - len(self.evidence.payment_ids))

    @property
    def lost(self) -> int:
        """Payments without a decision, those included that never reached the topic."""
        return len(self.evidence.lost) + self.missing

    @property
    def sound(self) -> bool:
        """Nothing was lost, and nothing doubled."""
        return self.lost == 0 and not self.evidence.doubled

    def as_dict(self) -> dict[str, Any]:
        """Everything, for machines."""
        evidence, conditions, found = self.evidence, self.conditions, self.detection
        latencies = conditions.latencies_ms
        return {
            "payments_in": len(evidence.payment_ids) + self.missing,
            "decisions_out": evidence.decisions,
            "alerts": evidence.alerts,
            "dead_letters": evidence.dead_letters.total(),
            "duplicates": evidence.repeats,
            "lost": self.lost,
            "doubled": len(evidence.doubled),
            "payments_per_second": _rounded(conditions.payments_per_second, 0),
            "latency_ms": {"p50": percentile(latencies, 0.50), "p99": percentile(latencies, 0.99)},
            "precision": _rounded(found.precision),
            "recall": _rounded(found.recall),
            "average_precision": _rounded(found.average_precision),
            "broker": conditions.broker,
            "delivery": conditions.delivery,
            "note": NOTE,
            "seed": conditions.seed,
            "seconds": round(self.seconds, 1),
            "models": evidence.models,
            "evaluation": {
                "alert_budget_share": conditions.alert_budget_share,
                "payments": found.payments,
                "suspicious": found.suspicious,
                "budget_payments": found.budget,
                "recall_max": _rounded(found.recall_max),
                "review_precision": _rounded(self.review_precision),
                "review_recall": _rounded(self.review_recall),
            },
            "latency_payments": len(latencies),
            "latency_rate_per_second": PACED_PER_SECOND,
            "status_updates": evidence.status_updates,
            "alert_events": evidence.alert_events,
            "dead_letters_by_origin": dict(sorted(evidence.dead_letters.items())),
            "labels_sent": conditions.labels_sent,
            "labels_to_come": conditions.labels_to_come,
            "decision_id": self.shown.decision_id if self.shown else None,
        }


def summarise(
    conditions: Conditions, evidence: Evidence, truth: dict[str, str], positions: dict[str, int], seconds: float
) -> Summary:
    """Put the figures together. By payment id, ``truth`` is the typology, of the suspicious payments only, and
    ``positions`` where a payment stands in the stream, from 1."""
    # By a learned model, on payments that were sent once one was in use, in the order of arrival.
    learned = [each for each in evidence.served.values() if each.model_version > 0]
    since = conditions.evaluated_from
    evaluated = [] if since is None else [each for each in learned if positions[each.payment_id] > since]
    evaluated.sort(key=lambda each: positions[each.payment_id])
    suspicious = [each.payment_id in truth for each in evaluated]
    scores = [each.score for each in evaluated]
    reviewed = [each for each in evaluated if each.outcome == "review"]
    right = [each for each in reviewed if each.payment_id in truth]
    under_review = [each for each in evidence.served.values() if each.outcome == "review"]
    worth = [each for each in under_review if each.payment_id in truth] or under_review
    return Summary(
        conditions=conditions,
        evidence=evidence,
        detection=detection(scores, suspicious, conditions.alert_budget_share),
        review_precision=len(right) / len(reviewed) if reviewed else None,
        review_recall=len(right) / sum(suspicious) if any(suspicious) else None,
        shown=max(worth, key=lambda each: each.score, default=None),
        seconds=seconds,
    )


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)
