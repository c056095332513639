"""Alerts lapse, are superseded and are silenced, as a naive twin says; and what is remembered is bounded."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from services.contract.alert import Alert, Review, Snooze, Subject
from services.contract.codec import decode, encode
from services.contract.dead_letter import read_dead_letter
from services.contract.decision import Evidence, Finding, RuleResult
from services.contract.events import SNOOZE, cloud_event
from services.contract.fields import EVENT_TIME_MS_MAX
from services.scorer.path.alerts.alert import CONTRIBUTIONS_MAX
from services.scorer.path.alerts.alert_state import AlertState, Horizon
from services.scorer.path.alerts.alerter import SNOOZES_KEPT, Alerter
from services.scorer.path.features.state_format import StateFormatError
from services.scorer.path.records import HopResult, Outbound, Record
from services.scorer.path.scoring.model import untrained_model
from tests.scorer.path.alerts.alerter_twin import Twin
from tests.scorer.path.alerts.test_alert import review

MODEL = untrained_model("f" * 64)
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
START_MS = 1_700_000_000_000
HORIZON = Horizon(life_ms=10 * DAY_MS, idle_ms=25 * DAY_MS)
STEPS_MS = (
    *(0, 0, 1, HOUR_MS, HOUR_MS, 5 * HOUR_MS, DAY_MS, DAY_MS, 2 * DAY_MS, 4 * DAY_MS) * 2,
    10 * DAY_MS, 10 * DAY_MS + 1, 12 * DAY_MS, 25 * DAY_MS, 35 * DAY_MS, 35 * DAY_MS + 1, 80 * DAY_MS,
    -1, -HOUR_MS, -3 * DAY_MS, -11 * DAY_MS, -50 * DAY_MS,
)  # fmt: skip
"""Forward in time, or (negative) behind the log's latest time."""
SNOOZE_IDS = ("s-0", "s-1", "s-2", "s-3", "s-4", "s-5")
COUNT = 120

About = Review | Snooze


def finding(score: float, indicator: str = "T3", immediate: bool = False) -> Finding:
    evidence = Evidence(indicator, "temporal", "remit_night_share_180d", 0.5, 0.4, "share", "w", 2.0, "r", "s")
    return Finding("lsac", "h", "payer", "lsac", "pattern", score, -7.0, 0.0, (evidence,), immediate=immediate)


def reviewed(number: int, at_ms: int, account: str = "a", found: Finding | None = None) -> Review:
    made = review(number, probability=number * 37 % 101 / 101, account=account)
    return structs.replace(made, event_time_ms=at_ms, queue="lsac", finding=found)


def snoozed(number: int | str, until_ms: int, account: str = "a", queue: str = "lsac") -> Snooze:
    return Snooze(f"s-{number}", Subject("payer", account), queue, until_ms, tenant="t")


def log_of(*abouts: About) -> list[Record]:
    return [
        Record(
            at,
            EVENT_TIME_MS_MAX + at,
            each.subject.account.encode(),
            encode(each),
            cloud_event(SNOOZE, each.snooze_id) if isinstance(each, Snooze) else cloud_event("review.v1", str(at)),
        )
        for at, each in enumerate(abouts)
    ]


def random_abouts(seed: int) -> list[About]:
    """Reviews and snoozes of a few subjects, late ones and repeats among them; at times long after another."""
    draw = random.Random(seed)
    now_ms, abouts = START_MS, list[About]()
    for number in range(COUNT):
        step_ms = draw.choice(STEPS_MS)
        at_ms = now_ms + step_ms
        account = f"a{draw.randrange(4)}"
        kind = draw.random()
        if kind < 0.08 and abouts:
            abouts.append(draw.choice(abouts[-60:]))
        elif kind < 0.25:
            until_ms = now_ms + draw.choice((-DAY_MS, 0, 1, DAY_MS, 9 * DAY_MS, 40 * DAY_MS, 400 * DAY_MS))
            snooze = snoozed("", until_ms, account)
            abouts.append(structs.replace(snooze, snooze_id=draw.choice(SNOOZE_IDS)))
        else:
            now_ms = max(now_ms, at_ms)
            found = None
            if draw.random() < 0.6:
                found = finding(draw.choice((0.5, 1.0, 1.2, 2.0, 3.0)), draw.choice("ABC"), draw.random() < 0.15)
            made = reviewed(number, at_ms, account, found)
            rule = RuleResult(draw.choice("xyz"), "hit", measured=float(number))
            abouts.append(structs.replace(made, rules=(rule,), score=draw.random()))
    return abouts


def alerter(per_day: float = 0.0, quiet_ms: int = 0, horizon: Horizon = HORIZON) -> Alerter:
    return Alerter("reviews", 3, per_day, quiet_ms, horizon)


