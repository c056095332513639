"""A changelog that somebody else wrote is refused by one name, which repeats nothing of it, and no kernel sees it."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pytest

from services.contract.fields import EVENT_TIME_MS_MAX
from services.contract.payment import Party
from services.scorer.path.features.rows import PAYER_ROW
from services.scorer.path.features.state import CORRIDOR_PREFIX, PARTITION_KEY, TOKEN_PREFIX, account_key
from services.scorer.path.features.state_format import StateFormatError
from services.scorer.path.features.tokens import TOKEN_ROW, TOKENS_MAX
from tests.scorer.path.logs import PARAMETERS, payment
from tests.scorer.path.runs import Entries, payer_state, run_payer

SECRET = b"SECRET"
LOG = [
    payment(at, payer=Party(f"A{at % 3}", country="DE"), payee=Party(f"B{at}", country="PH", phone=f"{at // 4}"))
    for at in range(12)
]
GOOD: Entries = run_payer(LOG, PARAMETERS).entries
FORMAT = next(value for key, value in GOOD if key == PARTITION_KEY)[:8]  # type: ignore[index]
ACCOUNT = account_key(b"default", b"A0")


def partition(*numbers: int) -> bytes:
    return FORMAT + np.array(numbers, dtype=np.int64).tobytes()


def row(**changes: Any) -> bytes:
    """An account's row that is all zero but for ``changes``."""
    made = np.zeros(1, dtype=PAYER_ROW)
    for name, value in changes.items():
        made[name] = value
    return FORMAT + made.tobytes()


def token(slot: int, parent: int, ms: int = 0) -> bytes:
    made = np.zeros(1, dtype=TOKEN_ROW)
    made["parent"], made["ms"] = parent, ms
    return FORMAT + struct.pack("<q", slot) + made.tobytes()


TOKEN = TOKEN_PREFIX + bytes(7) + b"\x01"
HOSTILE: list[tuple[str, bytes, bytes]] = [
    ("nothing", ACCOUNT, b""),
    ("another layout", ACCOUNT, b"12345678" + bytes(64)),
    ("a row too long", ACCOUNT, FORMAT + bytes(PAYER_ROW.itemsize + 8)),
    ("an index behind", ACCOUNT, row(payment_ids_next=32)),
    ("an index far behind", ACCOUNT, row(payment_ids_next=2**40)),
    ("an index before", ACCOUNT, row(payment_ids_next=-1)),
    ("a time before 1970", ACCOUNT, row(last_ms=-1)),
    ("a time after all", ACCOUNT, row(last_ms=EVENT_TIME_MS_MAX + 1)),
    ("a partition without a time", PARTITION_KEY, FORMAT),
    ("a partition cut", PARTITION_KEY, FORMAT + b"\x01"),
    ("a partition with more sources", PARTITION_KEY, partition(0, *range(9))),
    ("a watermark before 1970", PARTITION_KEY, partition(-1)),
    ("a watermark after all", PARTITION_KEY, partition(2**62)),
    ("a corridor that is none", CORRIDOR_PREFIX + SECRET, FORMAT + bytes(48)),
    ("a corridor that is no text", CORRIDOR_PREFIX + b"\xff\x1fPH", FORMAT + bytes(48)),
    ("a corridor cut", CORRIDOR_PREFIX + b"DE\x1fPH", FORMAT + bytes(47)),
    ("a corridor too long", CORRIDOR_PREFIX, FORMAT + bytes(56)),
    ("a token named too long", TOKEN + b"\x01", token(0, 0)),
    ("a token named too short", TOKEN_PREFIX, token(0, 0)),
    ("a token cut", TOKEN, token(0, 0)[:-1]),
    ("a token in no place", TOKEN, token(-1, -1)),
    ("a token far away", TOKEN, token(TOKENS_MAX, 0)),
    ("a token without a parent", TOKEN, token(0, -1)),
    ("a token before its parent", TOKEN, token(0, 1)),
    ("a token of a parent far away", TOKEN, token(3, 2**50)),
    ("a token of no time", TOKEN, token(0, 0, -(2**60))),
]


@pytest.mark.parametrize(("key", "value"), [pytest.param(*rest, id=why) for why, *rest in HOSTILE])
def test_an_entry_that_no_hop_wrote_is_refused_and_not_repeated(key: bytes, value: bytes) -> None:
    with pytest.raises(StateFormatError, match="rebuild the state from the input topic") as refused:
        payer_state(PARAMETERS).restore([(key, value)])
    assert "SECRET" not in str(refused.value)


def test_two_tokens_cannot_have_one_place() -> None:
    with pytest.raises(StateFormatError, match="two tokens"):
        payer_state(PARAMETERS).restore([(TOKEN, token(0, 0)), (TOKEN[:-1] + b"\x02", token(0, 0))])


def test_a_token_whose_group_is_missing_is_refused_before_a_kernel_looks_for_its_root() -> None:
    state = payer_state(PARAMETERS)
    state.restore([(TOKEN, token(5, 3))])
    with pytest.raises(StateFormatError, match="group is missing"):
        run_payer(LOG, PARAMETERS, state=state)


def test_what_the_hop_wrote_is_taken_back_in_any_pieces() -> None:
    whole, pieces = payer_state(PARAMETERS), payer_state(PARAMETERS)
    whole.restore(GOOD)
    for entry in GOOD:
        pieces.restore([entry])
    assert run_payer(LOG, PARAMETERS, state=whole).rows == run_payer(LOG, PARAMETERS, state=pieces).rows


def test_an_entry_with_any_bytes_changed_is_refused_or_changes_its_account_only() -> None:
    draw = random.Random(7)
    refused = 0
    for _ in range(400):
        key, value = draw.choice(GOOD)
        changed = bytearray(value or b"")
        for _ in range(draw.randrange(4) if changed else 0):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        state = payer_state(PARAMETERS)
        try:
            state.restore([*GOOD, (key, bytes(changed))])
            run_payer(LOG, PARAMETERS, state=state)
        except StateFormatError:
            refused += 1
    assert 0 < refused < 400
