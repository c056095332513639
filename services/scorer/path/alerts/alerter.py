"""The alerter: reviews in, alerts about their subjects out, one open alert a subject and queue.

    reviews.by-subject.v1 ─► Alerter ─► alerts.v1

Like the hops it is a pure function of its input log, which holds operators' snoozes, too. It sees reviews only, so its
rate is low and its state is what it writes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import structs

from services.contract.alert import Alert, Review, Snooze
from services.contract.codec import Rejection, encode, read
from services.contract.events import SNOOZE, cloud_event, is_event
from services.scorer.path.alerts.alert import (
    has_grown,
    holds,
    opened_by,
    snoozed,
    superseded,
    unpublished,
    updated_alert,
)
from services.scorer.path.alerts.alert_state import AlertState, Horizon, Standing
from services.scorer.path.alerts.budget import Budget
from services.scorer.path.decode import dead_letter
from services.scorer.path.intake import is_far_ahead
from services.scorer.path.records import HopResult, Inbound, Mark, Outbound, no_mark
from services.scorer.path.scoring.model import Model

ALERT_BYTES_MAX = 512 * 1024
"""A review with which its subject's state would be larger is put aside: an alert must fit into its topic."""
OTHER_QUEUE = "other"
SNOOZES_KEPT = 8
"""Ids of snoozes that a subject remembers, the latest: a repeat of one of them changes nothing."""


