"""The join, as rules and as properties: what interleaving and crashes must not change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from models.labels import rank, resolved
from services.contract.identity import example_id
from services.contract.label import Example, Label
from services.contract.payment_digests import payment_key
from services.contract.units import DAY_MS
from services.learner.joining.join import Join, Joined, Limits
from services.learner.joining.sampling import drawn
from services.learner.joining.state import Changes
from tests.learner.streams import MemoryStore, label, served, take, taught
from tests.support.served_batches import START_MS, Row

Record = Row | Label
Log = list[Record]
NOW_MS = START_MS + 10_000 * DAY_MS


def examples(join: Join, record: Record) -> list[Example]:
    if isinstance(record, Row):
        return [taught(each) for each in take(join, record, NOW_MS)]
    joined = join.take_label(record)
    return [] if joined is None else [taught(joined)]


def settle(join: Join, store: MemoryStore) -> None:
    store.write(join.seal())
    join.written()


def run(records: Iterable[Record], limits: Limits | None = None) -> tuple[list[Example], Join, Counter[str]]:
    """Every record in a batch of its own."""
    store, counts = MemoryStore(), Counter[str]()
    join, made = Join(store, limits), list[Example]()
    for record in records:
        made += examples(join, record)
        changes = join.seal()
        counts += join.counts
        store.write(changes)
        join.written()
    return made, join, counts


def of_labels(counts: Counter[str]) -> dict[str, int]:
    return {result: count for result, count in counts.items() if count and not result.startswith("decision_")}


def ids(examples: Iterable[Example]) -> list[str]:
    return sorted(example.example_id for example in examples)


def payments(numbers: Sequence[int]) -> st.SearchStrategy[str]:
    return st.sampled_from(numbers).map(lambda number: f"p-{number}")


def labels(numbers: Sequence[int]) -> st.SearchStrategy[list[Label]]:
    """Of one partition: all labels of a payment are in the same."""
    return st.lists(
        st.builds(
            label,
            payments(numbers),
            st.integers(0, 3).map(lambda number: f"l-{number}"),
            st.integers(0, 2).map(lambda late: START_MS + late),
            source=st.sampled_from(("authority", "analyst", "hearsay")),
        ),
        max_size=10,
    )


decisions = st.lists(payments(range(5)).map(served), max_size=8)
logs = st.tuples(decisions, decisions, labels((0, 2, 4)), labels((1, 3)))
limits_drawn = st.sampled_from((Limits(), Limits(keep_share=0.5, keep_probability=1.0)))


def interleaved(draw: st.DataObject, partitions: Sequence[Log]) -> Log:
    """One of the orders in which the partitions may be read."""
    turns = [number for number, log in enumerate(partitions) for _ in log]
    cursors = [iter(log) for log in partitions]
    return [next(cursors[turn]) for turn in draw.draw(st.permutations(turns))]


@given(logs, limits_drawn, st.data())
@settings(deadline=None)
def test_what_is_joined_does_not_depend_on_how_the_topics_interleave(
    partitions: tuple[Log, ...], limits: Limits, data: st.DataObject
) -> None:
    first, second = interleaved(data, partitions), interleaved(data, partitions)
    assert ids(run(first, limits)[0]) == ids(run(second, limits)[0])


@given(logs, limits_drawn, st.data())
@settings(deadline=None)
def test_every_label_that_outranks_the_standing_one_of_a_kept_decision_makes_one_example_and_no_other_does(
    partitions: tuple[Log, ...], limits: Limits, data: st.DataObject
) -> None:
    everything = interleaved(data, partitions)
    kept = {
        record.payment_id
        for record in everything
        if isinstance(record, Row) and drawn(payment_key("default", record.payment_id)) < limits.keep_share
    }
    said: dict[str, dict[str, Label]] = {}
    for record in everything:
        if isinstance(record, Label):
            said.setdefault(record.payment_id, {}).setdefault(record.label_id, record)
    wanted = []
    for payment in kept & said.keys():
        so_far: list[Label] = []
        for each in said[payment].values():
            so_far.append(each)
            if resolved(so_far) is each:
                wanted.append(example_id("default", payment, each.label_id))
    made, join, _ = run(everything, limits)
    assert ids(made) == sorted(wanted)
    assert join.decisions == len(kept)
    for payment in kept & said.keys():
        counts = resolved(said[payment].values())
        assert counts is not None
        of_payment = [example for example in made if example.payment_id == payment]
        wanted_last = example_id("default", payment, counts.label_id)
        assert of_payment[-1].example_id == max(of_payment, key=rank).example_id == wanted_last


@given(logs, limits_drawn, st.data())
@settings(deadline=None, max_examples=200)
def test_a_crash_anywhere_neither_loses_nor_repeats_an_example(
    partitions: tuple[Log, ...], limits: Limits, data: st.DataObject
) -> None:
    """The committed offsets are a cut through all partitions, the store's a cut below it. What a new learner replays
    between the two may interleave in any other way."""
    committed = [data.draw(st.integers(0, len(log))) for log in partitions]
    stored = [data.draw(st.integers(0, cut)) for cut in committed]
    store = MemoryStore()
    join = Join(store, limits)
    emitted: list[Example] = []
    for record in interleaved(data, [log[:cut] for log, cut in zip(partitions, stored, strict=True)]):
        emitted += examples(join, record)
    settle(join, store)
    between = [log[low:high] for log, low, high in zip(partitions, stored, committed, strict=True)]
    for record in interleaved(data, between):  # committed, and lost to the store
        emitted += examples(join, record)

    again = Join(MemoryStore(store.values), limits)
    for record in interleaved(data, between):
        examples(again, record)  # replayed without emitting
    for record in interleaved(data, [log[cut:] for log, cut in zip(partitions, committed, strict=True)]):
        emitted += examples(again, record)

    undisturbed = run((record for log in partitions for record in log), limits)[0]
    assert ids(emitted) == ids(undisturbed)


rows_drawn = st.lists(
    st.builds(
        served,
        payments(range(5)),
        st.sampled_from((0, 3, 8, 12, 40)).map(lambda day: START_MS + day * DAY_MS),
        score=st.sampled_from((-9.0, -3.0, 2.0)),
        outcome=st.sampled_from(("pass", "pass", "review")),
    ),
    max_size=10,
)


@given(rows_drawn, labels(range(5)), st.lists(st.integers(0, 10), max_size=3))
@settings(deadline=None, max_examples=200)
def test_how_decisions_are_cut_into_batches_changes_neither_examples_nor_store_nor_counts(
    rows: list[Row], waiting: list[Label], cuts: list[int]
) -> None:
    """Repeats and old ones among them, held against one at a time."""
    limits = Limits(keep_share=0.5, keep_probability=1.0, decision_retention_ms=9 * DAY_MS, slack_ms=DAY_MS)

    def outcome(bounds: Sequence[int]) -> tuple[list[Joined], Changes, Counter[str]]:
        join = Join(MemoryStore(), limits)
        for each in waiting:
            join.take_label(each)
        made = [each for start, stop in pairwise(bounds) for each in take(join, rows[start:stop], NOW_MS)]
        counts = +join.counts
        return made, join.seal(), counts

    one_by_one = outcome(range(len(rows) + 1))
    assert outcome([0, len(rows)]) == one_by_one
    assert outcome([0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]) == one_by_one


def test_a_label_after_its_decision_makes_an_example_with_what_was_served() -> None:
    made, _, counts = run([served("p", features=(1.5, None)), label("p", "l", START_MS + 5, "not_suspicious")])
    assert [(each.features, each.label, each.event_time_ms) for each in made] == [((1.5, None), False, START_MS)]
    assert of_labels(counts) == {"joined": 1}


def test_a_label_before_its_decision_waits_for_it() -> None:
    made, join, counts = run([label("p", "l"), served("p")])
    assert len(made) == 1
    assert of_labels(counts) == {"waiting": 1, "joined": 1}
    assert join.waiting_labels == 0


def test_waiting_labels_join_in_the_order_in_which_they_came() -> None:
    store = MemoryStore()
    join = Join(store)
    for number in (3, 1, 2):
        said = label("p", f"l-{number}", disposition="suspicious" if number == 1 else "not_suspicious")
        join.take_label(structs.replace(said, label_time_ms=START_MS + (3, 1, 2).index(number)))
        settle(join, store)
    made = take(Join(store), served("p"), NOW_MS)
    assert [taught(each).label for each in made] == [False, True, False]
    assert [None if each.first is None else each.first.confirmed for each in made] == [False, None, None]


def test_the_same_label_id_is_a_duplicate_and_another_one_a_correction() -> None:
    made, _, counts = run([served("p"), label("p", "a"), label("p", "a"), label("p", "b", START_MS + 1)])
    assert len(made) == 2
    assert of_labels(counts) == {"joined": 2, "duplicate": 1}


def test_a_label_that_does_not_outrank_the_standing_one_is_counted_and_teaches_nothing() -> None:
    store = MemoryStore()
    join = Join(store)
    take(join, served("p"), NOW_MS)
    made = []
    for source, late in (("analyst", 5), ("authority", 1), ("analyst", 9), ("analyst", 9), ("correction", 9)):
        joined = join.take_label(label("p", f"{source}-{late}", START_MS + late, source=source))
        made += [] if joined is None else [(taught(joined).source, taught(joined).weight, joined.first is not None)]
    assert made == [("analyst", 0.8, True), ("authority", 1.0, False)]
    assert of_labels(join.counts) == {"joined": 2, "outranked": 2, "duplicate": 1}
    settle(join, store)
    assert Join(store).take_label(label("p", "again", START_MS + 9)) is None, "a join that is reopened knows who stands"


def test_the_first_decision_of_a_payment_counts() -> None:
    made, _, counts = run([served("p", features=(1.0,)), served("p", features=(2.0,)), label("p", "l")])
    assert made[0].features == (1.0,)
    assert counts["decision_duplicate"] == 1


def test_tenants_do_not_share_payments() -> None:
    other = served("p")._replace(tenant="other")
    made, join, _ = run([other, label("p", "l")])
    assert made == []
    assert join.waiting_labels == 1


def test_decisions_are_forgotten_by_event_time_and_labels_of_them_counted() -> None:
    limits = Limits(decision_retention_ms=10 * DAY_MS, slack_ms=DAY_MS, label_wait_ms=5 * DAY_MS)
    store = MemoryStore()
    join = Join(store, limits)
    for day in range(100):
        take(join, served(f"p-{day}", START_MS + day * DAY_MS), NOW_MS)
        settle(join, store)
        assert join.decisions <= 14
    assert len([key for key in store.values if key.startswith(b"d")]) == join.decisions
    assert join.take_label(label("p-0", "l", START_MS + 99 * DAY_MS)) is None
    assert join.counts == {"waiting": 1}
    take(join, served("p-new", START_MS + 110 * DAY_MS), NOW_MS)
    join.seal()
    assert join.counts["expired"] == 1
    assert join.waiting_labels == 0


def test_a_label_for_a_payment_six_months_old_is_joined_if_it_was_kept_and_counted_if_not() -> None:
    limits = Limits(keep_share=0.1, keep_probability=0.5, label_maturity_ms=90 * DAY_MS)
    store = MemoryStore()
    join = Join(store, limits)
    old = [served(f"p-{number}", START_MS + number) for number in range(300)]
    kept = {each.payment_id for each in old if drawn(payment_key("default", each.payment_id)) < 0.1}
    assert 10 < len(kept) < 60
    for record in (*old, *(served(f"q-{day}", START_MS + day * DAY_MS) for day in range(180))):
        take(join, record, NOW_MS)
    settle(join, store)
    late = [label(each.payment_id, "l", START_MS + 180 * DAY_MS) for each in old]
    made = [taught(joined) for each in late if (joined := join.take_label(each)) is not None]
    assert {each.payment_id for each in made} == kept
    assert {each.weight for each in made} == {0.8 / 0.1}
    assert join.waiting_labels == 300 - len(kept)
    settle(join, store)
    take(join, served("last", START_MS + 190 * DAY_MS), NOW_MS)
    join.seal()
    assert join.counts["not_kept"] == 300 - len(kept)
    assert join.waiting_labels == 0


def test_decisions_are_forgotten_faster_than_they_come() -> None:
    limits = Limits(decision_retention_ms=10 * DAY_MS, slack_ms=0, forgotten_per_seal_max=1)
    store = MemoryStore()
    join = Join(store, limits)
    take(join, [served(f"p-{at}") for at in range(100)], NOW_MS)
    settle(join, store)
    for batch in range(4):
        take(join, [served(f"q-{batch}-{at}", START_MS + 20 * DAY_MS) for at in range(20)], NOW_MS)
        settle(join, store)
        assert join.decisions == max(100 - 40 * (batch + 1), 0) + 20 * (batch + 1)
    settle(join, store)
    assert join.decisions == 80


def test_a_label_that_comes_too_long_after_its_payment_is_counted_and_not_joined() -> None:
    limits = Limits(decision_retention_ms=10 * DAY_MS)
    made, _, counts = run([served("p"), label("p", "l", START_MS + 11 * DAY_MS)], limits)
    assert made == []
    assert of_labels(counts) == {"too_late": 1}


def test_one_payment_dated_in_the_far_future_makes_nothing_forgotten() -> None:
    store = MemoryStore()
    join = Join(store)
    take(join, served("p", START_MS), START_MS)
    settle(join, store)
    take(join, served("q", START_MS + 20_000 * DAY_MS), START_MS)
    settle(join, store)
    assert join.take_label(label("p", "l")) is not None


def test_a_decision_older_than_what_is_remembered_is_counted_and_not_kept() -> None:
    _, join, counts = run([served("p", START_MS), served("q", START_MS - 1_000 * DAY_MS)])
    assert counts["decision_too_old"] == 1
    assert join.decisions == 1


def test_waiting_labels_are_bounded_and_the_earliest_are_dropped_and_counted() -> None:
    limits = Limits(waiting_labels_max=10)
    made, join, counts = run(
        [*(label(f"p-{number}", "l", START_MS + number) for number in range(25)), served("p-3"), served("p-24")], limits
    )
    assert counts["overflow"] == 15
    assert [each.payment_id for each in made] == ["p-24"]
    assert join.waiting_labels == 9


def test_labels_of_one_payment_are_bounded_before_and_after_its_decision() -> None:
    limits = Limits(labels_per_payment_max=3)
    before = [label("p", f"l-{number}", START_MS + number) for number in range(5)]
    after = [label("p", f"m-{number}", START_MS + number) for number in range(5)]
    made, _, counts = run([*before, served("p"), *after], limits)
    assert len(made) == 3
    assert counts["excess"] == 7


def test_a_join_reopened_on_its_store_is_the_same_join() -> None:
    store = MemoryStore()
    join = Join(store)
    for number in range(5):
        join.take_label(label(f"p-{number}", "l", START_MS + number))
    take(join, served("p-9"), NOW_MS)
    settle(join, store)
    again = Join(store)
    assert (again.waiting_labels, again.decisions) == (5, 1)
    assert len(take(again, served("p-2"), NOW_MS)) == 1
