"""The alerter as a function of its log: cuts, crashes and repeats change nothing; what is no review is put aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from services.contract.alert import Alert
from services.contract.codec import decode, encode
from services.contract.dead_letter import read_dead_letter
from services.contract.decision import Evidence, Finding, RuleResult
from services.scorer.path.alerts.alert import CONTRIBUTIONS_MAX
from services.scorer.path.alerts.alert_state import AlertState
from services.scorer.path.alerts.alerter import ALERT_BYTES_MAX, Alerter
from services.scorer.path.features.partition_state import PARTITION_KEY
from services.scorer.path.features.state_format import StateFormatError
from services.scorer.path.intake import AHEAD_MS_MAX
from services.scorer.path.records import HopResult, Outbound, Record
from services.scorer.path.scoring.model import untrained_model
from tests.scorer.path.alerts.test_alert import review

MODEL = untrained_model("f" * 64)
SUBJECTS = 7
COUNT = 90

LOG = [
    Record(at, 1_000 + at, b"k", encode(review(at, probability=at * 37 % 101 / 101, account=f"a{at * at % SUBJECTS}")))
    for at in range(COUNT)
]


def alerter() -> Alerter:
    return Alerter("reviews", 3)


def run(
    log: Sequence[Record],
    cuts: Sequence[int] = (),
    crash_after: Sequence[int] = (),
    alerter: Callable[[], Alerter] = alerter,
) -> list[HopResult]:
    """The results of batch after batch; after the batches in ``crash_after`` a new alerter restores the changelog."""
    hop, changelog, results = alerter(), dict[bytes, bytes | None](), []
    for number, (start, stop) in enumerate(pairwise([0, *sorted(set(cuts)), len(log)])):
        results.append(hop.process(log[start:stop], MODEL))
        changelog.update(hop.state.checkpoint(0))
        if number in crash_after:
            hop = alerter()
            hop.state.restore(changelog.items())
    return results


def alerts(results: Sequence[HopResult]) -> list[Outbound]:
    return [each for result in results for each in result.outputs["alerts"]]


@settings(derandomize=True, max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, COUNT), max_size=10), crash_after=st.sets(st.integers(0, 10)))
def test_cuts_and_crashes_change_no_byte(cuts: list[int], crash_after: set[int]) -> None:
    assert alerts(run(LOG, cuts, sorted(crash_after))) == alerts(run(LOG))


@settings(derandomize=True, max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, COUNT), max_size=10), crash_after=st.sets(st.integers(0, 10)))
def test_nor_do_they_with_a_budget_and_quiet_hours(cuts: list[int], crash_after: set[int]) -> None:
    assert alerts(run(LOG, cuts, sorted(crash_after), sparing)) == alerts(run(LOG, alerter=sparing))
    assert 0 < len(alerts(run(LOG, alerter=sparing))) < COUNT


def sparing() -> Alerter:
    return Alerter("reviews", 3, per_day=2.0, quiet_ms=20)


def of(number: int, account: str, score: float, at_ms: int, immediate: bool = False) -> Record:
    """A review that a pack asked for."""
    evidence = Evidence("T3", "temporal", "remit_night_share_180d", 0.5, 0.4, "share", "half-life 180d", 2.0, "r", "s")
    finding = Finding("lsac", "h", "payer", "lsac", "pattern", score, -7.0, 0.0, (evidence,), immediate=immediate)
    found = structs.replace(review(number, account=account), event_time_ms=at_ms, queue="lsac", finding=finding)
    return Record(number, at_ms, b"k", encode(found))


def published(log: Sequence[Record], hop: Alerter) -> list[tuple[str, int, int]]:
    """Account, revision and payments of each alert that is published."""
    events = (decode(each.value, Alert) for each in hop.process(log, MODEL).outputs["alerts"])
    return [(each.subject.account, each.revision, each.payments_count) for each in events]


def test_a_budget_keeps_to_the_riskiest_of_a_day_and_loses_no_evidence_of_the_others() -> None:
    day = 86_400_000
    log = [
        of(0, "a", 1.0, 0), of(1, "b", 0.5, 1), of(2, "c", 2.0, 2), of(3, "b", 0.7, 3),
        of(4, "d", 3.0, 4, immediate=True), of(5, "b", 0.7, day + 10), of(6, "a", 1.0, day + 11),
    ]  # fmt: skip
    hop = Alerter("reviews", 0, per_day=1.0)
    assert published(log, hop) == [("a", 1, 1), ("c", 1, 1), ("d", 1, 1), ("b", 1, 3), ("a", 2, 2)]


def test_a_budget_below_one_a_day_looks_back_as_many_days() -> None:
    day = 86_400_000
    log = [of(0, "a", 1.0, 0), of(1, "b", 0.9, 3 * day), of(2, "c", 0.9, 5 * day)]
    assert [name for name, _, _ in published(log, Alerter("reviews", 0, per_day=0.25))] == ["a", "c"]


def test_within_quiet_hours_only_news_makes_a_revision() -> None:
    log = [of(0, "a", 1.0, 0), of(1, "a", 1.2, 5), of(2, "a", 1.6, 6), of(3, "a", 2.5, 7), of(4, "a", 1.0, 200)]
    hop = Alerter("reviews", 0, quiet_ms=100)
    assert published(log, hop) == [("a", 1, 1), ("a", 2, 4), ("a", 3, 5)]


def test_without_quiet_hours_a_late_review_is_published_too() -> None:
    assert published([of(0, "a", 1.0, 500), of(1, "a", 1.0, 3)], Alerter("reviews", 0)) == [("a", 1, 1), ("a", 2, 2)]


def test_each_review_makes_one_event_in_the_order_of_the_log() -> None:
    (result,) = run(LOG)
    events = result.outputs["alerts"]
    assert [decode(each.value, Alert).payments[-1].payment_id for each in events] == [f"p-{at}" for at in range(COUNT)]
    assert [each.timestamp for each in events] == [each.timestamp for each in LOG]
    assert {each.partition for each in events} == {3}
    subjects = len({decode(each.value, Alert).alert_id for each in events})
    assert result.alerts == {("general", "new"): subjects, ("general", "update"): COUNT - subjects}


def test_records_read_again_change_nothing() -> None:
    """Without transactions: the state was written, the position was not."""
    hop = alerter()
    hop.process(LOG, MODEL)
    before, entries = hop.state.all(), hop.state.checkpoint(0)
    again = hop.process(LOG[COUNT // 2 :], MODEL)
    assert again.outputs == {"alerts": [], "dead_letters": []}
    assert (hop.state.all(), hop.state.checkpoint(0)) == (before, entries[-1:])


def test_a_review_written_again_changes_nothing() -> None:
    """Without transactions: a payee hop that crashed writes its last reviews again, further on in the log."""
    hop = alerter()
    hop.process(LOG, MODEL)
    repeats = [each._replace(offset=COUNT + at) for at, each in enumerate(LOG[-CONTRIBUTIONS_MAX:])]
    assert hop.process(repeats, MODEL).outputs["alerts"] == []
    assert hop.process([Record(2 * COUNT, 0, b"k", encode(review(COUNT)))], MODEL).outputs["alerts"]


def test_what_is_no_review_is_put_aside_with_its_bytes_and_its_field() -> None:
    broken = [b"", b"{", encode(review(1)).replace(b'"tenant":"t"', b'"tenant":7'), b"[]"]
    log = [*(Record(at, 5, b"k", value) for at, value in enumerate(broken)), Record(4, 5, b"k", encode(review(4)))]
    result = alerter().process(log, MODEL)
    dead = result.outputs["dead_letters"]
    assert [each.value for each in dead] == broken
    assert [read_dead_letter(each.headers).field for each in dead] == ["", "", "tenant", ""]
    assert {read_dead_letter(each.headers).topic for each in dead} == {"reviews"}
    assert result.reasons == {"review_invalid": 4}
    assert len(result.outputs["alerts"]) == 1


def test_its_state_says_how_large_it_is() -> None:
    hop, restored = alerter(), AlertState()
    hop.process(LOG, MODEL)
    entries = hop.state.checkpoint(0)
    restored.restore(entries)
    assert len(hop.state) == len(restored) == len({value for _, value in entries[:-1]}) == 4
    assert hop.state.nbytes == restored.nbytes == sum(len(value or b"") for _, value in entries[:-1])
    assert restored.next_offset == COUNT


@pytest.mark.parametrize(
    ("value", "field"),
    [
        pytest.param(encode(review(1)).replace(b'"t"', b'"\xff"'), "", id="invalid UTF-8"),
        pytest.param(encode(review(1))[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "", id="nested deep"),
        pytest.param(encode(structs.replace(review(1), event_time_ms=2**63)), "event_time_ms", id="beyond 64 bits"),
        pytest.param(encode(structs.replace(review(1), event_time_ms=-1)), "event_time_ms", id="before 1970"),
        pytest.param(encode(structs.replace(review(1), probability=1.5)), "probability", id="no probability"),
        pytest.param(encode(structs.replace(review(1), queue="q" * 200)), "queue", id="a long queue"),
        pytest.param(
            encode(structs.replace(review(1), event_time_ms=AHEAD_MS_MAX + 6)), "event_time_ms", id="in future"
        ),
    ],
)
def test_a_forged_review_moves_no_clock_and_is_put_aside(value: bytes, field: str) -> None:
    hop = alerter()
    result = hop.process([Record(0, 5, b"k", value)], MODEL)
    (letter,) = result.outputs["dead_letters"]
    assert read_dead_letter(letter.headers).field == field
    assert (hop.state.clock_ms, hop.state.next_offset, len(hop.state)) == (0, 1, 0)
    assert hop.process([Record(1, -1, b"k", encode(review(1)))], MODEL).outputs["alerts"]


HOSTILE_ENTRIES = [b"", b"[]", b"\xff", b"[" * 100_000, b'[1,{},"x"]', b"[-1,{},0]", b"[1,{},99999999999999999999]"]


@pytest.mark.parametrize("key", [PARTITION_KEY, b"subject"])
@pytest.mark.parametrize("value", HOSTILE_ENTRIES)
def test_a_changelog_by_somebody_else_is_refused_by_one_name_only(key: bytes, value: bytes) -> None:
    with pytest.raises(StateFormatError, match="rebuild the state from the input topic"):
        AlertState().restore([(key, value)])


def test_queues_that_are_none_share_a_budget_and_a_name_in_metrics() -> None:
    forged = [structs.replace(review(at), queue=f"SECRET-{at}", score=float(at)) for at in range(6)]
    hop = Alerter("reviews", 3, per_day=1.0, queues={"general"})
    log = [Record(at, -1, b"k", encode(each)) for at, each in enumerate([*forged, review(7)])]
    result = hop.process(log, MODEL)
    assert set(result.thresholds) <= {"general", "other"}
    assert {queue for queue, _ in result.alerts} == {"general", "other"}
    assert set(hop.state.budget.entries) == {"general", "other"}


def test_an_alert_never_outgrows_its_topic() -> None:
    rules = [tuple(RuleResult(f"{at}-{rule}", "hit", unit="u" * 2_000) for rule in range(100)) for at in range(20)]
    grown = [structs.replace(review(at, account="a"), rules=each) for at, each in enumerate(rules)]
    result = alerter().process([Record(at, -1, b"k", encode(each)) for at, each in enumerate(grown)], MODEL)
    assert result.reasons["review_invalid"] > 10
    assert max(len(each.value) for each in result.outputs["alerts"]) <= 2 * ALERT_BYTES_MAX