class Alerter:
    """One partition of ``reviews.by-subject.v1``: adds each review to the open alert about its subject.

    Parameters
    ----------
    topic, partition
        Where the reviews are read.
    per_day
        How many subjects a day, of event time, people can take up from this partition in each queue; 0: all.
    quiet_ms
        How long after a revision only news makes a further one.
    horizon
        How long alerts live, and what is left of them is kept.
    queues
        Those that there are: all others share a budget, and count as one. None: every queue has its own.
    """

    name = "alerter"

    def __init__(
        self,
        topic: str,
        partition: int,
        per_day: float = 0.0,
        quiet_ms: int = 0,
        horizon: Horizon | None = None,
        queues: Collection[str] = (),
    ) -> None:
        self.state = AlertState(horizon)
        self.state.budget = Budget(per_day)
        self._quiet_ms, self._queues = quiet_ms, frozenset(queues)
        self._topic, self._partition = topic, partition

    def process(self, records: Sequence[Inbound], model: Model, mark: Mark = no_mark) -> HopResult:
        """The alerts that the next ``records`` of the log open or revise, as far as people are to see them.

        ``model`` is not used: reviews are scored. What comes again changes nothing: a record that the state has seen,
        a review that its alert holds, a snooze that its subject remembers. Workers without transactions write and read
        some twice.
        """
        result = HopResult(outputs={"alerts": [], "dead_letters": []})
        for record in records:
            if record.offset < self.state.next_offset:
                continue
            self.state.next_offset = record.offset + 1
            found = _read(record)
            if isinstance(found, Rejection):
                self._put_aside(record, found, result)
            elif isinstance(found, Snooze):
                self._take_snooze(found, record, result)
            elif len(record.value or b"") + self.state.bytes_of(_subject_key(found)) > ALERT_BYTES_MAX:
                self._put_aside(record, Rejection("review_invalid", "", "Its alert would be too large"), result)
            else:
                self._take_review(found, record, result)
        mark("alert")
        budget = self.state.budget
        named = [queue for queue in budget.entries if queue == self._counted(queue)]
        result.thresholds = {queue: budget.threshold(queue) for queue in named}
        return result

    def take(self, records: Sequence[Inbound]) -> None:
        """Nothing: the state is written with every batch, and lacks no record whose alerts are."""

    def _put_aside(self, record: Inbound, why: Rejection, result: HopResult) -> None:
        result.add("dead_letters", dead_letter(record, why, self._topic, self._partition))
        result.reasons[why.reason] += 1

    def _take_review(self, review: Review, record: Inbound, result: HopResult) -> None:
        state = self.state
        state.clock_ms = max(state.clock_ms, review.event_time_ms)
        subject = _subject_key(review)
        standing = state.get(subject) or Standing(state.clock_ms)
        known, earlier = standing.alert, standing.earlier
        if known is not None and holds(known, review):
            return
        if known is None and earlier is not None and earlier.alert_id == opened_by(review):
            return
        asleep = standing.snoozed_until_ms > state.clock_ms
        alert = updated_alert(known, review, earlier.alert_id if earlier else None)
        if self._is_news(alert, known, review, asleep):
            if earlier is not None:
                self._publish(superseded(earlier, alert.alert_id), record, result)
            alert = structs.replace(alert, snoozed_until_ms=standing.snoozed_until_ms if asleep else None)
            self._publish(alert, record, result)
            earlier = None
        else:
            alert = unpublished(alert, known)
            result.alerts[
                self._counted(alert.queue), "asleep" if asleep else "quiet" if alert.revision else "held"
            ] += 1
        after = structs.replace(standing, seen_ms=state.clock_ms, alert=alert, earlier=earlier)
        state.put(subject, after)

    def _counted(self, queue: str) -> str:
        """What ``queue`` is called in metrics and in the budget, which must not grow with what records say."""
        return queue if not self._queues or queue in self._queues else OTHER_QUEUE

    def _take_snooze(self, snooze: Snooze, record: Inbound, result: HopResult) -> None:
        """Silence the subject or wake it. A snooze lasts no longer than a subject is remembered."""
        state = self.state
        clock_ms, subject = state.clock_ms, _subject_key(snooze)
        standing = state.get(subject) or Standing(clock_ms)
        if snooze.snooze_id in standing.snooze_ids:
            return
        until_ms = snooze.until_event_time_ms
        if clock_ms:  # before the first review nobody knows what time it is
            until_ms = min(until_ms, clock_ms + state.horizon.idle_ms)
        asleep, is_to_sleep = standing.snoozed_until_ms > clock_ms, until_ms > clock_ms
        alert = standing.alert
        if alert is not None and alert.revision and (asleep or is_to_sleep):
            alert = snoozed(alert, until_ms if is_to_sleep else None)
            self._publish(alert, record, result)
        after = Standing(
            standing.seen_ms,
            alert,
            standing.earlier,
            until_ms if is_to_sleep else 0,
            (*standing.snooze_ids, snooze.snooze_id)[-SNOOZES_KEPT:],
        )
        state.put(subject, after)

    def _publish(self, alert: Alert, record: Inbound, result: HopResult) -> None:
        headers = cloud_event("alert.v1", f"{alert.alert_id}/{alert.revision}")
        result.add("alerts", Outbound(self._partition, record.timestamp, record.key, encode(alert), headers))
        result.alerts[self._counted(alert.queue), alert.status] += 1

    def _is_news(self, alert: Alert, known: Alert | None, review: Review, asleep: bool) -> bool:
        """Whether people are to see the alert as it now is: a subject within the budget, or one that they know already
        and of which there is more to say than in its latest quiet hours. What came during a snooze is news after it."""
        if review.finding is not None and review.finding.immediate:
            return True
        if asleep:
            return False
        if known is None or not known.revision:
            risk = review.score if alert.finding is None else alert.finding.score
            return self.state.budget.admits(self._counted(review.queue), review.event_time_ms, risk)
        if not self._quiet_ms or known.snoozed_until_ms is not None:
            return True
        since_ms = review.event_time_ms - known.published_event_time_ms  # below 0 for a late payment
        return since_ms >= self._quiet_ms or has_grown(alert, known)


def _subject_key(about: Review | Snooze) -> bytes:
    return f"{about.tenant}\x1f{about.subject.role}\x1f{about.subject.account}\x1f{about.queue}".encode()


def _read(record: Inbound) -> Review | Snooze | Rejection:
    """The review or snooze in ``record``. A review moves the clock, so it must be of a payment that the payer hop would
    take; a snooze, which people write, must stand in its subject's log."""
    found: Review | Snooze | Rejection
    if is_event(record.headers, SNOOZE):
        found, reason = read(record.value, Snooze, "snooze_invalid"), "snooze_invalid"
    else:
        found, reason = read(record.value, Review, "review_invalid"), "review_invalid"
    if isinstance(found, Rejection):
        return found
    if isinstance(found, Snooze) and record.key != found.subject.account.encode():
        return Rejection(reason, "key", "The record's key must be the subject's account, in UTF-8")
    if isinstance(found, Review) and is_far_ahead(found.event_time_ms, record.timestamp):
        return Rejection(reason, "event_time_ms", "More than 7 days after the payment was appended")
    return found