def run(
    log: Sequence[Record],
    cuts: Sequence[int] = (),
    crash_after: Sequence[int] = (),
    make: Callable[[], Alerter] = alerter,
) -> tuple[Alerter, list[HopResult]]:
    """The alerter and its results; after the batches in ``crash_after`` a new one restores the changelog."""
    hop, changelog, results = make(), dict[bytes, bytes | None](), []
    for number, (start, stop) in enumerate(pairwise([0, *sorted(set(cuts)), len(log)])):
        results.append(hop.process(log[start:stop], MODEL))
        changelog.update(hop.state.checkpoint(0))
        if number in crash_after:
            hop = make()
            hop.state.restore(changelog.items())
    return hop, results


def published(results: Sequence[HopResult]) -> list[Outbound]:
    return [each for result in results for each in result.outputs["alerts"]]


def told(hop: Alerter, *abouts: About) -> list[Alert]:
    """What people get of a log that begins with ``abouts``."""
    return [decode(each.value, Alert) for each in hop.process(log_of(*abouts), MODEL).outputs["alerts"]]


def brief(alerts: Sequence[Alert]) -> list[tuple[str, int, int]]:
    return [(each.status, each.revision, each.payments_count) for each in alerts]


@settings(derandomize=True, max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(0, COUNT), max_size=12),
    crash_after=st.sets(st.integers(0, 12)),
    per_day=st.sampled_from((0.0, 0.5, 2.0)),
    quiet_ms=st.sampled_from((0, 6 * HOUR_MS, 3 * DAY_MS)),
    life_days=st.sampled_from((0, 10, 10, 3)),
)
def test_every_alert_is_what_the_naive_twin_says_however_the_log_is_cut_and_whatever_crashes(
    seed: int, cuts: list[int], crash_after: set[int], per_day: float, quiet_ms: int, life_days: int
) -> None:
    horizon = Horizon(life_days * DAY_MS, HORIZON.idle_ms)
    abouts = random_abouts(seed)
    twin = Twin(horizon, per_day, quiet_ms)
    for each in abouts:
        twin.take(each)
    log = log_of(*abouts)
    hop, results = run(log, cuts, sorted(crash_after), lambda: alerter(per_day, quiet_ms, horizon))
    assert [each.value for each in published(results)] == [encode(each) for each in twin.published]
    assert len(hop.state.all()) == twin.remembered()
    whole = run(log, make=lambda: alerter(per_day, quiet_ms, horizon))
    assert published(whole[1]) == published(results)
    assert whole[0].state.all() == hop.state.all()


def test_the_random_logs_have_every_status_and_every_silence() -> None:
    seen: set[str] = set()
    for seed in range(20):
        _, results = run(log_of(*random_abouts(seed)), make=lambda: alerter(0.5, 6 * HOUR_MS))
        seen |= {status for result in results for _, status in result.alerts}
    assert seen == {"new", "update", "snoozed", "superseded", "held", "quiet", "asleep"}


def test_a_lapsed_alert_is_superseded_by_the_next_and_each_names_the_other() -> None:
    first, last, new = told(
        alerter(), reviewed(0, START_MS, found=finding(1.0)), reviewed(1, START_MS + 10 * DAY_MS + 1)
    )
    assert brief([first, last, new]) == [("new", 1, 1), ("superseded", 2, 1), ("new", 1, 1)]
    assert first.alert_id == last.alert_id == new.supersedes != new.alert_id == last.superseded_by
    assert (last.payments, last.finding, last.reasons, last.rules) == ((), None, (), ())


def test_an_alert_is_still_open_at_the_end_of_its_life_and_for_ever_without_one() -> None:
    for horizon, later_ms in ((HORIZON, 10 * DAY_MS), (Horizon(0), 4_000 * DAY_MS)):
        alerts = told(alerter(horizon=horizon), reviewed(0, START_MS), reviewed(1, START_MS + later_ms))
        assert brief(alerts) == [("new", 1, 1), ("update", 2, 2)]


def test_a_late_review_keeps_an_alert_open_and_opens_one_alert_not_many() -> None:
    """What counts is when it came: its own event time is long past every life."""
    late = [reviewed(at, START_MS - 50 * DAY_MS + at) for at in range(1, 4)]
    alerts = told(alerter(), reviewed(0, START_MS, "b"), *late)
    assert brief(alerts) == [("new", 1, 1), ("new", 1, 1), ("update", 2, 2), ("update", 3, 3)]


def test_an_alert_that_nobody_saw_is_followed_without_a_word() -> None:
    sparing = alerter(per_day=1.0)
    alerts = told(
        sparing,
        reviewed(0, START_MS, "rich", finding(5.0)),
        reviewed(1, START_MS + 1, "a", finding(1.0)),
        reviewed(2, START_MS + 11 * DAY_MS, "a", finding(1.0)),
    )
    assert [(each.subject.account, each.status, each.supersedes) for each in alerts] == [
        ("rich", "new", None), ("a", "new", None),
    ]  # fmt: skip


