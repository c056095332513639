"""Frames that come again, where payer hops may write some again: each counts once, in the order of its log."""

from __future__ import annotations

import numpy as np
import pytest

from services.scorer.path.frame import GENERATIONS_MAX, HEADER, LABEL, LABEL_FRAME, OUTFLOW, PAYMENT, PAYMENT_HEAD
from services.scorer.path.frame_reading import OFFSET_MAX, read_frames
from services.scorer.path.hops import schema_of
from services.scorer.path.records import Record
from tests.scorer.path.test_frames import FRAME
from tests.scorer.path.test_hops import RULESET

PARTITIONS = 3
NOTHING = -1
Place = tuple[int, int, int, int]
"""Kind, partition, generation and offset."""
LAYOUT = {PAYMENT: PAYMENT_HEAD, LABEL: LABEL_FRAME, OUTFLOW: HEADER}


def frame(kind: int, partition: int = 0, generation: int = 0, offset: int = 0) -> Record:
    """A sound frame of ``kind`` that was made of the record at such a place."""
    value = FRAME[kind].value or b""
    head = np.frombuffer(value, dtype=LAYOUT[kind], count=1).copy()
    header = head if kind == OUTFLOW else head["header"]
    header["partition"], header["generation"], header["offset"] = partition, generation, offset
    return FRAME[kind]._replace(value=head.tobytes() + value[head.nbytes :])


def never() -> np.ndarray:
    return np.full(PARTITIONS, NOTHING, dtype=np.int64)


def taken(places: list[Place], seen: np.ndarray | None) -> tuple[list[Place], int]:
    """Those of the frames that count, notes and payments first, then labels; and how many payments were repeats."""
    frames = read_frames([frame(*place) for place in places], schema_of(RULESET), PARTITIONS, seen)
    assert not frames.rejected
    heads = [
        (int(each["kind"]), int(each["partition"]), int(each["generation"]), int(each["offset"]))
        for each in frames.headers
    ]
    labels = [place for place in places if place[0] == LABEL][: len(frames.labelled)]
    assert len(frames.payments) == len(frames.told) == sum(kind == PAYMENT for kind, *_ in heads)
    assert len(frames.records) == len(frames.tenants) == len(heads)
    return [*heads, *labels], frames.duplicates


@pytest.mark.parametrize("kind", [PAYMENT, OUTFLOW, LABEL])
def test_the_very_frame_that_was_read_last_is_a_repeat(kind: int) -> None:
    seen = never()
    assert taken([(kind, 0, 0, 7)], seen) == ([(kind, 0, 0, 7)], 0)
    before = seen.copy()
    assert taken([(kind, 0, 0, 7)], seen) == ([], int(kind == PAYMENT))
    assert seen.tolist() == before.tolist()
    assert taken([(kind, 0, 0, 8)], seen) == ([(kind, 0, 0, 8)], 0)


def test_a_frame_that_comes_twice_in_a_batch_counts_once() -> None:
    once = [(PAYMENT, 0, 0, 7), (OUTFLOW, 0, 0, 7), (PAYMENT, 0, 0, 8), (LABEL, 0, 0, 9)]
    twice = [*once[:2], *once[:2], *once[2:], *once[2:]]
    assert taken(twice, never()) == (once, 2)


@pytest.mark.parametrize(
    "before, then, counts",
    [
        # The first record of a log counts, and so does what follows.
        (None, (PAYMENT, 0, 0, 0), True),
        ((PAYMENT, 0, 0, 0), (PAYMENT, 0, 0, 1), True),
        ((PAYMENT, 0, 0, 5), (PAYMENT, 0, 0, 4), False),
        # A note follows its own payment, and comes before the next.
        ((PAYMENT, 0, 0, 5), (OUTFLOW, 0, 0, 5), True),
        ((OUTFLOW, 0, 0, 5), (PAYMENT, 0, 0, 5), False),
        ((OUTFLOW, 0, 0, 5), (PAYMENT, 0, 0, 6), True),
        ((OUTFLOW, 0, 0, 5), (LABEL, 0, 0, 6), True),
        ((PAYMENT, 0, 0, 6), (OUTFLOW, 0, 0, 5), False),
        # Every partition is a log of its own.
        ((PAYMENT, 0, 0, 5), (PAYMENT, 1, 0, 0), True),
        ((PAYMENT, 2, 0, 5), (PAYMENT, 2, 0, 5), False),
        # A log that took another's place comes after all of it.
        ((OUTFLOW, 0, 0, OFFSET_MAX - 1), (PAYMENT, 0, 1, 0), True),
        ((PAYMENT, 0, 1, 0), (OUTFLOW, 0, 0, OFFSET_MAX - 1), False),
        ((PAYMENT, 0, GENERATIONS_MAX - 1, OFFSET_MAX - 1), (PAYMENT, 0, GENERATIONS_MAX, 0), True),
    ],
)
def test_a_frame_counts_if_it_stands_behind_the_last_of_its_log(
    before: Place | None, then: Place, counts: bool
) -> None:
    seen = never()
    if before is not None:
        assert taken([before], seen) == ([before], 0)
    expected = ([then], 0) if counts else ([], int(then[0] == PAYMENT))
    assert taken([then], seen) == expected


def test_a_repeat_takes_nothing_from_the_sound_frames_around_it() -> None:
    seen = never()
    assert taken([(PAYMENT, 0, 0, 3)], seen)[1] == 0
    mixed = [(PAYMENT, 1, 0, 0), (PAYMENT, 0, 0, 3), (OUTFLOW, 0, 0, 3), (LABEL, 0, 0, 2), (PAYMENT, 0, 0, 4)]
    assert taken(mixed, seen) == ([mixed[0], mixed[2], mixed[4]], 1)


def test_an_unsound_frame_moves_no_log_on_and_is_no_repeat() -> None:
    seen = never()
    unsound = frame(PAYMENT, offset=9)._replace(key=b"somebody else")
    frames = read_frames([unsound, frame(PAYMENT, offset=3)], schema_of(RULESET), PARTITIONS, seen)
    assert ([record for record, _ in frames.rejected], len(frames.payments), frames.duplicates) == ([unsound], 1, 0)
    frames = read_frames([unsound], schema_of(RULESET), PARTITIONS, seen)
    assert (len(frames.rejected), frames.duplicates) == (1, 0)
    assert taken([(PAYMENT, 0, 0, 4)], seen) == ([(PAYMENT, 0, 0, 4)], 0)


def test_where_nothing_repeats_every_frame_counts() -> None:
    places = [(PAYMENT, 0, 0, 5), (PAYMENT, 0, 0, 5), (OUTFLOW, 0, 0, 4)]
    assert taken(places, None) == (places, 0)


def test_labels_keep_their_places_among_the_frames_that_count() -> None:
    seen = never()
    records = [
        frame(PAYMENT, offset=0), frame(LABEL, offset=1), frame(PAYMENT, offset=0), frame(PAYMENT, offset=2),
        frame(LABEL, offset=3),
    ]  # fmt: skip
    assert read_frames(records, schema_of(RULESET), PARTITIONS, seen).labels["before"].tolist() == [1, 2]
