"""When an input is still what a state was made of, and when going on would lose payments or take them for repeats."""

from __future__ import annotations

import pytest
from aiokafka.structs import TopicPartition

from services.scorer.shell.position import (
    Input,
    InputChanged,
    Position,
    going_on_at,
    position_entry,
    read_position,
    require_same,
    what_changed,
)

KNOWN = Position("a1", 100, anchor_offset=80, anchor_epoch=3)


@pytest.mark.parametrize(
    "now, why",
    [
        (Input("a1", 0, 100, 3), None),
        (Input("a1", 0, 250, 3), None),
        (Input("a1", 100, 250, 3), None),  # what was read may be deleted
        (Input("a1", 0, 250, 4, anchor_end=80), None),  # another leader, which has all that was read
        (Input("a1", 0, 250, 4, anchor_end=120), None),
        (Input("a1", 0, 250, 9, anchor_end=None), None),  # it does not tell
        (Input("", 0, 50), None),  # brokers without topic ids: nothing can be told
        (Input("b2", 0, 250, 0), "deleted and made again"),
        (Input("b2", 0, 0, 0), "deleted and made again"),
        (Input("a1", 0, 99, 3), "ends at 99 and 100 was taken"),
        (Input("a1", 0, 250, 4, anchor_end=79), "its leader has other records from 79 on"),
        (Input("a1", 101, 250, 3), "deleted unread"),
    ],
)
def test_what_is_wrong_with_an_input(now: Input, why: str | None) -> None:
    found = what_changed(KNOWN, now)
    if why is None:
        assert found is None
    else:
        assert found is not None
        assert why in found


def test_what_the_state_needs_again_after_a_crash_must_still_be_there() -> None:
    behind = Position("a1", 100, state_offset=60)
    assert behind.resume_offset == 60
    assert what_changed(behind, Input("a1", 60, 250, 3)) is None
    why = what_changed(behind, Input("a1", 61, 250, 3))
    assert why is not None
    assert "begins at 61 and the latest checkpoint stands for 60" in why


@pytest.mark.parametrize(
    "known, now, offset",
    [
        (Position("a1", 100, state_offset=60), Input("a1", 80, 250), 100),  # only the state lacks something
        (Position("a1", 100, state_offset=60), Input("a1", 120, 250), 120),
        (Position("a1", 100, state_offset=60), Input("b2", 0, 250), 0),
        (None, Input("a1", 7, 250), 7),
    ],
)
def test_where_people_let_it_go_on(known: Position | None, now: Input, offset: int) -> None:
    assert going_on_at(known, now) == offset


def test_a_state_of_before_positions_goes_on_with_whatever_there_is() -> None:
    assert what_changed(Position("", 100), Input("a1", 0, 250, 3)) is None


def test_what_stops_a_partition_names_it_the_command_and_the_price() -> None:
    source = TopicPartition("payments.v1", 3)
    require_same(source, KNOWN, Input("a1", 0, 250, 3))
    with pytest.raises(InputChanged) as raised:
        require_same(source, KNOWN, Input("b2", 0, 7, 0))
    message = str(raised.value)
    assert message.startswith("payments.v1[3]: it was deleted and made again")
    assert "`tocsin topics accept payments.v1 --partition 3`" in message
    assert "stays undecided" in message


def test_a_position_comes_back_from_its_entry() -> None:
    key, value = position_entry(KNOWN)
    assert not key.startswith((b"\x01", b"\x02"))
    assert read_position(value) == KNOWN


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"\xff", b'{"topic_id": 1}', b"[" * 100_000, b'{"next_offset": -1}']
)
def test_an_entry_that_is_none_is_passed_over(value: bytes | None) -> None:
    assert read_position(value) is None