def test_an_alert_is_superseded_only_once_people_can_see_the_other() -> None:
    after = START_MS + 11 * DAY_MS
    alerts = told(
        alerter(per_day=1.0),
        reviewed(0, START_MS, "a", finding(1.0)),
        reviewed(1, after, "rich", finding(5.0)),
        reviewed(2, after + 1, "a", finding(1.0)),
        reviewed(3, after + 2 * DAY_MS, "a", finding(1.0)),
    )
    assert [(each.subject.account, each.status, each.payments_count) for each in alerts] == [
        ("a", "new", 1), ("rich", "new", 1), ("a", "superseded", 1), ("a", "new", 2),
    ]  # fmt: skip


def test_what_is_remembered_of_a_subject_shrinks_to_a_stub_and_then_to_nothing() -> None:
    hop = alerter()
    subject = b"t\x1fpayer\x1fa\x1flsac"
    sizes, changed = [], []
    of_subject = log_of(*(reviewed(at, START_MS + at, found=finding(1.0)) for at in range(40)))
    of_others = [
        [_at(99 + days, log_of(reviewed(days, START_MS + days * DAY_MS + 99, "b"))[0])] for days in (1, 2, 9, 12, 36)
    ]
    for log in (of_subject, *of_others):
        hop.process(log, MODEL)
        entries = dict(hop.state.checkpoint(0))
        sizes.append(hop.state.nbytes)
        changed.append(entries.get(subject, b""))
    whole, *still, reduced, gone = changed
    assert still == [b"", b"", b""]
    assert whole is not None
    assert reduced is not None
    assert 0 < len(reduced) < len(whole) / 8
    assert gone is None
    assert sizes[-1] < sizes[-2] < sizes[-3] / 2
    assert len(hop.state) == 1


def _at(offset: int, record: Record) -> Record:
    return record._replace(offset=offset)


def test_of_ever_new_subjects_only_the_recent_are_kept() -> None:
    """Two a day for 400 days: as many are known as came within a life and what is left of it."""
    hop = alerter()
    for day in range(400):
        log = [
            _at(day * 2 + at, each)
            for at, each in enumerate(
                log_of(
                    reviewed(day, START_MS + day * DAY_MS, f"a{day}"),
                    snoozed(day, START_MS + (day + 2) * DAY_MS, f"b{day}"),
                )
            )
        ]
        hop.process(log, MODEL)
        hop.state.checkpoint(0)
    assert 30 <= len(hop.state) <= 45
    assert hop.state.nbytes < 45 * 1_000


def test_an_alert_beyond_its_stub_leaves_no_trace_and_the_next_has_another_id() -> None:
    first, second = told(alerter(), reviewed(0, START_MS), reviewed(1, START_MS + 36 * DAY_MS))
    assert brief([first, second]) == [("new", 1, 1), ("new", 1, 1)]
    assert (second.supersedes, second.alert_id == first.alert_id) == (None, False)


def test_a_snooze_silences_a_subject_and_what_came_meanwhile_is_told_after_it() -> None:
    end_ms = START_MS + 3 * DAY_MS
    alerts = told(
        alerter(quiet_ms=5 * DAY_MS),
        reviewed(0, START_MS), snoozed(0, end_ms), reviewed(1, START_MS + DAY_MS), reviewed(2, end_ms - 1),
        reviewed(3, end_ms), reviewed(4, end_ms + 1),
    )  # fmt: skip
    assert brief(alerts) == [("new", 1, 1), ("snoozed", 2, 1), ("update", 3, 4)]
    assert [each.snoozed_until_ms for each in alerts] == [None, end_ms, None]


def test_an_immediate_finding_breaks_the_silence_for_itself_only() -> None:
    end_ms = START_MS + 3 * DAY_MS
    alerts = told(
        alerter(),
        reviewed(0, START_MS), snoozed(0, end_ms), reviewed(1, START_MS + 1),
        reviewed(2, START_MS + 2, found=finding(1.0, immediate=True)), reviewed(3, START_MS + 3, found=finding(0.5)),
    )  # fmt: skip
    assert brief(alerts) == [("new", 1, 1), ("snoozed", 2, 1), ("update", 3, 3)]
    assert alerts[-1].snoozed_until_ms == end_ms


def test_a_snooze_in_the_past_wakes_a_subject_and_says_what_came_meanwhile() -> None:
    alerts = told(
        alerter(),
        reviewed(0, START_MS), snoozed(0, START_MS + DAY_MS), reviewed(1, START_MS + 1), snoozed(1, 0), snoozed(2, 0),
        reviewed(2, START_MS + 2),
    )  # fmt: skip
    assert brief(alerts) == [("new", 1, 1), ("snoozed", 2, 1), ("update", 3, 2), ("update", 4, 3)]


