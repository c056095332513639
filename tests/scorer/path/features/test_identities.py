"""The window of payments: what is a repeat, for how long, and the same however the log is cut and after a restore."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.contract.units import DAY_MS
from services.scorer.path.features.identities import (
    CHUNK,
    CHUNK_ROW,
    CONFLICT,
    DUPLICATE,
    FORWARD,
    STATUS_UPDATE,
    Identities,
)
from services.scorer.path.features.inputs import PAYER_INPUT, REFUSED
from services.scorer.path.features.rows import PAYER_ROW
from services.scorer.path.features.state import AccountState
from services.scorer.path.features.state_format import StateFormatError

SEEDED = settings(derandomize=True, deadline=None, max_examples=60, database=None)
START_MS = 1_700_000_000_000
DAYS = 3


class Entry(NamedTuple):
    """A payment of the log; ``gap`` is how many other records stand before it."""

    id: int
    content: int
    status: int
    hours: int
    gap: int


ENTRIES = st.lists(
    st.builds(
        Entry,
        st.integers(1, 400),
        st.sampled_from([0, 0, 0, 0, 1]),
        st.integers(0, 3),
        st.sampled_from([0, 0, 0, 0, 0, 1, 9]),
        st.sampled_from([1, 1, 1, 1, 1, 1, 40_000]),
    ),
    min_size=300,
    max_size=900,
)
CUTS = st.lists(st.integers(1, 900), max_size=6)


class Log(NamedTuple):
    rows: NDArray[Any]
    offsets: NDArray[np.int64]


def mixed(number: NDArray[Any]) -> NDArray[np.uint64]:
    """Digests, as spread as those of a keyed hash."""
    return np.asarray(number, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15) ^ np.uint64(0xD1B5_4A32_D192_ED03)


def log_of(entries: list[Entry]) -> Log:
    rows = np.zeros(len(entries), dtype=(np.record, PAYER_INPUT))
    rows["payment"] = mixed(np.array([each.id for each in entries]))
    rows["content"] = mixed(np.array([each.content for each in entries]))
    rows["status"] = [each.status for each in entries]
    rows["now_ms"] = START_MS + np.cumsum([each.hours for each in entries]) * 3_600_000
    return Log(rows, np.cumsum([each.gap for each in entries]))


def twin(entries: list[Entry], payments_max: int) -> list[tuple[int, int, bool]]:
    """Verdict, offset of the first record, and whether it is refused for the first time; over a list of lists."""
    chunks: list[list[tuple[int, int, set[int], int]]] = []
    now, offset = 0, 0
    ends: list[int] = []
    out: list[tuple[int, int, bool]] = []
    for each in entries:
        now, offset = now + each.hours, offset + each.gap
        while chunks and now - ends[0] > 24 * DAYS:
            chunks, ends = chunks[1:], ends[1:]
        first = next((known for chunk in chunks for known in chunk if known[0] == each.id), None)
        if first is None:
            if not chunks or len(chunks[-1]) == CHUNK or offset - chunks[-1][0][3] > 65_535:
                if len(chunks) == -(-payments_max // CHUNK) + 1:
                    chunks, ends = chunks[1:], ends[1:]
                chunks.append([])
                ends.append(now)
            chunks[-1].append((each.id, each.content, {each.status}, offset))
            ends[-1] = now
            out.append((FORWARD, offset, False))
        elif first[1] != each.content:
            out.append((CONFLICT, first[3], False))
        elif each.status in first[2]:
            out.append((DUPLICATE, first[3], False))
        else:
            is_first = each.status >= REFUSED and all(status < REFUSED for status in first[2])
            first[2].add(each.status)
            out.append((STATUS_UPDATE, first[3], is_first))
    return out


def recognised(window: Identities, log: Log, cuts: list[int] | None = None, generation: int = 0) -> list[Any]:
    n = len(log.offsets)
    firsts: list[int] = []
    for start, stop in pairwise(sorted({0, n, *(cut for cut in cuts or [] if cut < n)})):
        first = window.recognise(log.rows[start:stop], log.offsets[start:stop], generation)
        firsts += first.offset.tolist()
    return list(zip(log.rows["verdict"].tolist(), firsts, log.rows["first_refused"].tolist(), strict=True))


@SEEDED
@given(entries=ENTRIES, cuts=CUTS, payments_max=st.sampled_from([1, 2 * CHUNK, 100_000]))
def test_the_window_equals_its_twin_however_the_log_is_cut(
    entries: list[Entry], cuts: list[int], payments_max: int
) -> None:
    assert recognised(Identities(payments_max, DAYS), log_of(entries), cuts) == twin(entries, payments_max)


def state_with(window: Identities) -> AccountState:
    return AccountState(PAYER_ROW, 400 * DAY_MS, identities=window)


@SEEDED
@given(entries=ENTRIES, cuts=CUTS, crash=st.integers(0, 900), payments_max=st.sampled_from([1, 2 * CHUNK, 100_000]))
def test_a_window_that_was_restored_goes_on_as_if_nothing_had_been(
    entries: list[Entry], cuts: list[int], crash: int, payments_max: int
) -> None:
    log = log_of(entries)
    crash = min(crash, len(entries))
    before = Log(log.rows[:crash], log.offsets[:crash])
    changelog = []
    window = Identities(payments_max, DAYS)
    state = state_with(window)
    for start, stop in pairwise(sorted({0, crash, *(cut for cut in cuts if cut < crash)})):
        window.recognise(before.rows[start:stop], before.offsets[start:stop], 0)
        changelog += state.checkpoint(stop)
    again = Identities(payments_max, DAYS)
    other = state_with(again)
    other.restore(changelog)
    other.begin_at(0, 0)
    assert again.items() == window.items()
    assert len(again) == len(window)
    rest = Log(log.rows[crash:], log.offsets[crash:])
    assert recognised(again, rest) == twin(entries, payments_max)[crash:]


def fresh(first: int, count: int) -> Log:
    rows = np.zeros(count, dtype=(np.record, PAYER_INPUT))
    rows["payment"] = mixed(np.arange(first, first + count))
    rows["now_ms"] = START_MS
    return Log(rows, np.arange(first, first + count))


@pytest.mark.parametrize("between", [33, 10_000, 1_000_000])
def test_a_repeat_is_one_after_so_many_others(between: int) -> None:
    window = Identities(1_000_000)
    window.recognise(*fresh(0, 1), 0)
    others = fresh(1, between - 1)
    window.recognise(*others, 0)
    assert (others.rows["verdict"] == FORWARD).all()
    again = fresh(0, 1)
    assert window.recognise(again.rows, np.array([between + 7]), 0).offset == [0]
    assert again.rows["verdict"] == [DUPLICATE]
    assert window.nbytes < 21e6, "20 bytes a payment"


def test_what_is_beyond_the_window_is_new_and_the_memory_stays() -> None:
    window = Identities(10_000)
    window.recognise(*fresh(0, 200_000), 0)
    full = window.nbytes
    assert 10_000 <= len(window) <= 10_000 + 2 * CHUNK
    window.recognise(*fresh(200_000, 200_000), 0)
    assert window.nbytes == full
    late, kept = fresh(0, 1), fresh(390_001, 1)
    for again in (late, kept):
        window.recognise(again.rows, np.array([400_000]), 0)
    assert (late.rows["verdict"][0], kept.rows["verdict"][0]) == (FORWARD, DUPLICATE)


def test_ids_that_crowd_one_place_of_the_index_are_told_apart() -> None:
    """Entries far from home, and round the index's end: as no keyed digest would have them."""
    window = Identities(1_000, DAYS)
    log = fresh(0, 3_000)
    log.rows["payment"] = (np.arange(3_000, dtype=np.uint64) << np.uint64(8)) | np.uint64(0xFFFF_FFF0_0000_0000)
    assert [verdict for verdict, _, _ in recognised(window, log, [700, 1_900])] == [FORWARD] * 3_000
    again = Log(log.rows[-1_000:].copy(), log.offsets[-1_000:] + 3_000)
    assert [verdict for verdict, _, _ in recognised(window, again)] == [DUPLICATE] * 1_000


