"""Checkpoints: whatever the log, its cuts, the moments of checkpoints and of the crash, the state is that of a worker
that never died; and the log of them does not grow for ever."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.payment import Party
from services.scorer.path.features import checkpoints as checkpoints_module
from services.scorer.path.features.checkpoints import RECORD_BYTES_MAX
from services.scorer.path.features.parameters import Parameters
from services.scorer.path.features.partition_state import PARTITION_KEY
from services.scorer.path.features.state import AccountState, whole
from tests.scorer.path.logs import NO_HORIZON, PARAMETERS, SEEDED, Mixed, mixed_logs, payment
from tests.scorer.path.runs import (
    Entries,
    Run,
    compacted,
    onward,
    payee_state,
    payer_state,
    restored,
    run_payee,
    run_payer,
)
from tests.support.states import contents

CUTS = st.lists(st.integers(1, 60), max_size=8)
FEW = 3
"""Accounts remembered at most, so that most logs push some out."""
Make = Callable[[Parameters, int], AccountState]
Go = Callable[..., Run]


def crashed(
    go: Go, make: Make, log: Sequence[Any], cuts: list[int], moments: list[int], limit: int, transactions: bool
) -> tuple[AccountState, list[bytes]]:
    """``log`` by workers that die at each of ``moments``, the latest checkpoint some records behind."""
    entries: Entries = []
    rows: list[bytes] = []
    taken = 0
    for moment in [*sorted(set(moments)), len(log)]:
        kept = entries if transactions else whole(dict(entries))
        state = make(PARAMETERS, limit)
        state.restore(kept)
        start = state.begin_at(0, 0)
        go(log[start:taken], PARAMETERS, cuts, state, log_state=False)
        half = (taken + moment) // 2
        rows += go(log[taken:half], PARAMETERS, cuts, state, log_state=False).rows
        written = state.checkpoint(half)
        rows += go(log[half:moment], PARAMETERS, cuts, state, log_state=False).rows
        entries = compacted([*entries, *written]) if moment % 2 else [*entries, *written]
        if not transactions and moment < len(log):  # the next checkpoint is cut short
            entries += state.checkpoint(moment)[:-2]
        taken = moment
    return state, rows


MOMENTS = st.lists(st.integers(0, 90), max_size=4)


@SEEDED
@given(log=mixed_logs(), cuts=CUTS, moments=MOMENTS, limit=st.sampled_from([FEW, 10_000]), transactions=st.booleans())
def test_a_payer_worker_that_dies_anywhere_ends_where_an_undisturbed_one_does(
    log: Mixed, cuts: list[int], moments: list[int], limit: int, transactions: bool
) -> None:
    state, rows = crashed(
        run_payer, payer_state, log, cuts, [min(each, len(log)) for each in moments], limit, transactions
    )
    undisturbed = run_payer(log, PARAMETERS, (), payer_state(PARAMETERS, limit), log_state=False)
    assert rows == undisturbed.rows
    assert contents(state, PARAMETERS) == contents(undisturbed.state, PARAMETERS)


@SEEDED
@given(log=mixed_logs(), cuts=CUTS, moments=MOMENTS, limit=st.sampled_from([FEW, 10_000]), transactions=st.booleans())
def test_a_payee_worker_that_dies_anywhere_ends_where_an_undisturbed_one_does(
    log: Mixed, cuts: list[int], moments: list[int], limit: int, transactions: bool
) -> None:
    records = onward(log)
    state, rows = crashed(
        run_payee, payee_state, records, cuts, [min(each, len(records)) for each in moments], limit, transactions
    )
    undisturbed = run_payee(records, PARAMETERS, (), payee_state(PARAMETERS, limit), log_state=False)
    assert rows == undisturbed.rows
    assert contents(state, PARAMETERS) == contents(undisturbed.state, PARAMETERS)


def test_a_checkpoint_is_taken_into_account_only_for_the_log_that_it_is_of() -> None:
    state = run_payer([payment(0)], PARAMETERS).state
    entries = state.checkpoint(1)
    for generation, offset in ((0, 1), (1, 40)):
        back = payer_state(PARAMETERS)
        back.restore(entries)
        assert back.begin_at(40, generation) == offset


def test_only_what_changed_is_written_and_nothing_twice() -> None:
    state = payer_state(NO_HORIZON)
    run_payer([payment(at, payer=Party(f"A{at}")) for at in range(1_000)], NO_HORIZON, state=state)
    assert [key for key, _ in state.checkpoint(1_000)] == [PARTITION_KEY]
    run_payer([payment(1_000, payer=Party("A7"))], NO_HORIZON, state=state, log_state=False)
    assert sum(len(value or b"") for _, value in state.checkpoint(1_001)) < 4_000


def test_no_record_is_larger_than_a_megabyte() -> None:
    state = payer_state(NO_HORIZON)
    log = [payment(at, payer=Party(f"A{at}")) for at in range(3_000)]
    entries = run_payer(log, NO_HORIZON, state=state).entries
    sizes = [len(value or b"") for _, value in entries]
    assert sum(sizes) > RECORD_BYTES_MAX
    assert max(sizes) <= RECORD_BYTES_MAX + 16


def test_the_log_stays_below_about_twice_the_state_and_restores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints_module, "_SPARE_BYTES", 0)
    monkeypatch.setattr(checkpoints_module, "RECORD_BYTES_MAX", 20_000)
    draw = random.Random(1)
    state = payer_state(NO_HORIZON)
    log = dict[bytes, bytes]()
    for batch in range(60):
        accounts = [draw.choice((draw.randrange(30), draw.randrange(300))) for _ in range(50)]
        payments = [payment(50 * batch + at, payer=Party(f"A{each}")) for at, each in enumerate(accounts)]
        for key, value in run_payer(payments, NO_HORIZON, state=state).entries:
            log.pop(key, None)
            if value is not None:
                log[key] = value
    state_bytes = sum(
        int(np.count_nonzero(table.homes[: table.used] >= 0)) * table.rows.dtype.itemsize for table in state._tables
    )
    size = sum(map(len, log.values()))
    assert size < 2.3 * state_bytes
    assert len(log) > 5
    back = restored(payer_state(NO_HORIZON), list(log.items()))
    assert contents(back, NO_HORIZON) == contents(state, NO_HORIZON)
    assert back.log_bytes <= size
