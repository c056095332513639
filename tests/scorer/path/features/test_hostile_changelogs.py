"""A changelog that somebody else wrote is refused by one name, which repeats nothing of it, and no kernel sees it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.payment import Party
from services.scorer.path.features.checkpoints import NUMBERS_MAX, RECORD_PREFIX
from services.scorer.path.features.partition_state import PARTITION_KEY
from services.scorer.path.features.state import AccountState
from services.scorer.path.features.state_format import StateFormatError
from tests.scorer.path.logs import PARAMETERS, payment
from tests.scorer.path.runs import Entries, payer_state, restored, run_payer
from tests.support.states import contents

LOG = [
    payment(at, payer=Party(f"A{at % 3}", country="DE"), payee=Party(f"B{at}", country="PH", phone=f"{at // 4}"))
    for at in range(12)
]
GOOD: Entries = run_payer(LOG, PARAMETERS).entries
FORMAT = (GOOD[0][1] or b"")[:8]
RECORD = RECORD_PREFIX + bytes(4)
ACCOUNTS, ROWS, CROWD, LABELS, REMITS, RARE, FURTHER, CORRIDORS, TOKENS = TABLES = range(9)


def partition(*numbers: int) -> bytes:
    return FORMAT + np.array(numbers, dtype="<i8").tobytes()


def head(table: int, rows: int) -> bytes:
    return FORMAT + np.array([table, rows], dtype="<u4").tobytes()


OTHERS: list[tuple[str, bytes, bytes | None]] = [
    ("nothing", RECORD, b""),
    ("a key of no kind", b"SECRET", FORMAT),
    ("a tombstone of no kind", b"SECRET", None),
    ("another layout", RECORD, b"12345678" + bytes(64)),
    ("a record without a head", RECORD, FORMAT),
    ("a record of no table", RECORD, head(len(TABLES), 1) + bytes(36)),
    ("a record without rows", RECORD, head(TOKENS, 0)),
    ("a record cut", RECORD, head(TOKENS, 1) + bytes(43)),
    ("a record named too long", RECORD + b"\x01", head(TOKENS, 1) + bytes(44)),
    ("a record numbered too high", RECORD_PREFIX + b"\xff\xff\xff\xff", head(TOKENS, 1) + bytes(44)),
    ("a row far away", RECORD, head(TOKENS, 1) + bytes(40) + b"\xff\xff\xff\xff"),
    ("two rows in one place", RECORD, head(TOKENS, 2) + bytes(88)),
    ("a partition without a time", PARTITION_KEY, FORMAT),
    ("a partition cut", PARTITION_KEY, FORMAT + b"\x01"),
    ("a partition with more sources", PARTITION_KEY, partition(0, 0, 0, 0, 0, 0, *range(9))),
    ("a partition of no offset", PARTITION_KEY, partition(0, -1, 0, 0, 0, 0)),
    ("a watermark before 1970", PARTITION_KEY, partition(0, 0, 0, -1, 0, 0)),
    ("a watermark after all", PARTITION_KEY, partition(0, 0, 0, 2**62, 0, 0)),
]


@pytest.mark.parametrize(("key", "value"), [pytest.param(*rest, id=why) for why, *rest in OTHERS])
def test_an_entry_that_no_hop_wrote_is_refused_and_not_repeated(key: bytes, value: bytes | None) -> None:
    with pytest.raises(StateFormatError, match="rebuild the state from the input topic") as refused:
        payer_state(PARAMETERS).restore([(key, value)])
    assert "SECRET" not in str(refused.value)


def tables_of(state: AccountState) -> list[NDArray[Any]]:
    return [state.accounts.table.rows, state.rows, *(pool.rows for pool in state.pools(0).values()),
            state.corridors.rows, state.tokens.rows]  # fmt: skip


def setting(table: int, slot: int, **values: Any) -> Callable[[AccountState], None]:
    """Forge a row before it is written."""

    def forge(state: AccountState) -> None:
        for name, value in values.items():
            tables_of(state)[table][name][slot] = value

    return forge


FORGED: list[tuple[str, Callable[[AccountState], object]]] = [
    ("a time before 1970", setting(ROWS, 0, last_ms=-1)),
    ("a time after all", setting(ROWS, 0, last_ms=EVENT_TIME_MS_MAX + 1)),
    ("a pool's row that is nowhere", setting(ROWS, 0, remits_at=77)),
    ("a pool's row far away", setting(ROWS, 0, labels_at=2**31)),
    ("a pool's row that another has", setting(ROWS, 0, remits_at=2)),
    ("a corridor without a name", setting(CORRIDORS, 1, low=0, high=0)),
    ("a token without a parent", setting(TOKENS, 0, parent=-1)),
    ("a token before its parent", setting(TOKENS, 0, parent=1)),
    ("a token of a parent far away", setting(TOKENS, 2, parent=2**50)),
    (
        "a token whose group is missing",
        lambda state: [setting(TOKENS, 0, token=0)(state), setting(TOKENS, 1, parent=0)(state)],
    ),
    ("a token of no time", setting(TOKENS, 0, ms=-(2**60))),
    ("a token twice", lambda state: setting(TOKENS, 1, token=state.tokens.rows["token"][0])(state)),
]


@pytest.mark.parametrize("forge", [pytest.param(forge, id=why) for why, forge in FORGED])
def test_rows_that_no_kernel_wrote_are_refused_before_one_reads_them(forge: Callable[[AccountState], object]) -> None:
    state = run_payer(LOG, PARAMETERS, log_state=False).state
    forge(state)
    entries = state.checkpoint(0)
    with pytest.raises(StateFormatError, match="rebuild the state from the input topic"):
        restored(payer_state(PARAMETERS), entries)


def test_an_account_whose_row_is_not_in_the_changelog_is_refused() -> None:
    entries = [entry for entry in GOOD if entry[0] != RECORD_PREFIX + b"\x00\x00\x00\x01"]
    with pytest.raises(StateFormatError, match="does not hold an account's row"):
        restored(payer_state(PARAMETERS), entries)


def test_what_the_hop_wrote_is_taken_back_in_any_pieces() -> None:
    whole, pieces = restored(payer_state(PARAMETERS), GOOD), payer_state(PARAMETERS)
    for entry in GOOD:
        pieces.restore([entry])
    pieces.begin_at(0, 0)
    assert run_payer(LOG, PARAMETERS, state=whole).rows == run_payer(LOG, PARAMETERS, state=pieces).rows


def test_an_entry_with_any_bytes_changed_is_refused_or_changes_its_account_only() -> None:
    draw = random.Random(7)
    refused = 0
    for _ in range(400):
        key, value = draw.choice(GOOD)
        changed = bytearray(value or b"")
        for _ in range(draw.randrange(4) if changed else 0):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            state = restored(payer_state(PARAMETERS), [*GOOD, (key, bytes(changed))])
            run_payer(LOG, PARAMETERS, state=state)
        except StateFormatError:
            refused += 1
    assert 0 < refused < 400


def test_rows_whose_record_a_forged_tombstone_took_are_written_again() -> None:
    records = [entry for entry in GOOD if entry[0][:1] == RECORD_PREFIX]
    state = restored(payer_state(PARAMETERS), [*GOOD, *((key, None) for key, _ in records)])
    again = state.checkpoint(0)
    assert contents(restored(payer_state(PARAMETERS), again), PARAMETERS) == contents(
        restored(payer_state(PARAMETERS), GOOD), PARAMETERS
    )


def test_a_record_numbered_far_ahead_costs_no_memory() -> None:
    key, value = next(entry for entry in GOOD if entry[0][:1] == RECORD_PREFIX)
    ahead = RECORD_PREFIX + (NUMBERS_MAX - 1).to_bytes(4, "big")
    state = restored(payer_state(PARAMETERS), [*GOOD, (ahead, value)])
    assert (key, None) in state.checkpoint(0) + state.checkpoint(0)
