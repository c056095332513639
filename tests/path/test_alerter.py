"""The alerter as a function of its log: cuts, crashes and repeats change nothing; what is no review is put aside."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.codec import decode, encode
from services.contract.events import read_dead_letter
from services.contract.types import Alert
from services.scorer.path.alert import CONTRIBUTIONS_MAX
from services.scorer.path.alerter import Alerter, AlertState
from services.scorer.path.model import untrained_model
from services.scorer.path.records import HopResult, Outbound, Record
from tests.path.test_alert import review

MODEL = untrained_model("f" * 64)
SUBJECTS = 7
COUNT = 90

LOG = [
    Record(at, 1_000 + at, b"k", encode(review(at, probability=at * 37 % 101 / 101, account=f"a{at * at % SUBJECTS}")))
    for at in range(COUNT)
]


def alerter() -> Alerter:
    return Alerter("reviews", 3)


def run(log: Sequence[Record], cuts: Sequence[int] = (), crash_after: Sequence[int] = ()) -> list[HopResult]:
    """The results of batch after batch; after the batches in ``crash_after`` a new alerter restores the changelog."""
    hop, changelog, results = alerter(), dict[bytes, bytes | None](), []
    for number, (start, stop) in enumerate(pairwise([0, *sorted(set(cuts)), len(log)])):
        results.append(hop.process(log[start:stop], MODEL))
        changelog.update(hop.state.changelog(results[-1].touched))
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
    before = hop.state.changelog(np.arange(len(hop.state)))
    again = hop.process(LOG[COUNT // 2 :], MODEL)
    assert (again.outputs, again.touched.tolist()) == ({"alerts": [], "dead_letters": []}, [])
    assert hop.state.changelog(np.arange(len(hop.state))) == before


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
    restored.restore(hop.state.changelog(np.arange(len(hop.state))))
    assert len(hop.state) == len(restored) == len({value for _, value in hop.state.changelog(np.arange(4))[:-1]}) == 4
    assert (
        hop.state.nbytes
        == restored.nbytes
        == sum(len(value or b"") for _, value in hop.state.changelog(np.arange(4))[:-1])
    )
    assert restored.next_offset == COUNT