def test_a_log_that_took_anothers_place_keeps_what_the_other_said() -> None:
    window = Identities()
    window.recognise(*fresh(0, 300), 0)
    again = fresh(0, 300)
    first = window.recognise(again.rows, again.offsets + 5, 1)
    assert (again.rows["verdict"] == DUPLICATE).all()
    assert first.offset.tolist() == list(range(300))
    assert first.generation.tolist() == [0] * 300


def test_an_empty_window_takes_next_to_no_memory() -> None:
    assert Identities().nbytes < 2e6


HOSTILE = [
    ("no payments", {"count": 0}),
    ("too many payments", {"count": CHUNK + 1}),
    ("an offset before all", {"first_offset": -1}),
    ("a time before all", {"now_ms": -1}),
    ("a number that is far ahead", {"number": 9}),
]


@pytest.mark.parametrize(("what", "changed"), HOSTILE)
def test_chunks_that_no_kernel_wrote_are_refused(what: str, changed: dict[str, int]) -> None:
    window = Identities()
    window.recognise(*fresh(0, 3 * CHUNK), 0)
    chunk = window.table.rows[2].copy()
    for name, value in changed.items():
        chunk[name] = value
    window.table.rows[2] = chunk
    with pytest.raises(StateFormatError, match="window of payments"):
        window.settle(1)


def test_a_row_of_the_window_is_fourteen_bytes_a_payment() -> None:
    assert CHUNK_ROW.itemsize <= 14.5 * CHUNK
