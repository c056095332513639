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
    """What its values are, as ``schema.RECORDS`` names them; none where they are our own bytes."""

    def configuration(self, replication_factor: int = 1) -> dict[str, str]:
        """The broker's settings of this topic, as ``kafka-configs`` spells them.

        With three copies or more a write counts once two of them have it: one broker may go, and nothing is lost.
        """
        settings = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "message.timestamp.type": "LogAppendTime" if self.append_time else "CreateTime",
            "min.insync.replicas": "2" if replication_factor >= 3 else "1",
        }
        settings["max.message.bytes"] = str(
            BATCH_BYTES_MAX if self.name.endswith("payments.v1") else 2 * BATCH_BYTES_MAX
        )
        if not self.compacted:
            settings["retention.ms"] = str(self.retention_ms)
        return settings


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one deployment; ``prefix`` keeps several apart on one cluster.

    >>> Topics().decisions.name
    'decisions.v1'
    >>> Topics(prefix="test.").decisions.name
    'test.decisions.v1'
    """

    prefix: str = ""

    def _topic(self, name: str, key: str, purpose: str, **options: Any) -> Topic:
        return Topic(self.prefix + name, key, purpose, **options)

    @property
    def payments(self) -> Topic:
        return self._topic(
            "payments.v1", "payer account", "payments to be scored, and their labels", append_time=True,
            records=("payment.v1", "payment-label.v1"),
        )  # fmt: skip

    @property
    def payments_by_payee(self) -> Topic:
        return self._topic(
            "payments.by-payee.v1", "payee account", "payments with the payer's features, and labels", internal=True
        )

    @property
    def decisions(self) -> Topic:
        return self._topic("decisions.v1", "payee account", "one decision for every payment", records=("decision.v1",))

    @property
    def shadow_scores(self) -> Topic:
        purpose = "what challengers say of each decision"
        return self._topic("shadow-scores.v1", "payee account", purpose, records=("shadow-scores.v1",))

    @property
    def reviews(self) -> Topic:
        purpose = "decisions to review, and snoozes"
        return self._topic("reviews.by-subject.v1", "subject", purpose, internal=True, records=("snooze.v1",))

    @property
    def alerts(self) -> Topic:
        return self._topic("alerts.v1", "subject", "alerts about subjects, by revision", records=("alert.v1",))

    @property
    def labels(self) -> Topic:
        return self._topic("labels.v1", "payment id", "what was later learned of a payment", records=("label.v1",))

    @property
    def examples(self) -> Topic:
        purpose = "the training log: one order"
        return self._topic("examples.v1", "payment id", purpose, partitions=1, records=("example.v1",))

    @property
    def models(self) -> Topic:
        return self._topic(
            "models.v1", "model name and version", "models announced, and the champion", partitions=1, compacted=True,
            records=("model-announcement.v1", "model-promotion.v1"),
        )  # fmt: skip

    @property
    def dead_letters(self) -> Topic:
        return self._topic("payments.dlq.v1", "as it came", "records that could not be processed, as they came")

    @property
    def payer_state(self) -> Topic:
        return self._topic(
            "scorer.payer-state.v1", "account", "changelog of the payer hop", compacted=True, internal=True
        )

    @property
    def payee_state(self) -> Topic:
        return self._topic(
            "scorer.payee-state.v1", "account", "changelog of the payee hop", compacted=True, internal=True
        )

    @property
    def alerter_state(self) -> Topic:
        return self._topic(
            "scorer.alerter-state.v1", "subject", "changelog of the alerter", compacted=True, internal=True
        )

    def written_by(self, group: str) -> tuple[Topic, ...]:
        """Every topic that the transactions of a consumer group of ours (``payer``) may write to.

        >>> [topic.name for topic in Topics().written_by("shadow")]
        ['shadow-scores.v1', 'payments.dlq.v1']
        """
        own = {
            "payer": (self.payments_by_payee, self.payer_state),
            "payee": (self.decisions, self.reviews, self.payee_state),
            "alerter": (self.alerts, self.alerter_state),
            "shadow": (self.shadow_scores,),
            "learner": (self.examples, self.payments),
        }
        return (*own[group], self.dead_letters)

    def all(self) -> tuple[Topic, ...]:
        """Every topic, in the order in which a payment meets them."""
        return (
            self.payments,
            self.payments_by_payee,
            self.decisions,
            self.reviews,
            self.alerts,
            self.labels,
            self.examples,
            self.models,
            self.shadow_scores,
            self.dead_letters,
            self.payer_state,
            self.payee_state,
            self.alerter_state,
        )
