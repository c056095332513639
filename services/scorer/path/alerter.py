"""The alerter: reviews in, alerts about their subjects out, one open alert a subject and queue.

    reviews.by-subject.v1 ─► Alerter ─► alerts.v1

Like the hops it is a pure function of its input log. It sees reviews only, so its rate is low and its state is what it
writes: the bytes of each open alert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.contract.codec import Rejection, decode, encode, rejection_of
from services.contract.events import cloud_event
from services.contract.types import Alert, Review
from services.scorer.path.alert import has_grown, holds, unpublished, updated_alert
from services.scorer.path.budget import Budget, Entry
from services.scorer.path.decode import dead_letter
from services.scorer.path.model import LogisticModel
from services.scorer.path.records import HopResult, Inbound, Mark, Outbound, no_mark
from services.scorer.path.state import PARTITION_KEY

_Partition = tuple[int, dict[str, list[Entry]]]


class AlertState:
    """The open alerts of one partition, by subject, as last written, and how far its log is in them."""

    def __init__(self) -> None:
        self.next_offset = 0
        """The first offset of the log that is not in the alerts."""
        self.budget = Budget(0.0)
        self.nbytes = 0
        """Memory of the alerts, in bytes."""
        self._slots: dict[bytes, int] = {}
        self._subjects: list[bytes] = []
        self._alerts: list[bytes] = []

    def __len__(self) -> int:
        return len(self._alerts)

    def get(self, subject: bytes) -> Alert | None:
        """The open alert about ``subject``, if there is one."""
        slot = self._slots.get(subject)
        return None if slot is None else decode(self._alerts[slot], Alert)

    def put(self, subject: bytes, alert: bytes) -> int:
        """Keep ``alert`` as the one about ``subject``; returns its slot."""
        slot = self._slots.setdefault(subject, len(self._alerts))
        if slot == len(self._alerts):
            self._subjects.append(subject)
            self._alerts.append(b"")
        self.nbytes += len(alert) - len(self._alerts[slot])
        self._alerts[slot] = alert
        return slot

    def changelog(self, touched: NDArray[np.int64]) -> list[tuple[bytes, bytes | None]]:
        """Changelog entries of the alerts in the slots ``touched`` (repeats allowed), and of the partition."""
        entries: list[tuple[bytes, bytes | None]]
        entries = [(self._subjects[slot], self._alerts[slot]) for slot in np.unique(touched).tolist()]
        entries.append((PARTITION_KEY, msgspec.json.encode((self.next_offset, self.budget.entries))))
        return entries

    def restore(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Apply changelog entries, oldest first."""
        for subject, value in entries:
            if subject == PARTITION_KEY:
                self.next_offset, self.budget.entries = msgspec.json.decode(value or b"", type=_Partition)
            elif value is not None:
                self.put(subject, value)


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
    """

    name = "alerter"

    def __init__(self, topic: str, partition: int, per_day: float = 0.0, quiet_ms: int = 0) -> None:
        self.state = AlertState()
        self.state.budget = Budget(per_day)
        self._quiet_ms = quiet_ms
        self._topic, self._partition = topic, partition

    def process(self, records: Sequence[Inbound], model: LogisticModel, mark: Mark = no_mark) -> HopResult:
        """The alerts that the next ``records`` of the log open or revise, as far as people are to see them.

        ``model`` is not used: reviews are scored. What comes again changes nothing: a record that the state has seen,
        or a review that its alert holds. Workers without transactions write and read some twice.
        """
        alerts: list[Outbound] = []
        dead: list[Outbound] = []
        touched: list[int] = []
        reasons: Counter[str] = Counter()
        events: Counter[tuple[str, str]] = Counter()
        for record in records:
            if record.offset < self.state.next_offset:
                continue
            self.state.next_offset = record.offset + 1
            review = _read(record)
            if isinstance(review, Rejection):
                dead.append(dead_letter(record, review, self._topic, self._partition))
                reasons[review.reason] += 1
                continue
            subject = f"{review.tenant}\x1f{review.subject.role}\x1f{review.subject.account}\x1f{review.queue}".encode()
            known = self.state.get(subject)
            if known is not None and holds(known, review):
                continue
            alert = updated_alert(known, review)
            if not self._is_news(alert, known, review):
                touched.append(self.state.put(subject, encode(unpublished(alert, known))))
                events[alert.queue, "held" if known is None or not known.revision else "quiet"] += 1
                continue
            value = encode(alert)
            headers = cloud_event("alert.v1", f"{alert.alert_id}/{alert.revision}")
            alerts.append(Outbound(self._partition, record.timestamp, record.key, value, headers))
            touched.append(self.state.put(subject, value))
            events[alert.queue, alert.status] += 1
        mark("alert")
        return HopResult(
            outputs={"alerts": alerts, "dead_letters": dead},
            touched=np.array(touched, dtype=np.int64),
            reasons=reasons,
            alerts=events,
            thresholds={queue: self.state.budget.threshold(queue) for queue in self.state.budget.entries},
        )

    def _is_news(self, alert: Alert, known: Alert | None, review: Review) -> bool:
        """Whether people are to see the alert as it now is: a subject within the budget, or one that they know already
        and of which there is more to say than in its latest quiet hours."""
        if review.finding is not None and review.finding.immediate:
            return True
        if known is None or not known.revision:
            risk = review.score if alert.finding is None else alert.finding.score
            return self.state.budget.admits(review.queue, review.event_time_ms, risk)
        if not self._quiet_ms:
            return True
        since_ms = review.event_time_ms - known.published_event_time_ms  # below 0 for a late payment
        return since_ms >= self._quiet_ms or has_grown(alert, known)


def _read(record: Inbound) -> Review | Rejection:
    try:
        return decode(record.value or b"", Review)
    except msgspec.ValidationError as error:
        why = rejection_of(error)
        return Rejection("review_invalid", why.field, why.detail)
    except msgspec.DecodeError:
        return Rejection("review_invalid", "", "Not JSON")
