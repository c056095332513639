"""The alerter's naive twin: a dictionary of everything that ever came, nothing reduced, nothing evicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.contract.alert import Alert, AlertStatus, Contribution, Review, Snooze
from services.contract.decision import Finding
from services.contract.identity import uuid5
from services.scorer.path.alerts.alert_state import Horizon
from services.scorer.path.alerts.budget import Budget


@dataclass
class Episode:
    """One alert: its reviews, and what people have seen of it."""

    identity: str
    supersedes: str | None
    reviews: list[Review] = field(default_factory=list)
    seen_ms: int = 0
    status: AlertStatus = "new"
    revision: int = 0
    published_ms: int = 0
    silent_until_ms: int | None = None
    is_superseded: bool = False


@dataclass
class History:
    """All that came of one subject in one queue."""

    episodes: list[Episode] = field(default_factory=list)
    until_ms: int = 0
    snooze_ids: list[str] = field(default_factory=list)


class Twin:
    """Takes one review or snooze after another; ``published`` is what people get."""

    def __init__(self, horizon: Horizon, per_day: float, quiet_ms: int) -> None:
        self._horizon, self._quiet_ms = horizon, quiet_ms
        self._budget = Budget(per_day)
        self._clock_ms = 0
        self._histories: dict[tuple[str, str, str, str], History] = {}
        self.published: list[Alert] = []

    def remembered(self) -> int:
        """How many subjects there is still something to know of."""
        return sum(self._is_remembered(each) for each in self._histories.values())

    def take(self, about: Review | Snooze) -> None:
        """The next record of the log."""
        if isinstance(about, Review):
            self._clock_ms = max(self._clock_ms, about.event_time_ms)
        subject = (about.tenant, about.subject.role, about.subject.account, about.queue)
        history = self._histories.setdefault(subject, History())
        if not self._is_remembered(history):
            history.snooze_ids.clear()
        if isinstance(about, Review):
            self._review(about, history)
        else:
            self._snooze(about, history)

    def _open(self, history: History) -> Episode | None:
        last = history.episodes[-1] if history.episodes else None
        life_ms = self._horizon.life_ms
        return last if last and (not life_ms or self._clock_ms - last.seen_ms <= life_ms) else None

    def _earlier(self, history: History) -> Episode | None:
        """The alert that people know, and that another one is to supersede. It is kept while something is added."""
        known = [each for each in history.episodes if each.revision and not each.is_superseded]
        if not known or known[-1] is self._open(history):
            return None
        kept_ms = self._horizon.life_ms + self._horizon.idle_ms
        seen_ms = [each.seen_ms for each in history.episodes[history.episodes.index(known[-1]) :]]
        gaps = [later - before for before, later in zip(seen_ms, [*seen_ms[1:], self._clock_ms], strict=True)]
        return known[-1] if max(gaps) <= kept_ms else None

    def _is_remembered(self, history: History) -> bool:
        return bool(self._open(history) or self._earlier(history) or history.until_ms > self._clock_ms)

    def _review(self, review: Review, history: History) -> None:
        current, earlier = self._open(history), self._earlier(history)
        subject = review.subject
        name = uuid5("alert", review.tenant, subject.role, subject.account, review.queue, review.decision_id)
        if current and review.decision_id in [each.decision_id for each in current.reviews[-50:]]:
            return
        if current is None and earlier is not None and earlier.identity == name:
            return
        if current is None:
            current = Episode(name, earlier.identity if earlier else None)
            history.episodes.append(current)
        asleep = history.until_ms > self._clock_ms
        before = list(current.reviews)
        current.reviews.append(review)
        current.seen_ms = self._clock_ms
        if not self._is_news(review, current, before, asleep):
            return
        if earlier is not None:
            earlier.revision, earlier.status, earlier.is_superseded = earlier.revision + 1, "superseded", True
            self.published.append(_alert(earlier, superseded_by=current.identity))
        current.status = "update" if current.revision else "new"
        current.revision += 1
        current.published_ms = max(current.published_ms, review.event_time_ms)
        current.silent_until_ms = history.until_ms if asleep else None
        self.published.append(_alert(current))

    def _is_news(self, review: Review, current: Episode, before: Sequence[Review], asleep: bool) -> bool:
        if review.finding and review.finding.immediate:
            return True
        if asleep:
            return False
        if not current.revision:
            strongest = _strongest(current.reviews)
            risk = strongest.finding.score if strongest and strongest.finding else review.score
            return self._budget.admits(review.queue, review.event_time_ms, risk)
        within = self._quiet_ms and review.event_time_ms - current.published_ms < self._quiet_ms
        return not within or current.silent_until_ms is not None or _says_more(current.reviews, before)

    def _snooze(self, snooze: Snooze, history: History) -> None:
        if snooze.snooze_id in history.snooze_ids:
            return
        history.snooze_ids.append(snooze.snooze_id)
        was_asleep = history.until_ms > self._clock_ms
        until_ms = snooze.until_event_time_ms
        if self._clock_ms:
            until_ms = min(until_ms, self._clock_ms + self._horizon.idle_ms)
        history.until_ms = until_ms if until_ms > self._clock_ms else 0
        current = self._open(history)
        if current and current.revision and (was_asleep or history.until_ms):
            current.revision += 1
            current.status = "snoozed" if history.until_ms else "update"
            current.silent_until_ms = history.until_ms or None
            self.published.append(_alert(current))


def _strongest(reviews: Sequence[Review]) -> Review | None:
    """The latest of those with the highest score of a finding."""
    found = [each for each in reviews if each.finding]
    return max(reversed(found), key=_score) if found else None


def _score(review: Review) -> float:
    assert review.finding is not None, "reviews with a finding"
    return review.finding.score


def _says_more(now: Sequence[Review], before: Sequence[Review]) -> bool:
    if {rule.rule for each in now for rule in each.rules} > {rule.rule for each in before for rule in each.rules}:
        return True
    one, other = _strongest(now), _strongest(before)
    if one is None or other is None:
        return one is not other
    named = [{each.indicator for each in _finding(review).evidence} for review in (one, other)]
    return bool(named[0] - named[1]) or _score(one) >= _score(other) + 0.5


def _finding(review: Review) -> Finding:
    assert review.finding is not None, "reviews with a finding"
    return review.finding


def _contribution(review: Review) -> Contribution:
    return Contribution(
        review.payment_id, review.decision_id, review.event_time_ms, review.amount_minor, review.currency,
        review.probability,
    )  # fmt: skip


def _alert(episode: Episode, superseded_by: str | None = None) -> Alert:
    """The alert as it stands, from all of its reviews."""
    reviews, bare = episode.reviews, superseded_by is not None
    probable = max(reversed(reviews), key=lambda each: each.probability)
    strongest = _strongest(reviews)
    rules = {rule.rule: rule for each in reviews for rule in each.rules}
    return Alert(
        alert_id=episode.identity,
        tenant=reviews[0].tenant,
        subject=reviews[0].subject,
        queue=reviews[0].queue,
        status=episode.status,
        revision=episode.revision,
        published_event_time_ms=episode.published_ms,
        opened_event_time_ms=reviews[0].event_time_ms,
        updated_event_time_ms=max(each.event_time_ms for each in reviews),
        payments_count=len(reviews),
        probability_max=probable.probability,
        reasons=() if bare else probable.reasons,
        rules=() if bare else tuple(rules[name] for name in sorted(rules)),
        payments=() if bare else tuple(map(_contribution, reviews[-50:])),
        model_hash=reviews[-1].model_hash,
        ruleset_hash=reviews[-1].ruleset_hash,
        finding=None if bare or strongest is None else strongest.finding,
        finding_payment=None if bare or strongest is None else _contribution(strongest),
        supersedes=episode.supersedes,
        superseded_by=superseded_by,
        snoozed_until_ms=None if bare else episode.silent_until_ms,
    )
