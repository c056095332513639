"""Where records travel: every topic, its key, and how the broker is to keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BATCH_BYTES_MAX = 1_048_576
"""Largest record batch of ``payments.v1``. Other topics take twice that: a dead letter is its record plus headers."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the contract.

    ``partitions`` is ``None`` where the deployment chooses (all such topics have the same number), or fixed.
    ``retention_ms`` is ``-1`` for "for ever".
    """

    name: str
    key: str
    purpose: str
    partitions: int | None = None
    compacted: bool = False
    internal: bool = False
    append_time: bool = False
    retention_ms: int = -1
    records: tuple[str, ...] = ()
    """What its values are, as ``schema.RECORDS`` names them; none where they are our own bytes, or columns."""
    columns: str = ""
    """The layout of its values, where they are batches of columns."""

    def configuration(self, replication_factor: int = 1) -> dict[str, str]:
        """The broker's settings of this topic, as ``kafka-configs`` spells them.

        With three copies or more a write counts once two of them have it: one broker may go, and nothing is lost.
        """
        settings = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "message.timestamp.type": "LogAppendTime" if self.append_time else "CreateTime",
            "min.insync.replicas": "2" if replication_factor >= 3 else "1",
            "max.message.bytes": str(BATCH_BYTES_MAX if self.name.endswith("payments.v1") else 2 * BATCH_BYTES_MAX),
        }
        if not self.compacted:
            settings["retention.ms"] = str(self.retention_ms)
        return settings


class Topics:
    """The topics of one deployment, in the order in which a payment meets them; ``prefix`` keeps several apart on one
    cluster.

    >>> Topics().decisions.name
    'decisions.v1'
    >>> Topics(prefix="test.").decisions.name
    'test.decisions.v1'
    """

    def __init__(self, prefix: str = "") -> None:
        def topic(name: str, key: str, purpose: str, **options: Any) -> Topic:
            return Topic(prefix + name, key, purpose, **options)

        def changelog(hop: str, key: str, of: str) -> Topic:
            return topic(f"scorer.{hop}-state.v1", key, f"changelog of the {of}", compacted=True, internal=True)

        self.payments = topic(
            "payments.v1", "payer account", "payments to be scored, and their labels", append_time=True,
            records=("payment.v1", "payment-label.v1"),
        )  # fmt: skip
        self.payments_by_payee = topic(
            "payments.by-payee.v1",
            "none",
            "payments with the payer's features, notes of money paid out, and labels",
            internal=True,
            columns="handover.v1",
        )
        self.evidence = topic(
            "evidence.by-payer.v1",
            "none",
            "payments under a pack, with all that is known of them, to their payers",
            internal=True,
            columns="evidence.v1",
        )
        self.decisions = topic(
            "decisions.v1", "payee account", "one decision for every payment", records=("decision.v1",)
        )
        self.features = topic(
            "features.v1",
            "none",
            "features as served, scores of rules and packs, in batches",
            columns="served-features.v1",
        )
        self.reviews = topic(
            "reviews.by-subject.v1", "subject", "decisions to review, and snoozes", internal=True,
            records=("snooze.v1",),
        )  # fmt: skip
        self.alerts = topic("alerts.v1", "subject", "alerts about subjects, by revision", records=("alert.v1",))
        self.labels = topic("labels.v1", "payment id", "what was later learned of a payment", records=("label.v1",))
        self.examples = topic(
            "examples.v1", "payment id", "the training log: one order", partitions=1, records=("example.v1",)
        )
        self.models = topic(
            "models.v1", "model name and version", "models announced, and the champion", partitions=1, compacted=True,
            records=("model-announcement.v1", "model-promotion.v1"),
        )  # fmt: skip
        self.shadow_scores = topic(
            "shadow-scores.v1", "none", "what challengers say of decisions, in batches", columns="shadow-scores.v1"
        )
        self.dead_letters = topic("payments.dlq.v1", "as it came", "records that could not be processed, as they came")
        self.payer_state = changelog("payer", "account", "payer hop")
        self.payee_state = changelog("payee", "account", "payee hop")
        self.subject_state = changelog("subject", "account", "subject hop")
        self.alerter_state = changelog("alerter", "subject", "alerter")

    def written_by(self, group: str) -> tuple[Topic, ...]:
        """Every topic that the transactions of a consumer group of ours (``payer``) may write to.

        >>> [topic.name for topic in Topics().written_by("shadow")]
        ['shadow-scores.v1', 'payments.dlq.v1']
        """
        own = {
            "payer": (self.payments_by_payee, self.payer_state),
            "payee": (self.evidence, self.decisions, self.features, self.reviews, self.payee_state),
            "subject": (self.reviews, self.subject_state),
            "alerter": (self.alerts, self.alerter_state),
            "shadow": (self.shadow_scores,),
            "learner": (self.examples, self.payments),
        }
        return (*own[group], self.dead_letters)

    def all(self) -> tuple[Topic, ...]:
        """Every topic, in the order in which a payment meets them."""
        return tuple(vars(self).values())