def test_a_snooze_is_of_one_queue_one_role_and_one_subject() -> None:
    end_ms = START_MS + DAY_MS
    elsewhere = [
        snoozed(0, end_ms, queue="mule"), snoozed(1, end_ms, "b"),
        structs.replace(snoozed(2, end_ms), subject=Subject("payee", "a")),
        structs.replace(snoozed(3, end_ms), tenant="u"),
    ]  # fmt: skip
    assert brief(told(alerter(), reviewed(0, START_MS), *elsewhere, reviewed(1, START_MS + 1))) == [
        ("new", 1, 1), ("update", 2, 2),
    ]  # fmt: skip


def test_a_subject_can_be_silenced_before_it_has_an_alert() -> None:
    end_ms = START_MS + DAY_MS
    alerts = told(
        alerter(), reviewed(0, START_MS, "b"), snoozed(0, end_ms), reviewed(1, START_MS + 1), reviewed(2, end_ms)
    )
    assert brief(alerts) == [("new", 1, 1), ("new", 1, 2)]


def test_a_snooze_that_comes_again_changes_nothing() -> None:
    hop, end_ms = alerter(), START_MS + DAY_MS
    snoozes = [snoozed(number, end_ms + number) for number in range(SNOOZES_KEPT)]
    assert len(told(hop, reviewed(0, START_MS), *snoozes)) == 1 + SNOOZES_KEPT
    before = hop.state.all()
    again = [_at(100 + at, each) for at, each in enumerate(log_of(*snoozes))]
    assert hop.process(again, MODEL).outputs["alerts"] == []
    assert hop.state.all() == before


def test_no_snooze_lasts_longer_than_a_subject_is_remembered() -> None:
    (_, alert) = told(alerter(), reviewed(0, START_MS), snoozed(0, START_MS + 3_000 * DAY_MS))
    assert alert.snoozed_until_ms == START_MS + HORIZON.idle_ms


GOOD = encode(snoozed(0, START_MS))


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        (b"a", b"", ""),
        (b"a", b"{", ""),
        (b"a", GOOD.replace(b'"snooze_id":"s-0",', b""), "snooze_id"),
        (b"a", GOOD.replace(b'"payer"', b'"both"'), "subject.role"),
        (b"a", GOOD.replace(b'"account":"a"', b'"account":"a\\u001fb"'), "subject.account"),
        (b"a", GOOD.replace(b'"until_event_time_ms":1', b'"until_event_time_ms":-1'), "until_event_time_ms"),
        (b"other", GOOD, "key"),
        (None, GOOD, "key"),
    ],
)
def test_a_snooze_that_cannot_be_read_is_put_aside_with_its_bytes(key: bytes, value: bytes, field: str) -> None:
    hop = alerter()
    result = hop.process([Record(7, 5, key, value, cloud_event(SNOOZE, "s-0"))], MODEL)
    (dead,) = result.outputs["dead_letters"]
    letter = read_dead_letter(dead.headers)
    assert (dead.key, dead.value, letter.reason, letter.field) == (key, value, "snooze_invalid", field)
    assert (letter.topic, letter.partition, letter.offset) == ("reviews", 3, 7)
    assert not hop.state.all()


def test_an_alert_names_the_payment_of_its_finding_however_many_came_after_it() -> None:
    strongest = reviewed(0, START_MS, found=finding(3.0))
    rest = [reviewed(at, START_MS + at, found=finding(1.0)) for at in range(1, CONTRIBUTIONS_MAX + 10)]
    *_, alert = told(alerter(), strongest, *rest)
    assert alert.finding == strongest.finding
    assert alert.finding_payment is not None
    assert alert.finding_payment.decision_id == strongest.decision_id
    assert strongest.decision_id not in {each.decision_id for each in alert.payments}


def test_state_of_another_format_is_refused() -> None:
    (alert,) = told(alerter(), reviewed(0, START_MS))
    with pytest.raises(StateFormatError, match="rebuild the state from the input topic"):
        AlertState().restore([(b"subject", encode(alert))])


def test_its_size_counts_stubs_and_comes_back_with_the_changelog() -> None:
    hop, restored = alerter(), AlertState(HORIZON)
    hop.process(log_of(reviewed(0, START_MS), reviewed(1, START_MS + 12 * DAY_MS, "b")), MODEL)
    restored.restore(hop.state.checkpoint(0))
    assert len(restored) == len(hop.state) == 2
    assert restored.nbytes == hop.state.nbytes
    assert restored.all() == hop.state.all()
